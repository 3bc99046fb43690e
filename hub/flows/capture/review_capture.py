"""A reviewer looks at a captured consent and verifies or rejects it; only then can it be in force.

He is a data steward of the county, never the collector, a witness, or somebody of the person's household; the database
decides that. What the device signed is checked again, and every picture against its hash.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.events import Decision
from hub.audit.proof import Receipt
from hub.consent import captured_evidence, captures, store
from hub.consent.batch import Batch, ConsentSlip, Named
from hub.consent.captures import CaptureState, ListedCapture, OpenCapture, OwnIndexes, RejectionCause
from hub.consent.notice import notice_text
from hub.consent.record import sign_terms
from hub.consent.terms import Cap, Capture, Choice, OpenRequest, make_terms
from hub.core.canonical import digest
from hub.core.disclosure import Asker
from hub.core.errors import RefusedError
from hub.core.ids import uuid7
from hub.core.names import Role
from hub.flows.capture.capture_desk import check_reason, own_indexes, record
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation

_ROLE = Role.STEWARD.value


@dataclass(frozen=True, slots=True)
class CaptureShown:
    """A capture as its reviewer sees it, to compare it with the paper. ``notice``: the words of its request."""

    capture: OpenCapture
    slip: ConsentSlip
    request: OpenRequest | None
    notice: str | None


@dataclass(frozen=True, slots=True)
class CaptureDecision:
    """What the reviewer decides: to verify (``cause`` is ``None``), or to reject for a cause.

    ``called_back``: he reached the person by another way and asked him.
    """

    asker: Asker
    capture_id: UUID
    cause: RejectionCause | None
    called_back: bool
    reason: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class CaptureDecided:
    """``consent_id`` and ``level`` of the evidence where it was verified."""

    capture_id: UUID
    state: CaptureState
    consent_id: UUID | None = None
    level: int | None = None


async def list_captures(
    desk: ConsentDesk,
    asker: Asker,
    operation: Operation,
    *,
    state: CaptureState | None,
    after: UUID | None,
    first: int,
) -> tuple[list[ListedCapture], Receipt]:
    """At most ``first + 1`` captures of the steward's counties, oldest first. Empty for anybody else."""
    ev = uuid7()
    async with desk.change() as conn:
        found = await captures.listed(conn, asker, state, after, first + 1)
        facts = {"rows": min(len(found), first)}
        await record(conn, desk, asker, _ROLE, ev, "capture:steward:listed", facts, operation=operation)
    return found, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def show_capture(
    desk: ConsentDesk, asker: Asker, capture_id: UUID, reason: str, operation: Operation
) -> tuple[CaptureShown, Receipt]:
    """One capture with the names on its form. Raises CAPTURE_UNKNOWN, REVIEWER_CONCERNED, EVIDENCE_ALTERED."""
    check_reason(reason)
    ev = uuid7()
    async with desk.change() as conn:
        found = await captures.open_capture(conn, asker, capture_id, await own_indexes(conn, desk.keys, asker))
        _, slip = _opened(desk, found)
        request = await _request(conn, asker, found)
        await record(
            conn, desk, asker, _ROLE, ev, "capture:steward:shown", {"capture": str(capture_id), "reason": reason},
            operation=operation, person=found.person_id, county=found.person_county,
        )  # fmt: skip
    notice = None if request is None else notice_text(request, request.parts)
    return CaptureShown(found, slip, request, notice), await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def decide_capture(desk: ConsentDesk, decision: CaptureDecision) -> tuple[CaptureDecided, Receipt]:
    """Verify or reject. Raises CAPTURE_UNKNOWN, REVIEWER_CONCERNED, CAPTURE_CLOSED, CALL_BACK_NEEDED,
    EVIDENCE_MISSING, EVIDENCE_TOO_LOW, and EVIDENCE_ALTERED, which also blocks the capture.
    """
    check_reason(decision.reason)
    now, ev = desk.clock(), uuid7()
    try:
        async with desk.change() as conn:
            own = await own_indexes(conn, desk.keys, decision.asker)
            found = await captures.open_capture(conn, decision.asker, decision.capture_id, own)
            if decision.cause is None:
                decided = await _verify(conn, desk, decision, found, own, now, ev)
            else:
                decided = await _reject(conn, desk, decision, found, own, now, ev)
    except RefusedError as refusal:
        if refusal.code == "EVIDENCE_ALTERED":
            await _block(desk, decision, found)
        raise
    return decided, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def _verify(
    conn: asyncpg.Connection,
    desk: ConsentDesk,
    decision: CaptureDecision,
    found: OpenCapture,
    own: OwnIndexes,
    now: datetime,
    ev: UUID,
) -> CaptureDecided:
    asker = decision.asker
    if found.state != CaptureState.CAPTURED:
        raise _closed()
    batch, slip = _opened(desk, found)
    for item in found.evidence:
        if item["isUploaded"]:
            sealed = await captured_evidence.read_evidence(conn, asker, UUID(item["id"]), now, own)
            captured_evidence.opened_content(desk.keys, UUID(item["id"]), sealed.sha256, sealed.pieces)
    request = await _request(conn, asker, found)
    if request is None or found.person_id is None or not set(slip.parts) <= set(request.parts):
        raise _closed()
    consent_id = uuid7()
    evidence = Capture(
        captured=found.captured,
        signed_at=found.device_time,
        form_no=slip.form_no,
        read_aloud=slip.read_aloud,
        notice=(slip.notice_version, slip.notice_hash),
        device_jws=batch.detached,
        slip=found.slip_hash.hex(),
        verified_by=asker.client_id,
        level=found.level,
    )
    cap = await store.cap_of(conn, request.purpose) or Cap(0, 0)
    choice = Choice(tuple(slip.parts), slip.heightened_notice)
    terms = make_terms(consent_id, request, choice, evidence=evidence, cap=cap, now=now)
    level = await captures.verify(
        conn,
        asker,
        found.capture_id,
        own,
        sign_terms(desk.keys, terms),
        called_back=decision.called_back,
        now=now,
        ev=ev,
    )
    facts = _facts(decision, found) | {"consent": str(consent_id)}
    told = {
        "basis": str(consent_id),
        "recipient": request.organisation_id,
        "categories": terms["parts"],
        "evidence": terms["evidenceLevel"],
        "grantedAt": terms["signedAt"],
        "expiresAt": terms["expiresAt"],
        "uses": terms["maxUses"],
        "text": digest(terms),
    }
    await _record_decision(conn, desk, decision, found, ev, "consent:steward:verified", facts, told)
    return CaptureDecided(found.capture_id, CaptureState.VERIFIED, consent_id, level)


