"""Consents in the database. All of it goes through functions that the application may execute and nothing else.

Each call runs in the caller's transaction. A refusal of the database comes back as a :class:`HubError` with a stable
code; none of them tells whether a person exists to somebody who is not that person.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from hub.consent.minors import Party, side_of
from hub.consent.receipt import PastStep
from hub.consent.record import SignedTerms
from hub.consent.states import RevocationCause, Verb
from hub.consent.terms import Cap, Choice, OpenRequest
from hub.core.disclosure import Asker
from hub.core.errors import HubError, InputError, RefusedError
from hub.core.names import Purpose
from hub.store.refusals import refusing

OFFICER_UNKNOWN = RefusedError("The officer is not in the register of his organisation.", code="OFFICER_UNKNOWN")
CHECK_OFFICER = "SELECT access.check_officer($1, $2)"
"""Asked before an act that names an officer: refused with HB175 where he is not in the register."""

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
        "Only a living adult can decide about consent alone, for himself or as guardian of a ward.", code="NOT_AN_ADULT"
    ),
    "HB105": RefusedError("There is no such request waiting for an answer of yours.", code="REQUEST_NOT_OPEN"),
    "HB106": InputError("The terms differ from what was asked for.", code="CONSENT_TERMS"),
    "HB107": RefusedError("There is no such consent of yours in force.", code="CONSENT_NOT_IN_FORCE"),
    "HB108": InputError("More days or queries than the purpose allows.", remedy="Ask for less.", code="CONSENT_CAP"),
    "HB109": RefusedError(
        "The proof that the person agreed is too weak for this purpose.",
        remedy="See the levels of evidence in docs/CONSENT.md.",
        code="EVIDENCE_TOO_LOW",
    ),
    "HB175": OFFICER_UNKNOWN,
    "HB196": InputError(
        "Your organisation has no such programme that may be asked for today.",
        remedy="Name an approved programme by its id; see docs/BENEFITS.md.",
        code="PROGRAMME_UNKNOWN",
    ),
    "HB197": InputError(
        "A benefit provider asks for consent for one programme.",
        remedy="Name the programme by its id.",
        code="PROGRAMME_MISSING",
    ),
    "HB184": RefusedError("Nothing of a minor is ever open to this organisation for this.", code="NEVER_FOR_MINORS"),
    "HB185": RefusedError("You have agreed to this already.", code="AGREED_ALREADY"),
    "HB186": InputError(
        "Data of a child under 14 need the guardian's separate yes to the notice about children.",
        remedy="Read the notice of the request and accept it.",
        code="CHILD_NOTICE_MISSING",
    ),
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
    """Whom a refusal or withdrawal concerned; ``party``: as what the one who decided did so."""

    organisation_id: str
    purpose: str
    person_id: UUID
    county: str
    party: str = Party.SELF


@dataclass(frozen=True, slots=True)
class HeldConsent:
    """A consent of a person with its present state: IN_FORCE, or what it lacks.

    That is a state of hub/consent/states.py, or NOT_YET, USED_UP, UNFIT (the recipient or purpose is closed, or the
    evidence is not enough), or UNAGREED (about a minor: an agreement that it needs is missing or counts no more).
    ``programme``: the version of a benefit programme that it is for (``id@version``).
    """

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
    evidence_level: int
    programme: str | None


@dataclass(frozen=True, slots=True)
class Lapsed:
    """A consent or request that time ended, with the event under which that is recorded."""

    ev: UUID
    consent_id: UUID
    organisation_id: str
    purpose: str
    person_id: UUID | None
    county: str | None


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
    programme: str | None,
) -> Asked:
    """Store a request for consent; ``programme``: ``id`` or ``id@version``.

    Raises ASKER_REFUSED, PURPOSE_NOT_REGISTERED, PART_NOT_OPEN, PROGRAMME_UNKNOWN or PROGRAMME_MISSING.
    """
    with refusing(_REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM consent.ask($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
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
            programme,
        )
    return Asked(**dict(row))


async def cap_of(conn: asyncpg.Connection, purpose: Purpose) -> Cap | None:
    """The most that a consent for a purpose may allow now; ``None`` where nobody can be asked for it."""
    row = await conn.fetchrow("SELECT * FROM consent.cap_of($1)", purpose.value)
    return None if row is None else Cap(**dict(row))


async def requests_of(
    conn: asyncpg.Connection, asker: Asker, now: datetime, ward: UUID | None = None
) -> list[OpenRequest]:
    """All requests that fit the person behind the account, or a ward of his, newest first. Raises NOT_AN_ADULT."""
    with refusing(_REFUSALS):
        rows = await conn.fetch(
            "SELECT * FROM consent.requests_of($1, $2, $3, NULL, $4)", asker.client_id, asker.token_id, now, ward
        )
    return [_open_request(row, now) for row in rows]


async def lock_request(
    conn: asyncpg.Connection, asker: Asker, request_id: UUID, now: datetime, ward: UUID | None = None
) -> OpenRequest:
    """One request of the person behind the account, or of a ward, locked until the transaction ends.

    Raises REQUEST_NOT_OPEN; a request about a minor may also be one that was granted, for a further agreement.
    """
    with refusing(_REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM consent.requests_of($1, $2, $3, $4, $5)",
            asker.client_id,
            asker.token_id,
            now,
            request_id,
            ward,
        )
    if row is not None:
        is_open = row["state"] == "REQUESTED" and row["expires_at"] > now
        if is_open or (row["state"] == "GIVEN" and row["party"] != Party.SELF):
            return _open_request(row, now)
    raise _REFUSALS["HB105"].__class__(_REFUSALS["HB105"].message, code="REQUEST_NOT_OPEN")


def _open_request(row: asyncpg.Record, now: datetime) -> OpenRequest:
    facts = dict(row)
    minor = side_of(facts, now)
    return OpenRequest(**facts | shown_of(row) | {"minor": minor})


def shown_of(row: asyncpg.Record) -> dict[str, Any]:
    """What of a request's row stands otherwise in :class:`OpenRequest`."""
    programme = None if row["programme"] is None else json.loads(row["programme"])
    return {"purpose": Purpose(row["purpose"]), "parts": tuple(row["parts"]), "programme": programme}


