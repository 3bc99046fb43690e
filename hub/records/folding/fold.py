"""The fold: observations -> household record as of (valid, recorded). Pure: no input or output, no clock.

Facts stay as received, disagreements stand beside them; which statement names a value is for readers of the sections
(hub/records/folding/resolution.py). The same function serves the current
record, its sections and any past answer; the order of what is given and identical redeliveries make no difference.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

from hub.core.clock import years_after
from hub.core.identifiers import ADULT_AGE, is_adult
from hub.core.names import Category, ConflictType, FactStatus, LinkState
from hub.core.text import normalise_name
from hub.records.adverse_items.adverse import AdverseNote, is_over

FOLD_VERSION = 3
"""Raised whenever the fold, the sections or a rule of precedence give another result for the same observations."""


@dataclass(frozen=True, slots=True)
class SeenHousehold:
    """The household itself; ``township_name`` and ``village_name`` belong to ``village_code``."""

    household_id: UUID
    household_no: str
    village_code: str
    group_no: str | None
    status: str
    source: str
    changed_at: datetime
    township_name: str | None = None
    village_name: str | None = None
    predecessors: tuple[str, ...] = ()
    successors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenMembership:
    """A recorded membership; of the people concerned those in other current households are given too."""

    household_id: UUID
    member_no: str
    person_id: UUID | None
    name: str
    id_number: str | None
    relation: str | None
    birth_date: date
    valid_from: date
    valid_to: date | None
    died_on: date | None
    source: str
    changed_at: datetime
    recorded_from: datetime
    recorded_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class SeenFact:
    """One version of a fact. ``person_id`` is ``None`` for a fact of the household itself; ``note`` for one that is no
    adverse item. ``is_repaired``: a data steward corrected the delivered row (docs/QUARANTINE.md).
    """

    category: Category
    source: str
    source_key: str
    version: str
    person_id: UUID | None
    link: LinkState | None
    name: str | None
    value: Mapping[str, Any]
    valid_from: date | None
    valid_to: date | None
    adverse: bool
    suppressed: bool
    consent_id: str | None
    source_time: datetime | None
    recorded_from: datetime
    recorded_to: datetime | None = None
    owner: str = ""
    note: AdverseNote | None = None
    is_repaired: bool = False


@dataclass(frozen=True, slots=True)
class SeenConsent:
    """A furnishing consent of a person; ``deleted`` if the bank took the row itself back."""

    source: str
    consent_id: str
    person_id: UUID | None
    granted_on: date | None
    expires_on: date | None
    withdrawn_on: date | None
    deleted: bool = False

    def status(self, day: date) -> str:
        """``ACTIVE``, ``WITHDRAWN`` or ``EXPIRED`` on a day; expiry is inclusive."""
        if self.withdrawn_on is not None and self.withdrawn_on <= day:
            return "WITHDRAWN"
        return "EXPIRED" if self.expires_on is not None and self.expires_on < day else "ACTIVE"


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything the hub knows that may bear on one household."""

    household: SeenHousehold
    memberships: Sequence[SeenMembership]
    facts: Sequence[SeenFact]
    consents: Sequence[SeenConsent]


