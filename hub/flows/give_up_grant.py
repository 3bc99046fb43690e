"""An organisation gives up a consent that it asked for; the very next query finds it gone (Grant Management)."""

from uuid import UUID

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.disclosure import Asker
from hub.core.ids import uuid7
from hub.flows.consent_change import POLICY, RECEIPT_SECONDS, ConsentDesk, client_facts


async def give_up_grant(desk: ConsentDesk, asker: Asker, grant_id: UUID) -> bool:
    """End and record it; ``False`` where there is nothing of this client's to end."""
    now, ev = desk.clock(), uuid7()
    async with desk.change() as conn:
        row = await conn.fetchrow(
            "SELECT * FROM auth.give_up_grant($1, $2, $3, $4)", asker.client_id, grant_id, now, ev
        )
        if row is None:
            return False
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.CONSENT,
                event="consent:client:given_up",
                organisation=row["organisation_id"],
                actor=asker.actor,
                decision=Decision.ALLOW,
                policy=POLICY,
                purpose=row["purpose"],
                county=row["county"],
                subjects=(row["person_id"],),
                facts={
                    "consent": str(grant_id),
                    **client_facts(asker, row["role"]),
                    "persons": {str(row["person_id"]): {"recipient": row["organisation_id"]}},
                },
            ),
        )
    await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return True
