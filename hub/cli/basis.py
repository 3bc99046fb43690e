"""``hub basis``: the declared bases, for whoever administers the hub; nobody's record and nobody's name."""

import json
from typing import Annotated

import typer

from hub.cli.session import open_database, operator_name, read_settings, run
from hub.core.clock import iso, system_clock
from hub.flows.readings.operator_readings import declared_bases
from hub.flows.receipts import receipt_desk
from hub.store.database import DbRole
from hub.store.keys import FileKeys

app = typer.Typer(
    help="Declared bases: supervision, courts, objections, emergencies, live loans.", no_args_is_help=True
)


@app.callback()
def _basis() -> None:
    """Declared bases: supervision, courts, objections, emergencies, live loans."""


@app.command("list")
def list_command(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List declared bases, newest first: those that wait for a second person, stand, or were not reviewed in time.

    Recorded in the audit log.
    """

    async def work() -> None:
        settings = read_settings()
        database = await open_database(settings)
        async with receipt_desk(database, FileKeys(settings.keys_folder), settings.home) as receipts:
            connection = await database.connect(DbRole.APP)
            try:
                found = await declared_bases(
                    connection, receipts, operator_name(), system_clock(), open_only=not everything
                )
            finally:
                await connection.close()
        for basis in found:
            line = {
                "basis": str(basis.basis_id),
                "kind": basis.kind,
                "organisation": basis.organisation_id,
                "reference": basis.reference,
                "state": basis.status,
                "declared_by": basis.declared_by,
                "declared_at": iso(basis.declared_at),
                "decided_by": basis.decided_by or basis.reviewed_by,
                "expires_at": iso(basis.expires_at),
                "review_late": basis.review_late,
            }
            late = "  NOT REVIEWED IN TIME" if basis.review_late else ""
            print(
                json.dumps(line, ensure_ascii=False)
                if as_json
                else f"{basis.basis_id}  {basis.kind:<12} {basis.status:<10} {basis.reference}{late}"
            )
        if not found and not as_json:
            print("No basis is declared.")

    run(work())
