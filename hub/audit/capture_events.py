"""The audit events of consent captured in the field; part of the list in events.py."""

from hub.audit.event_types import EventType, Kind

_OWN = ("basis", "recipient", "categories", "evidence", "grantedAt", "expiresAt", "uses", "text")
"""What stands under the person alone."""


def _capture(name: str, meaning: str, *more: str) -> EventType:
    return EventType(
        name,
        Kind.CONSENT,
        meaning,
        ("consent", "capture", "flags"),
        ("client", "role", "token", "reason", *more),
        _OWN,
    )


def _evidence(name: str, meaning: str, *more: str) -> EventType:
    return EventType(name, Kind.QUERY, meaning, ("capture", "evidence"), ("client", "role", "token", "reason", *more))


CAPTURE_EVENTS = (
    _capture(
        "consent:collector:captured",
        "A collector's device delivered a person's yes; it waits for a reviewer, and perhaps for a call-back.",
        "device",
        "counter",
        "draw",
        "drawBelow",
    ),
    EventType(
        "consent:collector:withdrawn",
        Kind.CONSENT,
        "A consent ended because the person took it back with a collector.",
        ("consent",),
        ("client", "role", "token", "reason"),
        ("recipient",),
    ),
    EventType(
        "consent:steward:withdrawn",
        Kind.CONSENT,
        "A consent ended because a data steward found out whose withdrawal with a collector it was.",
        ("consent",),
        ("client", "role", "token", "reason"),
        ("recipient",),
    ),
    _capture(
        "consent:steward:verified", "A reviewer verified a captured consent; it is in force.", "calledBack", "drawn"
    ),
    _capture("consent:steward:rejected", "A reviewer rejected a captured consent.", "calledBack", "drawn", "cause"),
    EventType(
        "capture:collector:delivered",
        Kind.CONSENT,
        "A collector's device delivered a batch.",
        ("device", "batch", "slips", "new", "flagged", "withdrawals"),
        ("client", "role", "token"),
    ),
    EventType(
        "capture:collector:refused",
        Kind.CONSENT,
        "A batch was refused as a whole: the device may not deliver, did not sign it, or it announced biometric data.",
        ("reason",),
        ("device", "client", "role", "token"),
    ),
    EventType(
        "capture:collector:form_shown",
        Kind.QUERY,
        "A collector asked for the words of a request for consent, to show them to its person.",
        ("consent", "device"),
        ("client", "role", "token"),
    ),
    EventType(
        "capture:steward:listed",
        Kind.QUERY,
        "A reviewer listed captured consents: flags and times, nobody's name.",
        ("rows",),
        ("client", "role", "token"),
    ),
    EventType(
        "capture:steward:shown",
        Kind.QUERY,
        "A reviewer looked at a captured consent with the names on its form.",
        ("capture", "reason"),
        ("client", "role", "token"),
    ),
    EventType(
        "withdrawal:steward:listed",
        Kind.QUERY,
        "A data steward listed flagged withdrawals from the field: flags and times, nobody's name.",
        ("rows",),
        ("client", "role", "token"),
    ),
    EventType(
        "withdrawal:steward:shown",
        Kind.QUERY,
        "A data steward looked at a flagged withdrawal with the name on its slip.",
        ("capture", "reason"),
        ("client", "role", "token"),
    ),
    EventType(
        "withdrawal:steward:settled",
        Kind.CONSENT,
        "A data steward settled a flagged withdrawal: its person was found, nobody fits, or it took effect rightly.",
        ("capture", "cause", "reason"),
        ("client", "role", "token"),
    ),
    EventType(
        "evidence:collector:uploaded",
        Kind.CONSENT,
        "A collector's device delivered a picture that proves a captured consent.",
        ("capture", "evidence", "size"),
        ("client", "role", "token"),
    ),
    _evidence("evidence:steward:shown", "A reviewer looked at a picture that proves a consent."),
    EventType(
        "evidence:steward:condemned",
        Kind.CONSENT,
        "A data steward found a fingerprint on a picture and called for its destruction; another one decides.",
        ("capture", "evidence", "reason"),
        ("client", "role", "token", "consent"),
    ),
    EventType(
        "evidence:steward:destroyed",
        Kind.CONSENT,
        "A picture was destroyed because a fingerprint shows on it; the consent that rested on it ended.",
        ("capture", "evidence", "reason"),
        ("client", "role", "token", "consent"),
    ),
    _evidence("evidence:resident:shown", "A person looked at a picture that proves the own consent."),
    _evidence(
        "evidence:official:shown", "A regulator looked at a picture that proves a consent, for a court.", "basis"
    ),
)
