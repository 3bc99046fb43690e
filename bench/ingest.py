"""Rows per second into the hub, beside plain COPY of the same observations."""

import itertools
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from bench.stage import EMPTY, Stage
from hub.core.clock import system_clock
from hub.core.ids import uuid7
from hub.core.rows import Step
from hub.flows.intake.pull import SourceToPull
from hub.records.intake.ledger import SourceInRun, merge_step
from hub.store.database import Database, DbRole

_OPEN = """
INSERT INTO ingest.source_state (source, kind) VALUES ($1, $2) ON CONFLICT DO NOTHING
"""


@dataclass
class Ingest:
    """Samples of the write path; each merge works on a fresh database."""

    stage: Stage
    observations: list[tuple[Any, ...]] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def load(self) -> None:
        """Fetch the observations once, as the tuples that COPY will write."""
        connection = await self.stage.database.connect(DbRole.INGEST)
        try:
            rows = await connection.fetch("SELECT * FROM record.observation")
        finally:
            await connection.close()
        self.columns = list(rows[0].keys())
        self.observations = [tuple(row) for row in rows]

    async def merge(self) -> dict[str, float]:
        """All delivered steps through the ledger's merge, one transaction each, as a pull does it."""
        name = f"bench_merge_{next(self._numbers)}"
        database = await self.stage.copy(name, EMPTY)
        try:
            return {"rate": await self._merge(database, self.stage.steps)}
        finally:
            await self.stage.drop(name)

    async def merge_again(self) -> dict[str, float]:
        """The same steps once more into the hub's own database, where every row is held already."""
        return {"rate": await self._merge(self.stage.database, self.stage.steps)}

    async def _merge(self, database: Database, steps: list[tuple[SourceToPull, Step]]) -> float:
        connection = await database.connect(DbRole.INGEST)
        run, seconds, rows = uuid7(), 0.0, 0
        try:
            await connection.execute("INSERT INTO ingest.run (run_id, started_at) VALUES ($1, now())", run)
            opened: set[str] = set()
            for source, step in steps:
                if source.name not in opened:
                    opened.add(source.name)
                    await open_source(connection, run, source.name, source.kind)
                in_run = SourceInRun(source.name, source.kind, source.agreement_no, run)
                began = time.perf_counter()
                async with connection.transaction():
                    await merge_step(connection, self.stage.keys, in_run, step, system_clock())
                seconds += time.perf_counter() - began
                rows += len(step.rows)
        finally:
            await connection.close()
        return rows / seconds

    async def copy(self, kind: str) -> dict[str, float]:
        """The same observations by COPY from Python into a table without index, ``kind`` UNLOGGED or empty."""
        connection = await self.stage.database.named(EMPTY).connect(DbRole.OWNER)
        try:
            await connection.execute(f"CREATE {kind} TABLE public.plain_copy AS TABLE record.observation WITH NO DATA")
            began = time.perf_counter()
            await connection.copy_records_to_table("plain_copy", columns=self.columns, records=self.observations)
            seconds = time.perf_counter() - began
            await connection.execute("DROP TABLE public.plain_copy")
        finally:
            await connection.close()
        return {"rate": len(self.observations) / seconds}


async def open_source(connection: asyncpg.Connection, run: UUID, name: str, kind: str) -> None:
    """Note a source and its part in a run, as a pull does before it reads."""
    await connection.execute(_OPEN, name, kind)
    await connection.execute(
        "INSERT INTO ingest.run_source (run_id, source, started_at) VALUES ($1, $2, now())", run, name
    )
