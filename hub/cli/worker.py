"""``hub worker``: pull on schedule until stopped."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.session import open_database, read_settings, run, tell
from hub.connectors.registry import connector_for
from hub.connectors.sources import Source, load_sources, select_sources
from hub.settings import Settings
from hub.store.keys import FileKeys
from hub.worker.schedule import Schedule, load_schedule
from hub.worker.worker import Worker, WorkerRunningError

ANOTHER_RUNS = 3
"""Exit code: there is another worker; nothing was done."""

app = typer.Typer(help="Pull on schedule.")


@app.command("worker")
def command(
    sources: Annotated[Path, typer.Option(help="The file that describes the agencies (sources.toml).")],
    schedule: Annotated[
        Path | None, typer.Option(help="When each is pulled (docs/OPERATIONS.md); every quarter of an hour without.")
    ] = None,
) -> None:
    """Pull all enabled agencies on schedule, and do the jobs of the day, until SIGTERM or Ctrl-C.

    Exit code 0: stopped as asked; 2: usage or settings; 3: another worker runs.
    """
    settings = read_settings()
    chosen = select_sources(load_sources(sources), [])
    times = load_schedule(schedule, [source.name for source in chosen])
    try:
        run(_work(settings, chosen, times))
    except WorkerRunningError as error:
        print(f"hub: {error}", file=sys.stderr)
        raise typer.Exit(ANOTHER_RUNS) from None


async def _work(settings: Settings, chosen: tuple[Source, ...], schedule: Schedule) -> None:
    # A missing key file must end the command before anything is pulled, as `hub pull` does.
    for source in chosen:
        await connector_for(source).close()
    database = await open_database(settings)
    worker = Worker(
        database, FileKeys(settings.keys_folder), settings.home, chosen, schedule, assessed_only=settings.is_production
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    tell(f"Pulling {len(chosen)} sources on schedule; stop with Ctrl-C.")
    await worker.run()
