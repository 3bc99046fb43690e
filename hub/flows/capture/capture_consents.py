"""A collector's device delivers a batch: withdrawals take effect at once, every yes waits for a reviewer.

Nothing is refused for a doubtful clock or order: it is taken with flags. Refused as a whole, told and recorded, is
only what nobody can answer for: another's or a lost device, a signature that is not the device's, biometric data. A
slip that is held already changes nothing, so a device sends a batch again until it has an answer.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.events import Decision
from hub.audit.proof import Receipt
from hub.consent import captures
from hub.consent.batch import Batch, ConsentSlip, Slip, read_batch, time_of
from hub.consent.captures import BATCH_PURPOSE, OpenDevice, Taken, indexes_of
from hub.consent.chain import ChainFlag, Seen, judge_chain
from hub.consent.notice import KNOWN_NOTICES, notice_text
from hub.consent.terms import OpenRequest
from hub.core.canonical import digest
from hub.core.clock import iso
from hub.core.disclosure import Asker
from hub.core.errors import HubError, InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.names import Role
from hub.flows.capture.capture_desk import own_indexes, record
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation

NOTICE_DIFFERS = "NOTICE_DIFFERS"
"""The words that the device showed are not those that the hub renders for the request."""

_DRAW_OF = 1000
_RECORDED = frozenset({"DEVICE_REFUSED", "BATCH_SIGNATURE", "FINGERPRINT_REFUSED"})
"""Refusals that leave an entry of their own."""


@dataclass(frozen=True, slots=True)
class SlipTaken:
    """What the collector is told of a slip. ``review``: what is odd about its place and time; what concerns people is
    for the reviewer alone, so that nobody learns from the answer who is known.
    """

    counter: int
    kind: str
    capture_id: UUID
    state: str
    review: tuple[str, ...]
    is_known: bool


@dataclass(frozen=True, slots=True)
class BatchTaken:
    """The batch was taken. ``evidence`` are the hashes of pictures that it announces."""

    slips: tuple[SlipTaken, ...]
    evidence: tuple[str, ...]


async def capture_consents(
    desk: ConsentDesk, asker: Asker, text: str, operation: Operation
) -> tuple[BatchTaken, Receipt]:
    """Take a batch. Raises BATCH_MALFORMED, FINGERPRINT_REFUSED, DEVICE_REFUSED, BATCH_SIGNATURE; then nothing of it is
    kept, and the log has an entry of all but the first.
    """
    now, batch_id, ev = desk.clock(), uuid7(), uuid7()
    batch: Batch | None = None
    try:
        batch = read_batch(text)
        async with desk.change() as conn:
            device = await captures.open_device(conn, asker, batch)
            batch.check_signature(device.jwk)
            judged = _judge(batch, device, now)
            taken = await _take(conn, desk, asker, batch, judged, batch_id, now)
            await _record_all(conn, desk, asker, batch, taken, ev, operation, device.county)
    except (RefusedError, InputError) as refusal:
        if refusal.code in _RECORDED:
            await _record_refusal(desk, asker, batch, refusal, operation)
        raise
    return _told(batch, device, judged, taken), await desk.receipts.wait(ev, RECEIPT_SECONDS)


def _judge(batch: Batch, device: OpenDevice, now: datetime) -> list[set[ChainFlag] | None]:
    held: dict[int, set[str]] = defaultdict(set)
    for counter, found, _, _, _ in device.held:
        held[counter].add(found)
    seen = Seen(device.last_counter, device.last_time, {counter: frozenset(found) for counter, found in held.items()})
    return judge_chain(batch.slips, batch.hashes, seen, now)


async def _take(
    conn: asyncpg.Connection,
    desk: ConsentDesk,
    asker: Asker,
    batch: Batch,
    judged: list[set[ChainFlag] | None],
    batch_id: UUID,
    now: datetime,
) -> list[Taken]:
    named = [slip.request_id for slip in batch.slips if isinstance(slip, ConsentSlip)]
    shown = await captures.requests_shown(conn, asker, named)
    slips = [
        _wire(desk, place, slip, found, sorted(flags), shown)
        for place, (slip, found, flags) in enumerate(zip(batch.slips, batch.hashes, judged, strict=True))
        if flags is not None
    ]
    if not slips:
        return []
    return await captures.take_batch(
        conn,
        asker,
        batch,
        batch_id=batch_id,
        sealed=desk.keys.seal(BATCH_PURPOSE, batch.text.encode(), batch_id.bytes),
        own=await own_indexes(conn, desk.keys, asker),
        slips=slips,
        now=now,
    )


def _wire(
    desk: ConsentDesk, place: int, slip: Slip, found: str, flags: list[str], shown: dict[UUID, OpenRequest]
) -> dict[str, Any]:
    """A slip as the database function takes it: people by their blind indexes alone."""
    facts: dict[str, Any] = {
        "place": place,
        "id": str(uuid7()),
        "ev": str(uuid7()),
        "counter": slip.counter,
        "hash": found,
        "time": iso(time_of(slip)),
        **indexes_of(desk.keys, slip.person),
    }
    if not isinstance(slip, ConsentSlip):
        purpose = None if slip.purpose is None else slip.purpose.value
        return facts | {"kind": "WITHDRAWAL", "flags": flags, "recipient": slip.recipient, "purpose": purpose}
    if not _was_shown(slip, shown.get(slip.request_id)):
        flags = [*flags, NOTICE_DIFFERS]
    return facts | {
        "kind": "CONSENT",
        "flags": flags,
        "requestId": str(slip.request_id),
        "parts": slip.parts,
        "heightenedNotice": slip.heightened_notice,
        "readAloud": slip.read_aloud,
        "method": slip.method.value,
        "formNo": slip.form_no,
        "collectorWitness": slip.collector_witness,
        "witnesses": [indexes_of(desk.keys, witness) for witness in slip.witnesses],
        "evidence": [
            {"kind": item.kind.value, "mediaType": item.media_type.value, "sha256": item.sha256}
            for item in slip.evidence
        ],
        # Of the request, under a key: whoever sends the same request in again draws the same lot.
        "draw": int.from_bytes(desk.keys.index("call-back", str(slip.request_id))[1:9]) % _DRAW_OF,
        "drawBelow": desk.call_back_per_mille,
    }


def _was_shown(slip: ConsentSlip, request: OpenRequest | None) -> bool:
    """Whether the words that the person read are those of the hub; of an unknown request nothing can be said."""
    if request is None:
        return True
    return slip.notice_version in KNOWN_NOTICES and slip.notice_hash == digest(notice_text(request, request.parts))


async def _record_all(
    conn: asyncpg.Connection,
    desk: ConsentDesk,
    asker: Asker,
    batch: Batch,
    taken: list[Taken],
    ev: UUID,
    operation: Operation,
    county: str,
) -> None:
    """An entry for each captured yes and each consent that ended, under its person; one for the batch."""
    role = Role.COLLECTOR.value
    for one in taken:
        slip = batch.slips[one.place]
        if isinstance(slip, ConsentSlip):
            facts = {
                "consent": str(slip.request_id), "capture": str(one.capture_id), "device": batch.device,
                "counter": slip.counter, "flags": sorted(one.flags), "draw": one.draw, "drawBelow": one.draw_below,
            }  # fmt: skip
            own = {"recipient": one.organisation_id, "categories": slip.parts} if one.organisation_id else {}
            await record(
                conn, desk, asker, role, uuid7(), "consent:collector:captured", facts, operation=operation,
                person=one.person_id, own=own, purpose=one.purpose, county=one.person_county,
            )  # fmt: skip
        for ended in one.ended:
            await record(
                conn, desk, asker, role, UUID(ended["ev"]), "consent:collector:withdrawn",
                {"consent": ended["consent"], "reason": "WITHDRAWN_IN_THE_FIELD"}, operation=operation,
                person=UUID(ended["person"]), own={"recipient": ended["recipient"]}, purpose=ended["purpose"],
                county=ended["county"],
            )  # fmt: skip
    facts = {
        "device": batch.device,
        "batch": batch.digest.hex(),
        "slips": len(batch.slips),
        "new": len(taken),
        "flagged": sum(bool(one.flags) for one in taken),
        "withdrawals": sum(len(one.ended) for one in taken),
    }
    await record(
        conn, desk, asker, role, ev, "capture:collector:delivered", facts, operation=operation, county=county
    )  # fmt: skip


async def _record_refusal(
    desk: ConsentDesk, asker: Asker, batch: Batch | None, refusal: HubError, operation: Operation
) -> None:
    ev = uuid7()
    facts = {"reason": refusal.code} | ({} if batch is None else {"device": batch.device})
    async with desk.change() as conn:
        await record(
            conn, desk, asker, "", ev, "capture:collector:refused", facts, operation=operation, decision=Decision.DENY
        )  # fmt: skip
    await desk.receipts.wait(ev, RECEIPT_SECONDS)


def _told(batch: Batch, device: OpenDevice, judged: list[set[ChainFlag] | None], taken: list[Taken]) -> BatchTaken:
    new = {one.place: one for one in taken}
    held = {found: (capture_id, flags) for _, found, capture_id, _, flags in device.held}
    by_hash = {batch.hashes[one.place]: one.capture_id for one in taken}
    told: list[SlipTaken] = []
    for place, (slip, found, flags) in enumerate(zip(batch.slips, batch.hashes, judged, strict=True)):
        is_consent = isinstance(slip, ConsentSlip)
        if flags is None:
            known, before = held.get(found, (None, ()))
            capture_id, review = known or by_hash[found], sorted(set(before) & set(ChainFlag))
        else:
            capture_id, review = new[place].capture_id, sorted(flags)
        told.append(
            SlipTaken(
                slip.counter,
                "CONSENT" if is_consent else "WITHDRAWAL",
                capture_id,
                "CAPTURED" if is_consent else "TAKEN",
                tuple(review),
                flags is None,
            )
        )
    pictures = [item.sha256 for slip in batch.slips if isinstance(slip, ConsentSlip) for item in slip.evidence]
    return BatchTaken(tuple(told), tuple(dict.fromkeys(pictures)))
