"""Another than the person ends a consent, with cause: the recipient its own, the hub one that must not stand."""

from dataclasses import dataclass
from uuid import UUID

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.consent import store
from hub.consent.states import RevocationCause
from hub.core.disclosure import Asker
from hub.core.ids import uuid7
from hub.core.names import Role
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation, consent_entry

_OF_THE_HUB = frozenset({Role.STEWARD.value, Role.OPERATOR.value})


@dataclass(frozen=True, slots=True)
class ConsentRevocation:
    """The end of one consent by another than the person."""

    asker: Asker
    consent_id: UUID
    cause: RevocationCause
    operation: Operation


@dataclass(frozen=True, slots=True)
class ConsentRevoked:
    """The consent is no longer in force."""

    consent_id: UUID
    organisation_id: str
    state: str = "REVOKED"


async def revoke_consent(desk: ConsentDesk, change: ConsentRevocation) -> tuple[ConsentRevoked, Receipt]:
    """Store and record it. Raises CONSENT_NOT_IN_FORCE for a consent that is not the caller's to end, or is over."""
    now, ev = desk.clock(), uuid7()
    async with desk.change() as conn:
        ended, role = await store.revoke(conn, change.asker, change.consent_id, change.cause, now, ev)
        by_hub = role in _OF_THE_HUB
        entry = consent_entry(
            desk,
            ev,
            "consent:steward:revoked" if by_hub else "consent:client:revoked",
            change.asker,
            change.consent_id,
            ended,
            change.operation,
            role=role,
            organisation="hub" if by_hub else ended.organisation_id,
            facts={"reason": change.cause.value},
        )
        await append(conn, entry)
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return ConsentRevoked(change.consent_id, ended.organisation_id), receipt
