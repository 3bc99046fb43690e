"""The life of a consent as a state machine; the table ``consent.transition`` of the database is its twin.

Terms of ISO/IEC TS 27560 and DPV in brackets. A request begins it; the person's answer makes a record and a basis;
later steps only ever end or pause the basis. A renewal is a new record that supersedes the old one. Nothing leaves an
end. Whether a consent in state :attr:`State.IN_FORCE` counts at a moment (time, uses, evidence, recipient) is decided
by the database function ``consent.lack`` alone.
"""

from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """How a request for consent, or the consent that came of it, stands."""

    REQUESTED = "REQUESTED"  # dpv:ConsentRequested
    CAPTURED = "CAPTURED"  # the hub's own: evidence from the field is in and not yet verified; never in force
    IN_FORCE = "IN_FORCE"  # dpv:ConsentGiven, dpv:RenewedConsentGiven
    SUSPENDED = "SUSPENDED"  # paused by the person
    REFUSED = "REFUSED"  # dpv:ConsentRefused
    WITHDRAWN = "WITHDRAWN"  # dpv:ConsentWithdrawn, by the person
    REVOKED = "REVOKED"  # dpv:ConsentRevoked, by another with cause
    EXPIRED = "EXPIRED"  # dpv:ConsentExpired
    SUPERSEDED = "SUPERSEDED"  # a newer consent took its place
    INVALIDATED = "INVALIDATED"  # dpv:ConsentInvalidated: not answered in time, not verified, death


class Verb(StrEnum):
    """What happens to a consent; the names are those of the API where a caller can say them."""

    CAPTURE = "captureConsent"
    GRANT = "grantConsent"
    REFUSE = "refuseConsent"
    SUSPEND = "suspendConsent"
    RESUME = "resumeConsent"
    WITHDRAW = "withdrawConsent"
    REVOKE = "revokeConsent"
    EXPIRE = "expireConsent"
    SUPERSEDE = "supersedeConsent"
    INVALIDATE = "invalidateConsent"


_ENDS = {
    Verb.WITHDRAW: State.WITHDRAWN,
    Verb.REVOKE: State.REVOKED,
    Verb.EXPIRE: State.EXPIRED,
    Verb.SUPERSEDE: State.SUPERSEDED,
    Verb.INVALIDATE: State.INVALIDATED,
}
_ANSWERS = {Verb.GRANT: State.IN_FORCE, Verb.REFUSE: State.REFUSED, Verb.INVALIDATE: State.INVALIDATED}

STEPS: MappingProxyType[State, dict[Verb, State]] = MappingProxyType(
    {
        State.REQUESTED: {Verb.CAPTURE: State.CAPTURED} | _ANSWERS,
        State.CAPTURED: _ANSWERS,
        State.IN_FORCE: {Verb.SUSPEND: State.SUSPENDED} | _ENDS,
        State.SUSPENDED: {Verb.RESUME: State.IN_FORCE} | _ENDS,
    }
)
"""State -> verb -> state; what is not here is refused."""

LIVING = frozenset(STEPS)
"""States that something can still happen in; all others are ends."""


class RevocationCause(StrEnum):
    """Why another than the person ends a consent: the closed list."""

    NO_LONGER_NEEDED = "NO_LONGER_NEEDED"
    APPLICATION_CLOSED = "APPLICATION_CLOSED"
    RECIPIENT_MISUSE = "RECIPIENT_MISUSE"
    EVIDENCE_INVALID = "EVIDENCE_INVALID"
    IDENTITY_DOUBTED = "IDENTITY_DOUBTED"
    AUTHORITY_ORDER = "AUTHORITY_ORDER"


def after(state: State, verb: Verb) -> State | None:
    """The state that ``verb`` leads to, ``None`` where there is no such step."""
    return STEPS.get(state, {}).get(verb)
