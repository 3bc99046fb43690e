"""Hand held-back rows back to their agency: a disclosure by a steward, recorded before the file is written."""

from collections.abc import Callable

import orjson

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.core.ids import uuid7
from hub.core.names import QuarantineReason
from hub.core.version import VERSION
from hub.records.quarantine import export_quarantine
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

_RECEIPT_SECONDS = 30.0


async def export(
    database: Database,
    keys: KeyService,
    receipts: Receipts,
    source: str,
    reason: QuarantineReason | None,
    steward: str,
    write: Callable[[list[str]], None],
) -> int:
    """Write the open rows of ``source`` whose content may be kept, as JSON Lines; returns how many.

    ``write`` is called only after the audit log has signed for the disclosure. Raises :class:`AuditError` otherwise.
    """
    await receipts.ready()
    connection = await database.connect(DbRole.INGEST)
    event = uuid7()
    try:
        async with connection.transaction():
            rows = await export_quarantine(connection, keys, source=source, reason=reason)
            facts = {"source": source, "rows": len(rows)} | ({"reasonCode": reason.name} if reason else {})
            await append(
                connection,
                PendingEntry(
                    ev=event,
                    kind=Kind.QUERY,
                    event="quarantine:steward:exported",
                    organisation="hub",
                    actor=steward,
                    decision=Decision.ALLOW,
                    policy=f"hub-{VERSION}",
                    purpose="DATA_QUALITY",
                    facts=facts,
                ),
            )
    finally:
        await connection.close()
    await receipts.wait(event, _RECEIPT_SECONDS)
    write([orjson.dumps(row).decode() for row in rows])
    return len(rows)
