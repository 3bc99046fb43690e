"""What may be kept for a time only is destroyed when that is over: by legal mode (hub/access/legal_modes.toml), in the
job of the day. The database never cuts the law's least time, whatever the table says (``access.kept``).

Adverse items and refused rows have clocks of their own (hub/flows/duties/purge_adverse.py, purge_quarantine.py).
"""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from hub.access.legal_mode import LegalMode, RetentionRule, kept_in
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.core.clock import Clock
from hub.core.ids import uuid7
from hub.core.version import VERSION

ROWS_AT_ONCE = 5000
_RECEIPT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Due:
    """How much of one kind is due to be destroyed, by which rule."""

    rule: RetentionRule
    rows: int


async def due_now(connection: asyncpg.Connection, clock: Clock) -> list[Due]:
    """What the next job of the day would destroy. ``connection`` is as hub_ingest."""
    rules = kept_in(await _mode(connection))
    return [Due(rule, await _expire(connection, rule, clock, None)) for rule in rules]


async def destroy_kept(connection: asyncpg.Connection, receipts: Receipts, clock: Clock) -> int:
    """Destroy it, each batch with its entry in the log; returns the rows.

    Raises :class:`AuditError` if the log cannot record; then the batch that it should have recorded was not destroyed.
    """
    await receipts.ready()
    rows, event = 0, None
    for rule in kept_in(await _mode(connection)):
        while done := await _destroy_batch(connection, rule, clock):
            rows, event = rows + done[0], done[1]
    if event is not None:
        await receipts.wait(event, _RECEIPT_SECONDS)
    return rows


async def _destroy_batch(connection: asyncpg.Connection, rule: RetentionRule, clock: Clock) -> tuple[int, UUID] | None:
    async with connection.transaction():
        rows = await _expire(connection, rule, clock, ROWS_AT_ONCE)
        if not rows:
            return None
        entry = PendingEntry(
            ev=uuid7(),
            kind=Kind.ERASURE,
            event="kept:hub:destroyed",
            organisation="hub",
            actor="hub worker",
            decision=Decision.ALLOW,
            policy=f"hub-{VERSION}",
            facts={"what": str(rule.kept), "law": rule.law, "rows": rows},
        )
        await append(connection, entry)
    return rows, entry.ev


async def _expire(connection: asyncpg.Connection, rule: RetentionRule, clock: Clock, limit: int | None) -> int:
    """Destroy at most ``limit`` rows, or without a limit only count them."""
    rows: int = await connection.fetchval(
        "SELECT access.expire_kept($1, make_interval(months => $2), $3, $4)",
        rule.kept, rule.months or 0, clock(), limit,
    )  # fmt: skip
    return rows


async def _mode(connection: asyncpg.Connection) -> LegalMode:
    found: str | None = await connection.fetchval("SELECT access.legal_mode_now()")
    return LegalMode(found or LegalMode.LICENSED_BUREAU)
