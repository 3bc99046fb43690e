"""A yes to a request: an adult's own puts the consent in force; about a minor it may take a guardian and the minor.

Each yes about a minor is a signed statement of its own. The one that completes what the age demands puts the consent in
force, for what all of them agreed to; an earlier one changes nothing that anybody could rest on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.proof import Receipt
from hub.consent import store
from hub.consent.minors import MinorSide, Party, indicated_by, make_statement
from hub.consent.notice import notice_text
from hub.consent.record import AGREEMENT_TYPE, SignedTerms, sign_terms
from hub.consent.terms import Cap, Choice, Evidence, OpenRequest, make_terms
from hub.core.canonical import digest
from hub.core.disclosure import Asker
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.flows.consent.consent_change import POLICY, RECEIPT_SECONDS, ConsentDesk, Operation, client_facts
from hub.flows.consent.grant_consent import ConsentGrant, ConsentGranted, granted_facts, granted_of, put_in_force


@dataclass(frozen=True, slots=True)
class ConsentAgreement:
    """A yes. ``ward``: the minor for whom a guardian says it. ``child_notice``: he accepts the notice on children."""

    grant: ConsentGrant
    ward: UUID | None = None
    child_notice: bool = False


@dataclass(frozen=True, slots=True)
class ConsentAgreed:
    """A yes that is stored and is not enough alone, or adds to a consent that stands.

    ``awaits``: who has to agree as well. ``consent_id``: the consent that stands, if there is one.
    """

    request_id: UUID
    organisation_id: str
    awaits: tuple[Party, ...]
    consent_id: UUID | None


async def answer_request(
    desk: ConsentDesk, agreement: ConsentAgreement
) -> tuple[ConsentGranted | ConsentAgreed, Receipt]:
    """Say yes to a request for oneself or for a ward, and record it.

    Raises REQUEST_NOT_OPEN, NOT_AN_ADULT, PARTS_NOT_ASKED, and about minors AGREED_ALREADY, CHILD_NOTICE_MISSING,
    NEVER_FOR_MINORS.
    """
    now, ev, grant = desk.clock(), uuid7(), agreement.grant
    async with desk.change() as conn:
        request = await store.lock_request(conn, grant.asker, grant.request_id, now, agreement.ward)
        made: ConsentGranted | ConsentAgreed
        if request.minor is None:
            made = await put_in_force(desk, conn, grant, request, now, ev)
        else:
            made = await _agree(desk, conn, agreement, request, request.minor, ev)
    return made, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def _agree(
    desk: ConsentDesk,
    conn: asyncpg.Connection,
    agreement: ConsentAgreement,
    request: OpenRequest,
    side: MinorSide,
    ev: UUID,
) -> ConsentGranted | ConsentAgreed:
    now, grant = desk.clock(), agreement.grant
    own = request.parts if grant.parts is None else grant.parts
    if not set(own) <= set(request.parts):
        raise InputError("A consent cannot cover more than was asked for.", code="PARTS_NOT_ASKED")
    statement = make_statement(
        request.request_id, request.person_id, side, parts=own, heightened=grant.heightened_notice,
        child_notice=agreement.child_notice, account=grant.asker.client_id, token=grant.asker.token_id,
        notice_hash=digest(notice_text(request, request.parts)), now=now,
    )  # fmt: skip
    choice = Choice(own, grant.heightened_notice, agreement.child_notice)
    terms: dict[str, Any] | None = None
    signed: SignedTerms | None = None
    awaits = side.awaits(side.party)
    if request.state == "REQUESTED" and not awaits:
        shared = Choice(
            parts=_common(own, [one.parts for one in side.agreed]),
            heightened_notice=grant.heightened_notice and all(one.heightened for one in side.agreed),
            child_notice=agreement.child_notice,
            indicated_by=indicated_by(side),
            until=side.of_age,
        )
        terms = make_terms(
            uuid7(), request, shared, evidence=Evidence(grant.asker.client_id, grant.asker.token_id),
            cap=await store.cap_of(conn, request.purpose) or Cap(0, 0), now=now,
        )  # fmt: skip
        signed = sign_terms(desk.keys, terms)
    consent = await store.agree(
        conn, grant.asker, request, choice, sign_terms(desk.keys, statement, AGREEMENT_TYPE), signed, now, ev
    )
    by = "guardian" if side.party is Party.GUARDIAN else "resident"
    verb = "agreed" if terms is None else "granted"
    facts: dict[str, Any] = (
        {"recipient": request.organisation_id, "text": digest(statement)}
        if terms is None
        else granted_facts(request, terms)
    )
    await append(
        conn, minor_entry(desk, f"consent:{by}:{verb}", ev, grant.asker, grant.operation, request, consent, facts)
    )
    if terms is None:
        return ConsentAgreed(request.request_id, request.organisation_id, awaits, consent)
    return granted_of(request, terms)


def minor_entry(
    desk: ConsentDesk,
    event: str,
    ev: UUID,
    asker: Asker,
    operation: Operation,
    request: OpenRequest,
    consent: UUID | None,
    facts: dict[str, Any],
) -> PendingEntry:
    """The entry of a yes about a minor, in the minor's list of accesses."""
    role = "GUARDIAN" if event.startswith("consent:guardian") else "RESIDENT"
    return PendingEntry(
        ev=ev,
        kind=Kind.CONSENT,
        event=event,
        organisation="",
        actor=asker.actor,
        decision=Decision.ALLOW,
        policy=POLICY,
        purpose=request.purpose.value,
        operation=operation_hash(operation.document),
        county=request.county,
        subjects=(request.person_id,),
        facts={
            "consent": str(consent or request.request_id),
            **client_facts(asker, role),
            "persons": {str(request.person_id): facts},
        },
        sealed=seal_request(desk.keys, ev, operation.document, operation.variables),
    )


def _common(own: Sequence[str], others: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """What all agreed to. Raises :class:`RefusedError` if that is nothing."""
    parts = tuple(part for part in own if all(part in other for other in others))
    if not parts:
        raise RefusedError("Guardian and minor agreed to nothing in common.", code="NOTHING_IN_COMMON")
    return parts
