"""``hub assessment``: impact assessments of sources, without which production pulls nothing (docs/ACCESS.md)."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.session import open_database, operator_name, read_settings, run
from hub.core.clock import system_clock
from hub.core.errors import InputError
from hub.flows.receipts import receipt_desk
from hub.flows.rules.assessments import Assessment, list_assessments, record_assessment
from hub.store.database import DbRole
from hub.store.keys import FileKeys

app = typer.Typer(help="Impact assessments of sources.", no_args_is_help=True)


@app.command("record")
def record_command(
    source: Annotated[str, typer.Argument(help="The source, as sources.toml names it.")],
    reference: Annotated[str, typer.Option(help="The number of the document.")],
    assessed_on: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day of the assessment.")],
    approved_by: Annotated[str, typer.Option(help="The office that answers for it.")],
    document: Annotated[Path, typer.Option(help="The document; only its digest is kept.")],
) -> None:
    """Put the assessment of a source on record."""
    try:
        digest = hashlib.sha256(document.read_bytes()).digest()
    except OSError:
        raise InputError(f"{document} cannot be read.", remedy="Check the path.", code="FILE_MISSING") from None
    assessment = Assessment(source, reference, assessed_on.date(), approved_by, digest)

    async def work() -> int:
        settings = read_settings()
        database = await open_database(settings)
        connection = await database.connect(DbRole.INGEST)
        try:
            async with receipt_desk(database, FileKeys(settings.keys_folder), settings.home) as receipts:
                receipt = await record_assessment(
                    connection, receipts, assessment, operator=operator_name(), clock=system_clock
                )
                return receipt.index
        finally:
            await connection.close()

    print(f"Recorded as entry {run(work())} of the log: {source}, {digest.hex()}.")


@app.command("list")
def list_command() -> None:
    """List all assessments, newest first."""

    async def work() -> list[str]:
        database = await open_database(read_settings())
        connection = await database.connect(DbRole.INGEST)
        try:
            return [
                f"{row['source']}  {row['reference']}  {row['assessed_on']}  {row['approved_by']}"
                f"  {row['document_digest'].hex()}"
                for row in await list_assessments(connection)
            ]
        finally:
            await connection.close()

    print("\n".join(run(work())) or "No impact assessment is on record.")
