"""A person pauses a consent, and lets it count again; the very next query finds it so."""

from dataclasses import dataclass
from uuid import UUID

from hub.audit.proof import Receipt
from hub.consent.states import State, Verb
from hub.core.disclosure import Asker
from hub.flows.consent.consent_change import ConsentDesk, Operation, take_own_step


@dataclass(frozen=True, slots=True)
class ConsentPause:
    """The pause of one consent, or with ``resume`` the end of its pause."""

    asker: Asker
    consent_id: UUID
    operation: Operation
    resume: bool = False


@dataclass(frozen=True, slots=True)
class ConsentPaused:
    """How the consent stands now: SUSPENDED or IN_FORCE. Its end by time is what it was."""

    consent_id: UUID
    organisation_id: str
    state: str


async def suspend_consent(desk: ConsentDesk, change: ConsentPause) -> tuple[ConsentPaused, Receipt]:
    """Store and record it. Raises CONSENT_NOT_IN_FORCE, or CHANGED_MEANWHILE where a newer consent is in force."""
    verb, event = (
        (Verb.RESUME, "consent:resident:resumed") if change.resume else (Verb.SUSPEND, "consent:resident:suspended")
    )
    changed, receipt = await take_own_step(desk, change.asker, change.consent_id, verb, event, change.operation)
    state = State.IN_FORCE if change.resume else State.SUSPENDED
    return ConsentPaused(change.consent_id, changed.organisation_id, state.value), receipt
