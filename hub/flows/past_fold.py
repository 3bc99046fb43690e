"""Sections and records of past answers, folded again from the observations and checked against their digests."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from hub.core.clock import day_of
from hub.core.names import Category
from hub.flows.obstacles import Obstacle, ReplayRefusedError
from hub.records.as_of import is_expired, lawful_now, settled_at
from hub.records.bodies import NOBODY, Section, sections_of, usable_facts
from hub.records.fold import FOLD_VERSION, Fact, HouseholdRecord, Seen, fold
from hub.records.household import load_seen
from hub.records.shown import not_found, shown_record
from hub.store.keys import KeyService

_Sections = dict[tuple[UUID, str, str, str], Section]


class Line(NamedTuple):
    """One section as the audit log names it."""

    category: str
    form: str
    owner: str
    version: int
    digest: str


class ShownQuestion(NamedTuple):
    """One line of `hub household show`, as the sealed part of its entry tells it."""

    place: int
    day: date
    today: date
    recorded: datetime
    known: datetime

    @classmethod
    def read(cls, variables: dict[str, Any]) -> "ShownQuestion":
        """Raises :class:`ReplayRefusedError` for an entry from before these were kept."""
        try:
            return cls(
                variables["query"],
                date.fromisoformat(variables["day"]),
                date.fromisoformat(variables["today"]),
                datetime.fromisoformat(variables["recordedAt"]),
                datetime.fromisoformat(variables["knownAt"]),
            )
        except KeyError:
            raise ReplayRefusedError(Obstacle.NOT_AN_ANSWER) from None


class PastFolds:
    """Households folded as of past instants, each once. ``today`` decides what may still be shown at all."""

    def __init__(self, connection: asyncpg.Connection, keys: KeyService, today: date) -> None:
        self._connection = connection
        self._keys = keys
        self._today = today
        self._held: dict[tuple[UUID, datetime], _PastHousehold | None] = {}

    async def instant(self, folded_at: str | None, as_of: datetime) -> datetime:
        """The instant of the fold; entries that do not name it stand at the last settled one before the answer."""
        if folded_at is not None:
            return datetime.fromisoformat(folded_at)
        return await settled_at(self._connection, as_of) or as_of

    async def bodies(self, household: UUID, person: UUID, lines: Sequence[Line], at: datetime) -> list[str]:
        """The text of each section of one person, or of his household where it is about that.

        Raises :class:`ReplayRefusedError` for the first that cannot be had, or may not be shown any more.
        """
        seen = await self._seen(household, at)
        bodies = []
        for line in lines:
            told = next(
                (each for each in _tellings(seen, person, line, at) if each[1].digest.hex() == line.digest), None
            )
            if told is None:
                raise await self._missing(line, at)
            record, section = told
            if any(map(self._is_expired, _facts_in(record, person, line))):
                raise ReplayRefusedError(Obstacle.ADVERSE_EXPIRED)
            bodies.append(section.body)
        return bodies

    async def shown_line(self, variables: dict[str, Any], line: Line | None, household: UUID | None) -> bytes:
        """One line of `hub household show`; ``line`` is ``None`` where nobody was found."""
        asked = ShownQuestion.read(variables)
        if line is None or household is None:
            return orjson.dumps(not_found(asked.place))
        seen = await load_seen(self._connection, self._keys, [household], asked.day, asked.recorded)
        if not seen:
            raise await self._missing(line, asked.recorded)
        whole = fold(seen[0], asked.day, asked.recorded)
        record = await lawful_now(self._connection, self._keys, whole, asked.today, asked.known)
        text = orjson.dumps(shown_record(record, asked.place))
        if hashlib.sha256(text).hexdigest() != line.digest:
            raise await self._missing(line, asked.recorded)
        if any(map(self._is_expired, record.facts)):
            raise ReplayRefusedError(Obstacle.ADVERSE_EXPIRED)
        return text

    async def _seen(self, household: UUID, at: datetime) -> "_PastHousehold | None":
        if (household, at) not in self._held:
            seen = await load_seen(self._connection, self._keys, [household], day_of(at), at)
            self._held[household, at] = _PastHousehold(seen[0], at) if seen else None
        return self._held[household, at]

    def _is_expired(self, fact: Fact) -> bool:
        return is_expired(fact, self._today)

    async def _missing(self, line: Line, since: datetime) -> ReplayRefusedError:
        """Why a section is not what it was. Of a purged item nothing is left that would name its person, so a purge of
        its kind since then is told as the cause.
        """
        purged = await self._connection.fetchval(
            """SELECT EXISTS (SELECT FROM record.adverse_purge
                              WHERE purged_at > $1 AND (category = $2 OR $2 IN ('adverse', 'conflict', 'record')))""",
            since,
            line.category,
        )
        if purged:
            return ReplayRefusedError(Obstacle.ADVERSE_EXPIRED)
        if line.version != FOLD_VERSION:
            return ReplayRefusedError(Obstacle.FOLD_RETIRED, line.version)
        return ReplayRefusedError(Obstacle.RECORD_DIFFERS, f"{line.category}/{line.form}")


class _PastHousehold:
    """What was held of one household at an instant, folded as of a day or two, each once."""

    def __init__(self, seen: Seen, at: datetime) -> None:
        self._seen = seen
        self._at = at
        self._days: dict[date, tuple[HouseholdRecord, _Sections]] = {}

    def on(self, day: date) -> tuple[HouseholdRecord, _Sections]:
        """The record and its sections by place, as of a day."""
        if day not in self._days:
            record = fold(self._seen, day, self._at)
            sections = {(s.person_id, s.category.value, s.form.value, s.owner): s for s in sections_of(record)}
            self._days[day] = (record, sections)
        return self._days[day]


def _tellings(
    past: _PastHousehold | None, person: UUID, line: Line, at: datetime
) -> Iterator[tuple[HouseholdRecord, Section]]:
    """The section as it was folded, and the one that took its place on the day on which it expired."""
    day: date | None = day_of(at)
    while past is not None and day is not None:
        record, sections = past.on(day)
        places = ((about, line.category, line.form, line.owner) for about in (person, NOBODY))
        section = next((sections[place] for place in places if place in sections), None)
        if section is None:
            return
        yield record, section
        day = section.expires_on if day == day_of(at) else None


def _facts_in(record: HouseholdRecord, person: UUID, line: Line) -> list[Fact]:
    """The adverse items that a section tells of."""
    return [
        fact
        for facts in usable_facts(record).values()
        for fact in facts
        if fact.seen.adverse
        and fact.seen.person_id == person
        and line.category in {fact.seen.category, Category.ADVERSE}
    ]
