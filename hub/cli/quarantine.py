"""``hub quarantine``: what is held back, what a steward does with it, and the rows for return to the agency.

``list`` and ``export`` are docs/CONTRACTS.md 2.5; the rest is docs/QUARANTINE.md. The values of a correction stand in a
file, never on the command line, where others can see them.
"""

import json
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hub.cli.session import open_database, read_settings, run
from hub.cli.steward import steward_act, steward_desk
from hub.core.clock import iso, system_clock
from hub.core.errors import InputError
from hub.core.names import QuarantineReason
from hub.flows.stewards.discard_quarantined import discard_row
from hub.flows.stewards.export_quarantine import ExportFormat, export
from hub.flows.stewards.readmit_quarantined import Readmitted, StillBreaksError, release_row, repair_row
from hub.flows.stewards.recheck_quarantine import recheck_source
from hub.flows.stewards.show_quarantined import show_row
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.records.held_back.quarantine import list_quarantine, require_source
from hub.records.held_back.quarantine_entries import number_of
from hub.records.held_back.quarantine_summary import QuarantineGroup, summarise_quarantine
from hub.store.database import DbRole

app = typer.Typer(help="Rows that are held back.", no_args_is_help=True)

CORRECTIONS_BYTES_MAX = 100_000
"""Largest file of corrections."""

Result = TypeVar("Result")

