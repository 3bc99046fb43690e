"""``hub provision``: records of what was provided to organisations (docs/DUTIES.md)."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.session import open_database, operator_name, read_settings, run
from hub.core.clock import SHANGHAI
from hub.core.errors import InputError
from hub.flows.readings.export_provisions import Exported, export_provisions
from hub.flows.receipts import receipt_desk
from hub.store.database import DbRole
from hub.store.keys import FileKeys

app = typer.Typer(help="Records of what was provided to organisations.", no_args_is_help=True)


@app.callback()
def _provision() -> None:
    """Records of what was provided to organisations."""


@app.command("export")
def export_command(
    since: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    to: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day after the last.")],
    out: Annotated[Path, typer.Option(help="Where the records go; a new file that only you can read.")],
    asker: Annotated[str | None, typer.Option(help="Only what this organisation was given.")] = None,
) -> None:
    """Write one JSON line for each provision: to whom, when, for what, on which basis, which categories; no value."""
    if out.exists():
        raise InputError(f"{out} exists already.", remedy="Give a new file.", code="FILE_EXISTS")

    async def work() -> Exported:
        settings = read_settings()
        database = await open_database(settings)
        keys = FileKeys(settings.keys_folder)
        connection = await database.connect(DbRole.INGEST)
        try:
            async with receipt_desk(database, keys, settings.home) as receipts:
                with os.fdopen(
                    os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
                ) as file:
                    return await export_provisions(
                        connection, keys, receipts, file.write,
                        since=since.replace(tzinfo=SHANGHAI), until=to.replace(tzinfo=SHANGHAI), organisation=asker,
                        operator=operator_name(),
                    )  # fmt: skip
        finally:
            await connection.close()

    try:
        exported = run(work())
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    print(json.dumps({"rows": exported.rows, "digest": exported.digest, "file": str(out)}))
