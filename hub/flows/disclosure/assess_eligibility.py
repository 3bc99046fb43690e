"""A provider asks whether a person is eligible for a programme: yes, no or cannot say, and nothing of why.

The database decides, records and works the answer out (``benefit.assess``); this file sends the question and lets
nothing go before the log has signed for it.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime, time
from uuid import UUID

import asyncpg

from hub.audit.proof import Receipt
from hub.benefits.programme import Answer
from hub.benefits.signed_answer import sign_answer, thumbprint_of
from hub.core.clock import SHANGHAI
from hub.core.disclosure import DisclosureRequest, SubjectByPseudonym
from hub.core.errors import RefusedError
from hub.core.ids import uuid7
from hub.core.names import WithheldReason
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk
from hub.flows.disclosure.disclose import REFUSALS, gate_failure
from hub.flows.disclosure.even_time import Departure
from hub.flows.disclosure.gate_wire import gate_wire, pseudonym_space
from hub.store.database import DATABASE_ERRORS

BEARER = "BEARER"
"""In the log, of a signed answer that is bound to no key: whoever has it can show it."""


@dataclass(frozen=True, slots=True)
class Signing:
    """That a yes is wanted as a signed text; ``holder`` is the public key (JWK) that it is bound to, if any."""

    holder: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a provider is told. ``version`` and ``period`` hang on the programme alone, never on the person.

    ``answer`` and ``withheld``: one of them is set. ``subject`` is the provider's own pseudonym of the person.
    ``decision_id``, ``decided_at`` and ``valid_until`` (the first day on which it counts no more) belong to yes or no.
    """

    programme: str
    version: int
    period: str
    answer: Answer | None
    withheld: WithheldReason | None
    subject: str | None
    decision_id: UUID | None
    decided_at: datetime | None
    valid_until: date | None
    provider: str


async def assess_eligibility(
    desk: ConsentDesk, request: DisclosureRequest, programme: str, signing: Signing | None = None
) -> tuple[Assessment, Receipt]:
    """Ask about one person. ``request`` is for the purpose BENEFIT_ELIGIBILITY and the part ``eligibility/YES_NO``.

    The entry says of a yes whether it was wanted as a signed text (:func:`signed_answer`), and bound to which key.

    Raises :class:`RefusedError` where the asker may not ask at all, or has no such programme (recorded all the same),
    :class:`AuditError` where the log does not record, :class:`StoreError` where the database does not answer.
    """
    ev, departure = uuid7(), Departure(desk.even_step)
    client_id = request.asker.client_id
    try:
        async with desk.pool.acquire() as conn:
            space = ""
            if isinstance(request.subject, SubjectByPseudonym):
                own = await conn.fetchval("SELECT access.organisation_of($1)", client_id)
                space = pseudonym_space(own or "", client_id)
            wire = gate_wire(desk.keys, request, ev, space) | {"programme": programme}
            if signing is not None:
                wire["signed"] = BEARER if signing.holder is None else thumbprint_of(signing.holder)
            told = await conn.fetchrow(
                "SELECT * FROM benefit.assess($1::jsonb)", json.dumps(wire, ensure_ascii=False), timeout=RECEIPT_SECONDS
            )
    except DATABASE_ERRORS as error:
        raise gate_failure(error) from error
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    await departure.wait()  # whether there is such a person must not show in the time either
    if told["refusal"] is not None:
        sentence, remedy = REFUSALS[told["refusal"]]
        raise RefusedError(sentence, remedy=remedy, code=told["refusal"])
    return _assessment(desk, client_id, programme, told), receipt


def _assessment(desk: ConsentDesk, client_id: str, programme: str, told: asyncpg.Record) -> Assessment:
    person = told["person_id"]
    space = pseudonym_space(told["organisation_id"], client_id)
    return Assessment(
        programme=programme,
        version=told["version"],
        period=told["period"],
        answer=None if told["answer"] is None else Answer(told["answer"]),
        withheld=WithheldReason(told["withheld"][0].partition("=")[2]) if told["withheld"] else None,
        subject=None if person is None else desk.keys.pseudonym(space, person),
        decision_id=told["decision_id"],
        decided_at=told["decided_at"],
        valid_until=told["valid_until"],
        provider=told["organisation_id"],
    )


def signed_answer(desk: ConsentDesk, found: Assessment, signing: Signing | None) -> str | None:
    """A yes as a text that can be checked without the hub, where it was asked for with that; ``None`` otherwise."""
    if signing is None or found.answer is not Answer.YES or found.valid_until is None or found.subject is None:
        return None
    return sign_answer(
        desk.keys,
        programme=found.programme,
        version=found.version,
        period=found.period,
        answer=found.answer,
        provider=found.provider,
        subject=found.subject,
        until=datetime.combine(found.valid_until, time(), SHANGHAI),
        holder=signing.holder,
        now=desk.clock(),
    )