Entry = Annotated[str, typer.Argument(help="The entry, such as q-000017.")]
Why = Annotated[str, typer.Option("--reason", help="The case this is for; it is recorded.")]
TokenFile = Annotated[Path | None, typer.Option(help="File with the access token of a registered data steward.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


class Status(StrEnum):
    """Which entries to list."""

    OPEN = "open"
    CLEARED = "cleared"
    ALL = "all"


@app.command("list")
def list_command(
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object per line instead of a table.")] = False,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
    status: Annotated[Status, typer.Option(help="Open entries, cleared ones, or all.")] = Status.OPEN,
) -> None:
    """List entries without personal content, oldest first."""
    wanted = None if status is Status.ALL else status.name

    async def work() -> list[dict[str, Any]]:
        database = await open_database(read_settings())
        connection = await database.connect(DbRole.INGEST)
        try:
            if source is not None:
                await require_source(connection, source)
            return await list_quarantine(connection, source=source, reason=_reason(reason), status=wanted)
        finally:
            await connection.close()

    entries = run(work())
    if json_lines:
        for entry in entries:
            print(json.dumps(entry, ensure_ascii=False))
        return
    columns = ("id", "source", "reason", "source_key", "origin", "first_seen", "status")
    _print_table(columns, ([entry[column] for column in columns] for entry in entries), empty="No such entries.")


@app.command("summary")
def summary_command(
    json_lines: AsJson = False,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    days: Annotated[int, typer.Option(help="Length of the period for the trend.", min=1, max=366)] = 7,
) -> None:
    """Count what is held back by source, reason and age, and whether it grows."""

    async def work() -> list[QuarantineGroup]:
        database = await open_database(read_settings())
        connection = await database.connect(DbRole.INGEST)
        try:
            if source is not None:
                await require_source(connection, source)
            return await summarise_quarantine(connection, system_clock(), days=days, source=source)
        finally:
            await connection.close()

    groups = run(work())
    if json_lines:
        for group in groups:
            print(json.dumps(_group(group, days), ensure_ascii=False))
        return
    columns = ("source", "reason", "open", "day", "week", "month", "older", f"came in {days} d", "before", "closed")
    rows = ([g.source, g.reason.name, g.open, *g.ages.values(), g.came, g.came_before, g.closed] for g in groups)
    _print_table(columns, rows, empty="Nothing has ever been held back.")


@app.command("show")
def show_command(
    entry: Entry,
    why: Why,
    json_object: AsJson = False,
    steward_token_file: TokenFile = None,
) -> None:
    """Show one row with its content, and what was done with it. An audited disclosure."""
    number = number_of(entry)
    shown, _ = _as_steward(
        steward_token_file, why, "show", {"entry": entry}, lambda desk, act: show_row(desk, act, number)
    )
    if json_object:
        print(json.dumps(shown, ensure_ascii=False))
        return
    contract = shown.pop("contract")
    row, acts = shown.pop("row"), shown.pop("acts")
    facts = [*shown.items(), *((f"contract, {name}", value) for name, value in contract.items())]
    _print_table(("entry", entry), ([name, value] for name, value in facts))
    if row is None:
        print("Nothing of the row is kept.")
    else:
        _print_table(("field", "value"), ([name, value] for name, value in row.items()))
    for act in acts:
        print(json.dumps(act, ensure_ascii=False))


@app.command("repair")
def repair_command(
    entry: Entry,
    corrections_file: Annotated[
        Path, typer.Option(help='JSON file {"wire name": value}; null takes a value away. Keep it private.')
    ],
    why: Why,
    json_object: AsJson = False,
    steward_token_file: TokenFile = None,
) -> None:
    """Correct named fields of a row and let it count, if it then breaks no rule. What the agency sends later wins."""
    number, corrections = number_of(entry), _corrections(corrections_file)
    made = _as_steward(
        steward_token_file,
        why,
        "repair",
        {"entry": entry},
        lambda desk, act: repair_row(desk, act, number, corrections),
    )[0]
    _tell_readmitted(made, json_object)


@app.command("release")
def release_command(entry: Entry, why: Why, json_object: AsJson = False, steward_token_file: TokenFile = None) -> None:
    """Let a row count as it was delivered, if it breaks no rule any more."""
    number = number_of(entry)
    made = _as_steward(
        steward_token_file, why, "release", {"entry": entry}, lambda desk, act: release_row(desk, act, number)
    )[0]
    _tell_readmitted(made, json_object)


@app.command("discard")
def discard_command(entry: Entry, why: Why, json_object: AsJson = False, steward_token_file: TokenFile = None) -> None:
    """Destroy what is kept of a row. That it came, and why it was refused, stays."""
    number = number_of(entry)
    made = _as_steward(
        steward_token_file, why, "discard", {"entry": entry}, lambda desk, act: discard_row(desk, act, number)
    )[0]
    if json_object:
        print(json.dumps({"entry": made.entry, "act": "DISCARDED", "repeated": made.repeated}))
    else:
        print(f"{made.entry} was discarded{' before' if made.repeated else ''}.")


@app.command("recheck")
def recheck_command(
    source: Annotated[str, typer.Option(help="The source whose open rows are tried.")],
    release: Annotated[bool, typer.Option("--release", help="Release those that pass, one by one.")] = False,
    why: Annotated[str, typer.Option("--reason", help="The case this is for; needed with --release.")] = "",
    json_lines: AsJson = False,
    steward_token_file: TokenFile = None,
) -> None:
    """Try the present contract on all open rows of a source: which would pass now. Shows numbers and codes only."""
    if release and not why.strip():
        raise InputError("a release needs a reason.", remedy="Give --reason.")

    async def work(desk: StewardDesk, act: StewardAct) -> list[dict[str, Any]]:
        found, _ = await recheck_source(desk, act, source)
        lines = []
        for row in found.rows:
            line = {
                "id": row.entry,
                "reason": row.reason.name,
                "refused_by": row.refused_by,
                "contract": found.contract,
                "remaining": [reason.name for reason in row.remaining],
                "released": None,
            }
            if release and not row.remaining:
                try:
                    line["released"] = (await release_row(desk, act, row.number))[0].outcome
                except StillBreaksError as refusal:
                    line["remaining"] = [reason.name for reason in refusal.reasons]
            lines.append(line)
        return lines

    lines = _as_steward(steward_token_file, why, "recheck", {"source": source, "release": release}, work)
    if json_lines:
        for line in lines:
            print(json.dumps(line, ensure_ascii=False))
        return
    columns = ("id", "reason", "refused_by", "contract", "remaining", "released")
    rows = ([*(line[name] for name in columns[:4]), ", ".join(line["remaining"]), line["released"]] for line in lines)
    _print_table(columns, rows, empty="Nothing of this source is held back.")


@app.command("export")
def export_command(
    source: Annotated[str, typer.Option(help="The source whose rows are returned.")],
    out: Annotated[Path, typer.Option(help="A new file; it will hold personal data (mode 0600).")],
    reason: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="JSON Lines with the entries, or the agency's own format.")
    ] = ExportFormat.JSONL,
    why: Annotated[str, typer.Option(help="The case this is for; it is recorded.")] = "return to the agency",
    steward_token_file: TokenFile = None,
) -> None:
    """Write the open rows with their content, for return to the agency. An audited disclosure.

    In the agency's own format a second file, OUT.entries.jsonl, names the entry and reason of each row in order.
    """
    index = out.with_name(f"{out.name}.entries.jsonl")

    wanted, begun = _reason(reason), False

    def write(content: bytes, entries: bytes | None) -> None:
        nonlocal begun
        _write(out, content, more=begun)
        if entries is not None:
            _write(index, entries, more=begun)
        begun = True

    for path in (out, index) if form is ExportFormat.NATIVE else (out,):
        if path.exists():
            raise InputError(f"the file {path} exists already.", remedy="Name a new file; nothing was exported.")
    variables: dict[str, object] = {"source": source, "reason": reason, "format": form.value}
    rows = _as_steward(
        steward_token_file, why, "export", variables, lambda desk, act: export(desk, act, source, wanted, write, form)
    )
    print(f"{rows} rows were written to {out}.")


