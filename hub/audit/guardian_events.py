"""The audit events of guardianship. A part of the closed list in hub/audit/events.py."""

from hub.audit.event_types import EventType, Kind

_ACT = ("client", "role", "token", "reason")
_TERMS = ("ground", "source", "from", "to", "documentHash")

GUARDIAN_EVENTS = (
    EventType(
        "guardianship:hub:ended",
        Kind.WRITE,
        "A guardianship ended with the death of one of the two.",
        ("guardianship", "cause"),
    ),
    EventType(
        "guardianship:steward:decided",
        Kind.WRITE,
        "A second data steward approved or declined a guardianship.",
        ("guardianship", "state"),
        _ACT,
    ),
    EventType(
        "guardianship:steward:ended",
        Kind.WRITE,
        "A data steward ended a guardianship.",
        ("guardianship", "cause"),
        (*_ACT, "source"),
    ),
    EventType(
        "guardianship:steward:proposed",
        Kind.WRITE,
        "A data steward registered a guardianship, which waits for a second one.",
        ("guardianship",),
        (*_ACT, *_TERMS),
    ),
    EventType(
        "wards:guardian:listed",
        Kind.QUERY,
        "A guardian had the wards listed for whom decisions are open to him.",
        ("wards",),
        _ACT,
    ),
)
