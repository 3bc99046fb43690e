"""Breaches: what the law wants done by when, as a table, and what is held of each. ``connection``: hub_ingest."""

import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

_TABLE = Path(__file__).parent / "breach_duties.toml"


class BreachKind(StrEnum):
    """What happened to the data."""

    LEAKED = "LEAKED"
    ALTERED = "ALTERED"
    LOST = "LOST"


class DutyWhen(StrEnum):
    """Which breaches bring a duty with them."""

    ALWAYS = "ALWAYS"
    PUBLIC_INTEREST = "PUBLIC_INTEREST"
    PERSONS_TOLD = "PERSONS_TOLD"
    MINORS = "MINORS"
    ORGANISATIONS = "ORGANISATIONS"


@dataclass(frozen=True, slots=True)
class Duty:
    """One thing to be done. ``statutory``: the hours stand in the law; otherwise they are the hub's own limit."""

    name: str
    label: str
    whom: str
    hours: int
    statutory: bool
    law: str
    when: DutyWhen

    def due(self, discovered_at: datetime) -> datetime:
        """Until when it is to be done."""
        return discovered_at + timedelta(hours=self.hours)


@lru_cache(maxsize=1)
def breach_duties() -> tuple[Duty, ...]:
    """The table, in the order in which things are done."""
    rows = tomllib.loads(_TABLE.read_text(encoding="utf-8"))["duty"]
    return tuple(Duty(**{**row, "when": DutyWhen(row["when"])}) for row in rows)


def duties_of(*, public_interest: bool, tell_persons: bool, minors: bool, organisations: bool) -> tuple[Duty, ...]:
    """The duties that a breach brings with it, as far as it is known."""
    holds = {
        DutyWhen.ALWAYS: True,
        DutyWhen.PUBLIC_INTEREST: public_interest,
        DutyWhen.PERSONS_TOLD: tell_persons,
        DutyWhen.MINORS: tell_persons and minors,
        DutyWhen.ORGANISATIONS: organisations,
    }
    return tuple(duty for duty in breach_duties() if holds[duty.when])


@dataclass(frozen=True, slots=True)
class HeldDuty:
    """A duty of one breach, and how it was done."""

    name: str
    due_at: datetime
    done_at: datetime | None
    done_by: str | None
    channel: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Breach:
    """A breach as the database holds it; ``persons`` counts whom it reaches, ``told`` who got the notice."""

    breach_id: UUID
    what: BreachKind
    discovered_at: datetime
    public_interest: bool
    state: str
    opened_by: str
    assessed_by: str | None
    decided_by: str | None
    closed_by: str | None
    categories: tuple[str, ...]
    organisations: tuple[str, ...]
    tell_persons: bool | None
    persons: int
    minors: int
    told: int
    duties: tuple[HeldDuty, ...]


_BREACHES = """
SELECT b.breach_id, b.what, b.discovered_at, b.public_interest, b.state, b.opened_by, b.assessed_by, b.decided_by,
    b.closed_by, b.categories, b.organisations, b.tell_persons, p.persons, p.minors, p.told
FROM access.breach b
CROSS JOIN LATERAL (SELECT count(*) AS persons, count(*) FILTER (WHERE p.minor) AS minors, count(p.told_at) AS told
    FROM access.breach_person p WHERE p.breach_id = b.breach_id) p
WHERE ($1::uuid IS NULL OR b.breach_id = $1) AND ($2 OR b.state <> 'CLOSED')
ORDER BY b.discovered_at, b.breach_id
"""


async def list_breaches(
    connection: asyncpg.Connection, breach: UUID | None = None, *, with_closed: bool = False
) -> list[Breach]:
    """Breaches, oldest first; one alone if it is named."""
    rows = await connection.fetch(_BREACHES, breach, with_closed or breach is not None)
    duties: dict[UUID, list[HeldDuty]] = {row["breach_id"]: [] for row in rows}
    for row in await connection.fetch(
        """SELECT breach_id, duty, due_at, done_at, done_by, channel, reference FROM access.breach_duty
           WHERE breach_id = ANY ($1) ORDER BY due_at, duty""",
        list(duties),
    ):
        duties[row["breach_id"]].append(HeldDuty(*list(row)[1:]))
    return [_breach(row, tuple(duties[row["breach_id"]])) for row in rows]


def _breach(row: asyncpg.Record, duties: tuple[HeldDuty, ...]) -> Breach:
    facts: dict[str, Any] = dict(row)
    facts["what"] = BreachKind(facts["what"])
    facts["categories"], facts["organisations"] = tuple(facts["categories"]), tuple(facts["organisations"])
    return Breach(**facts, duties=duties)


async def put_duties(
    connection: asyncpg.Connection, breach: UUID, discovered_at: datetime, duties: tuple[Duty, ...]
) -> None:
    """Put duties down: one that is there already stays as it is, one that fell away and was not done goes."""
    await connection.execute(
        "DELETE FROM access.breach_duty WHERE breach_id = $1 AND done_at IS NULL AND NOT duty = ANY ($2)",
        breach,
        [duty.name for duty in duties],
    )
    await connection.executemany(
        "INSERT INTO access.breach_duty (breach_id, duty, due_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        [(breach, duty.name, duty.due(discovered_at)) for duty in duties],
    )


async def overdue(connection: asyncpg.Connection, now: datetime) -> list[tuple[UUID, str]]:
    """Duties whose time is over and that were not done: breach and duty, the oldest first."""
    rows = await connection.fetch(
        """SELECT d.breach_id, d.duty FROM access.breach_duty d JOIN access.breach b ON b.breach_id = d.breach_id
           WHERE d.done_at IS NULL AND d.due_at < $1 AND b.state <> 'CLOSED' ORDER BY d.due_at, d.breach_id, d.duty""",
        now,
    )
    return [(row["breach_id"], row["duty"]) for row in rows]
