"""``hub coverage``: the share of households with a complete, fresh and verified file (docs/COVERAGE.md)."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hub.cli.session import open_database, operator_name, read_settings, run
from hub.cli.steward import acting_steward
from hub.core.clock import system_clock
from hub.flows.readings.read_coverage import coverage_for_operator
from hub.flows.receipts import receipt_desk
from hub.records.folding.coverage import AreaCoverage, AreaLevel, as_json, check_area
from hub.store.keys import FileKeys

app = typer.Typer(help="Coverage of the prefecture: complete, fresh and verified files.")


class Level(StrEnum):
    """Of which areas there is one line each."""

    VILLAGE = "village"
    TOWNSHIP = "township"
    COUNTY = "county"
    PREFECTURE = "prefecture"


@app.command()
def coverage_command(
    area: Annotated[str | None, typer.Option(help="Area code of 4, 6, 9 or 12 digits.")] = None,
    level: Annotated[Level | None, typer.Option(help="One line for each of these.")] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object per line instead of a table.")] = False,
    steward_token_file: Annotated[
        Path | None, typer.Option(help="File with the token of a data steward, who sees exact numbers.")
    ] = None,
) -> None:
    """Show the coverage by area, with what is missing. Numbers are rounded to threes by village."""
    code, wanted = check_area(area, None if level is None else AreaLevel[level.name])

    async def work() -> list[AreaCoverage]:
        settings = read_settings()
        database = await open_database(settings)
        keys = FileKeys(settings.keys_folder)
        steward = None
        if steward_token_file is not None:
            steward = await acting_steward(database, keys, settings, steward_token_file)
        async with receipt_desk(database, keys, settings.home) as receipts:
            return await coverage_for_operator(
                database, keys, receipts, system_clock, code, wanted, operator=operator_name(), steward=steward
            )

    lines = run(work())
    if json_lines:
        for line in as_json(lines):
            print(json.dumps(line, ensure_ascii=False))
    elif not lines:
        print("No household is known there.")
    else:
        _print_table(lines)


def _print_table(lines: list[AreaCoverage]) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for title in ("area", "name"):
        table.add_column(title)
    for title in ("households", "complete", "fresh", "verified", "covered", "missing", "stale", "unverified"):
        table.add_column(title, justify="right" if title not in {"missing", "stale", "unverified"} else "left")
    for line in lines:
        shares = (line.share(number) for number in (line.complete, line.fresh, line.verified, line.covered))
        table.add_row(
            line.area,
            line.name or "",
            f"{line.households:,}",
            *("-" if share is None else f"{share:.1%}" for share in shares),
            *(
                ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))
                for counts in (line.missing, line.stale, line.unverified)
            ),
        )
    console = Console()
    width = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    Console(width=max(console.width, width)).print(table)
