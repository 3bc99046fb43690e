"""Effective state of households, members and ID numbers: the newest roster row, then the later events.

No input or output. The rule (docs/CONTRACTS.md, civil affairs section 3): events registered later than the row's own
time of change are applied to it in the order (effective day, event number); earlier ones are already contained in the
row. Lineage and aliases come from all events, contained or not. A revoked event is simply not among those given here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

SPLIT, MERGE, MOVE, DEATH, NUMBER = "01", "02", "03", "04", "05"
"""Types of life events in the code list of civil affairs."""


@dataclass(frozen=True, slots=True)
class EventEffect:
    """What one event says about one member (``member_no`` ``None``: about the household alone)."""

    event_no: str
    event_type: str
    effective_on: date
    registered_at: datetime
    from_household: str | None = None
    to_household: str | None = None
    to_village_code: str | None = None
    to_group_no: str | None = None
    member_no: str | None = None
    relation: str | None = None
    old_index: bytes | None = None
    new_index: bytes | None = None

    @property
    def order(self) -> tuple[date, str]:
        """The order in which events are applied."""
        return self.effective_on, self.event_no


@dataclass(frozen=True, slots=True)
class HouseholdState:
    """A household as it is: place and status. ``status`` is ``ACTIVE`` or ``CANCELLED``."""

    household_no: str
    village_code: str
    group_no: str | None
    status: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """Where a household is from ``since`` (``None``: ever since it is known) to before ``until`` (``None``: still)."""

    state: HouseholdState
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member as the newest roster row says."""

    member_no: str
    household_no: str
    name: str
    id_number: str | None
    birth_date: date
    relation: str | None
    joined_on: date
    left_on: date | None
    died_on: date | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Stay:
    """A member's time in one household: from ``joined_on`` to before ``left_on`` (``None``: still there)."""

    household_no: str
    relation: str | None
    joined_on: date
    left_on: date | None
    died_on: date | None = None


def household_from_value(value: Mapping[str, Any]) -> HouseholdState:
    """The household in the value of a ``HOUSEHOLD`` row (hub/connectors/agencies/civil.py)."""
    return HouseholdState(
        household_no=value["household_no"],
        village_code=value["village_code"],
        group_no=value["group_no"],
        status=value["status"],
        changed_at=datetime.fromisoformat(value["changed_at"]),
    )


def member_from_value(value: Mapping[str, Any], born: date) -> MemberRow:
    """The member in the value of a ``MEMBER`` row; ``born`` comes from the ID number, else from the row."""
    return MemberRow(
        member_no=value["member_no"],
        household_no=value["household_no"],
        name=value["name"],
        id_number=value["id_number"],
        birth_date=born,
        relation=value["relation"],
        joined_on=date.fromisoformat(value["joined_on"]),
        left_on=_day(value["left_on"]),
        died_on=_day(value["died_on"]),
        changed_at=datetime.fromisoformat(value["changed_at"]),
    )


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _later(events: Iterable[EventEffect], changed_at: datetime) -> list[EventEffect]:
    return sorted({event for event in events if event.registered_at > changed_at}, key=lambda event: event.order)


def effective_places(row: HouseholdState, events: Iterable[EventEffect]) -> list[Place]:
    """Where the household has been, in order; the last place is the present one. A merge into another cancels it.

    What the row says holds since the last event that it contains; the places before that one are not told by it.
    """
    own = {
        event
        for event in events
        if event.from_household == row.household_no
        and (event.event_type == MERGE or (event.event_type == MOVE and event.to_village_code is not None))
    }
    later = _later(own, row.changed_at)
    contained = sorted(own.difference(later), key=lambda event: event.order)
    places = [Place(row, contained[-1].effective_on if contained else None)]
    for event in later:
        last = places[-1]
        if event.event_type == MERGE:
            state = replace(last.state, status="CANCELLED")
        else:
            state = replace(last.state, village_code=event.to_village_code or "", group_no=event.to_group_no)
        if last.since is not None and event.effective_on <= last.since:
            places[-1] = replace(last, state=state)
        else:
            places[-1:] = [replace(last, until=event.effective_on), Place(state, event.effective_on)]
    return places


def effective_household(row: HouseholdState, events: Iterable[EventEffect]) -> HouseholdState:
    """The household after a move, or cancelled after it merged into another one."""
    return effective_places(row, events)[-1].state


def effective_stays(row: MemberRow, events: Iterable[EventEffect]) -> list[Stay]:
    """Where the member has been, in order; the last stay is the present one (or the one that was left last).

    A stay that an event ends before it began was never real and is left out.
    """
    stays = [Stay(row.household_no, row.relation, row.joined_on, row.left_on, row.died_on)]
    for event in _later(events, row.changed_at):
        if event.member_no != row.member_no:
            continue
        last = stays[-1]
        if event.event_type == DEATH:
            stays[-1] = replace(last, died_on=event.effective_on)
        elif event.event_type in {SPLIT, MERGE} and event.to_household is not None:
            ended = min(event.effective_on, last.left_on or event.effective_on)
            stays[-1] = replace(last, left_on=ended, died_on=None)
            joined = Stay(event.to_household, event.relation or last.relation, event.effective_on, None, last.died_on)
            stays.append(joined)
    past = [stay for stay in stays[:-1] if stay.left_on is not None and stay.joined_on < stay.left_on]
    return [*past, stays[-1]]


def with_remembered(stays: list[Stay], remembered: Iterable[Stay]) -> list[Stay]:
    """Add what earlier rows told about other households before the first stay told now.

    A newer roster row contains its events and shows the present household only; where the member was before stays in
    the history, cut at the day on which the present telling begins. Of the same household only a stay that was ended
    is another one: who left and came back. One that was open was told wrong.
    """
    first = stays[0]
    before = []
    for old in remembered:
        has_ended = old.left_on is not None and old.left_on <= first.joined_on
        is_other = old.household_no != first.household_no or has_ended
        if old.joined_on < first.joined_on and is_other:
            left = min(old.left_on or first.joined_on, first.joined_on)
            before.append(replace(old, left_on=left, died_on=None))
    return [*sorted(set(before), key=lambda stay: (stay.joined_on, stay.household_no)), *stays]


def canonical_numbers(events: Iterable[EventEffect]) -> dict[bytes, bytes]:
    """Corrected ID number -> the number the person has now, both as blind indexes; present numbers are not keys.

    Corrections chain: all numbers joined by events belong to one person, whose present number is the new one of the
    last event among them.
    """
    parent: dict[bytes, bytes] = {}

    def root(index: bytes) -> bytes:
        while parent.setdefault(index, index) != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    present: dict[bytes, bytes] = {}
    corrections = [event for event in events if event.event_type == NUMBER]
    for event in sorted(corrections, key=lambda event: (event.order, event.member_no or "")):
        if event.old_index is None or event.new_index is None:
            continue
        old, new = root(event.old_index), root(event.new_index)
        parent[old] = new
        present[root(new)] = event.new_index
    return {index: present[root(index)] for index in parent if present[root(index)] != index}
