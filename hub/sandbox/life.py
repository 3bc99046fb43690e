"""What happens to households: splits, merges, moves, deaths, corrected ID numbers, double memberships.

The population is changed to its true present state. What the roster of civil affairs still says of it (its monthly row
may be older than an event) is kept apart in :class:`Life`.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random

from hub.core.clock import SHANGHAI
from hub.sandbox.people import Household, Person, Village
from hub.sandbox.population import Population


@dataclass(frozen=True, slots=True)
class EventMember:
    """A person named in an event: membership number, new relation, old and new ID number (empty where not used)."""

    member_no: str
    relation: str = ""
    old_id: str = ""
    new_id: str = ""


@dataclass(slots=True)
class LifeEvent:
    """One row of the event feed (civil affairs interface, section 3)."""

    number: str
    kind: str
    registered: datetime
    effective: date
    old_household: str = ""
    new_household: str = ""
    new_village: str = ""
    new_group: str = ""
    members: tuple[EventMember, ...] = ()
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class SecondMembership:
    """A married-in woman who is still on the roster of her parents' household."""

    member_no: str
    person: Person
    household: Household
    joined: date


@dataclass(slots=True)
class MemberAsListed:
    """A member as his roster row has him, where that is older than the truth."""

    household: str
    relation: str
    joined: date
    died: date | None
    id_number: str | None


@dataclass(slots=True)
class HouseholdAsListed:
    """A household as its roster row has it, where that is older than the truth."""

    village: Village
    group: str
    cancelled: bool


@dataclass(slots=True)
class Life:
    """The events, and the roster rows that do not contain them yet."""

    refreshed: datetime
    """Time of the latest monthly roster refresh; events registered later are not in the rows."""

    events: list[LifeEvent] = field(default_factory=list)
    members: dict[int, MemberAsListed] = field(default_factory=dict)
    households: dict[str, HouseholdAsListed] = field(default_factory=dict)
    new_since_refresh: dict[str, datetime] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    overlaps: list[SecondMembership] = field(default_factory=list)


def last_refresh(as_of: date) -> datetime:
    """02:00 on the first of the month, some days ago at least, so that events can follow it."""
    first = (as_of - timedelta(days=3)).replace(day=1)
    return datetime.combine(first, time(2), SHANGHAI)


