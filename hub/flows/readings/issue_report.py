"""A resident takes a report of everything that is held about him (本人信用报告, 征信业管理条例 art. 17).

Record, list of accesses, consents, and what sources were asked about his rows: one text to keep, with number and day.
The database counts; the third report of a calendar year and later ones are marked chargeable and never refused. The
log has the digest of the text, so a printed report can be told from one that was made up.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import asyncpg

from hub.access.parts import RECORD_PARTS, part_key
from hub.audit.event_words import event_meaning
from hub.audit.events import Decision, Kind
from hub.audit.history import Access, list_own_accesses
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.proof import Receipt
from hub.benefits.decisions import OwnDecision, own_decisions
from hub.consent import store
from hub.consent.notice import CATEGORY_WORDS, FORM_WORDS
from hub.consent.store import HeldConsent
from hub.core.clock import SHANGHAI, iso
from hub.core.disclosure import Asker, Disclosure, DisclosureRequest, Part, SubjectSelf
from hub.core.errors import HubError, InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.names import Form, Purpose, Role
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation, client_facts
from hub.flows.readings.own_reading import helped_by
from hub.flows.readings.read_history import opened_categories
from hub.store.refusals import refusing

POLICY = "own-report-1"
"""Version of what a report holds and of how reports are counted."""

OWN_PARTS: tuple[Part, ...] = tuple(
    part for part in RECORD_PARTS if part.form is Form.VALUE or Part(part.category, Form.VALUE) not in RECORD_PARTS
)
"""Everything of the record once: in detail, and in another form only where there is no detail."""

_PAGE = 200
_OLDER = InputError("This report was issued before.", remedy="Ask for a new one.", code="KEY_REUSED")
_REFUSALS: dict[str, HubError] = {
    "HB190": RefusedError("Only a resident has a report of his own.", code="NOT_ALLOWED"),
    "HB191": _OLDER,
    "23505": _OLDER,
}


class Discloses(Protocol):
    """The one gate through which values about a person leave."""

    async def disclose(self, request: DisclosureRequest) -> tuple[Disclosure, object]:
        """Judge, record, read and wait for the signed entry."""


@dataclass(frozen=True, slots=True)
class ReportMark:
    """What stands at the head of a report. ``ordinal``: which of the calendar year ``year``, from 1."""

    number: str
    issued_at: datetime
    year: int
    ordinal: int
    chargeable: bool


@dataclass(frozen=True, slots=True)
class OwnReport:
    """A report that was issued. ``document``: ``content`` as JSON text, of which ``digest`` is the SHA-256."""

    mark: ReportMark
    content: dict[str, Any]
    document: str
    digest: str


async def issue_report(
    discloser: Discloses, desk: ConsentDesk, asker: Asker, person: UUID, operation: Operation, report_id: UUID
) -> tuple[OwnReport, Receipt]:
    """Issue a report to the resident behind the account; ``person`` is who the account belongs to.

    The same ``report_id`` within a day gives the same number again, with the record as it is then, and counts once.

    Raises :class:`RefusedError` (NOT_ALLOWED) for an account that is no resident's, :class:`InputError` (KEY_REUSED)
    for an id of an older report, :class:`~hub.core.errors.AuditError` if it cannot be recorded; then nothing leaves and
    nothing was counted.
    """
    record = await read_record(discloser, asker, person, operation)
    ev = uuid7()
    async with desk.recording() as conn:
        row = await _count(conn, asker, report_id)
        mark = ReportMark(
            _number(report_id, row["issued_at"]), row["issued_at"], row["year"], row["ordinal"], row["chargeable"]
        )
        content = {"report": _mark_shown(mark)} | record | await read_beside(conn, desk, asker, row["person_id"])
        document = json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1)
        digest = hashlib.sha256(document.encode()).hexdigest()
        helped = await helped_by(conn, asker.token_id)
        await append(conn, _entry(desk, asker, operation, ev, row, mark, digest, helped))
        await desk.receipts.ready()
    return OwnReport(mark, content, document, digest), await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def read_record(discloser: Discloses, asker: Asker, person: UUID, operation: Operation) -> dict[str, Any]:
    """What is held about the person himself, each part with its words; an entry of its own in the log."""
    request = DisclosureRequest(
        asker=asker,
        purpose=Purpose.SELF_ACCESS,
        subject=SubjectSelf(person),
        parts=OWN_PARTS,
        operation=operation.document,
        variables=operation.variables,
    )
    found, _ = await discloser.disclose(request)
    return {
        "asOf": iso(found.as_of),
        "record": [
            {**_part_shown(section.part), "lender": section.owner or None, "content": json.loads(section.body)}
            for section in found.sections
        ],
        "withheld": [_part_shown(entry.part) | {"reason": entry.reason.value} for entry in found.withheld],
        "absent": [_part_shown(entry.part) | {"reason": entry.reason.value} for entry in found.absent],
    }


async def _count(conn: asyncpg.Connection, asker: Asker, report_id: UUID) -> asyncpg.Record:
    with refusing(_REFUSALS):
        return await conn.fetchrow(
            "SELECT * FROM access.issue_report($1, $2, $3)", asker.client_id, asker.token_id, report_id
        )


async def read_beside(conn: asyncpg.Connection, desk: ConsentDesk, asker: Asker, person: UUID) -> dict[str, Any]:
    """What stands beside the record in a report: accesses, consents, challenges, decisions of programmes; read in the
    caller's transaction.
    """
    persons = await conn.fetchval("SELECT auth.known_as($1)", person)
    accesses: list[Access] = []
    before: int | None = None
    while before is None or before > 1:
        page, _ = await list_own_accesses(conn, desk.keys, persons, before=before, limit=_PAGE)
        if not page:
            break
        accesses += page
        before = page[-1].n
    names = await conn.fetch(
        "SELECT * FROM auth.organisation_names($1)", sorted({access.organisation for access in accesses})
    )
    known = {row["organisation_id"]: row["name_zh"] for row in names}
    challenges = await conn.fetch("SELECT * FROM access.own_challenges($1, $2)", asker.client_id, asker.token_id)
    return {
        "accesses": [_access_shown(access, known) for access in accesses],
        "consents": [_consent_shown(held) for held in await store.consents_of(conn, asker, desk.clock())],
        "challenges": [_challenge_shown(row) for row in challenges],
        "eligibility": [_decision_shown(one) for one in await own_decisions(conn, asker, desk.clock())],
    }


def _number(report_id: UUID, issued_at: datetime) -> str:
    """The day, and the random half of the id: whoever sees one number cannot guess another."""
    return f"{issued_at.astimezone(SHANGHAI):%Y%m%d}-{report_id.hex[-12:].upper()}"


def _mark_shown(mark: ReportMark) -> dict[str, Any]:
    return {
        "number": mark.number,
        "issuedAt": iso(mark.issued_at),
        "year": mark.year,
        "ordinal": mark.ordinal,
        "chargeable": mark.chargeable,
    }


def _part_shown(part: Part) -> dict[str, Any]:
    (zh, en), (zh_form, en_form) = CATEGORY_WORDS[part.category], FORM_WORDS[part.form]
    return {"part": part_key(part), "label": f"{zh}（{zh_form}）", "labelEn": f"{en}, {en_form}"}


def _access_shown(access: Access, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "number": access.n,
        "at": iso(access.at),
        "event": access.event,
        "meaning": event_meaning(access.event, "zh"),
        "organisation": names.get(access.organisation, access.organisation) or None,
        "purpose": access.purpose,
        "decision": access.decision,
        "categories": opened_categories(access),
        "assistant": (access.shared or {}).get("assistant"),
    }


def _consent_shown(held: HeldConsent) -> dict[str, Any]:
    return {
        "consentId": str(held.consent_id),
        "organisation": held.name_zh,
        "purpose": held.purpose.value,
        "programme": held.programme,
        "parts": list(held.parts),
        "effectiveFrom": iso(held.effective_from),
        "expiresAt": iso(held.expires_at),
        "uses": held.uses,
        "state": held.status,
        "endedAt": None if held.ended_at is None else iso(held.ended_at),
    }


def _decision_shown(one: OwnDecision) -> dict[str, Any]:
    return {
        "decisionId": str(one.decision_id),
        "organisation": one.name_zh,
        "programme": one.terms["nameZh"],
        "period": one.period,
        "answer": "YES" if one.overturned else one.answer,
        "overturned": one.overturned,
        "decidedAt": iso(one.decided_at),
        "outcomes": one.outcomes,
    }


def _challenge_shown(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "source": row["source"],
        "attribute": row["attribute"],
        "cause": row["cause"],
        "openedAt": iso(row["opened_at"]),
        "dueOn": row["due_on"].isoformat(),
        "outcome": row["outcome"],
        "closedAt": None if row["closed_at"] is None else iso(row["closed_at"]),
    }


def _entry(
    desk: ConsentDesk,
    asker: Asker,
    operation: Operation,
    ev: UUID,
    row: asyncpg.Record,
    mark: ReportMark,
    digest: str,
    helped: Mapping[str, str],
) -> PendingEntry:
    return PendingEntry(
        ev=ev,
        kind=Kind.QUERY,
        event="report:resident:issued",
        organisation="",
        actor=asker.actor,
        decision=Decision.ALLOW,
        policy=POLICY,
        purpose=Purpose.SELF_ACCESS.value,
        operation=operation_hash(operation.document),
        county=row["county"],
        subjects=(row["person_id"],),
        facts={
            "number": mark.number,
            "year": mark.year,
            "ordinal": mark.ordinal,
            "chargeable": mark.chargeable,
            "digest": digest,
            **client_facts(asker, Role.RESIDENT.value),
            **helped,
        },
        sealed=seal_request(desk.keys, ev, operation.document, operation.variables),
    )
