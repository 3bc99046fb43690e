"""A person says no to a request for consent; no reason is asked."""

from dataclasses import dataclass
from uuid import UUID

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.consent import store
from hub.core.disclosure import Asker
from hub.core.ids import uuid7
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation, consent_entry


@dataclass(frozen=True, slots=True)
class ConsentRefusal:
    """A no to one request; ``ward``: the minor for whom a guardian says it."""

    asker: Asker
    request_id: UUID
    operation: Operation
    ward: UUID | None = None


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
        ended = await store.refuse(conn, change.asker, change.request_id, now, ev, change.ward)
        entry = consent_entry(
            desk, ev, "consent:resident:refused", change.asker, change.request_id, ended, change.operation
        )
        await append(conn, entry)
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return ConsentRefused(change.request_id, ended.organisation_id), receipt
