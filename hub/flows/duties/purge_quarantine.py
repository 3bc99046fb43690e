"""Destroys what was kept of refused rows for so long that whatever adverse they tell is over (docs/ADVERSE.md)."""

from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.core.clock import Clock, day_of
from hub.core.ids import uuid7
from hub.core.version import VERSION
from hub.records.held_back.quarantine_age import destroy_aged

_ROWS_AT_ONCE = 1000
_RECEIPT_SECONDS = 300.0


async def purge_quarantine(connection: asyncpg.Connection, receipts: Receipts, clock: Clock) -> int:
    """Destroy it, each batch with its entry in the log; returns the rows. The caller keeps pulls away meanwhile.

    Raises :class:`AuditError` if the log cannot record; then the batch that it should have recorded was not destroyed.
    """
    await receipts.ready()
    rows, event = 0, None
    while batch := await _purge_batch(connection, clock):
        rows, event = rows + batch[0], batch[1]
    if event is not None:
        await receipts.wait(event, _RECEIPT_SECONDS)
    return rows


async def _purge_batch(connection: asyncpg.Connection, clock: Clock) -> tuple[int, UUID] | None:
    async with connection.transaction():
        rows = await destroy_aged(connection, day_of(clock()), _ROWS_AT_ONCE)
        if not rows:
            return None
        entry = PendingEntry(
            ev=uuid7(),
            kind=Kind.ERASURE,
            event="quarantine:hub:purged",
            organisation="hub",
            actor="hub adverse purge",
            decision=Decision.ALLOW,
            policy=f"hub-{VERSION}",
            facts={"law": "征信业管理条例 art. 16", "rows": rows},
        )
        await append(connection, entry)
    return rows, entry.ev
