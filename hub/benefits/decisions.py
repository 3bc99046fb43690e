"""Decisions about people, and their reviews, as the database's functions give them."""

import json
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg

from hub.core.disclosure import Asker
from hub.core.errors import HubError, RefusedError
from hub.store.refusals import refusing

_REFUSALS: dict[str, HubError] = {
    "HB200": RefusedError("This account may not do that.", code="NOT_ALLOWED"),
    "HB201": RefusedError("There is no such decision that is a no.", code="DECISION_UNKNOWN"),
    "HB202": RefusedError("The decision is under review, or was reviewed.", code="REVIEW_STANDS"),
    "HB203": RefusedError("There is no such review for this account to decide.", code="ELIGIBILITY_REVIEW_UNKNOWN"),
}


class ReviewGround(StrEnum):
    """Why a review ended as it did: the first two uphold a no, the others overturn it."""

    RECORD_CONFIRMED = "RECORD_CONFIRMED"
    RULE_APPLIED = "RULE_APPLIED"
    RECORD_WRONG = "RECORD_WRONG"
    RECORD_OUTDATED = "RECORD_OUTDATED"
    HARDSHIP = "HARDSHIP"

    @property
    def overturns(self) -> bool:
        """Whether it turns the no into a yes."""
        return self not in (ReviewGround.RECORD_CONFIRMED, ReviewGround.RULE_APPLIED)


@dataclass(frozen=True, slots=True)
class OwnDecision:
    """A decision as its person sees it. ``outcomes``: code of each comparison -> met, not met, not shown (``None``).

    ``answer`` is what was worked out; what counts is YES where it was ``overturned``. ``ground``: of a review's end.
    """

    decision_id: UUID
    county: str
    person_id: UUID
    organisation_id: str
    name_zh: str
    name_en: str
    programme_id: str
    version: int
    terms: dict[str, Any]
    period: str
    answer: str
    overturned: bool
    outcomes: dict[str, bool | None]
    decided_at: datetime
    review_id: UUID | None
    review_state: str | None
    review_due: date | None
    ground: str | None


@dataclass(frozen=True, slots=True)
class OpenReview:
    """A review that waits, as stewards see it. ``person_id`` is shown as the reader's own pseudonym only."""

    review_id: UUID
    county: str
    person_id: UUID
    organisation_id: str
    programme_id: str
    version: int
    terms: dict[str, Any]
    period: str
    outcomes: dict[str, bool | None]
    asked_at: datetime
    due_on: date


@dataclass(frozen=True, slots=True)
class Requested:
    """A review that was asked for; it is decided by ``due_on``."""

    person_id: UUID
    county: str
    organisation_id: str
    programme_id: str
    due_on: date


@dataclass(frozen=True, slots=True)
class Decided:
    """How a review ended. ``state``: UPHELD or OVERTURNED."""

    person_id: UUID
    county: str
    organisation_id: str
    programme_id: str
    decision_id: UUID
    state: str


async def own_decisions(
    conn: asyncpg.Connection, asker: Asker, now: datetime, decision_id: UUID | None = None
) -> list[OwnDecision]:
    """The decisions about the person behind the account, newest first, at most 500. Raises NOT_ALLOWED."""
    with refusing(_REFUSALS):
        rows = await conn.fetch(
            "SELECT * FROM benefit.own_decisions($1, $2, $3, $4)", asker.client_id, asker.token_id, now, decision_id
        )
    return [OwnDecision(**_parsed(row)) for row in rows]


async def request_review(
    conn: asyncpg.Connection, asker: Asker, decision_id: UUID, review_id: UUID, now: datetime
) -> Requested:
    """Ask for a review of an own no. Raises NOT_ALLOWED, DECISION_UNKNOWN, REVIEW_STANDS."""
    with refusing(_REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM benefit.request_review($1, $2, $3, $4, $5)",
            asker.client_id,
            asker.token_id,
            decision_id,
            review_id,
            now,
        )
    return Requested(**dict(row))


async def open_reviews(
    conn: asyncpg.Connection, asker: Asker, own: list[bytes], after: UUID | None, limit: int
) -> list[OpenReview]:
    """Reviews that wait in the steward's counties, oldest first, without his own household's; ``own`` are the keyed
    hashes of his own number. Raises NOT_ALLOWED.
    """
    with refusing(_REFUSALS):
        rows = await conn.fetch(
            "SELECT * FROM benefit.open_reviews($1, $2, $3, $4, $5)", asker.client_id, asker.token_id, own, after, limit
        )
    return [OpenReview(**_parsed(row)) for row in rows]


async def decide_review(
    conn: asyncpg.Connection, asker: Asker, review_id: UUID, ground: ReviewGround, own: list[bytes], now: datetime
) -> Decided:
    """Decide a review; ``own`` are the keyed hashes of the steward's own number.

    Raises NOT_ALLOWED, ELIGIBILITY_REVIEW_UNKNOWN.
    """
    with refusing(_REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM benefit.decide_review($1, $2, $3, $4, $5, $6, $7)",
            asker.client_id,
            asker.token_id,
            review_id,
            ground.overturns,
            ground.value,
            own,
            now,
        )
    return Decided(**dict(row))


def _parsed(row: asyncpg.Record) -> dict[str, Any]:
    return dict(row) | {"terms": json.loads(row["terms"]), "outcomes": json.loads(row["outcomes"])}
