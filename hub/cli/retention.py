"""``hub retention``: what is kept for a time only, by which article, how much of it is due (docs/LEGAL-MODES.md)."""

import json

import typer

from hub.cli.session import open_database, read_settings, run
from hub.core.clock import system_clock
from hub.flows.duties.destroy_kept import Due, due_now
from hub.store.database import DbRole

app = typer.Typer(help="What is kept for a time only.")


@app.command()
def retention() -> None:
    """Tell what `hub worker` destroys next, by the legal mode in force; changes nothing. One JSON object per line."""

    async def work() -> list[Due]:
        connection = await (await open_database(read_settings())).connect(DbRole.INGEST)
        try:
            return await due_now(connection, system_clock)
        finally:
            await connection.close()

    for each in run(work()):
        told = {"kept": each.rule.kept, "what": each.rule.what, "months": each.rule.months, "law": each.rule.law}
        print(json.dumps(told | {"due": each.rows}, ensure_ascii=False))
