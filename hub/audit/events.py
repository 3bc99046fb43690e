"""The closed list of audit events and the facts each one carries; docs/AUDIT-EVENTS.md is printed from it.

An event is named ``object:actor:verb``. The database refuses a name that is not in its copy of the list, the table
``audit.event_name``, so a new event is a line here, an ``INSERT`` in a migration and a regenerated document. A name is
never reused with another meaning; one that is no longer written stays on the list and says so.

How to write an event, for authors of flows and of SQL functions alike
---------------------------------------------------------------------
One row in ``audit.pending``, in the transaction of the change (or of the reading) it records:

``ev``            a fresh ``uuidv7()``; the caller waits for the receipt of this id before anything leaves.
``kind``          as listed for the event.
``organisation``  the organisation acting, by its id (a bank: its 12-digit code; an agency: its source name). It stands
                  in clear in the log, so it must never name a person: write ``''`` for a resident acting for himself,
                  ``'hub'`` for the hub and its operators. Letters, digits and ``._:-``, at most 64.
``actor``         the named officer or the account id; kept under a destroyable key, never in clear.
``purpose``       one of the frozen purposes, or null. ``decision``: ``allow`` (everything asked was granted), ``mask``
                  (some), ``deny`` (none).
``policy``        version of the compiled rules (for what is not a disclosure: version of the code that acted).
``operation``     32 bytes SHA-256 of the normalised operation text, or null.
``subjects``      the persons concerned, the one whom the operation names first. Empty when nobody was found. Each of
                  them gets a link in his own chain, so the person can see that his list of accesses has no gap.
``facts``         what may be told without naming anybody, one key per fact as listed; per person under
                  ``"persons": {"<person id>": {...}}``, with keys of that person alone: they are sealed under a key
                  that is destroyed when that person is erased. Numbers are integers, amounts and instants are strings,
                  texts are NFC.
``sealed``        ``KeyService.seal("audit-transit", canonical_bytes({"document": ..., "variables": ...}), ev.bytes)``.
                  The sequencer moves it to the blob of ``subjects[0]`` (or, without subjects, to the shared blob).

A disclosure (``profile:client:queried`` and the other readings) carries what a later replay needs: the rules' version
(``policy``), the instant as of which was read (``asOf``), what was asked, granted, withheld and absent, and per person
the basis and every section that left, with its fold version and digest:

    {"asOf": "2026-10-20T09:00:00.123+08:00", "client": "bank-a", "role": "LOAN_OFFICER", "token": "<jti>",
     "asked": [["tax.grade", "VALUE"]], "withheld": [["bank.loan", "VALUE", "NO_BASIS"]],
     "absent": [["tax.arrears", "VALUE", "NOT_REPORTED"]],
     "persons": {"<uuid>": {"household": "<uuid>", "basis": "<uuid>", "named": true,
                            "circumstances": ["adult", "inArea"],
                            "foldedAt": "2026-10-20T07:00:41.123456+08:00",
                            "sections": [["tax.grade", "VALUE", "", 3, "<hex digest>"]]}}}

``circumstances`` are those of the access rules that held for the person named (hub/access/policies), apart from what
hangs on the basis; a denial names them too, and the basis, if there was one that did not cover what was asked.
``granted`` is what stands in ``sections`` and ``absent``. Household sections belong to the person named. A reading that
found nobody has no ``persons``; nothing in clear in the log tells it from a denied one.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hub.audit.admin_events import ADMIN_EVENTS
from hub.audit.benefit_events import BENEFIT_EVENTS
from hub.audit.capture_events import CAPTURE_EVENTS
from hub.audit.duty_events import DUTY_EVENTS
from hub.audit.event_types import Decision, EventType, Kind
from hub.audit.guardian_events import GUARDIAN_EVENTS
from hub.core.errors import AuditError

__all__ = ["EVENTS", "NAME", "Decision", "EventType", "Kind", "check_event"]

NAME = re.compile(r"[a-z_]+:[a-z_]+:[a-z_]+\Z")
"""The grammar of an event's name: object, actor, verb."""


_READING = ("asOf", "asked")
_READING_MORE = (
    "client", "role", "token", "withheld", "absent", "idempotencyKey", "quota", "reason", "adultsNotShown", "assistant",
    "assistanceReason", "narrowedTo",
)  # fmt: skip
_READING_PERSON = (
    "household", "basis", "named", "circumstances", "foldedAt", "sections", "granted", "withheld", "absent",
)  # fmt: skip
_STEWARD = ("reason", "client", "role", "token")
_CONSENT = ("basis", "recipient", "categories", "evidence", "grantedAt", "expiresAt", "uses", "household", "text")


