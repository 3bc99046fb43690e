"""The rules of effective state, without a database."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hub.records.people.effective import (
    EventEffect,
    HouseholdState,
    MemberRow,
    Stay,
    canonical_numbers,
    effective_household,
    effective_places,
    effective_stays,
    with_remembered,
)

CHANGED = datetime(2026, 10, 1, tzinfo=UTC)
_days = st.dates(date(2026, 9, 1), date(2026, 12, 31))
_homes = st.sampled_from(["H1", "H2", "H3"])


def _row(**changes: object) -> MemberRow:
    values: dict[str, object] = {
        "member_no": "C1", "household_no": "H1", "name": "思月", "id_number": None, "birth_date": date(1980, 1, 1),
        "relation": "02", "joined_on": date(2012, 5, 1), "left_on": None, "died_on": None, "changed_at": CHANGED,
    }  # fmt: skip
    return MemberRow(**(values | changes))  # type: ignore[arg-type]


@st.composite
def _events(draw: st.DrawFn) -> list[EventEffect]:
    count = draw(st.integers(0, 6))
    return [
        EventEffect(
            event_no=f"E{n}",
            event_type=draw(st.sampled_from(["01", "02", "03", "04"])),
            effective_on=draw(_days),
            registered_at=CHANGED + timedelta(days=draw(st.integers(-5, 5))),
            from_household=draw(_homes),
            to_household=draw(_homes),
            to_village_code=draw(st.sampled_from(["533103102203", "533124101201"])),
            to_group_no=draw(st.sampled_from(["01", None])),
            member_no=draw(st.sampled_from(["C1", "C2"])),
            relation=draw(st.sampled_from(["01", None])),
        )
        for n in range(count)
    ]


@given(_events(), st.randoms())
def test_the_order_of_arrival_and_repetition_make_no_difference(events: list[EventEffect], random: object) -> None:
    shuffled = [*events, *events]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert effective_stays(_row(), shuffled) == effective_stays(_row(), events)
    household = HouseholdState("H1", "533103102203", "03", "ACTIVE", CHANGED)
    assert effective_household(household, shuffled) == effective_household(household, events)


@given(_events())
def test_stays_do_not_overlap_and_the_last_event_wins(events: list[EventEffect]) -> None:
    stays = effective_stays(_row(), events)
    for before, after in pairwise(stays):
        assert before.left_on is not None
        assert before.joined_on < before.left_on <= after.joined_on
    moving = [e for e in events if e.member_no == "C1" and e.event_type in {"01", "02"} and e.registered_at > CHANGED]
    if moving:
        last = max(moving, key=lambda event: event.order)
        assert (stays[-1].household_no, stays[-1].joined_on) == (last.to_household, last.effective_on)
    else:
        assert (stays[-1].household_no, stays[-1].joined_on) == ("H1", date(2012, 5, 1))


@given(_events())
def test_events_already_contained_in_the_row_change_nothing(events: list[EventEffect]) -> None:
    contained = _row(changed_at=CHANGED + timedelta(days=30))
    assert effective_stays(contained, events) == effective_stays(contained, [])


@given(_events())
def test_places_follow_one_another_and_the_last_event_wins(events: list[EventEffect]) -> None:
    row = HouseholdState("H1", "533103102203", "03", "ACTIVE", CHANGED)
    places = effective_places(row, events)
    assert places[-1].state == effective_household(row, events)
    assert places[-1].until is None
    for before, after in pairwise(places):
        assert before.until == after.since
        assert before.since is None or before.since < after.since  # type: ignore[operator]
    assert places[0].state == row or places[0].since is not None
    contained = replace(row, changed_at=CHANGED + timedelta(days=30))
    assert [place.state for place in effective_places(contained, events)] == [contained]


@given(_events())
def test_deriving_again_from_what_was_recorded_gives_the_same(events: list[EventEffect]) -> None:
    stays = with_remembered(effective_stays(_row(), events), [])
    assert with_remembered(effective_stays(_row(), events), stays) == stays


def test_an_event_registered_at_the_very_time_of_the_row_is_contained() -> None:
    event = EventEffect("E1", "04", date(2026, 9, 30), CHANGED, member_no="C1")
    assert effective_stays(_row(), [event])[0].died_on is None


def test_a_move_gives_a_new_group_even_if_it_is_empty() -> None:
    household = HouseholdState("H1", "533103102203", "03", "ACTIVE", CHANGED)
    move = EventEffect("E1", "03", date(2026, 10, 2), CHANGED + timedelta(days=1), "H1", None, "533124101201")
    moved = effective_household(household, [move])
    assert (moved.village_code, moved.group_no, moved.status) == ("533124101201", None, "ACTIVE")


def test_where_somebody_was_before_stays_remembered_but_a_mistake_does_not() -> None:
    now = Stay("H2", "01", date(2026, 10, 3), None)
    past = Stay("H1", "02", date(2012, 5, 1), date(2026, 10, 3))
    mistaken = Stay("H3", "02", date(2026, 10, 3), None)
    assert with_remembered([now], [past, mistaken, now]) == [past, now]
    assert with_remembered([now], [Stay("H1", "02", date(2012, 5, 1), None)]) == [past, now]


def _correction(no: str, day: int, old: bytes, new: bytes) -> EventEffect:
    return EventEffect(no, "05", date(2026, 10, day), CHANGED, member_no="C1", old_index=old, new_index=new)


def test_corrections_chain_and_the_last_one_names_the_present_number() -> None:
    chain = [_correction("E2", 2, b"b", b"c"), _correction("E1", 1, b"a", b"b")]
    assert canonical_numbers(chain) == {b"a": b"c", b"b": b"c"}
    back = [*chain, _correction("E3", 3, b"c", b"a")]
    assert canonical_numbers(back) == {b"b": b"a", b"c": b"a"}
    assert canonical_numbers([]) == {}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), max_size=6), st.randoms())
def test_every_number_leads_to_a_present_one(pairs: list[tuple[str, str]], random: object) -> None:
    events = [_correction(f"E{n}", 1 + n, old.encode(), new.encode()) for n, (old, new) in enumerate(pairs)]
    present = canonical_numbers(events)
    assert not set(present) & set(present.values())
    for event in events:
        assert event.old_index is not None
        assert event.new_index is not None
        assert present.get(event.old_index, event.old_index) == present.get(event.new_index, event.new_index)
    random.shuffle(events)  # type: ignore[attr-defined]
    assert canonical_numbers(events) == present
