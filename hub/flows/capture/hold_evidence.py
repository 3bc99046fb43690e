"""Evidence of captured consents: kept sealed, and shown to the few who may look, each time with an entry of its own."""

import asyncio
import hashlib
from dataclasses import dataclass
from uuid import UUID

from hub.audit.proof import Receipt
from hub.consent import captured_evidence
from hub.consent.captured_evidence import EVIDENCE_PURPOSE, DestroyedEvidence
from hub.consent.evidence import MediaType, check_content, piece_context, pieces_of
from hub.core.disclosure import Asker
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.names import Role
from hub.flows.capture.capture_desk import check_reason, own_indexes, record
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation

_EVENTS = {
    Role.STEWARD.value: "evidence:steward:shown",
    Role.RESIDENT.value: "evidence:resident:shown",
    Role.REGULATOR.value: "evidence:official:shown",
}


@dataclass(frozen=True, slots=True)
class EvidenceShown:
    """A picture as it was signed."""

    evidence_id: UUID
    kind: str
    media_type: str
    sha256: str
    content: bytes


async def store_evidence(
    desk: ConsentDesk, asker: Asker, sha256: bytes, content: bytes, operation: Operation
) -> Receipt | None:
    """Take a picture that a capture of this collector announced; ``None`` if it was there already.

    Raises EVIDENCE_HASH, EVIDENCE_UNANNOUNCED, EVIDENCE_SIZE, EVIDENCE_MEDIA_TYPE, EVIDENCE_METADATA; then nothing is
    kept.
    """
    if hashlib.sha256(content).digest() != sha256:
        raise InputError(
            "The content has another hash than the address says.", remedy="Send it again.", code="EVIDENCE_HASH"
        )
    now, ev = desk.clock(), uuid7()
    async with desk.change() as conn:
        wanted = [each for each in await captured_evidence.evidence_wanted(conn, asker, sha256) if not each.is_uploaded]
        if not wanted:
            return None
        for media_type in {each.media_type for each in wanted}:
            await asyncio.to_thread(check_content, content, MediaType(media_type))
        for place, each in enumerate(wanted):
            pieces = [
                desk.keys.seal(EVIDENCE_PURPOSE, piece, piece_context(each.evidence_id.bytes, number))
                for number, piece in enumerate(pieces_of(content))
            ]
            await captured_evidence.store_evidence(conn, asker, each.evidence_id, len(content), pieces, now)
            facts = {"capture": str(each.capture_id), "evidence": sha256.hex(), "size": len(content)}
            await record(
                conn, desk, asker, Role.COLLECTOR.value, uuid7() if place else ev, "evidence:collector:uploaded", facts,
                operation=operation, person=each.person_id, county=each.county,
            )  # fmt: skip
    return await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def destroy_evidence(
    desk: ConsentDesk, asker: Asker, evidence_id: UUID, reason: str, operation: Operation
) -> tuple[DestroyedEvidence, Receipt]:
    """Destroy a picture on which a print was found after the decision; a consent that rests on it ends.

    It takes two stewards, since a picture may also prove an abuse: the first one's call condemns it (``is_done`` is
    false), that of another person destroys it. Each is recorded.

    Raises EVIDENCE_UNKNOWN, REVIEWER_CONCERNED, and CAPTURE_CLOSED where the capture still waits: then it is rejected
    (PRINT_NOT_MASKED).
    """
    check_reason(reason)
    now, ev = desk.clock(), uuid7()
    async with desk.change() as conn:
        own = await own_indexes(conn, desk.keys, asker)
        gone = await captured_evidence.destroy_evidence(conn, asker, evidence_id, now, ev, own)
        facts = {
            "capture": str(gone.capture_id), "evidence": gone.sha256.hex(), "reason": reason,
            "consent": None if gone.consent_id is None else str(gone.consent_id),
        }  # fmt: skip
        await record(
            conn, desk, asker, Role.STEWARD.value, ev,
            "evidence:steward:destroyed" if gone.is_done else "evidence:steward:condemned", facts, operation=operation,
            person=gone.person_id, purpose=gone.purpose, county=gone.county,
        )  # fmt: skip
    return gone, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def read_evidence(
    desk: ConsentDesk, asker: Asker, evidence_id: UUID, reason: str, operation: Operation
) -> tuple[EvidenceShown, Receipt]:
    """A picture for a steward of the county, the person himself, or a regulator on a court's basis.

    Raises EVIDENCE_UNKNOWN for anybody else and where there is none, EVIDENCE_ALTERED where it is not what was signed.
    """
    check_reason(reason)
    now, ev = desk.clock(), uuid7()
    async with desk.change() as conn:
        own = await own_indexes(conn, desk.keys, asker)
        found = await captured_evidence.read_evidence(conn, asker, evidence_id, now, own)
        if not found.pieces:
            raise RefusedError("There is no such evidence for you to look at.", code="EVIDENCE_UNKNOWN")
        content = captured_evidence.opened_content(desk.keys, evidence_id, found.sha256, found.pieces)
        facts = {
            "capture": str(found.capture_id), "evidence": found.sha256.hex(), "reason": reason,
            "basis": None if found.basis_id is None else str(found.basis_id),
        }  # fmt: skip
        await record(
            conn, desk, asker, found.by_role, ev, _EVENTS[found.by_role], facts, operation=operation,
            person=found.person_id, purpose=found.purpose, county=found.county,
        )  # fmt: skip
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return EvidenceShown(evidence_id, found.kind, found.media_type, found.sha256.hex(), content), receipt