@dataclass(frozen=True, slots=True)
class Member:
    """A listed member: an adult who is in the household, dead or alive. ``overlap``: in another household too.

    ``elsewhere``: the person's other current memberships, by member number.
    """

    household_id: UUID
    member_no: str
    person_id: UUID | None
    name: str
    id_number: str | None
    relation: str | None
    birth_date: date
    joined_on: date
    died_on: date | None
    overlap: bool
    source: str
    changed_at: datetime
    recorded_from: datetime
    elsewhere: tuple[SeenMembership, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """A current fact with its standing; ``member_no`` is ``None`` for a fact of the household itself."""

    seen: SeenFact
    member_no: str | None
    status: FactStatus

    @property
    def is_shown(self) -> bool:
        """Whether anybody but a data steward may see it: confirmed link, value neither locked nor suppressed."""
        return self.status is FactStatus.CURRENT and (self.seen.link is None or self.seen.link.is_certain)


@dataclass(frozen=True, slots=True, order=True)
class Conflict:
    """A disagreement. ``certain``: it rests on facts that others than a data steward may see."""

    type: str
    member_no: str
    source: str
    certain: bool


@dataclass(frozen=True, slots=True)
class HouseholdRecord:
    """One household as of a day and an instant of recording. ``next_of_age``: when the next minor turns 18."""

    household: SeenHousehold
    members: tuple[Member, ...]
    size: int
    minors: int
    consents: tuple[tuple[str, SeenConsent], ...]
    facts: tuple[Fact, ...]
    conflicts: tuple[Conflict, ...]
    day: date
    next_of_age: date | None


def fold(seen: Seen, day: date, recorded: datetime) -> HouseholdRecord:
    """The record of one household on ``day`` as the hub knew it at ``recorded``."""
    present = sorted((m for m in _recorded(seen.memberships, recorded) if _is_present(m, day)), key=_telling)
    stays: defaultdict[UUID, dict[str, SeenMembership]] = defaultdict(dict)
    for membership in present:
        if membership.person_id is not None:
            stays[membership.person_id][membership.member_no] = membership
    own = {m.member_no: m for m in present if m.household_id == seen.household.household_id}
    adults = [m for m in own.values() if is_adult(m.birth_date, day)]
    members = tuple(_member(m, stays, day) for m in sorted(adults, key=lambda m: m.member_no))
    member_by_person = {m.person_id: m for m in reversed(members) if m.person_id is not None}
    consents = _consents(seen.consents, member_by_person)
    facts = _facts(seen, member_by_person, day, recorded)
    living = [m for m in own.values() if m.died_on is None or m.died_on > day]
    minors = [m for m in living if not is_adult(m.birth_date, day)]
    of_age = [grown for grown in (birthday(m.birth_date, ADULT_AGE) for m in minors) if grown is not None]
    return HouseholdRecord(
        household=seen.household,
        members=members,
        size=len(living),
        minors=len(minors),
        consents=consents,
        facts=facts,
        conflicts=_conflicts(members, facts, day),
        day=day,
        next_of_age=min(of_age, default=None),
    )


def birthday(born: date, age: int) -> date | None:
    """The day on which a person completes ``age`` years; born on 29 February, on 1 March of a common year.

    ``None`` beyond the calendar.
    """
    day = years_after(born, age)
    return date(day.year, 3, 1) if day is not None and day.day != born.day else day


_Versioned = TypeVar("_Versioned", SeenMembership, SeenFact)


def _recorded(versions: Iterable[_Versioned], recorded: datetime) -> list[_Versioned]:
    return [v for v in versions if v.recorded_from <= recorded and (v.recorded_to is None or recorded < v.recorded_to)]


def _is_present(membership: SeenMembership, day: date) -> bool:
    return membership.valid_from <= day and (membership.valid_to is None or day < membership.valid_to)


def _telling(membership: SeenMembership) -> tuple[datetime, datetime, str]:
    return membership.recorded_from, membership.changed_at, membership.source


def _member(membership: SeenMembership, stays: Mapping[UUID, Mapping[str, SeenMembership]], day: date) -> Member:
    person_id = membership.person_id
    held = stays[person_id] if person_id is not None else {}
    return Member(
        household_id=membership.household_id,
        member_no=membership.member_no,
        person_id=person_id,
        name=membership.name,
        id_number=membership.id_number,
        relation=membership.relation,
        birth_date=membership.birth_date,
        joined_on=membership.valid_from,
        died_on=membership.died_on if membership.died_on is not None and membership.died_on <= day else None,
        overlap=len(held) > 1,
        source=membership.source,
        changed_at=membership.changed_at,
        recorded_from=membership.recorded_from,
        elsewhere=tuple(held[no] for no in sorted(held) if no != membership.member_no) if len(held) > 1 else (),
    )


def _consents(consents: Iterable[SeenConsent], members: Mapping[UUID, Member]) -> tuple[tuple[str, SeenConsent], ...]:
    held: dict[tuple[str, str], tuple[str, SeenConsent]] = {}
    for consent in consents:
        if consent.person_id is not None and consent.person_id in members and not consent.deleted:
            held[consent.source, consent.consent_id] = (members[consent.person_id].member_no, consent)
    return tuple(held[key] for key in sorted(held))


def _facts(seen: Seen, members: Mapping[UUID, Member], day: date, recorded: datetime) -> tuple[Fact, ...]:
    consents = {(consent.source, consent.consent_id): consent for consent in seen.consents}
    current = _newest(
        _recorded(seen.facts, recorded), lambda fact: (fact.source, fact.source_key), lambda fact: fact.recorded_from
    )
    facts = []
    for fact in current:
        if fact.link is not None and not fact.link.names_person:
            continue
        if fact.note is not None and fact.note.is_repaired:
            continue
        if fact.person_id is not None and fact.person_id not in members:
            continue
        member_no = members[fact.person_id].member_no if fact.person_id is not None else None
        facts.append(Fact(fact, member_no, _status(fact, consents, day)))
    return tuple(sorted(facts, key=lambda f: (f.seen.category, f.seen.source_key, f.seen.source)))


def _newest(
    facts: Iterable[SeenFact], key: Callable[[SeenFact], Hashable], order: Callable[[SeenFact], datetime]
) -> list[SeenFact]:
    best: dict[Hashable, SeenFact] = {}
    for fact in facts:
        known = best.get(key(fact))
        if known is None or (order(fact), fact.version) > (order(known), known.version):
            best[key(fact)] = fact
    return list(best.values())


def _status(fact: SeenFact, consents: Mapping[tuple[str, str], SeenConsent], day: date) -> FactStatus:
    """A withdrawn consent locks what rests on it (stored only); so does one that the bank took back altogether."""
    if fact.consent_id is not None:
        consent = consents.get((fact.source, fact.consent_id))
        if consent is None or consent.deleted or consent.status(day) == "WITHDRAWN":
            return FactStatus.LOCKED
    return FactStatus.SUPPRESSED if fact.suppressed else FactStatus.CURRENT


def _conflicts(members: Iterable[Member], facts: Iterable[Fact], day: date) -> tuple[Conflict, ...]:
    """The closed list of docs/CONTRACTS.md 1.3. Nothing is derived from a link that nobody has confirmed."""
    by_number = {member.member_no: member for member in members}
    certain: dict[tuple[str, str, str], bool] = {}
    for member in by_number.values():
        if member.overlap:
            certain[ConflictType.MEMBERSHIP_OVERLAP, member.member_no, ""] = True
    for fact in facts:
        if fact.member_no is None or fact.seen.link is None or not fact.seen.link.is_certain:
            continue
        member = by_number[fact.member_no]
        for kind in _disagreements(member, fact.seen):
            key = (kind, member.member_no, fact.seen.source)
            is_shown = fact.is_shown and not (fact.seen.adverse and is_over(fact.seen, day))
            certain[key] = certain.get(key, False) or is_shown
    return tuple(sorted(Conflict(*key, certain=shown) for key, shown in certain.items()))


def _disagreements(member: Member, fact: SeenFact) -> list[ConflictType]:
    found = []
    if fact.name is not None and fact.name != member.name and normalise_name(fact.name) != normalise_name(member.name):
        found.append(ConflictType.NAME_DIFFERS)
    if fact.category is Category.SOCIAL_INSURANCE and member.died_on is not None:
        latest = fact.value.get("latest_period")
        if fact.value.get("enrol_status") == "ACTIVE" and latest is not None and latest > f"{member.died_on:%Y-%m}":
            found.append(ConflictType.DECEASED_ACTIVE)
    return found
