"""The loop of the worker.

Each source is tended by a task of its own: wait until it is due, pull it alone, wait again. So a source that is down or
slow holds up nobody else, and reading records never waits for any of them. When the database goes away everything ends
and begins anew when it is back; what a pull had committed stays.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import structlog

from hub.connectors.port import Connector
from hub.connectors.registry import connector_for
from hub.connectors.sources import Source, kind_of
from hub.core.clock import Clock, system_clock
from hub.core.errors import HubError, SettingsError, StoreError
from hub.flows.consent.deliver_changes import deliver_changes
from hub.flows.intake.pull import PullRunningError, Run, SourceToPull, pull_once
from hub.records.intake.circuits import circuit_of
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from hub.worker.daily import JOBS, Day, Job, is_due, note_end, note_try
from hub.worker.schedule import Schedule
from hub.worker.turn import PullTurn
from hub.worker.unusable import UnusableConnector

_LOCK = 0x48_55_42_02
"""Advisory lock number of the worker: there is one."""

BEAT_SECONDS = 15.0
"""How often the worker says that it lives."""

_LOOK_SECONDS = 30.0
"""The longest sleep: a machine that was asleep is noticed after it."""

_PAUSE_SECONDS = (5.0, 30.0)
"""Bounds of the wait after something went wrong that is no source's fault."""

