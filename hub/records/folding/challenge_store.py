"""Stored challenges: kept equal to what the folded records give cause for, listed, and closed by a steward."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from hub.core.clock import day_of
from hub.core.ids import uuid7
from hub.core.names import Attribute, ChallengeCause, ChallengeOutcome
from hub.records.folding.challenges import Found, Wanted
from hub.records.folding.precedence import precedence
from hub.store.keys import KeyService

MACHINE = "hub"
"""Who closes a challenge when the disagreement is gone."""

_SILENCING = (ChallengeOutcome.UPHELD.value, ChallengeOutcome.INCONCLUSIVE.value)
"""What a steward found so is not asked again while the row says the same."""

_INDEX = "challenge"

_COLUMNS = (
    "county",
    "challenge_id",
    "person_id",
    "household_id",
    "source",
    "source_key",
    "attribute",
    "version",
    "cause",
    "rule_version",
    "stated",
    "opened_at",
    "due_on",
)


class Folded(NamedTuple):
    """The challenges of one household's record."""

    household_id: UUID
    found: Found


class Changed(NamedTuple):
    """What changed: ids of the challenges opened, and of those closed by the machine."""

    opened: tuple[UUID, ...]
    closed: tuple[UUID, ...]


_Key = tuple[str, str, str]


async def sync_challenges(
    connection: asyncpg.Connection,
    keys: KeyService,
    folded: Sequence[Folded],
    households: Sequence[UUID],
    now: datetime,
) -> Changed:
    """Open what is wanted and not yet asked, close what is no longer; in the caller's transaction.

    ``households`` are all that were to be folded: of those that are no more, nobody is asked on.
    """
    wanted: dict[_Key, tuple[UUID, Wanted]] = {}
    people: set[UUID] = set()
    for one in folded:
        people |= one.found.people
        for each in one.found.wanted:
            wanted.setdefault((each.source, each.source_key, each.attribute.value), (one.household_id, each))
    held = await connection.fetch(
        """SELECT county, challenge_id, person_id, source, source_key, attribute, cause, stated, version, outcome
           FROM record.challenge
           WHERE (person_id = ANY($1) AND (closed_at IS NULL OR outcome = ANY($3)))
              OR (household_id = ANY($2) AND closed_at IS NULL)
           ORDER BY challenge_id""",
        list(people),
        list(households),
        list(_SILENCING),
    )
    repeated = {record["challenge_id"] for record in held if _repeats(keys, record, wanted)}
    ended = [r for r in held if r["outcome"] is None and r["challenge_id"] not in repeated]
    gone = await _gone(connection, [r for r in ended if r["person_id"] not in people])
    ended = [r for r in ended if r["person_id"] in people or r["person_id"] in gone]
    closed = await _close(connection, ended, now)
    asked = {_key(record) for record in held if record["challenge_id"] in repeated}
    opened = await _open(connection, keys, {key: wanted[key] for key in wanted if key not in asked}, now)
    return Changed(tuple(opened), tuple(closed))


def _key(record: asyncpg.Record) -> _Key:
    return record["source"], record["source_key"], record["attribute"]


def _repeats(keys: KeyService, record: asyncpg.Record, wanted: Mapping[_Key, tuple[UUID, Wanted]]) -> bool:
    """Whether a challenge that stands, or that a steward has answered, is what is wanted now."""
    found = wanted.get(_key(record))
    if found is None or found[1].cause != record["cause"]:
        return False
    return record["stated"] in keys.indexes(_INDEX, found[1].stated)


async def _gone(connection: asyncpg.Connection, ended: Sequence[asyncpg.Record]) -> set[UUID]:
    """Of people who left the record in which a challenge was found, those who belong to no household now."""
    if not ended:
        return set()
    records = await connection.fetch(
        "SELECT person_id FROM record.person WHERE person_id = ANY($1) AND household_id IS NULL",
        [record["person_id"] for record in ended],
    )
    return {record["person_id"] for record in records}


async def _close(connection: asyncpg.Connection, ended: Sequence[asyncpg.Record], now: datetime) -> list[UUID]:
    """CORRECTED where the row was sent anew or taken back, DISSOLVED where only others spoke."""
    if not ended:
        return []
    records = await connection.fetch(
        """UPDATE record.challenge c SET closed_at = $3, closed_by = $4, outcome =
               CASE WHEN c.attribute <> $5 AND EXISTS (
                   SELECT FROM ingest.held_row h WHERE h.source = c.source AND h.source_key = c.source_key
                     AND h.is_current AND h.version = c.version AND NOT h.tombstone)
               THEN 'DISSOLVED' ELSE 'CORRECTED' END
           FROM unnest($1::bpchar[], $2::uuid[]) AS e (county, challenge_id)
           WHERE c.county = e.county AND c.challenge_id = e.challenge_id AND c.closed_at IS NULL
           RETURNING c.challenge_id""",
        [record["county"] for record in ended],
        [record["challenge_id"] for record in ended],
        now,
        MACHINE,
        Attribute.MEMBERSHIP.value,  # stated by the roster alone: if it is gone, the roster has changed
    )
    return [record["challenge_id"] for record in records]