def _reading(name: str, meaning: str) -> EventType:
    return EventType(name, Kind.QUERY, meaning, _READING, _READING_MORE, _READING_PERSON)


def _consent(name: str, meaning: str) -> EventType:
    return EventType(name, Kind.CONSENT, meaning, ("consent",), ("client", "role", "token", "reason"), _CONSENT)


def _basis(name: str, meaning: str) -> EventType:
    return EventType(
        name,
        Kind.CONSENT,
        meaning,
        ("basis", "basisKind"),
        ("state", "reference", "expiresAt", "client", "role", "token"),
        ("basis", "categories"),
    )


def _quarantine(verb: str, meaning: str) -> EventType:
    return EventType(
        f"quarantine:steward:{verb}",
        Kind.WRITE,
        meaning,
        ("source", "entry", "reasonCode", "contract"),
        ("fields", "outcome", "remaining", "reasonHash", "client", "role", "token"),
        ("entry",),
    )


_ALL = (
    # Readings: something left the hub, or was asked for and refused.
    _reading("history:resident:queried", "A resident read who looked at his data."),
    _reading("decision:resident:explained", "A resident had explained why an access showed what it did."),
    _reading("history:guardian:queried", "A guardian read who looked at the data of a ward."),
    _reading("household:guardian:queried", "A guardian read what is held about a ward."),
    _reading("household:resident:queried", "A resident read his own household record."),
    EventType(
        "decision:auditor:explained",
        Kind.QUERY,
        "Somebody who audits had explained why a decision gave or withheld what it did.",
        ("entry",),
        ("follows", "reason"),
    ),
    _reading("household:steward:shown", "A data steward compared a household record with its sources."),
    EventType(
        "alert:auditor:listed",
        Kind.QUERY,
        "An auditor or regulator read the alarms about queries.",
        ("role",),
        ("client", "token"),
    ),
    EventType(
        "link:steward:listed",
        Kind.QUERY,
        "A data steward listed rows under review: row keys, states and bands, no values.",
        ("states", "rows"),
        _STEWARD,
    ),
    EventType(
        "link:steward:shown",
        Kind.QUERY,
        "A data steward looked at a row beside the members who may be meant.",
        _READING,
        (*_READING_MORE, "source"),
        _READING_PERSON,
    ),
    _reading("log:auditor:queried", "An auditor or regulator read entries of this log."),
    EventType(
        "eligibility:client:asked",
        Kind.QUERY,
        "An organisation's system asked whether a person is eligible: yes, no or cannot say was told.",
        (*_READING, "programme"),
        (*_READING_MORE, "version", "period"),
        (*_READING_PERSON, "answer", "decision", "repeated"),
    ),
    _reading("profile:client:queried", "An organisation's system asked for a borrower's profile."),
    EventType(
        "answer:auditor:replayed",
        Kind.QUERY,
        "A past answer was made again for an auditor, or could not be.",
        ("entry", "outcome"),
        ("reason",),
        ("household", "named"),
    ),
    EventType(
        "log:auditor:exported",
        Kind.QUERY,
        "The log was exported as a bundle.",
        ("personsOpened",),
        ("size", "reason"),
    ),
    EventType(
        "challenge:steward:exported",
        Kind.QUERY,
        "Open challenges were written to a file for their source: row keys and what to look at, no values.",
        ("source", "challenges"),
        _STEWARD,
    ),
    EventType(
        "challenge:steward:listed",
        Kind.QUERY,
        "A data steward listed challenges: row keys and what to look at, no values.",
        ("asOf", "asked"),
        _STEWARD,
    ),
    EventType(
        "quarantine:steward:exported",
        Kind.QUERY,
        "Held-back rows were written to a file for return to the agency.",
        ("source", "rows"),
        ("reasonCode", *_STEWARD),
    ),
    EventType(
        "quarantine:steward:listed",
        Kind.QUERY,
        "A data steward read what is held back, by number and reason only.",
        ("view",),
        ("source", "reasonCode", "rows", *_STEWARD),
    ),
    EventType(
        "quarantine:steward:rechecked",
        Kind.QUERY,
        "The held-back rows of a source were tried on the present contract.",
        ("source", "rows", "passing", "contract"),
        _STEWARD,
    ),
    EventType(
        "quarantine:steward:shown",
        Kind.QUERY,
        "A data steward opened a held-back row.",
        ("source", "entry", "reasonCode"),
        _STEWARD,
        ("entry",),
    ),
    EventType(
        "scorecard:official:queried",
        Kind.QUERY,
        "The scorecards of the sources were read: counts and times only.",
        ("days",),
        ("client", "role", "token"),
    ),
    EventType(
        "coverage:official:queried",
        Kind.QUERY,
        "The coverage of an area was read: numbers of households only.",
        ("level", "areas"),
        ("area", "client", "role", "token"),
    ),
    # Consent: changes of what a disclosure may rest on.
    _consent("consent:client:requested", "An organisation asked a person for consent."),
    _consent("consent:hub:expired", "A consent or a request for it ended by time."),
    _consent("consent:client:revoked", "A recipient ended a consent that it had been given."),
    _consent("consent:hub:ended", "A consent ended by law, as with a person's death."),
    _consent("consent:hub:frozen", "A consent whose stored record proves nothing any more was put out of force."),
    _consent("consent:guardian:agreed", "A guardian agreed for a ward; what the age demands is not complete with it."),
    _consent("consent:guardian:granted", "A guardian gave consent for a ward, alone or as the last who had to agree."),
    _consent("consent:guardian:refused", "A guardian refused for a ward."),
    _consent("consent:guardian:withdrawn", "A guardian took a consent for a ward back."),
    _consent("consent:resident:agreed", "A minor agreed; what the age demands is not complete with it."),
    _consent("consent:resident:granted", "A person gave consent."),
    _consent("consent:resident:resumed", "A person let a paused consent count again."),
    _consent("consent:resident:refused", "A person refused a request for consent."),
    _consent("consent:resident:suspended", "A person suspended a consent."),
    _consent("consent:resident:withdrawn", "A person took a consent back."),
    _consent("consent:steward:revoked", "Another than the person ended a consent, with cause."),
    *CAPTURE_EVENTS,
    # Other bases than consent.
    _basis("basis:client:declared", "An organisation's system declared a basis, such as a live loan of its own."),
    _basis("basis:official:declared", "An official declared a basis with its reference."),
    _basis("basis:official:decided", "A second person approved, declined or reviewed a declared basis."),
    _basis("basis:official:ended", "A declared basis was ended because its case is over."),
    _basis("basis:hub:told", "A person was told of a basis that was declared about him."),
    _basis("basis:hub:unreviewed", "ALARM: nobody reviewed an emergency in time."),
    # Connectors: what agencies delivered.
    EventType(
        "source:connector:failed",
        Kind.CONNECTOR,
        "A pull of one source ended early.",
        ("source", "run", "code"),
        ("fetched", "valid", "quarantined", "unchanged"),
    ),
    EventType(
        "source:connector:pulled",
        Kind.CONNECTOR,
        "A step of a pull, or the pull of one source, was stored.",
        ("source", "run"),
        (
            "status",
            "step",
            "fetched",
            "valid",
            "quarantined",
            "unchanged",
            "rows",
            "reasons",
            "dropped",
            "repaired",
            "files",
            "refused",
            "watermark",
            "content",
        ),
    ),
    # Writes: changes of the record.
    EventType(
        "challenge:hub:closed",
        Kind.WRITE,
        "Challenges ended because the disagreement was gone or the row said something else.",
        ("challenges", "content"),
    ),
    EventType(
        "challenge:hub:opened",
        Kind.WRITE,
        "Sources are asked to look again at rows that lost against another statement or went stale.",
        ("challenges", "content"),
    ),
    EventType(
        "challenge:steward:closed",
        Kind.WRITE,
        "A data steward closed a challenge with an outcome.",
        ("source", "attribute", "outcome"),
        _STEWARD,
        ("sourceKey",),
    ),
    EventType(
        "record:resident:annotated",
        Kind.WRITE,
        "A resident put own words beside something in the own record, or took them back.",
        (),
        ("client", "role", "token"),
    ),
    EventType(
        "record:steward:amended",
        Kind.WRITE,
        "A steward recorded what a competent body decided about something in the record.",
        (),
        ("reason", "client", "role", "token"),
    ),
    EventType(
        "link:steward:decided",
        Kind.WRITE,
        "A steward confirmed or refused a proposed link.",
        ("source", "state"),
        ("reason", "verdict", "client", "role", "token"),
        ("sourceKey", "state"),
    ),
    EventType(
        "link:hub:scored",
        Kind.WRITE,
        "Rows that do not name a person properly were scored; nothing was linked.",
        ("rows", "proposals", "model"),
    ),
    EventType(
        "record:hub:folded",
        Kind.WRITE,
        "Household records were folded anew.",
        ("households",),
        ("run", "cause", "sections", "persons_changed", "content"),
        ("household", "sections"),
    ),
    _quarantine("discarded", "A data steward discarded a held-back row; its content was destroyed."),
    _quarantine("released", "A data steward released a held-back row, or tried to."),
    _quarantine("repaired", "A data steward corrected fields of a held-back row, or tried to."),
    # Administration.
    *ADMIN_EVENTS,
    *DUTY_EVENTS,
    *GUARDIAN_EVENTS,
    *BENEFIT_EVENTS,
    # Erasure.
    EventType(
        "person:operator:erased",
        Kind.ERASURE,
        "The keys of a person's audit details were destroyed. Never names the person.",
        ("legalBasis", "keys"),
        ("reason",),
    ),
    EventType(
        "quarantine:hub:purged",
        Kind.ERASURE,
        "What was kept of refused rows for longer than an adverse item may be was destroyed. Never names whose it was.",
        ("law", "rows"),
    ),
    EventType(
        "adverse:hub:purged",
        Kind.ERASURE,
        "Adverse items whose time is over were destroyed. Never names whose they were.",
        ("regime", "law", "rows"),
        ("heldBack",),
    ),
    # The log about itself.
    EventType("log:sequencer:closed", Kind.SHARD, "The last entry of a log that another one continues.", ("next",)),
    EventType(
        "log:sequencer:opened", Kind.SHARD, "The first entry of a log that continues another one.", ("previous",)
    ),
    EventType(
        "subjects:sequencer:counted", Kind.SHARD, "Root over the length of every person's chain.", ("root", "subjects")
    ),
)

