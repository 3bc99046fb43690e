"""Doubtful withdrawals from the field, in the database: who looks at them, and how they are settled.

Each call runs in the caller's transaction. A refusal of the database comes back as a :class:`HubError`.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg

from hub.consent.captures import REFUSALS, OwnIndexes
from hub.core.disclosure import Asker
from hub.store.refusals import refusing


class Settlement(StrEnum):
    """How a flagged withdrawal was settled."""

    PERSON_FOUND = "PERSON_FOUND"  # it was this person's: what he gave ended when it was settled
    NOBODY_FITS = "NOBODY_FITS"
    IN_ORDER = "IN_ORDER"  # the number named its person; it took effect when it came


@dataclass(frozen=True, slots=True)
class ListedWithdrawal:
    """A flagged withdrawal in the list: nobody's name. ``names_somebody``: its number is known, so it took effect."""

    capture_id: UUID
    county: str
    device_id: str
    counter: int
    device_time: datetime
    received_at: datetime
    organisation_id: str | None
    purpose: str | None
    flags: tuple[str, ...]
    names_somebody: bool


@dataclass(frozen=True, slots=True)
class OpenWithdrawal:
    """A flagged withdrawal for the steward who settles it, locked; its batch is still sealed."""

    capture_id: UUID
    county: str
    batch_id: UUID
    sealed: bytes
    place: int
    jwk: dict[str, Any]
    slip_hash: bytes
    flags: tuple[str, ...]
    cause: str | None
    person_id: UUID | None


@dataclass(frozen=True, slots=True)
class SettledWithdrawal:
    """``person_id``: whose it was after all; ``ended`` are the consents that ended, as the log writes them."""

    cause: Settlement
    person_id: UUID | None
    county: str
    ended: list[dict[str, str]]


async def listed(conn: asyncpg.Connection, asker: Asker, after: UUID | None, limit: int) -> list[ListedWithdrawal]:
    """Flagged withdrawals of the steward's counties that wait, oldest first, at most 101; empty for anybody else."""
    rows = await conn.fetch(
        "SELECT * FROM consent.withdrawals($1, $2, $3, $4)", asker.client_id, asker.token_id, after, limit
    )
    return [ListedWithdrawal(**dict(row) | {"flags": tuple(row["flags"])}) for row in rows]


async def open_withdrawal(conn: asyncpg.Connection, asker: Asker, capture_id: UUID, own: OwnIndexes) -> OpenWithdrawal:
    """A flagged withdrawal, locked. Raises CAPTURE_UNKNOWN or REVIEWER_CONCERNED."""
    with refusing(REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM consent.open_withdrawal($1, $2, $3, $4)",
            asker.client_id,
            asker.token_id,
            capture_id,
            own.holder,
        )
    return OpenWithdrawal(**dict(row) | {"jwk": json.loads(row["jwk"]), "flags": tuple(row["flags"])})


async def settle(
    conn: asyncpg.Connection,
    asker: Asker,
    capture_id: UUID,
    own: OwnIndexes,
    found: dict[str, list[str]] | None,
    now: datetime,
) -> SettledWithdrawal:
    """Settle it for somebody by his blind indexes, or as it is (``None``).

    Raises CAPTURE_CLOSED if it is settled, PERSON_UNKNOWN if nobody fits, and as :func:`open_withdrawal`.
    """
    with refusing(REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM consent.settle_withdrawal($1, $2, $3, $4, $5, $6)",
            asker.client_id,
            asker.token_id,
            capture_id,
            own.holder,
            None if found is None else json.dumps(found),
            now,
        )
    return SettledWithdrawal(Settlement(row["cause"]), row["person_id"], row["county"], json.loads(row["ended"]))
