"""``hub adverse``: the purge of adverse items whose time is over, and repairs by competent bodies (docs/ADVERSE.md)."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.session import read_settings, run
from hub.cli.steward import acting_steward, steward_desk
from hub.core.clock import day_of, iso
from hub.core.errors import InputError
from hub.flows.duties.purge_adverse import Purged, between_pulls, list_expired, purge_adverse
from hub.flows.duties.purge_quarantine import purge_quarantine
from hub.flows.stewards.repair_adverse import Repair, RepairMade, repair_adverse
from hub.flows.stewards.steward_desk import StewardAct
from hub.records.adverse_items.adverse import regime_of
from hub.records.held_back.quarantine_age import count_aged
from hub.store.database import DbRole

app = typer.Typer(help="Adverse items: purge and repair.", no_args_is_help=True)

_Source = Annotated[str, typer.Option(help="The source that states the item.")]
_Key = Annotated[str, typer.Option(help="Its source key, as `hub household show` tells it.")]
_Document = Annotated[str, typer.Option(help="Number of the competent body's decision.")]
_Day = Annotated[str, typer.Option(help="Day of that decision, YYYY-MM-DD.")]
_Reason = Annotated[str, typer.Option(help="The case this is for; it is recorded.")]
_Token = Annotated[Path | None, typer.Option(help="File with the access token of a registered data steward.")]


@app.callback()
def _adverse() -> None:
    """Adverse items: purge and repair."""


@app.command("purge")
def purge_command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, only count.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Destroy adverse items whose time is over. They are shown nowhere any more, whether or not this has run.

    What was kept of refused rows goes too after the years that an adverse item may be kept.
    """

    async def work() -> tuple[int, list[Purged]]:
        async with steward_desk() as desk:
            if not dry_run:
                async with between_pulls(desk.database) as connection:
                    aged = await purge_quarantine(connection, desk.receipts, desk.clock)
                    return aged, await purge_adverse(connection, desk.keys, desk.receipts, desk.clock)
            connection = await desk.database.connect(DbRole.INGEST)
            try:
                return await count_aged(connection, day_of(desk.clock())), await list_expired(connection, desk.clock)
            finally:
                await connection.close()

    aged, found = run(work())
    if aged:
        print(json.dumps({"refused_rows": aged}) if as_json else f"{'refused rows':<35} {aged:>8} rows")
    for part in found:
        regime = regime_of(part.category).name.value
        line = {"category": part.category.value, "regime": regime, "rows": part.rows, "held_back": part.held_back}
        print(json.dumps(line) if as_json else f"{part.category:<16} {regime:<18} {part.rows:>8} rows")
    if not found and not aged and not as_json:
        print("No adverse item is over." if dry_run else "No adverse item was over.")


@app.command("repair")
def repair_command(
    source: _Source,
    source_key: _Key,
    document: _Document,
    decided_on: _Day,
    reason: _Reason,
    steward_token_file: _Token = None,
) -> None:
    """Record that the competent body repaired an item: from now on no answer shows it."""
    _record(Repair(source, source_key, True, document, _day(decided_on)), reason, steward_token_file)


@app.command("reinstate")
def reinstate_command(
    source: _Source,
    source_key: _Key,
    document: _Document,
    decided_on: _Day,
    reason: _Reason,
    steward_token_file: _Token = None,
) -> None:
    """Take the record of a repair back: the item is shown again, for as long as its time is not over."""
    _record(Repair(source, source_key, False, document, _day(decided_on)), reason, steward_token_file)


def _record(repair: Repair, reason: str, token_file: Path | None) -> None:
    async def work() -> RepairMade:
        async with steward_desk() as desk:
            steward = await acting_steward(desk.database, desk.keys, read_settings(), token_file)
            command = "hub adverse repair" if repair.repaired else "hub adverse reinstate"
            made, _ = await repair_adverse(desk, StewardAct(steward, reason, command, {}), repair)
            return made

    made = run(work())
    told = {"repaired": made.repaired, "regime": made.regime.value, "recorded_at": iso(made.recorded_at)}
    print(json.dumps({"source": repair.source, "source_key": repair.source_key, **told}, ensure_ascii=False))


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise InputError("the day of the decision is no day.", remedy="Write it as YYYY-MM-DD.") from None
