"""``hub report``: own reports at a steward's counter, and codes on paper for help at the village desk (docs/DUTIES.md).

Both are for a resident who is present and whose identity card was seen; the card's number and name stand in a file,
since other users of a machine can read command lines.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.session import open_database, operator_name, read_settings, run
from hub.core.clock import day_of, iso, system_clock
from hub.core.errors import InputError
from hub.flows.consent.consent_change import ConsentDesk
from hub.flows.disclosure.disclose import Discloser
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.account_holder import read_holder, resident_behind
from hub.flows.people.assist_resident import AssistanceDesk, AssistanceReason, print_code, report_at_counter
from hub.flows.receipts import receipt_desk
from hub.store.database import DbRole
from hub.store.keys import FileKeys

app = typer.Typer(help="Own reports of residents at a counter.", no_args_is_help=True)

HolderFile = Annotated[
    Path, typer.Option(help='File with {"id_number": "...", "name": "..."}, as read from the identity card.')
]


@app.callback()
def _report() -> None:
    """Own reports of residents at a counter."""


@asynccontextmanager
async def _opened() -> AsyncIterator[AssistanceDesk]:
    settings = read_settings()
    database = await open_database(settings)
    keys = FileKeys(settings.keys_folder)
    async with receipt_desk(database, keys, settings.home) as receipts:
        ingest, pool = await database.pool(DbRole.INGEST, size=1), await database.pool(DbRole.APP, size=2)
        try:
            async with Discloser(pool, keys, receipts) as discloser:
                yield AssistanceDesk(AccountDesk(ingest, keys, receipts), ConsentDesk(pool, keys, receipts), discloser)
        finally:
            await pool.close()
            await ingest.close()


@app.command("issue")
def issue_command(
    holder_file: HolderFile,
    out: Annotated[Path, typer.Option(help="Where the report goes; a new file that only you can read.")],
    reason: Annotated[AssistanceReason, typer.Option(help="Why the resident does not take it himself.")],
) -> None:
    """Issue a report to a resident who is present and whose identity card you have seen; it counts for the year."""
    if out.exists():
        raise InputError(f"{out} exists already.", remedy="Give a new file.", code="FILE_EXISTS")
    holder = read_holder(holder_file, day_of(system_clock()))

    async def work() -> dict[str, Any]:
        async with _opened() as desk:
            person = await resident_behind(desk.accounts, holder)
            return await report_at_counter(desk, person, reason, steward=operator_name())

    issued = run(work())
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(issued["document"])
    print(json.dumps({**issued["report"], "digest": issued["digest"], "file": str(out)}, ensure_ascii=False))


@app.command("code")
def code_command(holder_file: HolderFile) -> None:
    """Print a code for a resident who is present: on paper, with his account, good once within seven days."""
    holder = read_holder(holder_file, day_of(system_clock()))

    async def work() -> dict[str, Any]:
        async with _opened() as desk:
            person = await resident_behind(desk.accounts, holder)
            made = await print_code(desk.accounts, person, steward=operator_name())
            return {"account": made.account_id, "code": made.code, "expiresAt": iso(made.expires_at)}

    print(json.dumps(run(work()), ensure_ascii=False))