def _as_steward(
    token_file: Path | None,
    reason: str,
    verb: str,
    variables: dict[str, object],
    work: Callable[[StewardDesk, StewardAct], Awaitable[Result]],
) -> Result:
    """Do something under the identity of the steward who acts."""

    async def acted() -> Result:
        async with steward_desk() as desk:
            return await work(desk, await steward_act(desk, reason, f"hub quarantine {verb}", variables, token_file))

    return run(acted())


def _tell_readmitted(made: Readmitted, json_object: bool) -> None:
    if json_object:
        print(
            json.dumps(
                {
                    "entry": made.entry,
                    "act": made.act,
                    "outcome": made.outcome,
                    "contract": made.contract,
                    "corrected": list(made.corrected),
                    "repeated": made.repeated,
                },
                ensure_ascii=False,
            )
        )
        return
    counts = "counts now" if made.outcome == "CURRENT" else "is history: a newer version counts"
    print(f"{made.entry} {'was' if made.repeated else 'is'} {made.act.lower()}; the row {counts}.")


def _group(group: QuarantineGroup, days: int) -> dict[str, Any]:
    return {
        "source": group.source,
        "reason": group.reason.name,
        "open": group.open,
        "kept": group.kept,
        "ages": group.ages,
        "oldest": None if group.oldest is None else iso(group.oldest),
        "days": days,
        "came": group.came,
        "came_before": group.came_before,
        "trend": group.trend,
        "closed": group.closed,
        "repaired": group.repaired,
        "released": group.released,
        "discarded": group.discarded,
        "overtaken": group.overtaken,
    }


def _corrections(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > CORRECTIONS_BYTES_MAX:
            raise ValueError
        value = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise InputError(
            f"the corrections file {path} is not a JSON object.", remedy='Write {"wire name": "value", ...}.'
        )
    return value


def _reason(name: str | None) -> QuarantineReason | None:
    if name is None:
        return None
    if name not in QuarantineReason.__members__:
        raise InputError(
            f"`{name}` is not a reason code.", remedy=f"Use one of {', '.join(QuarantineReason.__members__)}."
        )
    return QuarantineReason[name]


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str | None = None) -> None:
    """A table for people, of its natural width: a line that a terminal wraps is better than a key cut short."""
    table = Table(*columns, box=None, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    if not table.rows and empty is not None:
        print(empty)
        return
    console = Console()
    width = max(console.width, console.measure(table, options=console.options.update(max_width=10_000)).maximum)
    Console(width=width).print(table)


def _write(path: Path, content: bytes, *, more: bool) -> None:
    """Write a new file, or ``more`` of it."""
    descriptor = os.open(path, os.O_WRONLY | (os.O_APPEND if more else os.O_CREAT | os.O_EXCL), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
