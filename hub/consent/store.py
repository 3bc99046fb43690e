"""Consents in the database. All of it goes through functions that the application may execute and nothing else.

Each call runs in the caller's transaction. A refusal of the database comes back as a :class:`HubError` with a stable
code; none of them tells whether a person exists to somebody who is not that person.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from hub.consent.record import SignedTerms
from hub.consent.terms import Cap, OpenRequest
from hub.core.disclosure import Asker
from hub.core.errors import HubError, InputError, RefusedError
from hub.core.names import Purpose

_REFUSALS: dict[str, HubError] = {
    "HB101": RefusedError(
        "This system may not ask for consent.", remedy="Ask the hub's operator.", code="ASKER_REFUSED"
    ),
    "HB102": InputError("This system is not registered for that purpose.", code="PURPOSE_NOT_REGISTERED"),
    "HB103": InputError(
        "A part was asked for that is open to nobody in this role for this purpose.",
        remedy="See docs/ACCESS-MATRIX.csv.",
        code="PART_NOT_OPEN",
    ),
    "HB104": RefusedError(
        "Only a living adult can decide about consent, with an account of his own.", code="NOT_AN_ADULT"
    ),
    "HB105": RefusedError("There is no such request waiting for an answer of yours.", code="REQUEST_NOT_OPEN"),
    "HB106": InputError("The terms differ from what was asked for.", code="CONSENT_TERMS"),
    "HB107": RefusedError("There is no such consent of yours in force.", code="CONSENT_NOT_IN_FORCE"),
    "23505": RefusedError(
        "Another decision on this consent came first.", remedy="Look again.", code="CHANGED_MEANWHILE"
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the database says of an asker; ``found_id`` (whoever has the number) is for the audit log alone."""

    organisation_id: str
    role: str
    found_id: UUID | None


@dataclass(frozen=True, slots=True)
class Ended:
    """Whom a refusal or withdrawal concerned."""

    organisation_id: str
    purpose: str
    person_id: UUID
    county: str


@dataclass(frozen=True, slots=True)
class HeldConsent:
    """A consent of a person with its present state: IN_FORCE, EXPIRED, WITHDRAWN, SUPERSEDED, SUSPENDED or REVOKED."""

    consent_id: UUID
    organisation_id: str
    name_zh: str
    name_en: str
    purpose: Purpose
    parts: tuple[str, ...]
    heightened: bool
    effective_from: datetime
    expires_at: datetime
    max_uses: int | None
    uses: int
    status: str
    ended_at: datetime | None


@asynccontextmanager
async def _told() -> AsyncIterator[None]:
    try:
        yield
    except asyncpg.PostgresError as error:
        known = _REFUSALS.get(error.sqlstate or "")
        if known is None:
            raise
        raise type(known)(known.message, remedy=known.remedy, code=known.code) from None


async def ask(
    conn: asyncpg.Connection,
    asker: Asker,
    *,
    request_id: UUID,
    ev: UUID,
    purpose: Purpose,
    parts: tuple[str, ...],
    application_ref: str | None,
    cap: Cap,
    identity_indexes: list[bytes],
    name_indexes: list[bytes],
    now: datetime,
    answer_by: datetime,
) -> Asked:
    """Store a request for consent. Raises ASKER_REFUSED, PURPOSE_NOT_REGISTERED or PART_NOT_OPEN."""
    async with _told():
        row = await conn.fetchrow(
            "SELECT * FROM consent.ask($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            request_id,
            asker.client_id,
            asker.token_id,
            asker.actor,
            purpose.value,
            list(parts),
            application_ref,
            cap.days,
            cap.uses,
            identity_indexes,
            name_indexes,
            now,
            answer_by,
            ev,
        )
    return Asked(**dict(row))


async def requests_of(conn: asyncpg.Connection, asker: Asker, now: datetime) -> list[OpenRequest]:
    """All requests that fit the person behind the account, newest first. Raises NOT_AN_ADULT."""
    async with _told():
        rows = await conn.fetch("SELECT * FROM consent.requests_of($1, $2, $3)", asker.client_id, asker.token_id, now)
    return [_open_request(row) for row in rows]


async def lock_request(conn: asyncpg.Connection, asker: Asker, request_id: UUID, now: datetime) -> OpenRequest:
    """One request of the person behind the account, locked until the transaction ends. Raises REQUEST_NOT_OPEN."""
    async with _told():
        row = await conn.fetchrow(
            "SELECT * FROM consent.requests_of($1, $2, $3, $4)", asker.client_id, asker.token_id, now, request_id
        )
    if row is None or row["state"] != "REQUESTED" or row["expires_at"] <= now:
        raise _REFUSALS["HB105"].__class__(_REFUSALS["HB105"].message, code="REQUEST_NOT_OPEN")
    return _open_request(row)


def _open_request(row: asyncpg.Record) -> OpenRequest:
    return OpenRequest(**dict(row) | {"purpose": Purpose(row["purpose"]), "parts": tuple(row["parts"])})


async def grant(
    conn: asyncpg.Connection, asker: Asker, request_id: UUID, record: SignedTerms, now: datetime, ev: UUID
) -> UUID:
    """Put signed terms in force; an earlier consent for the same organisation and purpose is superseded."""
    async with _told():
        consent_id: UUID = await conn.fetchval(
            "SELECT consent.grant_request($1, $2, $3, $4, $5, $6, $7)",
            asker.client_id,
            asker.token_id,
            request_id,
            record.terms,
            record.signature,
            now,
            ev,
        )
    return consent_id


async def refuse(conn: asyncpg.Connection, asker: Asker, request_id: UUID, now: datetime, ev: UUID) -> Ended:
    """Say no to a request. Raises REQUEST_NOT_OPEN."""
    async with _told():
        row = await conn.fetchrow(
            "SELECT * FROM consent.refuse_request($1, $2, $3, $4, $5)",
            asker.client_id,
            asker.token_id,
            request_id,
            now,
            ev,
        )
    return Ended(**dict(row))


async def withdraw(conn: asyncpg.Connection, asker: Asker, consent_id: UUID, now: datetime, ev: UUID) -> Ended:
    """Take a consent back; waits for readers that rest on it at this moment. Raises CONSENT_NOT_IN_FORCE."""
    async with _told():
        row = await conn.fetchrow(
            "SELECT * FROM consent.withdraw($1, $2, $3, $4, $5)", asker.client_id, asker.token_id, consent_id, now, ev
        )
    return Ended(**dict(row))


async def consents_of(conn: asyncpg.Connection, asker: Asker, now: datetime) -> list[HeldConsent]:
    """The person's own consents, newest first."""
    rows = await conn.fetch("SELECT * FROM consent.consents_of($1, $2, $3)", asker.client_id, asker.token_id, now)
    return [
        HeldConsent(**dict(row) | {"purpose": Purpose(row["purpose"]), "parts": tuple(row["parts"])}) for row in rows
    ]


async def request_state(conn: asyncpg.Connection, asker: Asker, request_id: UUID, now: datetime) -> str:
    """How a request of the asker's own organisation stands: REQUESTED, GIVEN, REFUSED or EXPIRED.

    Raises REQUEST_UNKNOWN, which is also the answer for a request of another organisation.
    """
    state = await conn.fetchval(
        "SELECT state FROM consent.request_state($1, $2, $3, $4)", asker.client_id, asker.token_id, request_id, now
    )
    if state is None:
        raise RefusedError("There is no such request of your organisation.", code="REQUEST_UNKNOWN")
    return str(state)