async def _open(
    connection: asyncpg.Connection, keys: KeyService, fresh: Mapping[_Key, tuple[UUID, Wanted]], now: datetime
) -> list[UUID]:
    if not fresh:
        return []
    due = day_of(now) + timedelta(days=precedence().answer_days)
    # The person's own county and household: of two households of his it must not matter which is folded first.
    people = await connection.fetch(
        "SELECT person_id, county, household_id FROM record.person WHERE person_id = ANY($1)",
        list({each.person_id for _, each in fresh.values()}),
    )
    home = {record["person_id"]: record for record in people}
    rows = [
        (
            home[each.person_id]["county"],
            uuid7(),
            each.person_id,
            home[each.person_id]["household_id"] or household_id,
            each.source,
            each.source_key,
            each.attribute.value,
            each.version,
            each.cause.value,
            each.rule,
            keys.index(_INDEX, each.stated),
            now,
            due,
        )
        for household_id, each in (fresh[key] for key in sorted(fresh))
    ]
    # Of a person in two households, one of two batches that are folded side by side comes second; in the order of keys
    # neither waits for the other in a circle.
    opened = await connection.fetch(
        f"""INSERT INTO record.challenge ({", ".join(_COLUMNS)})
            SELECT * FROM unnest($1::bpchar[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[],
                $8::text[], $9::text[], $10::int[], $11::bytea[], $12::timestamptz[], $13::date[])
            ON CONFLICT DO NOTHING RETURNING challenge_id""",
        *map(list, zip(*rows, strict=True)),
    )
    return [record["challenge_id"] for record in opened]


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge as people see it: what is asked about which row, never what any source says."""

    challenge_id: UUID
    county: str
    person_id: UUID
    source: str
    source_key: str
    attribute: Attribute
    version: str
    cause: ChallengeCause
    rule_version: int
    opened_at: datetime
    due_on: date
    outcome: ChallengeOutcome | None
    closed_at: datetime | None
    closed_by: str | None

    @property
    def status(self) -> str:
        """``OPEN`` or ``CLOSED``."""
        return "OPEN" if self.outcome is None else "CLOSED"


@dataclass(frozen=True, slots=True)
class ChallengeFilter:
    """Which challenges; ``None`` means all. ``status``: OPEN or CLOSED. ``counties``: only households there."""

    source: str | None = None
    status: str | None = None
    attribute: Attribute | None = None
    counties: tuple[str, ...] | None = None


_SHOWN = """
SELECT challenge_id, county, person_id, source, source_key, attribute, version, cause, rule_version, opened_at, due_on,
    outcome, closed_at, closed_by
FROM record.challenge
"""


async def list_challenges(
    connection: asyncpg.Connection, wanted: ChallengeFilter, first: int | None = None, after: UUID | None = None
) -> list[Challenge]:
    """Challenges in the order in which they were opened; their ids rise with time, so a page goes on after an id."""
    records = await connection.fetch(
        _SHOWN
        + """WHERE ($1::text IS NULL OR source = $1) AND ($2::text IS NULL OR (closed_at IS NULL) = ($2 = 'OPEN'))
             AND ($3::text IS NULL OR attribute = $3) AND ($4::text[] IS NULL OR county = ANY($4))
             AND ($5::uuid IS NULL OR challenge_id > $5)
             ORDER BY challenge_id LIMIT $6""",
        wanted.source,
        wanted.status,
        None if wanted.attribute is None else wanted.attribute.value,
        None if wanted.counties is None else list(wanted.counties),
        after,
        first,
    )
    return [_shown(record) for record in records]


async def close_challenge(
    connection: asyncpg.Connection, challenge_id: UUID, outcome: ChallengeOutcome, steward: str, now: datetime
) -> tuple[Challenge, bool] | None:
    """Close one by hand: the challenge, and whether it was open; ``None`` if there is none of this id.

    One that is closed stays as it is.
    """
    held = await connection.fetchrow(_SHOWN + "WHERE challenge_id = $1 FOR UPDATE", challenge_id)
    if held is None:
        return None
    if held["outcome"] is not None:
        return _shown(held), False
    await connection.execute(
        """UPDATE record.challenge SET outcome = $3, closed_at = $4, closed_by = $5
           WHERE county = $1 AND challenge_id = $2""",
        held["county"],
        challenge_id,
        outcome.value,
        now,
        steward,
    )
    closed = {**dict(held), "outcome": outcome.value, "closed_at": now, "closed_by": steward}
    return _shown(closed), True


def _shown(record: Mapping[str, Any]) -> Challenge:
    outcome = record["outcome"]
    return Challenge(
        **{
            **dict(record),
            "attribute": Attribute(record["attribute"]),
            "cause": ChallengeCause(record["cause"]),
            "outcome": None if outcome is None else ChallengeOutcome(outcome),
        }
    )
