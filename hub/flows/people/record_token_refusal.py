"""A system that had proved itself was refused a token: a security event, bounded so that nobody can fill the log."""

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.ids import uuid7
from hub.flows.consent.consent_change import ConsentDesk

POLICY = "token-refusals-1"
"""Version of the rule of what is recorded."""

ENTRIES_PER_MINUTE = 10
"""The most entries that one client can cause in a minute; what comes beyond is counted only."""


async def record_token_refusal(
    desk: ConsentDesk, client_id: str, organisation: str, reason: str, endpoint: str
) -> bool:
    """Record the refusal, unless the client has caused enough entries in this minute; ``True`` if it was recorded.

    ``reason`` and ``endpoint`` come from closed lists. Raises :class:`~hub.core.errors.HubError`.
    """
    async with desk.recording() as conn:
        if await conn.fetchval("SELECT auth.count_refusal($1)", client_id) > ENTRIES_PER_MINUTE:
            return False
        await append(
            conn,
            PendingEntry(
                ev=uuid7(),
                kind=Kind.ADMIN,
                event="token:client:refused",
                organisation=organisation,
                actor=client_id,
                decision=Decision.DENY,
                policy=POLICY,
                facts={"client": client_id, "reason": reason, "endpoint": endpoint},
            ),
        )
    return True