_LOST = (StoreError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""Errors after which the database is connected anew; the driver's internal one comes of a connection that was cut."""

_log = structlog.get_logger(__name__)


class WorkerRunningError(HubError):
    """Another worker has the lock; nothing was done."""

    code = "WORKER_RUNNING"


class Worker:
    """Pulls the given sources until :meth:`stop`.

    ``connect`` makes the connector of a source for each pull; ``sleep`` waits so many seconds of ``clock``.
    ``assessed_only``: a source without an impact assessment on record is not read.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyService,
        home: Path,
        sources: Collection[Source],
        schedule: Schedule,
        *,
        clock: Clock = system_clock,
        jobs: Sequence[Job] = JOBS,
        connect: Callable[[Source], Connector] = connector_for,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        assessed_only: bool = False,
    ) -> None:
        self._database = database
        self._keys = keys
        self._home = home
        self._sources = sources
        self._schedule = schedule
        self._clock = clock
        self._jobs = jobs
        self._connect = connect
        self._sleep = sleep
        self._assessed_only = assessed_only
        self._stopping = asyncio.Event()
        self._chance = random.Random()  # noqa: S311 - spreads load, keeps no secret

    def stop(self) -> None:
        """End :meth:`run` soon: a step in hand is rolled back, what was committed stays."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped. Raises :class:`WorkerRunningError` if there is another worker."""
        while not self._stopping.is_set():
            try:
                await self._work()
            except _LOST as error:
                _log.error("the database is away, trying again", error=type(error).__name__)
                await self._pause()

    async def _work(self) -> None:
        async with self._only_worker() as connection:
            turn = PullTurn(self._database, self._keys, self._home)
            stopped = asyncio.create_task(self._stopping.wait())
            tasks = [asyncio.create_task(self._tend(source, turn)) for source in self._sources]
            tasks += [asyncio.create_task(self._daily(turn)), asyncio.create_task(self._beat(connection))]
            tasks.append(asyncio.create_task(self._tell()))
            try:
                await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (stopped, *tasks):
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
            for end in ends:
                if isinstance(end, Exception):
                    raise end

    @asynccontextmanager
    async def _only_worker(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await self._database.connect(DbRole.INGEST)
        try:
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                raise WorkerRunningError("another `hub worker` is running; nothing was done.", remedy="Stop it first.")
            yield connection
        finally:
            await connection.close()

    # One source ---------------------------------------------------------------------------------------------------

    async def _tend(self, source: Source, turn: PullTurn) -> None:
        while not _is_cancelled():
            await self._sleep_until(await self._due(source.name))
            try:
                await self._pull(source, turn)
            except _LOST:
                raise
            except PullRunningError:
                await self._pause()
            except Exception as error:
                # The log cannot record, or a defect: no source's fault, and no reason to leave the others alone.
                code = error.code if isinstance(error, HubError) else type(error).__name__
                _log.error("a pull ended without result", source=source.name, code=code)
                await self._pause()

    async def _due(self, name: str) -> datetime:
        """When a source may be pulled next: soon after a failure, on schedule after a success."""
        connection = await self._database.connect(DbRole.INGEST)
        try:
            circuit = await circuit_of(connection, name, self._clock())
            began = await connection.fetchval("SELECT max(started_at) FROM ingest.run_source WHERE source = $1", name)
        finally:
            await connection.close()
        if circuit.retry_at is not None:
            return circuit.retry_at
        return self._schedule.next_pull(name, began, self._clock(), self._chance)

    async def _pull(self, source: Source, turn: PullTurn) -> None:
        async with turn.shared() as right:
            run = Run(
                self._database,
                self._keys,
                right.receipts,
                self._clock,
                lambda *_: None,
                turn=right.storing,
                limit_seconds=self._schedule.limit_seconds(source.name),
                assessed_only=self._assessed_only,
            )
            to_pull = SourceToPull(source.name, kind_of(source), source.agreement_no, self._connector(source))
            report = await pull_once(run, [to_pull])
        entry = report["sources"][source.name]
        _log.info(
            "pulled",
            source=source.name,
            run=report["run_id"],
            status=entry["status"],
            seconds=entry["seconds"],
            **{count: entry[count] for count in ("fetched", "accepted", "unchanged", "superseded")},
            quarantined=sum(entry["quarantined"].values()),
        )

    def _connector(self, source: Source) -> Connector:
        """A key file that has gone fails the source, in its report and circuit, not the worker."""
        try:
            return self._connect(source)
        except SettingsError as error:
            return UnusableConnector(kind_of(source), error)

    # The day ------------------------------------------------------------------------------------------------------

    async def _daily(self, turn: PullTurn) -> None:
        while not _is_cancelled():
            if self._clock() >= self._schedule.daily_time(self._clock()):
                for job in self._jobs:
                    await self._do(job, turn)
            await self._sleep(_LOOK_SECONDS)

    async def _do(self, job: Job, turn: PullTurn) -> None:
        connection = await self._database.connect(DbRole.INGEST)
        try:
            tried = self._clock()
            if not await is_due(connection, job, tried):
                return
            code = None
            try:
                async with turn.shared() as right, right.storing:
                    await note_try(connection, job, tried)
                    await job.work(Day(connection, self._keys, right.receipts, self._clock))
            except (*_LOST, PullRunningError):
                raise
            except Exception as error:
                code = error.code if isinstance(error, HubError) else type(error).__name__
                _log.error("a job of the day failed", job=job.name, code=code)
            await note_end(connection, job, tried, self._clock(), code)
        except PullRunningError:
            return  # looked at again before long
        finally:
            await connection.close()

    # What others are told ------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        while not _is_cancelled():
            connection = await self._database.connect(DbRole.INGEST)
            try:
                await deliver_changes(connection, self._keys, self._clock)
            except _LOST:
                raise
            except Exception as error:
                _log.error("changes were not told", code=type(error).__name__)
            finally:
                await connection.close()
            await self._sleep(_LOOK_SECONDS)

    # Time ---------------------------------------------------------------------------------------------------------

    async def _beat(self, connection: asyncpg.Connection) -> None:
        started_at = self._clock()
        while True:
            await connection.execute(
                """INSERT INTO ingest.worker (started_at, seen_at) VALUES ($1, $2)
                   ON CONFLICT (only_one) DO UPDATE SET started_at = $1, seen_at = $2""",
                started_at,
                self._clock(),
            )
            await self._sleep(BEAT_SECONDS)

    async def _sleep_until(self, due: datetime) -> None:
        while (left := due - self._clock()) > timedelta():
            await self._sleep(min(_LOOK_SECONDS, left.total_seconds()))

    async def _pause(self) -> None:
        """A random while, or until the worker is stopped."""
        pause = asyncio.ensure_future(self._sleep(self._chance.uniform(*_PAUSE_SECONDS)))
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({pause, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            stopped.cancel()


def _is_cancelled() -> bool:
    """Whether this task was told to end. A library may turn the cancellation into an error of its own on its way."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
