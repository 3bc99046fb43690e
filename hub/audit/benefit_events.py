"""The audit events of explained and reviewed eligibility. A part of the closed list in hub/audit/events.py."""

from hub.audit.event_types import EventType, Kind

_WHO = ("client", "role", "token")
_HELPED = (*_WHO, "assistant", "assistanceReason")

BENEFIT_EVENTS = (
    EventType(
        "eligibility:resident:contested",
        Kind.WRITE,
        "A resident asked for a review of a programme's no about himself.",
        ("review", "programme"),
        _HELPED,
    ),
    EventType(
        "eligibility:resident:listed",
        Kind.QUERY,
        "A resident read what programmes decided about him.",
        ("asOf", "asked"),
        _HELPED,
    ),
    EventType(
        "eligibility:steward:decided",
        Kind.WRITE,
        "A data steward upheld or overturned a programme's no.",
        ("review", "programme", "outcome", "ground"),
        _WHO,
    ),
    EventType(
        "eligibility:steward:listed",
        Kind.QUERY,
        "A data steward read which reviews wait: conditions and what came of them, no values and no names.",
        ("reviews",),
        _WHO,
    ),
)
