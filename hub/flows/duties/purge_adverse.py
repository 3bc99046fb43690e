"""Destroys adverse items whose time is over (征信业管理条例 art. 16; hub/records/adverse_items/adverse_regimes.toml).

Each batch is one transaction with its own entry in the log, so the work may stop anywhere and be taken up again. What
is over is decided by the database, from its own tables and by no later day than its own (migration 0015). Nobody waits
for this job: from the day on, no answer shows the item (hub/records/folding/sections.py).
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.core.clock import Clock, day_of
from hub.core.ids import uuid7
from hub.core.names import Category
from hub.core.version import VERSION
from hub.flows.intake.challenge_sources import challenging
from hub.flows.intake.pull import PULL_LOCK, PullRunningError
from hub.records.adverse_items.adverse import purge_marks, regime_of
from hub.records.folding.sections import is_settled, refresh_sections
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

ROWS_AT_ONCE = 1000
"""Rows destroyed in one transaction."""

_RECEIPT_SECONDS = 300.0
_LOCK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows of one category went, or would go; ``held_back`` of them were in quarantine."""

    category: Category
    rows: int
    held_back: int


@asynccontextmanager
async def between_pulls(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection as hub_ingest that keeps pulls and decisions away. Raises :class:`PullRunningError`."""
    connection = await database.connect(DbRole.INGEST)
    try:
        limit = time.monotonic() + _LOCK_SECONDS
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", PULL_LOCK):
            if time.monotonic() > limit:
                raise PullRunningError(
                    "a pull is under way; nothing was purged.",
                    remedy="Run it again when the pull has ended; until then the items are shown to nobody.",
                )
            await asyncio.sleep(0.05)
        yield connection
    finally:
        await connection.close()


async def purge_adverse(
    connection: asyncpg.Connection,
    keys: KeyService,
    receipts: Receipts,
    clock: Clock,
    *,
    rows_at_once: int = ROWS_AT_ONCE,
) -> list[Purged]:
    """Destroy what is over today, then fold the households concerned. The caller keeps pulls from settling meanwhile.

    While rows of a pull are not settled the households wait for its end; nobody is shown what was destroyed.

    Raises :class:`AuditError` if the log cannot record; then the batch that it should have recorded was not destroyed.
    """
    await receipts.ready()
    rows: Counter[Category] = Counter()
    held_back: Counter[Category] = Counter()
    event: UUID | None = None
    while batch := await _purge_batch(connection, keys, clock, rows_at_once):
        for part, recorded in batch:
            rows[part.category] += part.rows
            held_back[part.category] += part.held_back
            event = recorded
    if event is not None:
        if await is_settled(connection):
            await refresh_sections(connection, keys, clock(), then=challenging(keys))
        await receipts.wait(event, _RECEIPT_SECONDS)
    return [Purged(category, rows[category], held_back[category]) for category in sorted(rows)]


async def list_expired(connection: asyncpg.Connection, clock: Clock) -> list[Purged]:
    """What :func:`purge_adverse` would destroy now; nothing is changed."""
    records = await connection.fetch(
        """SELECT e.category, count(*) AS rows, count(*) FILTER (WHERE h.state <> 'VALID') AS held_back
           FROM record.expired_adverse($1) e JOIN ingest.held_row h USING (row_id) GROUP BY e.category ORDER BY 1""",
        day_of(clock()),
    )
    return [Purged(Category(record["category"]), record["rows"], record["held_back"]) for record in records]


async def _purge_batch(
    connection: asyncpg.Connection, keys: KeyService, clock: Clock, rows_at_once: int
) -> list[tuple[Purged, UUID]]:
    now = clock()
    async with connection.transaction():
        records = await connection.fetch(
            "SELECT * FROM record.purge_adverse($1, $2, $3)", day_of(now), now, rows_at_once
        )
        done = []
        for record in records:
            part = Purged(Category(record["category"]), record["rows"], record["held_back"])
            entry = _entry(part)
            await append(connection, entry)
            await _mark(connection, keys, record["households"], part.category, now)
            done.append((part, entry.ev))
    return done


async def _mark(
    connection: asyncpg.Connection, keys: KeyService, households: Sequence[UUID], category: Category, now: datetime
) -> None:
    """So that a replay can tell the law from somebody's hand."""
    await connection.executemany(
        "INSERT INTO record.adverse_mark (mark, purged_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        [(purge_marks(keys, household, category)[0], now) for household in households],
    )


def _entry(part: Purged) -> PendingEntry:
    """The category is not told: in a village with one clinic it would be nearly a name."""
    regime = regime_of(part.category)
    return PendingEntry(
        ev=uuid7(),
        kind=Kind.ERASURE,
        event="adverse:hub:purged",
        organisation="hub",
        actor="hub adverse purge",
        decision=Decision.ALLOW,
        policy=f"hub-{VERSION}",
        facts={"regime": regime.name.value, "law": regime.law, "rows": part.rows, "heldBack": part.held_back},
    )