async def _reject(
    conn: asyncpg.Connection,
    desk: ConsentDesk,
    decision: CaptureDecision,
    found: OpenCapture,
    own: OwnIndexes,
    now: datetime,
    ev: UUID,
) -> CaptureDecided:
    if decision.cause is None:
        raise AssertionError("a rejection has a cause")
    await captures.reject(
        conn, decision.asker, found.capture_id, own, decision.cause, called_back=decision.called_back, now=now, ev=ev
    )
    facts = _facts(decision, found) | {"consent": str(found.request_id), "cause": decision.cause.value}
    await _record_decision(conn, desk, decision, found, ev, "consent:steward:rejected", facts, {})
    return CaptureDecided(found.capture_id, CaptureState.REJECTED)


def _closed() -> RefusedError:
    return RefusedError(
        "This capture cannot be verified: it is decided, or its request is not to this person.",
        remedy="Look at its flags; reject it with its cause.",
        code="CAPTURE_CLOSED",
    )


def _facts(decision: CaptureDecision, found: OpenCapture) -> dict[str, Any]:
    return {
        "capture": str(found.capture_id),
        "reason": decision.reason,
        "calledBack": decision.called_back,
        "drawn": found.call_back,
        "flags": sorted(found.flags),
    }


async def _record_decision(
    conn: asyncpg.Connection,
    desk: ConsentDesk,
    decision: CaptureDecision,
    found: OpenCapture,
    ev: UUID,
    event: str,
    facts: dict[str, Any],
    own: dict[str, Any],
) -> None:
    await record(
        conn, desk, decision.asker, _ROLE, ev, event, facts, operation=decision.operation, person=found.person_id,
        own=own, county=found.person_county,
    )  # fmt: skip


async def _block(desk: ConsentDesk, decision: CaptureDecision, found: OpenCapture) -> None:
    """What was altered is kept, blocked and recorded."""
    ev = uuid7()
    async with desk.change() as conn:
        await captures.flag_altered(conn, decision.asker, found.capture_id)
        await record(
            conn, desk, decision.asker, _ROLE, ev, "consent:hub:frozen",
            {"consent": str(found.request_id), "reason": "EVIDENCE_ALTERED"}, operation=decision.operation,
            person=found.person_id, own={}, county=found.person_county, decision=Decision.DENY,
        )  # fmt: skip
    await desk.receipts.wait(ev, RECEIPT_SECONDS)


def _opened(desk: ConsentDesk, found: OpenCapture) -> tuple[Batch, ConsentSlip]:
    batch, slip = captures.opened_slip(desk.keys, found.batch_id, found.sealed, found.place, found.jwk, found.slip_hash)
    if not isinstance(slip, ConsentSlip):
        raise captures.altered()
    return batch, slip


async def _request(conn: asyncpg.Connection, asker: Asker, found: OpenCapture) -> OpenRequest | None:
    person = None if found.person_id is None else (found.person_id, found.person_county or "")
    shown = await captures.requests_shown(conn, asker, [found.request_id], person, found.supersedes)
    return shown.get(found.request_id)


def masked(named: Named) -> dict[str, str]:
    """Somebody as a reviewer sees him: the name, and so much of the number as tells two of one name apart."""
    return {"name": named.name, "idMasked": f"{named.id_number[:6]}********{named.id_number[-4:]}"}