async def grant(
    conn: asyncpg.Connection, asker: Asker, request_id: UUID, record: SignedTerms, now: datetime, ev: UUID
) -> UUID:
    """Put signed terms in force; an earlier consent for the same organisation and purpose is superseded."""
    with refusing(_REFUSALS):
        consent_id: UUID = await conn.fetchval(
            "SELECT consent.grant_request($1, $2, $3, $4, $5, $6, $7, $8)",
            asker.client_id,
            asker.token_id,
            request_id,
            record.terms,
            record.signature,
            now,
            ev,
            record.protected,
        )
    return consent_id


async def agree(
    conn: asyncpg.Connection,
    asker: Asker,
    request: OpenRequest,
    choice: Choice,
    statement: SignedTerms,
    terms: SignedTerms | None,
    now: datetime,
    ev: UUID,
) -> UUID | None:
    """Store a yes about a minor; with ``terms``, the last one needed, they are put in force. Gives the consent, if any.

    Raises AGREED_ALREADY, NEVER_FOR_MINORS, CHILD_NOTICE_MISSING, REQUEST_NOT_OPEN, CONSENT_TERMS.
    """
    with refusing(_REFUSALS):
        consent_id: UUID | None = await conn.fetchval(
            "SELECT consent.agree_for_minor($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            asker.client_id,
            asker.token_id,
            request.request_id,
            request.person_id,
            list(choice.parts),
            choice.heightened_notice,
            statement.terms,
            statement.signature,
            statement.protected,
            None if terms is None else terms.terms,
            None if terms is None else terms.signature,
            None if terms is None else terms.protected,
            now,
            ev,
        )
    return consent_id


