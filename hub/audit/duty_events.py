"""The audit events of duties toward people: own reports, help at the desk, breaches, provision, retention.

A part of the closed list in hub/audit/events.py.
"""

from hub.audit.event_types import EventType, Kind

DUTY_EVENTS = (
    EventType(
        "assistance:desk:begun",
        Kind.ADMIN,
        "Somebody helped a resident, who brought a code of his own or was identified, to see his own record.",
        ("session", "assistant", "assistanceReason", "method"),
    ),
    EventType(
        "assistance:desk:refused",
        Kind.ADMIN,
        "Help at a desk was refused: the code fitted nobody there, or the desk had used up its day.",
        ("reason",),
    ),
    EventType(
        "code:steward:issued",
        Kind.ADMIN,
        "A code for help at the village desk was printed for a resident who had been identified.",
        ("account", "expiresAt"),
    ),
    EventType(
        "report:resident:issued",
        Kind.QUERY,
        "A numbered report of the own record was issued to a resident.",
        ("number", "year", "ordinal", "chargeable", "digest"),
        ("client", "role", "token", "assistant", "assistanceReason"),
    ),
)
