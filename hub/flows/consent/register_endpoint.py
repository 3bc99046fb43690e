"""An operator registers where an organisation or a source wants to be told; always recorded."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.consent.webhook import check_endpoint
from hub.core.canonical import text_digest
from hub.core.errors import InputError
from hub.core.ids import uuid7

POLICY = "registration-1"
_RECEIPT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a recipient is told; ``url`` of ``None`` closes it. ``is_local``: this machine itself, for a sandbox."""

    recipient: str
    url: str | None
    is_local: bool = False


async def register_endpoint(
    conn: asyncpg.Connection, receipts: Receipts, endpoint: Endpoint, *, operator: str
) -> Receipt:
    """Store the endpoint and its audit entry in one transaction. ``conn`` is a connection as owner.

    Raises :class:`InputError` for an address that cannot be used or a recipient without one, :class:`AuditError`.
    """
    ev = uuid7()
    async with conn.transaction():
        if endpoint.url is None:
            closed = await conn.execute(
                "UPDATE consent.endpoint SET status = 'CLOSED' WHERE recipient = $1", endpoint.recipient
            )
            if closed == "UPDATE 0":
                raise InputError("this recipient has no endpoint.", code="ENDPOINT_UNKNOWN")
            facts: dict[str, Any] = {"status": "CLOSED"}
        else:
            url = check_endpoint(endpoint.url, is_local=endpoint.is_local)
            await conn.execute(
                """INSERT INTO consent.endpoint (recipient, url, is_local) VALUES ($1, $2, $3)
                   ON CONFLICT (recipient) DO UPDATE SET url = EXCLUDED.url, is_local = EXCLUDED.is_local,
                       status = 'ACTIVE', registered_at = clock_timestamp()""",
                endpoint.recipient,
                url,
                endpoint.is_local,
            )
            facts = {"status": "ACTIVE", "address": text_digest(url)}
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.ADMIN,
                event="endpoint:operator:changed",
                organisation="hub",
                actor=operator,
                decision=Decision.ALLOW,
                policy=POLICY,
                facts=facts | {"recipient": endpoint.recipient, "local": endpoint.is_local},
            ),
        )
        await receipts.ready()
    return await receipts.wait(ev, _RECEIPT_SECONDS)
