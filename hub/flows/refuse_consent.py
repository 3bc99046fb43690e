"""A person says no to a request for consent; no reason is asked."""

from dataclasses import dataclass
from uuid import UUID

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.proof import Receipt
from hub.consent import store
from hub.core.disclosure import Asker
from hub.core.ids import uuid7
from hub.flows.consent_change import POLICY, RECEIPT_SECONDS, ConsentDesk, Operation, client_facts


@dataclass(frozen=True, slots=True)
class ConsentRefusal:
    """A no to one request."""

    asker: Asker
    request_id: UUID
    operation: Operation


@dataclass(frozen=True, slots=True)
class ConsentRefused:
    """The request is closed."""

    request_id: UUID
    organisation_id: str
    state: str = "REFUSED"


async def refuse_consent(desk: ConsentDesk, change: ConsentRefusal) -> tuple[ConsentRefused, Receipt]:
    """Store and record it. Raises REQUEST_NOT_OPEN where there is nothing of this person's to end."""
    now, ev = desk.clock(), uuid7()
    async with desk.change() as conn:
        ended = await store.refuse(conn, change.asker, change.request_id, now, ev)
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.CONSENT,
                event="consent:resident:refused",
                organisation="",
                actor=change.asker.actor,
                decision=Decision.ALLOW,
                policy=POLICY,
                purpose=ended.purpose,
                operation=operation_hash(change.operation.document),
                county=ended.county,
                subjects=(ended.person_id,),
                facts={
                    "consent": str(change.request_id),
                    **client_facts(change.asker, "RESIDENT"),
                    "persons": {str(ended.person_id): {"recipient": ended.organisation_id}},
                },
                sealed=seal_request(desk.keys, ev, change.operation.document, change.operation.variables),
            ),
        )
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return ConsentRefused(change.request_id, ended.organisation_id), receipt