async def refuse(
    conn: asyncpg.Connection, asker: Asker, request_id: UUID, now: datetime, ev: UUID, ward: UUID | None = None
) -> Ended:
    """Say no to a request. Raises REQUEST_NOT_OPEN."""
    with refusing(_REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM consent.refuse_request($1, $2, $3, $4, $5, $6)",
            asker.client_id,
            asker.token_id,
            request_id,
            now,
            ev,
            ward,
        )
    return Ended(**dict(row))


async def change(
    conn: asyncpg.Connection, asker: Asker, consent_id: UUID, verb: Verb, now: datetime, ev: UUID
) -> Ended:
    """A step of the person himself: suspend, resume, withdraw. Waits for readers that rest on the consent just now.

    Raises CONSENT_NOT_IN_FORCE where it is not his or there is no such step, CHANGED_MEANWHILE where another counts.
    """
    with refusing(_REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM consent.change($1, $2, $3, $4, $5, $6)",
            asker.client_id,
            asker.token_id,
            consent_id,
            verb.value,
            now,
            ev,
        )
    return Ended(**dict(row))


async def revoke(
    conn: asyncpg.Connection, asker: Asker, consent_id: UUID, cause: RevocationCause, now: datetime, ev: UUID
) -> tuple[Ended, str]:
    """End a consent with cause; gives also the role that did it. Raises CONSENT_NOT_IN_FORCE."""
    with refusing(_REFUSALS):
        await conn.execute(CHECK_OFFICER, asker.client_id, asker.actor)
        row = await conn.fetchrow(
            "SELECT * FROM consent.revoke($1, $2, $3, $4, $5, $6)",
            asker.client_id,
            asker.token_id,
            consent_id,
            cause.value,
            now,
            ev,
        )
    facts = dict(row)
    role = facts.pop("by_role")
    return Ended(**facts), role


async def record_of(
    conn: asyncpg.Connection, asker: Asker, consent_id: UUID, now: datetime
) -> tuple[SignedTerms, str, list[PastStep], UUID, str]:
    """The stored record of the person's own consent, how it stands, its steps, and whose it is.

    Raises CONSENT_NOT_IN_FORCE where it is not his.
    """
    rows = await conn.fetch(
        "SELECT * FROM consent.record_of($1, $2, $3, $4)", asker.client_id, asker.token_id, consent_id, now
    )
    if not rows:
        raise _REFUSALS["HB107"].__class__(_REFUSALS["HB107"].message, code="CONSENT_NOT_IN_FORCE")
    first = rows[0]
    steps = [PastStep(row["verb"], row["at"], row["cause"]) for row in rows]
    terms = SignedTerms(first["terms"], first["signature"], first["protected"])
    return terms, first["standing"], steps, first["person_id"], first["county"]


async def deliveries_of(
    conn: asyncpg.Connection, asker: Asker, after: tuple[str, UUID], limit: int
) -> list[tuple[str, UUID, str]]:
    """What the asker's organisation was told after a place: (transaction, id, text). Raises ASKER_REFUSED."""
    with refusing(_REFUSALS):
        rows = await conn.fetch(
            "SELECT * FROM consent.deliveries_of($1, $2, $3, $4, $5)", asker.client_id, asker.token_id, *after, limit
        )
    return [tuple(row) for row in rows]


async def expire_due(conn: asyncpg.Connection, now: datetime, limit: int) -> list[Lapsed]:
    """Write down what time ended, at most ``limit`` of each kind. ``conn`` is a connection as hub_ingest."""
    return [Lapsed(**dict(row)) for row in await conn.fetch("SELECT * FROM consent.expire_due($1, $2)", now, limit)]


async def consents_of(
    conn: asyncpg.Connection, asker: Asker, now: datetime, ward: UUID | None = None
) -> list[HeldConsent]:
    """The person's own consents, or those about a ward, newest first."""
    rows = await conn.fetch(
        "SELECT * FROM consent.consents_of($1, $2, $3, $4)", asker.client_id, asker.token_id, now, ward
    )
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
