"""A person gives consent for himself; it counts from the next query on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.proof import Receipt
from hub.consent import store
from hub.consent.record import sign_terms
from hub.consent.terms import Cap, Choice, Evidence, OpenRequest, make_terms
from hub.core.canonical import digest
from hub.core.disclosure import Asker
from hub.core.ids import uuid7
from hub.flows.consent.consent_change import POLICY, RECEIPT_SECONDS, ConsentDesk, Operation, client_facts


@dataclass(frozen=True, slots=True)
class ConsentGrant:
    """A yes to one request. ``parts`` (``category/FORM``) narrows it, ``None`` means all that was asked.

    ``heightened_notice`` says that the person read the notice of adverse consequences and agrees in writing; without
    it the parts that need it fall away.
    """

    asker: Asker
    request_id: UUID
    operation: Operation
    parts: tuple[str, ...] | None = None
    heightened_notice: bool = False


@dataclass(frozen=True, slots=True)
class ConsentGranted:
    """The consent in force. ``digest`` is the SHA-256 of the signed terms, in hexadecimal."""

    consent_id: UUID
    organisation_id: str
    parts: tuple[str, ...]
    effective_from: datetime
    expires_at: datetime
    max_uses: int
    digest: str


async def grant_consent(desk: ConsentDesk, grant: ConsentGrant) -> tuple[ConsentGranted, Receipt]:
    """An adult's yes for himself: sign the terms, put them in force, record it.

    Raises REQUEST_NOT_OPEN, PARTS_NOT_ASKED and other refusals; NOT_AN_ADULT for a minor, who agrees together with a
    guardian (hub/flows/consent/agree_for_minor.py).
    """
    now, ev = desk.clock(), uuid7()
    async with desk.change() as conn:
        request = await store.lock_request(conn, grant.asker, grant.request_id, now)
        granted = await put_in_force(desk, conn, grant, request, now, ev)
    return granted, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def put_in_force(
    desk: ConsentDesk, conn: asyncpg.Connection, grant: ConsentGrant, request: OpenRequest, now: datetime, ev: UUID
) -> ConsentGranted:
    """What :func:`grant_consent` does within its transaction, for a request that it locked."""
    terms = make_terms(
        uuid7(),
        request,
        Choice(request.parts if grant.parts is None else grant.parts, grant.heightened_notice),
        evidence=Evidence(grant.asker.client_id, grant.asker.token_id),
        cap=await store.cap_of(conn, request.purpose) or Cap(0, 0),
        now=now,
    )
    await store.grant(conn, grant.asker, grant.request_id, sign_terms(desk.keys, terms), now, ev)
    await append(
        conn,
        PendingEntry(
            ev=ev,
            kind=Kind.CONSENT,
            event="consent:resident:granted",
            organisation="",
            actor=grant.asker.actor,
            decision=Decision.ALLOW,
            policy=POLICY,
            purpose=request.purpose.value,
            operation=operation_hash(grant.operation.document),
            county=request.county,
            subjects=(request.person_id,),
            facts={
                "consent": terms["consentId"],
                **client_facts(grant.asker, "RESIDENT"),
                "persons": {str(request.person_id): granted_facts(request, terms)},
            },
            sealed=seal_request(desk.keys, ev, grant.operation.document, grant.operation.variables),
        ),
    )
    return granted_of(request, terms)


def granted_facts(request: OpenRequest, terms: dict[str, Any]) -> dict[str, Any]:
    """What the log keeps of a consent for the person whom it is about."""
    return {
        "basis": terms["consentId"],
        "recipient": request.organisation_id,
        "categories": terms["parts"],
        "evidence": terms["evidenceLevel"],
        "grantedAt": terms["signedAt"],
        "expiresAt": terms["expiresAt"],
        "uses": terms["maxUses"],
        "text": digest(terms),
    }


def granted_of(request: OpenRequest, terms: dict[str, Any]) -> ConsentGranted:
    """What is told of terms that were put in force."""
    return ConsentGranted(
        UUID(terms["consentId"]),
        request.organisation_id,
        tuple(terms["parts"]),
        datetime.fromisoformat(terms["effectiveFrom"]),
        datetime.fromisoformat(terms["expiresAt"]),
        request.max_uses,
        digest(terms),
    )
