"""Pull the agencies, settle what only the end of a run can judge, and refresh the household records.

The paragraph this implements is docs/CONTRACTS.md 1.2-1.5 and 2.2-2.4. Every step of a source is one transaction:
rows, counts, watermark and audit entry move together or not at all. A run that is killed at any moment leaves committed
steps; the next run goes on from them to the same end state. While the audit log cannot record, nothing is stored: the
run begins when the log has shown that it can, and every step waits until the one before it is signed.

What is being done is named (hub/core/phases.py): each phase is measured, and a caller may watch.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import structlog

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, try_outbox
from hub.audit.receipts import Receipts
from hub.connectors.port import Connector
from hub.core.clock import Clock, iso
from hub.core.collector import seldom_collecting
from hub.core.errors import AuditError, HubError, SourceError
from hub.core.ids import uuid7
from hub.core.names import SourceStatus
from hub.core.phases import Phase, PhaseTimes, Watcher, passing, watched_by
from hub.core.rows import Step
from hub.core.version import VERSION
from hub.flows.intake.read_ahead import read_ahead
from hub.flows.intake.settle_pull import settle
from hub.flows.rules.assessments import require_assessment
from hub.records.intake.circuits import move_circuit, put_on_trial
from hub.records.intake.judge import Judgement
from hub.records.intake.ledger import SourceInRun, merge_step
from hub.records.intake.measures import Measures
from hub.records.intake.report import source_report
from hub.records.intake.runs import (
    WHOLE_RUN,
    Ending,
    close_run,
    close_source,
    note_outcomes,
    note_phases,
    open_run,
    open_source,
)
from hub.store.database import Database, DbRole
from hub.store.keyring import refuse_amid_rotation
from hub.store.keys import KeyService
from hub.store.transaction import committing

PULL_LOCK = 0x48_55_42_01
"""Advisory lock number of storing and settling what agencies deliver: no steward's decision meanwhile. `hub pull` has
it for the whole of its run, the worker only for each step and for the settling."""

RUN_LOCK = 0x48_55_42_03
"""Advisory lock number of reading agencies: one process does."""

_LOCK_SECONDS = 3.0
"""How long a run waits for the lock: longer than the server takes to notice that its holder was killed."""

_RECEIPT_SECONDS = 300.0
"""How long a step waits for the log to sign the one before, and the run for its last entry."""

_log = structlog.get_logger(__name__)


class PullRunningError(HubError):
    """Another pull holds the lock; nothing was pulled."""

    code = "PULL_RUNNING"


@dataclass(frozen=True, slots=True)
class SourceToPull:
    """A configured source and its connector, which the pull closes."""

    name: str
    kind: str
    agreement_no: str
    connector: Connector


class Progress(Protocol):
    """Told how many rows of a source have been read so far."""

    def __call__(self, source: str, rows: int) -> None: ...


@dataclass(slots=True)
class Run:
    """One run over some sources.

    ``turn`` is entered for each step that is stored and for the settling: where several runs are under way at once, it
    keeps the one from settling while another stores. ``limit_seconds`` bounds the reading of a source.
    ``assessed_only``: a source without an impact assessment on record is not read (hub/flows/rules/assessments.py).
    """

    database: Database
    keys: KeyService
    receipts: Receipts
    clock: Clock
    progress: Progress
    watcher: Watcher | None = None
    turn: AbstractAsyncContextManager[Any] = field(default_factory=nullcontext)
    limit_seconds: float | None = None
    assessed_only: bool = False
    run_id: UUID = field(default_factory=uuid7)


class LedgerMemory:
    """What the connectors may ask about committed steps (hub/connectors/port.py)."""

    def __init__(self, database: Database, source: str) -> None:
        self._database = database
        self._source = source

    async def refused_files(self) -> dict[str, str]:
        """Name -> fingerprint of every file refused so far."""
        records = await self._fetch(
            "SELECT name, fingerprint FROM ingest.file WHERE source = $1 AND state = 'REFUSED'", self._source
        )
        return {record["name"]: record["fingerprint"] for record in records}

    async def read_files(self, names: Set[str]) -> Set[str]:
        """Which of these files were read in full before."""
        records = await self._fetch(
            "SELECT name FROM ingest.file WHERE source = $1 AND state = 'READ' AND name = ANY($2)",
            self._source,
            list(names),
        )
        return {record["name"] for record in records}

    async def _fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        # A connection of its own: the source is read while the pull's connection stores what was read before.
        connection = await self._database.connect(DbRole.INGEST)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()


async def pull(
    database: Database,
    keys: KeyService,
    receipts: Receipts,
    sources: Sequence[SourceToPull],
    clock: Clock,
    progress: Progress,
    watcher: Watcher | None = None,
    *,
    assessed_only: bool = False,
) -> dict[str, Any]:
    """Pull the given sources and return the report (schema ``hub.pull-report/1``).

    ``watcher`` is told of each phase; ``assessed_only`` as in :class:`Run`. Raises :class:`PullRunningError` if another
    run is under way, :class:`AuditError` if the log did not record what was done. A source that fails does not
    disturb the others.
    """
    async with only_pull(database):
        # Here, where one run is all that the process does; a worker's runs overlap, and what it holds for all is small.
        with seldom_collecting():
            run = Run(database, keys, receipts, clock, progress, watcher, assessed_only=assessed_only)
            return await pull_once(run, sources)


@asynccontextmanager
async def only_puller(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """The right to read agencies, for the length of a block; gives the connection that holds it.

    Whoever has it must hold :data:`PULL_LOCK` while he stores or settles. Raises :class:`PullRunningError` if another
    process has the right.
    """
    connection = await _connected(database)
    try:
        await _take(connection, RUN_LOCK)
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def only_pull(database: Database) -> AsyncIterator[None]:
    """The right to read agencies and to store what they deliver, for the length of a block. Raises as above."""
    async with only_puller(database) as connection:
        await _take(connection, PULL_LOCK)
        yield


async def _take(connection: asyncpg.Connection, lock: int) -> None:
    limit = time.monotonic() + _LOCK_SECONDS
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):
        if time.monotonic() > limit:
            raise PullRunningError(
                "another `hub pull` is running; nothing was pulled.", remedy="Wait until it has ended."
            )
        await asyncio.sleep(0.1)


async def pull_once(run: Run, sources: Sequence[SourceToPull]) -> dict[str, Any]:
    """One run, for a caller that has the right to pull; returns and raises as :func:`pull` does."""
    times = PhaseTimes(run.watcher)
    connection = await _connected(run.database)
    try:
        with watched_by(times):
            return await _pull_and_settle(connection, run, sources)
    finally:
        # Also of a run that failed; if it failed for want of the database, that error is the one to tell.
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await note_phases(connection, run.run_id, WHOLE_RUN, times.passages)
        await connection.close()


async def _connected(database: Database) -> asyncpg.Connection:
    connection = await database.connect(DbRole.INGEST)
    # If this process is killed amid a long statement, the server gives up its locks within a second.
    try:
        await connection.execute("SET client_connection_check_interval = '1s'")
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _pull_and_settle(connection: asyncpg.Connection, run: Run, sources: Sequence[SourceToPull]) -> dict[str, Any]:
    await refuse_amid_rotation(connection, run.keys)
    await run.receipts.ready()
    await try_outbox(connection, _entry("source:connector:pulled", "hub", {"source": "", "run": str(run.run_id)}))
    started_at, began = run.clock(), time.monotonic()
    await open_run(connection, run.run_id, started_at)
    await _pull_all(run, sources)
    await run.receipts.ready()
    beside = await _connected(run.database)
    try:
        async with run.turn:
            settled = await settle(connection, run.keys, run.run_id, run.clock(), [beside])
    finally:
        await beside.close()
    await run.receipts.wait(settled.event, _RECEIPT_SECONDS)
    with passing(Phase.REPORT):
        entries = await _report(connection, run, sources, settled.released)
        finished_at = run.clock()
        exit_code = int(any(entry["status"] != SourceStatus.OK for entry in entries.values()))
        await close_run(connection, run.run_id, exit_code, finished_at)
    return {
        "schema": "hub.pull-report/1",
        "run_id": str(run.run_id),
        "started_at": iso(started_at),
        "finished_at": iso(finished_at),
        "seconds": round(time.monotonic() - began, 3),
        "exit_code": exit_code,
        "sources": entries,
    }


async def _report(
    connection: asyncpg.Connection, run: Run, sources: Sequence[SourceToPull], released: dict[str, int]
) -> dict[str, dict[str, Any]]:
    entries = {
        source.name: await source_report(connection, run.run_id, source.name, source.kind, released.get(source.name, 0))
        for source in sources
    }
    await note_outcomes(connection, run.run_id, entries)
    return entries


async def _pull_all(run: Run, sources: Sequence[SourceToPull]) -> None:
    """All sources side by side. What ends the run (the log or the database fails) ends all of them."""
    pulls = [asyncio.create_task(_pull_source(run, source)) for source in sources]
    try:
        await asyncio.gather(*pulls)
    finally:
        for each in pulls:
            each.cancel()
        await asyncio.gather(*pulls, return_exceptions=True)


async def _pull_source(run: Run, source: SourceToPull) -> None:
    times = PhaseTimes(run.watcher)
    connection = await _connected(run.database)
    began = time.monotonic()
    try:
        with watched_by(times):
            with passing(Phase.OPEN):
                await put_on_trial(connection, source.name, run.clock())
                watermark = await open_source(
                    connection, run.run_id, source.name, source.kind, source.agreement_no, run.clock()
                )
            measures = Measures()
            status, error = await _read(connection, run, source, watermark, measures)
            with passing(Phase.CLOSE):
                ending = Ending(status, error, time.monotonic() - began, measures)
                await _close_source(connection, run, source, ending)
            await note_phases(connection, run.run_id, source.name, times.passages)
    finally:
        await connection.close()


async def _close_source(connection: asyncpg.Connection, run: Run, source: SourceToPull, ending: Ending) -> None:
    """Note how the reading ended; a failure is an audit entry of its own."""
    async with connection.transaction():
        if ending.error is not None:
            facts = {"source": source.name, "run": str(run.run_id), "code": ending.error.code}
            await append(connection, _entry("source:connector:failed", source.name, facts))
        await close_source(connection, run.run_id, source.name, ending, run.clock())
        await move_circuit(connection, source.name, ending.error, run.clock())


async def _read(
    connection: asyncpg.Connection, run: Run, source: SourceToPull, watermark: Any | None, measures: Measures
) -> tuple[SourceStatus, HubError | None]:
    """Read the source to its end; whatever was read before an error stays committed."""
    limit = asyncio.timeout(run.limit_seconds)
    try:
        async with limit:
            if run.assessed_only:
                await require_assessment(connection, source.name)
            refused = await _read_steps(connection, run, source, watermark, measures)
    except AuditError:
        raise
    except HubError as error:
        return SourceStatus.FAILED, error
    except (asyncpg.PostgresConnectionError, asyncpg.InsufficientResourcesError):
        raise
    except Exception as error:
        if isinstance(error, TimeoutError) and limit.expired():
            return SourceStatus.FAILED, _too_slow(source)
        # A library's message may quote the row it stumbled over, so only the kind of error is told.
        _log.error("connector failed", source=source.name, error=type(error).__name__)
        return SourceStatus.FAILED, SourceError(
            f"the connector stopped with an unforeseen {type(error).__name__}; what was read before is kept.",
            remedy="Run the pull again; if it happens again, report this sentence.",
        )
    finally:
        await source.connector.close()
    return (SourceStatus.PARTIAL if refused else SourceStatus.OK), None


def _too_slow(source: SourceToPull) -> SourceError:
    return SourceError(
        f"source `{source.name}` was still being read when its time was over; what was read before is kept.",
        remedy="Ask the agency why it is slow, or give the source more time in the worker's schedule.",
        code="SOURCE_SLOW",
    )


async def _read_steps(
    connection: asyncpg.Connection, run: Run, source: SourceToPull, watermark: Any | None, measures: Measures
) -> bool:
    """Store step after step; each waits for the entry of the one before. Whether a file was refused."""
    in_run = SourceInRun(source.name, source.kind, source.agreement_no, run.run_id)
    rows, steps, refused = 0, 0, False
    before: UUID | None = None
    async with aclosing(
        read_ahead(source.connector.pull(watermark, LedgerMemory(run.database, source.name), run.clock))
    ) as stream:
        async for group in stream:
            steps += 1
            if before is not None:
                await run.receipts.wait(before, _RECEIPT_SECONDS)
            judgements, before = await _commit_steps(connection, run, in_run, steps, group)
            for judgement in judgements:
                measures.add(judgement.new, run.clock())
            rows += sum(len(step.rows) for step in group)
            refused = refused or any(step.refused for step in group)
            run.progress(source.name, rows)
    return refused


async def _commit_steps(
    connection: asyncpg.Connection, run: Run, source: SourceInRun, number: int, steps: Sequence[Step]
) -> tuple[list[Judgement], UUID | None]:
    """Store steps that were read one after the other; gives what came of their rows, and their audit event.

    There is no event where nothing was new.
    """
    async with run.turn, committing(connection, Phase.COMMIT):
        judgements = [await merge_step(connection, run.keys, source, step, run.clock()) for step in steps]
        if not any(judgement.new for judgement in judgements) and all(_is_page(step) for step in steps):
            return judgements, None
        entry = _steps_entry(source, number, steps, judgements)
        await append(connection, entry)
    return judgements, entry.ev


def _is_page(step: Step) -> bool:
    return step.file is None and step.refused is None


def _steps_entry(
    source: SourceInRun, number: int, steps: Sequence[Step], judgements: Sequence[Judgement]
) -> PendingEntry:
    new = [judged for judgement in judgements for judged in judgement.new]
    quarantined = sum(1 for judged in new if judged.reasons)
    facts: dict[str, Any] = {
        "source": source.name,
        "run": str(source.run_id),
        "step": number,
        "fetched": sum(len(step.rows) for step in steps),
        "valid": len(new) - quarantined,
        "quarantined": quarantined,
        "unchanged": sum(judgement.seen_again for judgement in judgements),
    }
    if any(step.file for step in steps):
        facts["files"] = list(dict.fromkeys(step.file.name for step in steps if step.file is not None))
    if any(step.refused for step in steps):
        facts["refused"] = [[step.refused.name, step.refused.reason.value] for step in steps if step.refused]
    return _entry("source:connector:pulled", source.name, facts)


def _entry(event: str, organisation: str, facts: dict[str, Any]) -> PendingEntry:
    return PendingEntry(
        ev=uuid7(),
        kind=Kind.CONNECTOR,
        event=event,
        organisation=organisation,
        actor="hub pull",
        decision=Decision.ALLOW,
        policy=f"hub-{VERSION}",
        facts=facts,
    )
