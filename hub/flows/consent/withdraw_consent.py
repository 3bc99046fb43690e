"""A person takes a consent back; the very next query finds it gone."""

from dataclasses import dataclass
from uuid import UUID

from hub.audit.proof import Receipt
from hub.consent.states import Verb
from hub.core.disclosure import Asker
from hub.flows.consent.consent_change import ConsentDesk, Operation, take_own_step


@dataclass(frozen=True, slots=True)
class ConsentWithdrawal:
    """The end of one consent."""

    asker: Asker
    consent_id: UUID
    operation: Operation


@dataclass(frozen=True, slots=True)
class ConsentWithdrawn:
    """The consent is no longer in force."""

    consent_id: UUID
    organisation_id: str
    state: str = "WITHDRAWN"


async def withdraw_consent(desk: ConsentDesk, change: ConsentWithdrawal) -> tuple[ConsentWithdrawn, Receipt]:
    """Store and record it. Raises CONSENT_NOT_IN_FORCE where there is nothing of this person's to end."""
    ended, receipt = await take_own_step(
        desk, change.asker, change.consent_id, Verb.WITHDRAW, "consent:resident:withdrawn", change.operation
    )
    return ConsentWithdrawn(change.consent_id, ended.organisation_id), receipt
