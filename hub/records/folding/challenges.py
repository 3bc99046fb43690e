"""Challenges: a source is asked to look again at a row that lost against another statement or went stale. Pure.

Like a conflict, a challenge rests only on rows that others than a data steward may see: nothing is derived from a link
that nobody confirmed, nor from a locked or suppressed value.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from uuid import UUID

from hub.core.clock import iso
from hub.core.names import Attribute, Category, ChallengeCause, ConflictType
from hub.records.folding.bodies import UsableFacts, usable_facts
from hub.records.folding.fold import Fact, HouseholdRecord, Member
from hub.records.folding.precedence import precedence
from hub.records.folding.resolution import Resolution, Statement, resolve
from hub.records.folding.statements import Stay, Told, dated, stale_on, stays_of, told_beside_name, told_by


@dataclass(frozen=True, slots=True)
class Wanted:
    """A challenge that the record gives cause for. ``stated``: what the row says, for telling a repetition apart."""

    person_id: UUID
    source: str
    source_key: str
    attribute: Attribute
    version: str
    cause: ChallengeCause
    stated: str
    rule: int


@dataclass(frozen=True, slots=True)
class Found:
    """The challenges of one record, and the first day on which time alone makes another one."""

    people: frozenset[UUID]
    wanted: tuple[Wanted, ...]
    changes_on: date | None


def challenges_of(record: HouseholdRecord, usable: UsableFacts | None = None) -> Found:
    """What the sources of one household's record are to be asked, person by person.

    ``usable``: its :func:`usable_facts`, if at hand.
    """
    conflicting: defaultdict[str, set[str]] = defaultdict(set)
    for conflict in record.conflicts:
        if conflict.certain:
            conflicting[conflict.member_no].add(conflict.type)
    usable = usable_facts(record) if usable is None else usable
    wanted: list[Wanted] = []
    days: list[date] = []
    people: set[UUID] = set()
    for member in record.members:
        if member.person_id is None or member.person_id in people:
            continue
        people.add(member.person_id)
        facts = usable.get(member.member_no, ())
        for told in _told_of(member, facts, conflicting.get(member.member_no, frozenset()), record.day):
            resolution = resolve([each.statement(place) for place, each in enumerate(told)], record.day)
            if resolution is not None:
                wanted += _challenged(member.person_id, resolution, told)
                days += _stale_days(resolution, record.day)
    return Found(frozenset(people), tuple(wanted), min(days, default=None))


@dataclass(frozen=True, slots=True)
class _Said:
    """Something told, with the row behind it."""

    told: Told
    source: str
    source_key: str
    version: str
    source_time: datetime | None
    begins: date | None
    ends: date | None

    def statement(self, place: int) -> Statement:
        """As it is weighed; ``place`` leads back here."""
        told = self.told
        at = dated(told.attribute, told.kind, self.source_time, self.begins, self.ends)
        version = precedence().newest[told.attribute].version
        return Statement(told.attribute, told.kind, told.value, version, self.source, at, place)


def _told_of(member: Member, facts: Sequence[Fact], conflicts: Collection[str], day: date) -> list[list[_Said]]:
    """What is told about each attribute that may give cause for a challenge; most people have none.

    Names, memberships and life only where the record shows a conflict.
    """
    found: defaultdict[Attribute, list[tuple[Told, Fact]]] = defaultdict(list)
    for fact in facts:
        for told in told_beside_name(fact, day):
            found[told.attribute].append((told, fact))
    lists = [
        [_by(told, fact) for told, fact in rows]
        for attribute, rows in found.items()
        if _may_be_challenged(attribute, frozenset(told.kind for told, _ in rows))
    ]
    if ConflictType.NAME_DIFFERS in conflicts:
        names = [(told, fact) for fact in facts for told in told_by(fact, day) if told.attribute is Attribute.NAME]
        own = _by_roster(member, Told(Attribute.NAME, "roster", member.name))
        lists.append([own, *(_by(told, fact) for told, fact in names)])
    if ConflictType.MEMBERSHIP_OVERLAP in conflicts:
        lists.append([_by_stay(stay) for _, stay in stays_of(member)])
    if ConflictType.DECEASED_ACTIVE in conflicts:
        alive = [_by(Told(Attribute.LIFE, "insured", "ALIVE"), fact) for fact in facts if _outlives(fact, member)]
        lists.append([_by_roster(member, Told(Attribute.LIFE, "death", "DECEASED")), *alive])
    return lists


@lru_cache(maxsize=256)
def _may_be_challenged(attribute: Attribute, kinds: frozenset[str]) -> bool:
    """Whether statements of these kinds can contradict each other or go stale."""
    rule = precedence().newest[attribute]
    if not rule.challenge:
        return False
    return any(rule.kinds[kind].stale_after for kind in kinds) or any(pair <= kinds for pair in rule.contradicting)


def _by(told: Told, fact: Fact) -> _Said:
    seen = fact.seen
    return _Said(told, seen.source, seen.source_key, seen.version, seen.source_time, seen.valid_from, seen.valid_to)


def _by_roster(member: Member, told: Told) -> _Said:
    key, at = f"member|{member.member_no}", member.changed_at
    return _Said(told, member.source, key, iso(at), at, member.joined_on, None)


def _by_stay(stay: Stay) -> _Said:
    """By the member number, not by which household is "this" one: both of them must lead to the same challenge."""
    told, at = Told(Attribute.MEMBERSHIP, "roster", stay.member_no), stay.changed_at
    return _Said(told, stay.source, f"member|{stay.member_no}", iso(at), at, stay.joined_on, None)


def _outlives(fact: Fact, member: Member) -> bool:
    """Whether insurance goes on after the month of death."""
    latest = fact.seen.value.get("latest_period")
    return (
        fact.seen.category is Category.SOCIAL_INSURANCE
        and fact.seen.value.get("enrol_status") == "ACTIVE"
        and latest is not None
        and member.died_on is not None
        and latest > f"{member.died_on:%Y-%m}"
    )


def _challenged(person_id: UUID, resolution: Resolution, rows: Sequence[_Said]) -> list[Wanted]:
    causes = resolution.rule.challenge
    statements = [
        (other.statement, ChallengeCause.LOST)
        for other in resolution.others
        if ChallengeCause.LOST in causes and other.contradicts
    ]
    if ChallengeCause.STALE in causes and resolution.is_stale:
        statements.append((resolution.chosen, ChallengeCause.STALE))
    return [
        Wanted(
            person_id,
            statement.source,
            rows[statement.place].source_key,
            statement.attribute,
            rows[statement.place].version,
            cause,
            # A row that went stale says nothing new by being sent again unchanged: its version tells.
            rows[statement.place].version if cause is ChallengeCause.STALE else f"{statement.kind}|{statement.value}",
            resolution.rule.version,
        )
        for statement, cause in statements
    ]


def _stale_days(resolution: Resolution, day: date) -> list[date]:
    if ChallengeCause.STALE not in resolution.rule.challenge:
        return []
    due = stale_on(resolution.chosen)
    return [due] if due is not None and due > day else []
