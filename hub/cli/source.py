"""``hub source``: how the sources stand, and how good each is as the receiver measured it (docs/OPERATIONS.md)."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hub.cli.session import open_database, operator_name, read_settings, run
from hub.core.clock import iso, system_clock
from hub.core.errors import InputError
from hub.flows.readings.read_scorecards import check_days, scorecards_for_operator
from hub.flows.receipts import receipt_desk
from hub.records.intake.scorecard import TRENDS, Trend
from hub.store.keys import FileKeys

app = typer.Typer(help="State and scorecards of the sources.")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per source instead of a table.")]


@app.command("list")
def list_sources(as_json: AsJson = False) -> None:
    """List the sources that were ever pulled: last good pull, state, circuit."""
    titles = ("source", "kind", "status", "last_ok_at", "circuit", "retry_at", "open_quarantine")
    lines = [{title: card[title] for title in titles} for card in map(_card, _read(1))]
    _show(lines, titles, as_json)


@app.command()
def scorecard(
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    days: Annotated[int, typer.Option(help="Days that the card spans, until now.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Show how complete, valid and timely each source delivered, and how it answered, with the trend."""
    found = _read(check_days(days))
    if source is not None:
        known = ", ".join(trend.now.source for trend in found)
        found = [trend for trend in found if trend.now.source == source]
        if not found:
            raise InputError(f"no source named `{source}` was ever pulled.", remedy=f"There are: {known or 'none'}.")
    titles = ("source", "pulls", "success", "fetched", "new_rows", "mandatory", "filled", "validity", "arrived_days",
              "expected_days", "conflicts_lost")  # fmt: skip
    lines = [_card(trend) for trend in found]
    _show(lines if as_json else [{title: line[title] for title in titles} for line in lines], titles, as_json)


def _read(days: int) -> list[Trend]:
    async def work() -> list[Trend]:
        settings = read_settings()
        database = await open_database(settings)
        async with receipt_desk(database, FileKeys(settings.keys_folder), settings.home) as receipts:
            return await scorecards_for_operator(database, receipts, system_clock, days, operator_name())

    return run(work())


def _card(trend: Trend) -> dict[str, Any]:
    card = asdict(trend.now)
    for name in ("last_ok_at", "retry_at"):
        card[name] = None if card[name] is None else iso(card[name])
    card["trend"] = {name: trend.change(name) for name in TRENDS}
    return card


def _show(lines: list[dict[str, Any]], titles: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        for line in lines:
            print(json.dumps(line, ensure_ascii=False))
        return
    if not lines:
        print("No source was ever pulled.")
        return
    table = Table(box=None, padding=(0, 1, 0, 0))
    for title in titles:
        table.add_column(title.replace("_", " "))
    for line in lines:
        table.add_row(*(_text(line[title]) for title in titles))
    Console().print(table)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