class LifeMaker:
    """Lets things happen to a population."""

    def __init__(self, population: Population, rng: Random, now: datetime) -> None:
        self._population = population
        self._rng = rng
        self._now = now
        self.life = Life(last_refresh(population.as_of))
        self._busy: set[str] = set()  # one event per household keeps the expected end state easy to see

    def happen(self) -> Life:
        """The events of about a year, in shares of the households."""
        count = len(self._population.households)
        for action, share in (
            (self._split, 0.010),
            (self._merge, 0.003),
            (self._move, 0.015),
            (self._death, 0.012),
            (self._correction, 0.003),
            (self._overlap, 0.010),
            (self._revoked_death, 0.002),
        ):
            for i in range(max(2, round(count * share))):
                action(contained=i % 2 == 1)
        self.life.events.sort(key=lambda event: event.number)
        return self.life

    def _times(self, *, contained: bool) -> tuple[datetime, date]:
        """When it was registered and since when it counts; before the refresh if the rows contain it."""
        if contained:
            registered = self.life.refreshed - timedelta(days=self._rng.uniform(2, 300))
        else:
            span = (self._now - self.life.refreshed).total_seconds()
            registered = self.life.refreshed + timedelta(seconds=self._rng.uniform(0.05, 0.9) * span)
        registered = registered.replace(microsecond=0)
        return registered, registered.date() - timedelta(days=self._rng.randrange(0, 6))

    def _pick(self, fits: int) -> Household | None:
        """A household of at least ``fits`` members to which nothing has happened yet."""
        for _ in range(200):
            household = self._rng.choice(self._population.households)
            free = household.number not in self._busy and not household.story and not household.cancelled
            if free and len(household.members) >= fits:
                self._busy.add(household.number)
                return household
        return None

    def _record(self, kind: str, registered: datetime, effective: date, **details: object) -> LifeEvent:
        number = f"E{registered.year}{len(self.life.events) + 1:05d}"
        event = LifeEvent(number, kind, registered, effective, **details)  # type: ignore[arg-type]
        self.life.events.append(event)
        return event

    def _keep_listing(self, person: Person) -> None:
        self.life.members[person.serial] = MemberAsListed(
            person.household.number, person.relation, person.joined, person.died, person.id_number
        )

    def _split(self, *, contained: bool) -> None:
        household = self._pick(4)
        today = self._population.as_of
        grown = (
            []
            if household is None
            else [m for m in household.adults(today) if m.relation[0] in "23" and m.age(today) > 21]
        )
        if household is None or not grown:
            return
        registered, effective = self._times(contained=contained)
        mover = self._rng.choice(grown)
        new = self._population.add_household(household.village, household.group, "")
        self._busy.add(new.number)
        if contained:
            self.life.touched |= {new.number, household.number}
        else:
            self._keep_listing(mover)
            self.life.new_since_refresh[new.number] = registered
        household.members.remove(mover)
        new.members.append(mover)
        mover.household, mover.relation, mover.joined = new, "02", effective
        named = (EventMember(mover.member_no, "02"),)
        self._record(
            "01", registered, effective, old_household=household.number, new_household=new.number, members=named
        )

    def _merge(self, *, contained: bool) -> None:
        target = self._pick(2)
        small = None
        if target is not None:
            neighbours = [
                h
                for h in target.village.households
                if len(h.members) <= 2 and h.members and h.number not in self._busy and not h.story and not h.cancelled
            ]
            small = self._rng.choice(neighbours) if neighbours else None
        if target is None or small is None:
            return
        self._busy.add(small.number)
        registered, effective = self._times(contained=contained)
        named = []
        for person in list(small.members):
            if contained:
                self.life.touched |= {small.number, target.number}
            else:
                self._keep_listing(person)
            small.members.remove(person)
            target.members.append(person)
            person.household, person.relation, person.joined = target, "97", effective
            named.append(EventMember(person.member_no, "97"))
        if not contained:
            self.life.households[small.number] = HouseholdAsListed(small.village, small.group, cancelled=False)
        small.cancelled = True
        self._record(
            "02",
            registered,
            effective,
            old_household=small.number,
            new_household=target.number,
            members=tuple(named),
        )

    def _move(self, *, contained: bool) -> None:
        household = self._pick(1)
        if household is None:
            return
        registered, effective = self._times(contained=contained)
        village = self._rng.choice([v for v in self._population.villages if v is not household.village])
        if contained:
            self.life.touched.add(household.number)
        else:
            self.life.households[household.number] = HouseholdAsListed(
                household.village, household.group, cancelled=False
            )
        household.village.households.remove(household)
        village.households.append(household)
        household.village, household.group = village, f"{self._rng.randrange(1, 12):02d}"
        self._record(
            "03",
            registered,
            effective,
            old_household=household.number,
            new_village=village.code,
            new_group=household.group,
        )

    def _death(self, *, contained: bool) -> None:
        household = self._pick(2)
        if household is None:
            return
        person = max(household.members, key=lambda m: (m.age(self._population.as_of), m.serial))
        registered, effective = self._times(contained=contained)
        if person.id_number is None or effective <= person.joined:
            return
        if contained:
            self.life.touched.add(household.number)
        else:
            self._keep_listing(person)
        person.died = effective
        self._record("04", registered, effective, members=(EventMember(person.member_no),))

    def _revoked_death(self, *, contained: bool) -> None:
        """A death entered for the wrong person and taken back; nothing remains of it."""
        household = self._pick(1)
        if household is None:
            return
        registered, effective = self._times(contained=contained)
        member = EventMember(household.members[0].member_no)
        self._record("04", registered, effective, members=(member,), revoked=True)

    def _correction(self, *, contained: bool) -> None:
        household = self._pick(1)
        adults = household.adults(self._population.as_of) if household else []
        if household is None or not adults:
            return
        person = self._rng.choice(adults)
        registered, effective = self._times(contained=contained)
        if contained:
            self.life.touched.add(household.number)
        else:
            self._keep_listing(person)
        old = person.number
        county = household.village.county
        person.old_number = old
        person.id_number = self._population.ids.draw(self._rng, county, person.born, male=person.male)
        named = (EventMember(person.member_no, "", old, person.id_number),)
        self._record("05", registered, effective, members=named)

    def _overlap(self, *, contained: bool) -> None:
        household = self._pick(2)
        wives = [] if household is None else [m for m in household.members if m.relation == "12" and m.died is None]
        if not wives:
            return
        parents = self._pick(2)
        if parents is None or parents.village is wives[0].household.village:
            return
        wife = wives[0]
        joined = min(wife.joined - timedelta(days=30), date(2012, 5, 1))
        wife.joined = max(wife.joined, joined + timedelta(days=30))
        number = f"C9{len(self.life.overlaps) + 1:06d}"
        self.life.overlaps.append(SecondMembership(number, wife, parents, max(joined, wife.born)))
