"""``hub audit``: export the log, verify a copy of it without the database, record what waits (docs/AUDIT.md)."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import asyncpg
import typer

from hub.audit.damage import VerifyError
from hub.audit.events import Decision, Kind
from hub.audit.export import ExportReport, export_bundle
from hub.audit.outbox import PendingEntry, append
from hub.audit.sequencer import Sequencer
from hub.audit.verify import read_receipt, told_in, verify_bundle
from hub.cli.session import open_database, read_settings, run, tell
from hub.cli.steward import acting_auditor
from hub.core.clock import system_clock
from hub.core.errors import InputError
from hub.flows.readings.replay_answer import ReplayQuery, replay_answer
from hub.flows.receipts import guard_file, receipt_desk
from hub.schema.replay import run_again
from hub.settings import Settings
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys

app = typer.Typer(help="The tamper-evident log of everything that was asked and done.", no_args_is_help=True)

_SECONDS = 30.0
_POLICY = "hub-audit-1"

DIFFERS = 21
"""Exit code of a replay whose answer is not what the saved reply says."""


@app.command("export")
def export_command(
    out: Annotated[Path, typer.Option(help="A new folder for the bundle.")],
    persons_file: Annotated[
        Path | None,
        typer.Option(help="File with person ids, one per line: adds their opened details and chains, in clear."),
    ] = None,
    unrecorded: Annotated[
        bool, typer.Option("--unrecorded", help="Do not record the export: for a damaged log that records no more.")
    ] = False,
) -> None:
    """Write the whole log as a bundle that anybody can verify. The export is itself an entry of the log."""
    persons = _persons(persons_file)
    if persons and unrecorded:
        raise InputError("personal details are never exported unrecorded.", remedy="Leave out one of the two options.")

    async def work() -> ExportReport:
        settings = read_settings()
        database = await open_database(settings)
        keys = FileKeys(settings.keys_folder)
        if not unrecorded:
            await _record(settings, database, keys, persons)
        connection = await database.connect(DbRole.AUDITOR)
        try:
            return await export_bundle(
                connection,
                out,
                keys=keys,
                persons=persons,
                progress=lambda done, size: tell(f"{done} of {size} entries"),
            )
        finally:
            await connection.close()

    report = run(work())
    print(
        f"{report.size} entries and {report.checkpoints + 1} signed heads of `{report.origin}` were written to {out}."
    )
    if persons:
        print(f"With {report.openings} opened fields and {report.links} links of chains: personal data, keep it safe.")


@app.command("verify")
def verify_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The exported bundle.")],
    receipt: Annotated[
        Path | None, typer.Option(help="A receipt to check against it: a .tlog-proof file or a saved reply.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="The log's policy file, got from elsewhere than the bundle.")
    ] = None,
) -> None:
    """Check a copy of the log without the database; the first damage is named, the exit code tells its kind."""
    for path in (folder, receipt, policy):
        _exists(path)
    try:
        report = verify_bundle(folder, receipt=receipt, policy=policy)
    except VerifyError as error:
        print(f"NOT VERIFIED: {error}")
        raise typer.Exit(error.exit_code) from None
    print(
        f"VERIFIED: {report.size} entries of `{report.origin}` under {report.checkpoints} signed heads"
        f"{f', {report.openings} opened fields' if report.openings else ''}"
        f"{f', {report.links} links of chains' if report.links else ''}."
    )
    if report.receipt is not None:
        print(f"RECEIPT VERIFIED: it proves entry {report.receipt} of this log.")
    if receipt is not None and told_in(receipt) is not None:
        print("Its `data` was not looked at: `hub audit replay` compares it with what was answered.")
    if policy is None:
        print("The key was taken from the bundle itself; give --policy to check whose log it is.")


@app.command("replay")
def replay_command(
    receipt: Annotated[
        Path,
        typer.Argument(metavar="RECEIPT", help="The receipt: a .tlog-proof file, or the saved reply that carries it."),
    ],
    reason: Annotated[str, typer.Option(help="What the replay is for; it is recorded.")],
    bundle: Annotated[
        Path | None, typer.Option("--export", help="An exported log in which the receipt must be found as well.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the access token of an auditor, regulator or data steward.")
    ] = None,
) -> None:
    """Make the `data` of a past answer again, byte for byte, or say why that is not possible or lawful any more.

    A saved reply whose own `data` says anything else is called out, with exit code 21.
    """
    _exists(receipt)
    try:
        held = read_receipt(receipt)
        if bundle is not None:
            verify_bundle(bundle, receipt=receipt)
    except VerifyError as error:
        print(f"NOT VERIFIED: {error}")
        raise typer.Exit(error.exit_code) from None

    async def work() -> bytes:
        settings = read_settings()
        database = await open_database(settings)
        keys = FileKeys(settings.keys_folder)
        query = ReplayQuery(await acting_auditor(database, keys, settings, token_file), reason)
        query.check()
        async with receipt_desk(database, keys, settings.home) as receipts:
            return await replay_answer(database, keys, receipts, query, held, run_again, system_clock)

    data = run(work())
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.flush()
    told = told_in(receipt)
    if told is not None and told != json.loads(data):
        print(f"hub: DIFFERS: {receipt} says something else than what was answered.", file=sys.stderr)
        raise typer.Exit(DIFFERS)


@app.command("sequence")
def sequence_command(
    keep: Annotated[bool, typer.Option("--keep", help="Go on until interrupted, as a process of its own.")] = False,
) -> None:
    """Record what waits in the outbox and sign the head."""

    async def work() -> int:
        settings = read_settings()
        database = await open_database(settings)
        sequencer = Sequencer(database, FileKeys(settings.keys_folder), guard_file(settings.home))
        if keep:
            await sequencer.run()
        async with sequencer.running():
            connection = await database.connect(DbRole.SEQUENCER)
            try:
                await _until_nothing_waits(sequencer, connection)
                size: int = await connection.fetchval("SELECT coalesce(max(size), 0) FROM audit.checkpoint")
            finally:
                await connection.close()
        return size

    print(f"Nothing waits; the log has {run(work())} signed entries.")


async def _until_nothing_waits(sequencer: Sequencer, connection: asyncpg.Connection) -> None:
    """Where another process leads, its progress shows only in the database. Raises :class:`AuditError`."""
    async with asyncio.timeout(_SECONDS):
        while await connection.fetchval("SELECT EXISTS (SELECT FROM audit.pending)"):
            if sequencer.failure is not None:
                raise sequencer.failure
            sequencer.notify()
            await asyncio.sleep(0.05)


async def _record(settings: Settings, database: Database, keys: FileKeys, persons: list[UUID]) -> None:
    entry = PendingEntry(
        uuid4(),
        Kind.QUERY,
        "log:auditor:exported",
        "hub",
        "operator",
        Decision.ALLOW,
        _POLICY,
        {"personsOpened": len(persons)},
        subjects=tuple(persons),
    )
    async with receipt_desk(database, keys, settings.home) as receipts:
        connection = await database.connect(DbRole.INGEST)
        try:
            await append(connection, entry)
        finally:
            await connection.close()
        await receipts.wait(entry.ev, _SECONDS)


def _exists(path: Path | None) -> None:
    if path is not None and not path.exists():
        raise InputError(f"there is no {path}.", remedy="Check the path.", code="FILE_MISSING")


def _persons(path: Path | None) -> list[UUID]:
    if path is None:
        return []
    try:
        return [UUID(line.strip()) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError):
        raise InputError(f"`{path}` does not hold person ids, one per line.") from None
