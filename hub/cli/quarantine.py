"""``hub quarantine``: what is held back, and the rows for return to the agency (docs/CONTRACTS.md 2.5)."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.session import open_database, read_settings, run
from hub.cli.steward import acting_steward
from hub.core.errors import InputError
from hub.core.names import QuarantineReason
from hub.flows.export_quarantine import export
from hub.flows.receipts import receipt_desk
from hub.records.quarantine import list_quarantine
from hub.store.database import DbRole
from hub.store.keys import FileKeys

app = typer.Typer(help="Rows that are held back.", no_args_is_help=True)


class Status(StrEnum):
    """Which entries to list."""

    OPEN = "open"
    CLEARED = "cleared"
    ALL = "all"


@app.command("list")
def list_command(
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object per line; the only form there is.")],
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
    status: Annotated[Status, typer.Option(help="Open entries, cleared ones, or all.")] = Status.OPEN,
) -> None:
    """List entries without personal content, oldest first."""
    wanted = None if status is Status.ALL else status.name

    async def work() -> None:
        database = await open_database(read_settings())
        connection = await database.connect(DbRole.INGEST)
        try:
            entries = await list_quarantine(connection, source=source, reason=_reason(reason), status=wanted)
        finally:
            await connection.close()
        for entry in entries:
            print(json.dumps(entry, ensure_ascii=False))

    run(work())


@app.command("export")
def export_command(
    source: Annotated[str, typer.Option(help="The source whose rows are returned.")],
    out: Annotated[Path, typer.Option(help="A new file; it will hold personal data (mode 0600).")],
    reason: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
    steward_token_file: Annotated[
        Path | None, typer.Option(help="File with the access token of a registered data steward.")
    ] = None,
) -> None:
    """Write the open rows with their content, for return to the agency. An audited disclosure."""

    async def work() -> int:
        settings = read_settings()
        database = await open_database(settings)
        keys = FileKeys(settings.keys_folder)
        steward = await acting_steward(database, keys, settings, steward_token_file)
        async with receipt_desk(database, keys, settings.home) as desk:
            return await export(
                database, keys, desk, source, _reason(reason), steward, lambda lines: _write(out, lines)
            )

    if out.exists():
        raise InputError(f"the file {out} exists already.", remedy="Name a new file; nothing was exported.")
    print(f"{run(work())} rows were written to {out}.")


def _reason(name: str | None) -> QuarantineReason | None:
    if name is None:
        return None
    if name not in QuarantineReason.__members__:
        raise InputError(
            f"`{name}` is not a reason code.", remedy=f"Use one of {', '.join(QuarantineReason.__members__)}."
        )
    return QuarantineReason[name]


def _write(path: Path, lines: list[str]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
