"""Sections and records of past answers, folded again from the observations and checked against their digests."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from hub.core.clock import day_of, years_before
from hub.core.names import Category
from hub.flows.readings.obstacles import Obstacle, ReplayRefusedError
from hub.records.adverse_items.adverse import MARKS_YEARS, purge_marks, regime_of, regimes
from hub.records.folding.as_of import lawful_now, settled_at, unlawful_items
from hub.records.folding.bodies import NOBODY, Section, sections_of, usable_facts
from hub.records.folding.fold import FOLD_VERSION, Fact, HouseholdRecord, Seen, fold
from hub.records.folding.household import load_seen
from hub.records.folding.shown import not_found, shown_record
from hub.store.keys import KeyService

_OF_ALL_CATEGORIES = frozenset({"adverse", "conflict", "record"})
"""Sections, and the line of `hub household show`, that may rest on adverse items of any category."""

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
    """Households folded as of past instants, each once, for an answer that was given on a day; ``today`` decides what
    may still be shown at all.
    """

    def __init__(self, connection: asyncpg.Connection, keys: KeyService, answered: date, today: date) -> None:
        self._connection = connection
        self._keys = keys
        self._answered = answered
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
            told = [each for each in _tellings(seen, person, line, at) if each[1].digest.hex() == line.digest]
            if not told:
                raise await self._missing(household, line, at)
            # Where both say the same, the later one shows that it is said without the item that went in between.
            record, section = told[-1]
            await self._refuse_unlawful(_facts_in(record, person, line))
            bodies.append(section.body)
        return bodies

    async def shown_line(self, variables: dict[str, Any], line: Line | None, household: UUID | None) -> bytes:
        """One line of `hub household show`; ``line`` is ``None`` where nobody was found."""
        asked = ShownQuestion.read(variables)
        if line is None or household is None:
            return orjson.dumps(not_found(asked.place))
        seen = await load_seen(self._connection, self._keys, [household], asked.day, asked.recorded)
        if not seen:
            raise await self._missing(household, line, asked.known)
        whole = fold(seen[0], asked.day, asked.recorded)
        record = await lawful_now(self._connection, self._keys, whole, asked.today, asked.known)
        text = orjson.dumps(shown_record(record, asked.place))
        if hashlib.sha256(text).hexdigest() != line.digest:
            raise await self._missing(household, line, asked.known)
        await self._refuse_unlawful(record.facts)
        return text

    async def _seen(self, household: UUID, at: datetime) -> "_PastHousehold | None":
        if (household, at) not in self._held:
            seen = await load_seen(self._connection, self._keys, [household], day_of(at), at)
            self._held[household, at] = _PastHousehold(seen[0], at) if seen else None
        return self._held[household, at]

    async def _refuse_unlawful(self, facts: Iterable[Fact]) -> None:
        """What is over or repaired is not shown although it is still held."""
        for fact in await unlawful_items(self._connection, self._keys, facts, self._today):
            raise ReplayRefusedError(Obstacle.ADVERSE_EXPIRED, regime_of(fact.seen.category).law)

    async def _missing(self, household: UUID, line: Line, since: datetime) -> ReplayRefusedError:
        """Why a section is not what it was: the law where a purge since then concerned this household and what the
        section tells of, otherwise another fold, or somebody's hand.
        """
        told_of = [category for category in regimes().by_category if line.category in {category, *_OF_ALL_CATEGORIES}]
        for category in told_of:
            if await self._connection.fetchval(
                "SELECT EXISTS (SELECT FROM record.adverse_mark WHERE mark = ANY($1) AND purged_at > $2)",
                purge_marks(self._keys, household, category),
                since,
            ):
                return ReplayRefusedError(Obstacle.ADVERSE_EXPIRED, regime_of(category).law)
        name = f"{line.category}/{line.form}"
        if line.version != FOLD_VERSION:
            return ReplayRefusedError(Obstacle.FOLD_RETIRED, line.version)
        if told_of and self._answered < years_before(self._today, MARKS_YEARS):
            return ReplayRefusedError(Obstacle.TOO_OLD_TO_TELL, name)
        return ReplayRefusedError(Obstacle.RECORD_DIFFERS, name)


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
