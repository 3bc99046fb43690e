"""Challenges: a source is asked to look again at a row that lost against another statement or went stale. Pure.

Like a conflict, a challenge rests only on rows that others than a data steward may see: nothing is derived from a link
that nobody confirmed, nor from a locked or suppressed value.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from hub.core.clock import iso
from hub.core.names import Attribute, Category, ChallengeCause, ConflictType
from hub.records.bodies import usable_facts
from hub.records.fold import Fact, HouseholdRecord, Member
from hub.records.precedence import precedence
from hub.records.resolution import Resolution, Statement, resolve
from hub.records.statements import Told, dated, stale_on, stays_of, told_by


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
class Row:
    """The row behind a statement."""

    source_key: str
    version: str


@dataclass(frozen=True, slots=True)
class Found:
    """The challenges of one record, and the first day on which time alone makes another one."""

    people: frozenset[UUID]
    wanted: tuple[Wanted, ...]
    changes_on: date | None


class _Statements:
    """The statements of one person by attribute; ``place`` of each leads to its row."""

    def __init__(self) -> None:
        self.by_attribute: defaultdict[Attribute, list[Statement]] = defaultdict(list)
        self.rows: list[Row] = []

    def add(self, told: Told, statement: Statement, row: Row) -> None:
        self.by_attribute[told.attribute].append(statement)
        self.rows.append(row)


def challenges_of(record: HouseholdRecord) -> Found:
    """What the sources of one household's record are to be asked, person by person."""
    conflicting: defaultdict[str, set[str]] = defaultdict(set)
    for conflict in record.conflicts:
        if conflict.certain:
            conflicting[conflict.member_no].add(conflict.type)
    facts: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in usable_facts(record):
        if fact.member_no is not None:
            facts[fact.member_no].append(fact)
    wanted: list[Wanted] = []
    days: list[date] = []
    people: set[UUID] = set()
    for member in record.members:
        if member.person_id is None or member.person_id in people:
            continue
        people.add(member.person_id)
        statements = _statements_of(member, facts[member.member_no], conflicting[member.member_no], record.day)
        for told in statements.by_attribute.values():
            resolution = resolve(told, record.day)
            if resolution is not None:
                wanted += _challenged(member.person_id, resolution, statements.rows)
                days += _stale_days(resolution, record.day)
    return Found(frozenset(people), tuple(wanted), min(days, default=None))


def _statements_of(member: Member, facts: Sequence[Fact], conflicts: Iterable[str], day: date) -> _Statements:
    """Statements that can be challenged; names, memberships and life only where the record shows a conflict."""
    found = _Statements()
    rules = precedence().newest
    differs = ConflictType.NAME_DIFFERS in conflicts
    for fact in facts:
        row = Row(fact.seen.source_key, fact.seen.version)
        for told in told_by(fact, day):
            if rules[told.attribute].challenge and (told.attribute is not Attribute.NAME or differs):
                found.add(told, _statement(told, fact, len(found.rows)), row)
    if differs:
        _add_roster(found, member, Told(Attribute.NAME, "roster", member.name))
    if ConflictType.MEMBERSHIP_OVERLAP in conflicts:
        for _, stay in stays_of(member):
            # Not which household is "this" one: both of them must lead to the same challenge.
            told = Told(Attribute.MEMBERSHIP, "roster", stay.member_no)
            at = dated(told.attribute, told.kind, stay.changed_at, stay.joined_on, None)
            version = rules[told.attribute].version
            statement = Statement(told.attribute, told.kind, told.value, version, stay.source, at, len(found.rows))
            found.add(told, statement, Row(f"member|{stay.member_no}", iso(stay.changed_at)))
    if ConflictType.DECEASED_ACTIVE in conflicts:
        _add_life(found, member, facts)
    return found


def _add_roster(found: _Statements, member: Member, told: Told) -> None:
    version = precedence().newest[told.attribute].version
    statement = Statement(
        told.attribute, told.kind, told.value, version, member.source, member.changed_at, len(found.rows)
    )
    found.add(told, statement, Row(f"member|{member.member_no}", iso(member.changed_at)))


def _add_life(found: _Statements, member: Member, facts: Sequence[Fact]) -> None:
    _add_roster(found, member, Told(Attribute.LIFE, "death", "DECEASED"))
    for fact in facts:
        latest = fact.seen.value.get("latest_period")
        if (
            fact.seen.category is Category.SOCIAL_INSURANCE
            and fact.seen.value.get("enrol_status") == "ACTIVE"
            and latest is not None
            and member.died_on is not None
            and latest > f"{member.died_on:%Y-%m}"
        ):
            told = Told(Attribute.LIFE, "insured", "ALIVE")
            found.add(told, _statement(told, fact, len(found.rows)), Row(fact.seen.source_key, fact.seen.version))


def _statement(told: Told, fact: Fact, place: int) -> Statement:
    seen = fact.seen
    at = dated(told.attribute, told.kind, seen.source_time, seen.valid_from, seen.valid_to)
    version = precedence().newest[told.attribute].version
    return Statement(told.attribute, told.kind, told.value, version, seen.source, at, place)


def _challenged(person_id: UUID, resolution: Resolution, rows: Sequence[Row]) -> list[Wanted]:
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
