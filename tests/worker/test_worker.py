"""The worker over a real database, with agencies that answer, fail or hang; its time runs a thousand times faster."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hub.connectors.port import Memory
from hub.connectors.sources import ClinicSource, Source
from hub.core.clock import Clock
from hub.core.errors import RetryableError, SettingsError
from hub.core.ids import uuid7
from hub.core.rows import Step
from hub.flows.intake.pull import PULL_LOCK, PullRunningError, only_pull
from hub.records.folding.fold import FOLD_VERSION
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from hub.store.server import EmbeddedServer
from hub.worker.daily import JOBS, Day, Job
from hub.worker.schedule import Schedule, SourcePlan
from hub.worker.worker import Worker, WorkerRunningError

FASTER = 1000
BEGIN = datetime(2026, 11, 10, 9, tzinfo=UTC)


class Agency:
    """A connector whose behaviour the test sets: ``answers``, ``fails``, ``hangs`` or ``unusable``."""

    kind = "clinic-sftp"

    def __init__(self, name: str, behaviour: str) -> None:
        self.name = name
        self.behaviour = behaviour
        self.calls = 0
        self.closed = 0

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        self.calls += 1
        yield Step(watermark={"files": self.calls})
        if self.behaviour == "fails":
            raise RetryableError("the agency is away.")
        if self.behaviour == "hangs":
            await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed += 1


class Scene:
    """A worker and its agencies."""

    def __init__(self, database: Database, keys: KeyService, home: Path, owner: asyncpg.Connection) -> None:
        self.agencies: dict[str, Agency] = {}
        self.owner = owner
        self._database = database
        self._keys = keys
        self._home = home
        self._zero = time.monotonic()

    def clock(self) -> datetime:
        return BEGIN + timedelta(seconds=(time.monotonic() - self._zero) * FASTER)

    def worker(self, *agencies: Agency, jobs: tuple[Job, ...] = (), schedule: Schedule | None = None) -> Worker:
        self.agencies = {agency.name: agency for agency in agencies}
        nowhere = Path("/nonexistent")
        sources = [
            ClinicSource(name=each.name, agreement_no="A", host="127.0.0.1", port=1, username="hub", root="/",
                         private_key_file=nowhere, known_hosts_file=nowhere)
            for each in agencies
        ]  # fmt: skip
        return Worker(
            self._database, self._keys, self._home, sources, schedule or Schedule(every_minutes=10),
            clock=self.clock, jobs=jobs, connect=self._connect, sleep=lambda s: asyncio.sleep(s / FASTER),
        )  # fmt: skip

    def _connect(self, source: Source) -> Agency:
        agency = self.agencies[source.name]
        if agency.behaviour == "unusable":
            raise SettingsError("the key file is gone.")
        return agency

    async def statuses(self, source: str) -> list[str | None]:
        rows = await self.owner.fetch(
            "SELECT status FROM ingest.run_source WHERE source = $1 ORDER BY started_at", source
        )
        return [row["status"] for row in rows]

    async def circuit(self, source: str) -> asyncpg.Record:
        return await self.owner.fetchrow("SELECT * FROM ingest.circuit WHERE source = $1", source)


@pytest.fixture
async def scene(database: Database, keys: KeyService, tmp_path: Path) -> AsyncIterator[Scene]:
    owner = await database.connect(DbRole.OWNER)
    yield Scene(database, keys, tmp_path, owner)
    await owner.close()


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    """The worker at work; stopped at the end, which must not take long."""
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        worker.stop()
        await asyncio.wait_for(task, 15)


async def until(happens: Callable[[], Awaitable[object]], seconds: float = 40) -> None:
    limit = time.monotonic() + seconds
    while not await happens():
        assert time.monotonic() < limit, "it did not happen in time"
        await asyncio.sleep(0.02)


@pytest.mark.long
async def test_a_source_that_is_down_or_hangs_holds_up_nobody(scene: Scene, database: Database) -> None:
    good, down, hung = Agency("good", "answers"), Agency("down", "fails"), Agency("hung", "hangs")
    async with working(scene.worker(good, down, hung)):

        async def well() -> bool:
            opened = await scene.circuit("down")
            return (await scene.statuses("good")).count("OK") >= 3 and opened is not None and opened["state"] == "OPEN"

        await until(well)
        assert hung.calls == 1, "the hanging one is still being read"

        # Between steps a steward may decide, although a source is being read; nobody else may pull.
        async def may_decide() -> bool:
            async with scene.owner.transaction():
                return bool(await scene.owner.fetchval("SELECT pg_try_advisory_xact_lock($1)", PULL_LOCK))

        await until(may_decide)
        with pytest.raises(PullRunningError):
            async with only_pull(database):
                pass
    assert hung.closed == 1
    assert set(await scene.statuses("down")) - {None} == {"FAILED"}, "the last may have been cut short"
    assert set(await scene.statuses("good")) <= {"OK", None}
    phases = await scene.owner.fetch("SELECT DISTINCT phase FROM ingest.run_phase WHERE source = 'good'")
    assert {row["phase"] for row in phases} >= {"open", "merge", "commit", "close"}
    async with only_pull(database):
        pass  # the right was given back


async def test_an_open_circuit_is_tried_again_and_closes_when_the_source_is_back(scene: Scene) -> None:
    agency = Agency("down", "unusable")
    async with working(scene.worker(agency)):

        async def opened() -> bool:
            found = await scene.circuit("down")
            return found is not None and found["state"] == "OPEN" and found["error_code"] == "SETTINGS"

        await until(opened)
        assert len(await scene.statuses("down")) == 1, "what only people can mend is not asked again at once"
        agency.behaviour = "answers"

        async def closed() -> bool:
            return (await scene.circuit("down"))["state"] == "CLOSED"

        await until(closed)
    assert (await scene.circuit("down"))["failures"] == 0
    assert (await scene.statuses("down"))[-1] in {"OK", None}


async def test_a_source_is_read_no_longer_than_its_limit(scene: Scene) -> None:
    plan = Schedule(sources={"hung": SourcePlan(limit_minutes=0.01)})
    async with working(scene.worker(Agency("hung", "hangs"), schedule=plan)):

        async def given_up() -> bool:
            return "FAILED" in await scene.statuses("hung")

        await until(given_up)
    assert (await scene.circuit("hung"))["error_code"] == "SOURCE_SLOW"
    kept = await scene.owner.fetchval("SELECT watermark::text FROM ingest.source_state WHERE source = 'hung'")
    assert kept == '{"files": 1}', "what was read before is kept"


async def test_there_is_one_worker(scene: Scene) -> None:
    async with working(scene.worker(Agency("good", "answers"))):

        async def seen() -> bool:
            return bool(await scene.owner.fetchval("SELECT seen_at IS NOT NULL FROM ingest.worker"))

        await until(seen)
        with pytest.raises(WorkerRunningError):
            await scene.worker().run()


async def test_it_goes_on_when_the_database_comes_back(
    scene: Scene, server: EmbeddedServer, database: Database
) -> None:
    agency = Agency("good", "answers")
    async with working(scene.worker(agency)) as task:

        async def pulled() -> bool:
            return "OK" in await scene.statuses("good")

        await until(pulled)
        admin = await server.connect()
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hub_ingest' AND datname = $1",
            database.name,
        )
        await admin.close()
        calls = agency.calls

        async def again() -> bool:
            return agency.calls > calls + 1

        await until(again)
        assert not task.done()


async def test_jobs_of_the_day_are_done_once_and_a_failing_one_is_tried_again(scene: Scene) -> None:
    done: list[str] = []

    async def good(day: Day) -> None:
        done.append("good")

    async def bad(day: Day) -> None:
        done.append("bad")
        raise ValueError

    async with working(scene.worker(jobs=(Job("bad", bad), Job("good", good)))):

        async def tried() -> bool:
            return done.count("bad") >= 2

        await until(tried)
    rows = {row["job"]: row for row in await scene.owner.fetch("SELECT * FROM ingest.daily_job")}
    assert done.count("good") == 1
    assert rows["good"]["finished_at"] is not None
    assert (rows["bad"]["finished_at"], rows["bad"]["error_code"]) == (None, "ValueError")


async def test_the_day_folds_households_whose_day_has_come(scene: Scene) -> None:
    due, later = uuid7(), uuid7()
    await scene.owner.executemany(
        "INSERT INTO record.household_fold (household_id, fold_version, changes_on) VALUES ($1, $2, $3)",
        [(due, FOLD_VERSION, BEGIN.date()), (later, FOLD_VERSION, BEGIN.date() + timedelta(days=60))],
    )
    async with working(scene.worker(jobs=JOBS)):

        async def folded() -> bool:
            return bool(
                await scene.owner.fetchval("SELECT finished_at FROM ingest.daily_job WHERE job = $1", JOBS[0].name)
            )

        await until(folded)
    left = await scene.owner.fetch("SELECT household_id FROM record.household_fold")
    assert [row["household_id"] for row in left] == [later], "one that no longer exists has no fold"
    entries = await scene.owner.fetch("SELECT entry FROM audit.entry")
    assert sum(b"record:hub:folded" in row["entry"] for row in entries) == 1
