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
        "breach:operator:opened",
        Kind.ADMIN,
        "A breach of personal data became known.",
        ("breach", "what", "discoveredAt", "publicInterest"),
    ),
    EventType(
        "breach:operator:assessed",
        Kind.ADMIN,
        "How far a breach reaches was worked out, and whether the persons are told; it waits for a decision.",
        ("breach", "categories", "reached", "minors", "tellPersons", "notice", "assessment"),
        ("since", "until", "about", "counties"),
    ),
    EventType(
        "breach:administrator:decided",
        Kind.ADMIN,
        "A security administrator decided on the assessment of a breach.",
        ("breach", "tellPersons", "assessment"),
    ),
    EventType(
        "breach:operator:notified",
        Kind.ADMIN,
        "A duty after a breach was done: a remedy, a report, or a notice.",
        ("breach", "duty", "dueAt", "late"),
        ("channel", "told"),
    ),
    EventType(
        "breach:hub:told", Kind.ADMIN, "Persons were told that a breach reaches their data.", ("breach",), ("channel",)
    ),
    EventType(
        "breach:hub:overdue", Kind.ADMIN, "A duty after a breach was not done in time.", ("breach", "duty", "dueAt")
    ),
    EventType("breach:operator:closed", Kind.ADMIN, "A breach was closed; all its duties are done.", ("breach",)),
    EventType(
        "kept:hub:destroyed",
        Kind.ERASURE,
        "What may be kept for a time only was destroyed when that was over. Never names whose it was.",
        ("what", "law", "rows"),
    ),
    EventType(
        "provision:auditor:listed",
        Kind.QUERY,
        "An auditor or regulator read records of what was provided to organisations.",
        ("role",),
        ("client", "token", "since", "until", "about"),
    ),
    EventType(
        "provision:operator:exported",
        Kind.ADMIN,
        "Records of what was provided to organisations were exported; they hold no value and no name.",
        ("since", "until", "rows", "digest"),
        ("about",),
    ),
    EventType(
        "report:resident:issued",
        Kind.QUERY,
        "A numbered report of the own record was issued to a resident.",
        ("number", "year", "ordinal", "chargeable", "digest"),
        ("client", "role", "token", "assistant", "assistanceReason"),
    ),
)
