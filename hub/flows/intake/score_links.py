"""Score the rows that do not name a person properly: proposals for the review queue, never a link."""

from uuid import UUID

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.core.clock import Clock, day_of
from hub.core.ids import uuid7
from hub.core.version import VERSION
from hub.records.linkage.store import Proposed, propose
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

_RECEIPT_SECONDS = 30.0


async def score_links(database: Database, keys: KeyService, receipts: Receipts, clock: Clock) -> Proposed:
    """Write the proposals of every waiting row anew; the entry in the log counts them and names nobody.

    Raises :class:`AuditError` if the log cannot record; then nothing was written.
    """
    await receipts.ready()
    now, event = clock(), uuid7()
    connection = await database.connect(DbRole.INGEST)
    try:
        async with connection.transaction():
            proposed = await propose(connection, keys, day_of(now), now)
            await append(connection, _entry(event, proposed))
    finally:
        await connection.close()
    await receipts.wait(event, _RECEIPT_SECONDS)
    return proposed


def _entry(event: UUID, proposed: Proposed) -> PendingEntry:
    return PendingEntry(
        ev=event,
        kind=Kind.WRITE,
        event="link:hub:scored",
        organisation="hub",
        actor="hub links score",
        decision=Decision.ALLOW,
        policy=f"hub-{VERSION}",
        facts={"rows": proposed.rows, "proposals": sum(proposed.proposals.values()), "model": proposed.model},
    )