EVENTS: Mapping[str, EventType] = {event.name: event for event in _ALL}
"""Every event by name."""


def check_event(name: str, kind: str, facts: Mapping[str, Any], subjects: Iterable[str]) -> None:
    """Refuse an event that is not on the list, or whose facts are not those listed for it.

    ``subjects`` are the persons concerned as text. Raises :class:`AuditError` naming the event and the key, never a
    value.
    """
    event = EVENTS.get(name)
    if event is None or event.kind != kind:
        raise AuditError(
            f"`{name}` is not an audit event of kind `{kind}`.",
            remedy="Use a name from docs/AUDIT-EVENTS.md, or add it to hub/audit/events.py and a migration.",
            code="AUDIT_EVENT_UNKNOWN",
        )
    persons = facts.get("persons", {})
    keys = {key for key in facts if key != "persons"}
    missing = set(event.required) - keys
    unknown = keys - set(event.required) - set(event.optional)
    if not isinstance(persons, Mapping) or set(persons) - set(subjects):
        unknown.add("persons")
        persons = {}
    for own in persons.values():
        unknown |= set(own) - set(event.person)
    if missing or unknown:
        raise AuditError(
            f"audit event `{name}` "
            + " and ".join(
                part
                for part in (
                    f"lacks the facts {', '.join(sorted(missing))}" if missing else "",
                    f"has the unlisted facts {', '.join(sorted(unknown))}" if unknown else "",
                )
                if part
            )
            + ".",
            remedy="See docs/AUDIT-EVENTS.md.",
            code="AUDIT_EVENT_FACTS",
        )


def as_markdown() -> str:
    """The text of docs/AUDIT-EVENTS.md."""
    lines = [
        "# Audit events",
        "",
        "Printed from `hub/audit/events.py` by `python -m hub.audit.events`; do not edit. What the columns of an event",
        "mean and how to write one: the head of that file. How an entry is encoded and sealed: `AUDIT.md`.",
        "",
    ]
    for kind in Kind:
        lines += [f"## {kind}", "", "| event | meaning | facts | may also have | per person |", "|---|---|---|---|---|"]
        lines += [
            f"| `{event.name}` | {event.meaning} | {_keys(event.required)} | {_keys(event.optional)} "
            f"| {_keys(event.person)} |"
            for event in sorted(_ALL, key=lambda event: event.name)
            if event.kind is kind
        ]
        lines.append("")
    return "\n".join(lines)


def _keys(names: tuple[str, ...]) -> str:
    return " ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    print(as_markdown(), end="")
