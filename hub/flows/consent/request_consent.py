"""An organisation asks a person for consent. Answer and time are the same whether or not there is such a person."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from hub.access.parts import part_key
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.proof import Receipt
from hub.consent import store
from hub.consent.terms import ANSWER_WITHIN, check_request
from hub.core.disclosure import Asker, Part, SubjectByNumber
from hub.core.ids import uuid7
from hub.core.names import Purpose
from hub.core.text import normalise_name
from hub.flows.consent.consent_change import POLICY, RECEIPT_SECONDS, ConsentDesk, Operation, client_facts
from hub.flows.disclosure.even_time import in_even_time


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """What is asked of whom. ``days`` and ``uses`` default to the most that the purpose allows.

    ``programme``: the benefit programme that it is for, by id or as ``id@version``; providers name one.
    ``answer_within`` is how long the person may take; a page in his browser waits less than a letter.
    """

    asker: Asker
    purpose: Purpose
    subject: SubjectByNumber
    parts: tuple[Part, ...]
    operation: Operation
    application_ref: str | None = None
    days: int | None = None
    uses: int | None = None
    answer_within: timedelta = ANSWER_WITHIN
    programme: str | None = None


@dataclass(frozen=True, slots=True)
class ConsentRequested:
    """The request was taken. ``state`` is always REQUESTED: it says nothing about the person."""

    request_id: UUID
    answer_by: datetime
    state: str = "REQUESTED"


async def request_consent(desk: ConsentDesk, request: ConsentRequest) -> tuple[ConsentRequested, Receipt]:
    """Store the request and record it. Raises :class:`InputError`, :class:`RefusedError` or :class:`AuditError`."""
    async with in_even_time(desk.even_step):
        return await _request(desk, request)


async def _request(desk: ConsentDesk, request: ConsentRequest) -> tuple[ConsentRequested, Receipt]:
    parts = tuple(part_key(part) for part in dict.fromkeys(request.parts))
    now, request_id, ev = desk.clock(), uuid7(), uuid7()
    answer_by = now + request.answer_within
    async with desk.change() as conn:
        most = await store.cap_of(conn, request.purpose)
        cap = check_request(most, request.purpose, request.parts, request.days, request.uses)
        asked = await store.ask(
            conn,
            request.asker,
            request_id=request_id,
            ev=ev,
            purpose=request.purpose,
            parts=parts,
            application_ref=request.application_ref,
            cap=cap,
            identity_indexes=desk.keys.indexes("identity", request.subject.id_number),
            name_indexes=desk.keys.indexes("name", normalise_name(request.subject.name)),
            now=now,
            answer_by=answer_by,
            programme=request.programme,
        )
        subjects = () if asked.found_id is None else (asked.found_id,)
        own = {"recipient": asked.organisation_id, "categories": list(parts), "uses": cap.uses}
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.CONSENT,
                event="consent:client:requested",
                organisation=asked.organisation_id,
                actor=request.asker.actor,
                decision=Decision.ALLOW,
                policy=POLICY,
                purpose=request.purpose.value,
                operation=operation_hash(request.operation.document),
                subjects=subjects,
                facts={
                    "consent": str(request_id),
                    **client_facts(request.asker, asked.role),
                    "persons": {str(person): own for person in subjects},
                },
                sealed=seal_request(desk.keys, ev, request.operation.document, request.operation.variables),
            ),
        )
    return ConsentRequested(request_id, answer_by), await desk.receipts.wait(ev, RECEIPT_SECONDS)
