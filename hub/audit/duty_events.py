"""The audit events of duties toward people: own reports, help at the desk, breaches, provision, retention.

A part of the closed list in hub/audit/events.py.
"""

from hub.audit.event_types import EventType, Kind

DUTY_EVENTS = (
    EventType(
        "report:resident:issued",
        Kind.QUERY,
        "A numbered report of the own record was issued to a resident.",
        ("number", "year", "ordinal", "chargeable", "digest"),
        ("client", "role", "token"),
    ),
)
