"""A ledger over a real database, pulled step by step."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from hub.core.ids import uuid7
from hub.core.names import QuarantineReason
from hub.core.rows import CheckedRow, FileRead, Step
from hub.records.intake.ledger import SourceInRun, merge_step
from hub.records.intake.report import source_report
from hub.records.intake.settle import clear_overtaken
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService


class LedgerUnderTest:
    """Merges steps as `hub pull` does and reports what came of them."""

    def __init__(self, connection: asyncpg.Connection, keys: KeyService, kind: str) -> None:
        self.connection = connection
        self.keys = keys
        self.kind = kind
        self.now = datetime(2026, 10, 20, 7, tzinfo=UTC)
        self.run_id: UUID = uuid7()

    async def start_run(self) -> None:
        self.run_id = uuid7()
        self.now += timedelta(hours=1)
        await self.connection.execute(
            "INSERT INTO ingest.run (run_id, started_at) VALUES ($1, $2)", self.run_id, self.now
        )
        await self.connection.execute(
            "INSERT INTO ingest.source_state (source, kind) VALUES ('s', $1) ON CONFLICT DO NOTHING", self.kind
        )
        await self.connection.execute(
            "INSERT INTO ingest.run_source (run_id, source, started_at) VALUES ($1, 's', $2)", self.run_id, self.now
        )

    async def step(self, *rows: CheckedRow, file: FileRead | None = None) -> None:
        self.now += timedelta(seconds=1)
        source = SourceInRun("s", self.kind, "DH-SJ-2026-001", self.run_id)
        async with self.connection.transaction():
            await merge_step(self.connection, self.keys, source, Step(rows=rows, file=file), self.now)

    async def report(self) -> dict[str, object]:
        await clear_overtaken(self.connection, "s")
        report = await source_report(self.connection, self.run_id, "s", self.kind, 0)
        assert report["fetched"] == (
            report["accepted"] + report["unchanged"] + report["superseded"] + sum(report["quarantined"].values())
        )
        return report

    async def run(self, *rows: CheckedRow) -> dict[str, object]:
        """One run of one step."""
        await self.start_run()
        await self.step(*rows)
        return await self.report()

    async def current(self) -> dict[str, str]:
        """Version of every key that is current, from the observations; tombstones excluded."""
        records = await self.connection.fetch(
            "SELECT source_key, version FROM record.observation WHERE recorded_to = 'infinity' AND NOT tombstone"
        )
        assert len({record["source_key"] for record in records}) == len(records), "a key has two current versions"
        return {record["source_key"]: record["version"] for record in records}

    async def open_quarantine(self) -> dict[str, str]:
        records = await self.connection.fetch("SELECT * FROM ingest.quarantine WHERE status = 'OPEN' ORDER BY number")
        return {record["source_key"]: QuarantineReason(record["reason"]).name for record in records}


@pytest.fixture
async def ingest(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect(DbRole.INGEST)
    yield connection
    await connection.close()


@pytest.fixture
def ledger(ingest: asyncpg.Connection, keys: KeyService) -> LedgerUnderTest:
    return LedgerUnderTest(ingest, keys, "tax-rest")


@pytest.fixture
def social_ledger(ingest: asyncpg.Connection, keys: KeyService) -> LedgerUnderTest:
    return LedgerUnderTest(ingest, keys, "social-view")


@pytest.fixture
def clinic_ledger(ingest: asyncpg.Connection, keys: KeyService) -> LedgerUnderTest:
    return LedgerUnderTest(ingest, keys, "clinic-sftp")


@pytest.fixture
def bank_ledger(ingest: asyncpg.Connection, keys: KeyService) -> LedgerUnderTest:
    return LedgerUnderTest(ingest, keys, "bank-files")
