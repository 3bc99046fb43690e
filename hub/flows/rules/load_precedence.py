"""New versions of the rules of precedence are published; recorded like any other change."""

from pathlib import Path

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.ids import uuid7
from hub.core.version import VERSION
from hub.flows.receipts import receipt_desk
from hub.records.folding.precedence_store import publish_precedence
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

_RECEIPT_SECONDS = 10.0


async def load_precedence(database: Database, keys: KeyService, home: Path) -> list[str]:
    """Publish what is not published yet; gives the names of the rules, none if there is nothing to do.

    Raises :class:`SettingsError` if a published rule differs, :class:`AuditError` if the log cannot record it; then
    nothing is published.
    """
    ev = uuid7()
    connection = await database.connect(DbRole.OWNER)
    try:
        async with receipt_desk(database, keys, home) as receipts:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '5s'")
                await connection.execute("LOCK TABLE record.precedence_rule IN EXCLUSIVE MODE")
                published = await publish_precedence(connection, keys)
                if not published:
                    return []
                await append(
                    connection,
                    PendingEntry(
                        ev=ev,
                        kind=Kind.ADMIN,
                        event="precedence:operator:loaded",
                        organisation="hub",
                        actor="hub serve",
                        decision=Decision.ALLOW,
                        policy=f"hub-{VERSION}",
                        facts={"version": VERSION, "rules": published},
                    ),
                )
                await receipts.ready()
            await receipts.wait(ev, _RECEIPT_SECONDS)
    finally:
        await connection.close()
    return published
