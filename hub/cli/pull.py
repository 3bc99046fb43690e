"""``hub pull``: read the agencies and report what came of every row (docs/CONTRACTS.md 2.2-2.4)."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from hub.cli.session import open_database, read_settings, run
from hub.connectors.registry import connector_for
from hub.connectors.sources import Source, kind_of, load_sources, select_sources
from hub.core.clock import system_clock
from hub.core.phases import Watcher
from hub.flows.intake.pull import PullRunningError, SourceToPull, pull
from hub.flows.receipts import receipt_desk
from hub.settings import Settings
from hub.store.keys import FileKeys

ANOTHER_RUNS = 3
"""Exit code: another pull is running; nothing was pulled."""

app = typer.Typer(help="Pull the agencies.")


@app.command("pull")
def command(
    sources: Annotated[Path, typer.Option(help="The file that describes the agencies (sources.toml).")],
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be given several times.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON to this file.")] = None,
) -> None:
    """Pull all enabled agencies, or the named ones.

    Exit code 0: every source OK; 1: a source was partial or failed; 2: usage or settings; 3: another pull runs.
    """
    settings = read_settings()
    chosen = select_sources(load_sources(sources), source or [])
    try:
        result = run(pull_sources(settings, chosen))
    except PullRunningError as error:
        print(f"hub: {error}", file=sys.stderr)
        raise typer.Exit(ANOTHER_RUNS) from None
    if report is not None:
        write_report(report, result)
    print_table(result)
    raise typer.Exit(result["exit_code"])


async def pull_sources(
    settings: Settings, chosen: tuple[Source, ...], watcher: Watcher | None = None
) -> dict[str, Any]:
    """Pull and return the report; bars on standard error if that is a terminal. ``watcher`` is told of each phase."""
    # All connectors are made first: a missing key file must end the command before anything is pulled.
    to_pull = [SourceToPull(each.name, kind_of(each), each.agreement_no, connector_for(each)) for each in chosen]
    database = await open_database(settings)
    keys = FileKeys(settings.keys_folder)
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,} rows"),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    tasks = {each.name: bars.add_task(each.name, total=None) for each in chosen}
    with bars:
        async with receipt_desk(database, keys, settings.home) as desk:
            return await pull(
                database,
                keys,
                desk,
                to_pull,
                system_clock,
                lambda name, rows: bars.update(tasks[name], completed=rows),
                watcher,
                assessed_only=settings.is_production,
            )


def write_report(path: Path, result: dict[str, Any]) -> None:
    """Write the whole report or nothing: a reader never sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def print_table(result: dict[str, Any]) -> None:
    """A short table for people; nothing personal is in it."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for title in ("source", "status", "fetched", "accepted", "unchanged", "superseded", "quarantined", "seconds"):
        table.add_column(title, justify="left" if title in {"source", "status"} else "right")
    for name, entry in result["sources"].items():
        table.add_row(
            name,
            entry["status"],
            *(f"{entry[key]:,}" for key in ("fetched", "accepted", "unchanged", "superseded")),
            f"{sum(entry['quarantined'].values()):,}",
            f"{entry['seconds']:.1f}",
        )
    console = Console()
    console.print(table)
    for name, entry in result["sources"].items():
        if entry["error"]:
            console.print(f"{name}: {entry['error']}", markup=False, soft_wrap=True)
        for refused in entry["files"]["refused"]:
            console.print(f"{name}: file {refused['name']} refused: {refused['reason']}", markup=False, soft_wrap=True)
