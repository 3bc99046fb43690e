"""``hub links``: how rows without ID number are linked to people (docs/CONTRACTS.md 2.6)."""

import json
from typing import Annotated

import typer

from hub.cli.session import open_database, read_settings, run
from hub.records.links import list_links
from hub.store.database import DbRole

app = typer.Typer(help="Links of rows without ID number.", no_args_is_help=True)


@app.callback()
def _links() -> None:
    """Links of rows without ID number."""


@app.command("list")
def list_command(
    source: Annotated[str, typer.Option(help="The source whose rows are listed.")],
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object per line; the only form there is.")
    ] = True,
) -> None:
    """List every row without ID number with its state and candidates, by number only."""
    del json_lines

    async def work() -> None:
        database = await open_database(read_settings())
        connection = await database.connect(DbRole.INGEST)
        try:
            entries = await list_links(connection, source)
        finally:
            await connection.close()
        for entry in entries:
            print(json.dumps(entry, ensure_ascii=False))

    run(work())
