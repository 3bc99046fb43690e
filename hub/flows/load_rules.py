"""The access rules of this program come into force; recorded like any other change."""

from pathlib import Path

from hub.access.publish import publish
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.ids import uuid7
from hub.core.version import VERSION
from hub.flows.receipts import receipt_desk
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

_RECEIPT_SECONDS = 10.0
_IN_FORCE = "SELECT digest FROM access.policy_set WHERE retired_at IS NULL"


async def load_rules(database: Database, keys: KeyService, home: Path) -> bool:
    """Put the rules in force; ``False`` if they are, then nothing is done.

    Raises :class:`AuditError` if the log cannot record it; the rules are then as they were.
    """
    connection = await database.connect(DbRole.OWNER)
    try:
        async with receipt_desk(database, keys, home) as receipts:
            ev = uuid7()
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '5s'")
                before = await connection.fetchval(_IN_FORCE)
                digest = await publish(connection, keys)
                if digest == before:
                    return False
                await append(
                    connection,
                    PendingEntry(
                        ev=ev,
                        kind=Kind.ADMIN,
                        event="rules:operator:loaded",
                        organisation="hub",
                        actor="hub serve",
                        decision=Decision.ALLOW,
                        policy=f"hub-{VERSION}",
                        facts={"version": VERSION, "digest": digest.hex()},
                    ),
                )
                await receipts.ready()
            await receipts.wait(ev, _RECEIPT_SECONDS)
    finally:
        await connection.close()
    return True
