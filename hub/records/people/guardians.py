"""Guardianship as it is recorded: registered by one data steward, approved by another, ended with a cause.

What follows from the roster (the head of a household is a parent of the own children in it) is not stored but read from
it; only that it was ended is. Whether somebody is guardian at a moment is for ``record.guardians_of`` to say.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

import asyncpg

from hub.core.errors import HubError, InputError, RefusedError
from hub.store.refusals import refusing


class Ground(StrEnum):
    """Why somebody is guardian of a minor (民法典)."""

    PARENT = "PARENT"  # art. 27(1)
    RELATIVE = "RELATIVE"  # art. 27(2)
    WILL = "WILL"  # art. 29
    AGREEMENT = "AGREEMENT"  # art. 30
    APPOINTED = "APPOINTED"  # art. 31, 36: by court, civil affairs or village committee


class EndCause(StrEnum):
    """Why a steward ends a guardianship."""

    COURT_ORDER = "COURT_ORDER"
    DOCUMENT_ENDED = "DOCUMENT_ENDED"
    REGISTERED_WRONGLY = "REGISTERED_WRONGLY"


@dataclass(frozen=True, slots=True)
class Sought:
    """Blind indexes of a number and a name, under every key that is held."""

    identity: list[bytes]
    name: list[bytes]


@dataclass(frozen=True, slots=True)
class ActingSteward:
    """Who acts: the account, and the blind indexes of the holder's own number, by which the database tells whether he
    is concerned himself. None of an operator, or of an account of the sandbox.
    """

    account: str
    own: list[bytes]


@dataclass(frozen=True, slots=True)
class Registration:
    """A guardianship as its document says. ``to_day``: the first day on which it holds no more."""

    ward: Sought
    guardian: Sought
    ground: Ground
    document: str
    document_hash: bytes
    from_day: date
    to_day: date | None

    def check(self) -> None:
        """Raise :class:`InputError` for a document without number, or days in the wrong order."""
        if not 3 <= len(self.document) <= 64 or not self.document.isprintable() or self.document.strip() == "":
            raise InputError("the document needs a number of 3 to 64 characters.", code="DOCUMENT_MISSING")
        if self.to_day is not None and self.to_day <= self.from_day:
            raise InputError("a guardianship ends after the day on which it begins.", code="DAYS_ORDER")


@dataclass(frozen=True, slots=True)
class Two:
    """Whom a guardianship concerns; ``state`` and ``source`` where they are told."""

    ward_id: UUID
    guardian_id: UUID
    county: str
    state: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class ListedGuardianship:
    """A guardianship as those who administer it see it: nobody is named."""

    guardianship_id: UUID
    county: str
    ground: str
    source: str
    document: str | None
    from_day: date
    to_day: date | None
    state: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    ended_by: str | None
    ended_at: datetime | None
    cause: str | None


_REFUSALS: dict[str, HubError] = {
    "HB180": RefusedError("there is no such guardianship, ward or guardian of yours.", code="GUARDIANSHIP_UNKNOWN"),
    "HB181": RefusedError("a ward is under 18, and a guardian is not.", code="GUARDIANSHIP_AGE"),
    "HB182": RefusedError(
        "there is a guardianship of these two already, or one that waits.",
        remedy="`hub guardian list` shows it.",
        code="GUARDIANSHIP_EXISTS",
    ),
    "HB183": RefusedError(
        "there is nothing here for you to decide.",
        remedy="A data steward other than the one who registered it decides, and never one of these people's family.",
        code="GUARDIANSHIP_NOT_YOURS",
    ),
    "23505": RefusedError("it was ended already.", code="GUARDIANSHIP_UNKNOWN"),
}


def _counties(counties: frozenset[str] | None) -> list[str] | None:
    return None if counties is None else sorted(counties)


async def propose(
    conn: asyncpg.Connection,
    guardianship_id: UUID,
    registration: Registration,
    counties: frozenset[str] | None,
    steward: ActingSteward,
    now: datetime,
) -> Two:
    """Store a guardianship that waits for approval. Raises GUARDIANSHIP_UNKNOWN, _AGE, _EXISTS, _NOT_YOURS."""
    with refusing(_REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM record.propose_guardianship($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            guardianship_id,
            registration.ward.identity,
            registration.ward.name,
            registration.guardian.identity,
            registration.guardian.name,
            _counties(counties),
            registration.ground.value,
            registration.document,
            registration.document_hash,
            registration.from_day,
            registration.to_day,
            steward.account,
            steward.own,
            now,
        )
    return Two(**dict(row))


async def decide(
    conn: asyncpg.Connection,
    guardianship_id: UUID,
    yes: bool,
    counties: frozenset[str] | None,
    steward: ActingSteward,
    now: datetime,
) -> Two:
    """Approve or decline. Raises GUARDIANSHIP_NOT_YOURS."""
    with refusing(_REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM record.decide_guardianship($1, $2, $3, $4, $5, $6)",
            guardianship_id,
            yes,
            _counties(counties),
            steward.account,
            steward.own,
            now,
        )
    return Two(**dict(row))


async def end(
    conn: asyncpg.Connection,
    guardianship_id: UUID,
    pair: tuple[Sought, Sought] | None,
    counties: frozenset[str] | None,
    cause: EndCause,
    steward: ActingSteward,
    now: datetime,
) -> Two:
    """End a registered guardianship by its id, or under a new id what would follow from the roster for ``pair``.

    The consents that rested on it alone end in the same transaction. Raises GUARDIANSHIP_UNKNOWN, _NOT_YOURS.
    """
    ward, guardian = pair or (None, None)
    with refusing(_REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM record.end_guardianship($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            guardianship_id,
            None if ward is None else ward.identity,
            None if ward is None else ward.name,
            None if guardian is None else guardian.identity,
            None if guardian is None else guardian.name,
            _counties(counties),
            cause.value,
            steward.account,
            steward.own,
            now,
        )
    return Two(row["ward_id"], row["guardian_id"], row["county"], "ENDED", row["source"])


async def listed(
    conn: asyncpg.Connection, counties: frozenset[str] | None, *, open_only: bool
) -> list[ListedGuardianship]:
    """Guardianships that were registered or ended, newest first."""
    rows = await conn.fetch("SELECT * FROM record.guardianships($1, $2)", open_only, _counties(counties))
    return [ListedGuardianship(**dict(row)) for row in rows]
