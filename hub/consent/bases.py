"""Bases other than consent: declared with a reference, approved or reviewed by a second person where the kind says so.

The kinds are rows of ``consent.basis_kind`` (docs/CONSENT.md has the table); all rules are decided by the database.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg

from hub.consent.store import CHECK_OFFICER, OFFICER_UNKNOWN
from hub.core.disclosure import Asker
from hub.core.errors import HubError, InputError, RefusedError
from hub.store.refusals import refusing

_REFUSALS: dict[str, HubError] = {
    "HB103": InputError("A part was asked for that is never open on such a basis.", code="PART_NOT_OPEN"),
    "HB120": RefusedError("This asker may not declare a basis of this kind.", code="BASIS_REFUSED"),
    "HB121": InputError("The reference has not the form that this kind of basis needs.", code="BASIS_REFERENCE"),
    "HB122": RefusedError("There is no such live loan of this organisation to this person.", code="NO_LIVE_LOAN"),
    "HB123": RefusedError("A basis of this kind is in force already.", remedy="End it first.", code="BASIS_STANDS"),
    "HB124": RefusedError("There is no such basis for this asker to decide on.", code="BASIS_UNKNOWN"),
    "HB175": OFFICER_UNKNOWN,
}


class BasisKind(StrEnum):
    """Kinds that are declared; a consent is given, never declared."""

    POST_LOAN = "POST_LOAN"
    SUPERVISION = "SUPERVISION"
    JUDICIAL = "JUDICIAL"
    OBJECTION = "OBJECTION"
    EMERGENCY = "EMERGENCY"


@dataclass(frozen=True, slots=True)
class DeclaredBasis:
    """What the database says of a declaration; ``person_id`` (whoever the number and name fit) is for the log alone."""

    organisation_id: str
    role: str
    purpose: str
    status: str
    expires_at: datetime
    person_id: UUID | None
    county: str | None


@dataclass(frozen=True, slots=True)
class DecidedBasis:
    """How a basis stands after a decision."""

    role: str
    kind: str
    purpose: str
    status: str
    person_id: UUID
    county: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ListedBasis:
    """A basis as its administrators see it: without the person. ``review_late``: nobody looked at it in time."""

    basis_id: UUID
    kind: str
    organisation_id: str
    purpose: str
    reference: str
    status: str
    declared_by: str
    declared_at: datetime
    decided_by: str | None
    reviewed_by: str | None
    expires_at: datetime
    review_late: bool


@dataclass(frozen=True, slots=True)
class DueBasis:
    """What falls due of a basis: ``told`` (its person is told) or ``unreviewed``."""

    ev: UUID
    what: str
    basis_id: UUID
    kind: str
    organisation_id: str
    purpose: str
    reference: str
    person_id: UUID
    county: str


async def declare(
    conn: asyncpg.Connection,
    asker: Asker,
    *,
    basis_id: UUID,
    kind: BasisKind,
    reference: str,
    identity_indexes: list[bytes],
    name_indexes: list[bytes],
    parts: tuple[str, ...],
    now: datetime,
) -> DeclaredBasis:
    """Declare a basis about one person.

    Raises BASIS_REFUSED, BASIS_REFERENCE, PART_NOT_OPEN, NO_LIVE_LOAN or BASIS_STANDS.
    """
    with refusing(_REFUSALS):
        await conn.execute(CHECK_OFFICER, asker.client_id, asker.actor)
        row = await conn.fetchrow(
            "SELECT * FROM consent.declare_basis($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            basis_id,
            asker.client_id,
            asker.token_id,
            kind.value,
            reference,
            identity_indexes,
            name_indexes,
            list(parts),
            now,
        )
    return DeclaredBasis(**dict(row))


async def decide(conn: asyncpg.Connection, asker: Asker, basis_id: UUID, yes: bool, now: datetime) -> DecidedBasis:
    """A second person approves, declines or reviews. Raises BASIS_UNKNOWN, for his own declaration too."""
    with refusing(_REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM consent.decide_basis($1, $2, $3, $4, $5)",
            asker.client_id,
            asker.token_id,
            basis_id,
            yes,
            now,
        )
    return DecidedBasis(**dict(row))


async def end(conn: asyncpg.Connection, asker: Asker, basis_id: UUID, now: datetime) -> DecidedBasis:
    """End a basis that this asker declared, or another system of the same organisation. Raises BASIS_UNKNOWN."""
    with refusing(_REFUSALS):
        await conn.execute(CHECK_OFFICER, asker.client_id, asker.actor)
        row = await conn.fetchrow(
            "SELECT * FROM consent.end_basis($1, $2, $3, $4)", asker.client_id, asker.token_id, basis_id, now
        )
    return DecidedBasis(**dict(row))


async def listed(conn: asyncpg.Connection, now: datetime, *, open_only: bool) -> list[ListedBasis]:
    """Declared bases, newest first, at most 500."""
    return [ListedBasis(**dict(row)) for row in await conn.fetch("SELECT * FROM consent.bases($1, $2)", open_only, now)]


async def due(conn: asyncpg.Connection, now: datetime) -> list[DueBasis]:
    """What falls due now, each once. ``conn`` is a connection as hub_ingest, in a transaction."""
    return [DueBasis(**dict(row)) for row in await conn.fetch("SELECT * FROM consent.bases_due($1)", now)]
