"""Readings as of a day and an instant: what was shown once can be folded again, whatever came after it."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from hub.core.clock import day_of
from hub.core.rows import RowKind
from hub.records.folding.as_of import dwellers_of, lawful_now, settled_at
from hub.records.folding.bodies import sections_of
from hub.records.folding.fold import HouseholdRecord, fold
from hub.records.folding.household import load_seen
from hub.records.folding.shown import shown_record
from tests.adverse.items import arrears
from tests.records.world import (
    OTHER_VILLAGE,
    World,
    bill,
    consent,
    event,
    grade,
    household,
    loan,
    member,
    number,
    relief,
    tombstone,
)

DAO, OLD = number("19850312"), number("19850312", 301)
SI = number("19620705", 302)
Shown = dict[tuple[UUID, str, str, str], str]


async def record_of(world: World, household_no: str, recorded: datetime, day: date) -> HouseholdRecord | None:
    """The record of one household as of a day and an instant, ``None`` where there was no such household."""
    found = await world.connection.fetchval(
        "SELECT household_id FROM record.household_directory WHERE household_no = $1", household_no
    )
    seen = await load_seen(world.connection, world.keys, [found] if found else [], day, recorded)
    return fold(seen[0], day, recorded) if seen else None


async def stored(world: World) -> dict[str, Shown]:
    """The sections of every household as they stand ready to leave."""
    texts: dict[str, Shown] = {}
    for record in await world.connection.fetch(
        "SELECT h.household_no, s.* FROM record.section s JOIN record.household h USING (county, household_id)"
    ):
        key = (record["person_id"], record["category"], record["form"], record["owner"])
        texts.setdefault(record["household_no"], {})[key] = record["body"]
    return texts


async def refolded(world: World, recorded: datetime) -> dict[str, Shown]:
    """The sections of every household, folded as of an instant."""
    texts: dict[str, Shown] = {}
    for (household_no,) in await world.connection.fetch("SELECT household_no FROM record.household_directory"):
        record = await record_of(world, household_no, recorded, day_of(recorded))
        if record is not None:
            texts[household_no] = {
                (s.person_id, s.category.value, s.form.value, s.owner): s.body for s in sections_of(record)
            }
    return texts


def members(record: HouseholdRecord | None) -> dict[str, str]:
    return {} if record is None else {m.member_no: m.name for m in record.members}


async def test_whatever_comes_later_every_state_can_be_folded_again(world: World) -> None:
    states: list[tuple[datetime, dict[str, Shown]]] = []

    async def pull(**rows: Any) -> None:
        await world.pull(**rows)
        states.append((world.now, await stored(world)))

    correction = event("E5", "05", "2026-10-06", {"member_no": "C1", "old_id_number": OLD, "new_id_number": DAO})
    split = event("E1", "01", "2026-10-03", {"member_no": "C2"}, from_household="H1", to_household="H2")
    merge = event("E2", "02", "2026-10-10", {"member_no": "C2"}, from_household="H2", to_household="H3")
    move = event("E3", "03", "2026-10-04", from_household="H1", to_village_code=OTHER_VILLAGE, to_group_no="01")
    later = "2026-10-19T02:00:00+08:00"
    await pull(
        civil=[
            household("H1"), household("H2"), household("H3", group_no="05"),
            household("H9", village=OTHER_VILLAGE, township_name="陇把镇", village_name="吕良村"),
            member("C1", "H1", "刀岩保", OLD), member("C2", "H1", "思月", SI), member("C9", "H9", "刀岩", DAO),
            relief("J1", "H1"),
        ],
        tax=[grade("a|XY|2025", OLD), grade("b|XY|2025", DAO)],
        bank=[consent(OLD), loan("J1", OLD)],
        clinic=[bill("K|1", "思月"), bill("K|2", "思月", SI)],
    )  # fmt: skip
    await pull(civil=[split], tax=[grade("a|XY|2025", OLD, version=2, letter="A")])
    await pull(civil=[move])
    await pull(civil=[household("H9", village=OTHER_VILLAGE, version=2, township_name="陇把镇", village_name="吕良")])
    await pull(civil=[correction])
    await pull(bank=[consent(OLD, version=2, withdrawn_on="2026-10-19")])
    await pull(civil=[merge, household("H1", village=OTHER_VILLAGE, version=2, changed_at=later)])
    await pull(civil=[tombstone("event|E5", RowKind.EVENT, 2)])
    await pull(civil=[member("C1", "H1", "刀岩宝", OLD, version=2, died_on="2026-10-11", changed_at=later)])
    await pull(civil=[tombstone("event|E1", RowKind.EVENT, 2), tombstone("relief|J1", RowKind.FACT, 2)])
    for recorded, state in states:
        assert await refolded(world, recorded) == state, recorded
    texts = [str(sorted(map(str, state.items()))) for _, state in states]
    assert [n for n in range(1, len(texts)) if texts[n] == texts[n - 1]] == []


async def test_last_years_record_shows_last_years_members_place_and_lineage(world: World) -> None:
    later = "2026-10-15T02:00:00+08:00"
    await world.pull(
        civil=[
            household("H1"), household("H2"), member("C1", "H1", "刀岩保", DAO), member("C2", "H1", "思月", SI),
            event("E1", "01", "2026-10-03", {"member_no": "C2"}, from_household="H1", to_household="H2"),
            event("E3", "03", "2026-10-05", from_household="H1", to_village_code=OTHER_VILLAGE, to_group_no="01"),
            event("E4", "04", "2026-10-07", {"member_no": "C1"}),
        ]
    )  # fmt: skip
    first = world.now
    # The roster follows: its rows contain the events.
    await world.pull(
        civil=[
            household("H1", village=OTHER_VILLAGE, version=2, group_no="01", changed_at=later),
            member("C2", "H2", "思月", SI, version=2, joined_on="2026-10-03", changed_at=later),
            member("C1", "H1", "刀岩保", DAO, version=2, died_on="2026-10-07", changed_at=later),
        ]
    )  # fmt: skip
    for recorded in (first, world.now):
        before = await record_of(world, "H1", recorded, date(2026, 10, 2))
        assert members(before) == {"C1": "刀岩保", "C2": "思月"}
        assert before is not None
        assert (before.household.village_code, before.household.group_no) == ("533103102203", "03")
        assert (before.household.successors, before.members[0].died_on, before.size) == ((), None, 2)
        after = await record_of(world, "H1", recorded, date(2026, 10, 8))
        assert after is not None
        assert (after.household.village_code, after.household.group_no) == (OTHER_VILLAGE, "01")
        assert (after.household.successors, after.members[0].died_on) == (("H2",), date(2026, 10, 7))
        assert members(after) == {"C1": "刀岩保"}
        assert members(await record_of(world, "H2", recorded, date(2026, 10, 3))) == {"C2": "思月"}
        assert members(await record_of(world, "H2", recorded, date(2026, 10, 2))) == {}


async def test_a_place_before_an_event_that_nobody_told_of_is_the_first_that_is_known(world: World) -> None:
    move = event("E3", "03", "2026-09-05", from_household="H1", to_village_code=OTHER_VILLAGE, to_group_no="01")
    moved = household("H1", village=OTHER_VILLAGE, group_no="01", changed_at="2026-10-01T02:00:00+08:00")
    await world.pull(civil=[moved, member("C1", "H1", "刀岩保", DAO), move])
    await world.pull(civil=[household("H1", village=OTHER_VILLAGE, group_no="01", version=2)])
    for recorded in (world.now - timedelta(hours=1), world.now):
        record = await record_of(world, "H1", recorded, date(2025, 1, 1))
        assert record is not None
        assert (record.household.village_code, members(record)) == (OTHER_VILLAGE, {"C1": "刀岩保"})
    assert await world.connection.fetchval("SELECT count(*) FROM record.past_household") == 0


async def test_who_left_and_came_back_was_there_before_and_not_between(world: World) -> None:
    await world.pull(civil=[household("H1"), member("C1", "H1", "刀岩保", DAO)])
    await world.pull(civil=[member("C1", "H1", "刀岩保", DAO, version=2, left_on="2015-03-01")])
    assert await world.roster() == {}
    await world.pull(civil=[member("C1", "H1", "刀岩保", DAO, version=3, joined_on="2024-06-01")])
    present = [
        day for day in (date(2014, 1, 1), date(2015, 3, 1), date(2020, 1, 1), date(2024, 6, 1))
        if members(await record_of(world, "H1", world.now, day))
    ]  # fmt: skip
    assert present == [date(2014, 1, 1), date(2024, 6, 1)]
    # A correction of the day of joining is no return.
    await world.pull(civil=[member("C1", "H1", "刀岩保", DAO, version=4, joined_on="2024-07-01")])
    assert members(await record_of(world, "H1", world.now, date(2024, 6, 15))) == {}


async def test_a_number_leads_to_whom_it_led_then_and_to_the_household_of_that_day(world: World) -> None:
    indexes = [world.keys.index("identity", each) for each in (OLD, DAO, SI)]
    await world.pull(
        civil=[
            household("H1"), household("H2"), household("H9"), member("C1", "H1", "刀岩保", OLD),
            member("C9", "H9", "刀岩", DAO, left_on="2026-09-01"), member("C2", "H1", "思月", SI),
        ]
    )  # fmt: skip
    first, day = world.now, date(2026, 8, 1)
    correction = event("E5", "05", "2026-10-06", {"member_no": "C1", "old_id_number": OLD, "new_id_number": DAO})
    merge = event("E2", "02", "2026-10-10", {"member_no": "C2"}, from_household="H1", to_household="H2")
    await world.pull(civil=[correction, merge])

    async def numbers(recorded: datetime, on: date) -> list[str | None]:
        found = await dwellers_of(world.connection, [0, 1, 2], indexes, on, recorded)
        homes = [found[place].household_id if place in found else None for place in range(3)]
        fetch = world.connection.fetchval
        return [await fetch("SELECT household_no FROM record.household WHERE household_id = $1", h) for h in homes]

    assert await numbers(first, day) == ["H1", "H9", "H1"]
    assert await numbers(first, date(2026, 9, 1)) == ["H1", None, "H1"]
    assert await numbers(world.now, day) == ["H1", "H1", "H1"]
    assert await numbers(world.now, date(2026, 10, 10)) == [None, None, "H2"]


async def test_a_reading_as_of_an_instant_stands_where_the_record_was_settled(world: World) -> None:
    assert await settled_at(world.connection) is None
    await world.pull(civil=[household("H1")])
    first = world.now
    await world.pull(civil=[household("H2")])
    assert await settled_at(world.connection, first.replace(minute=59)) == first
    assert await settled_at(world.connection) == world.now
    assert await settled_at(world.connection, first.replace(year=2020)) is None


async def test_what_may_not_be_shown_any_more_is_not_shown_as_of_an_earlier_day(world: World) -> None:
    ended = {"adverse_ended_on": "2021-12-01", "overdue_days": 40, "notice_date": "2021-01-01"}
    await world.pull(
        civil=[household("H1"), member("C1", "H1", "刀岩保", DAO)],
        tax=[grade("a|XY|2025", DAO), arrears("2023-12-01")],
        bank=[consent(DAO), loan("J1", DAO), loan("J2", DAO, value=ended, adverse=True)],
    )  # fmt: skip
    recorded = world.now
    await world.pull(bank=[consent(DAO, version=2, withdrawn_on="2026-10-20")])

    async def shown(day: date, today: date) -> dict[str, tuple[str, bool]]:
        record = await record_of(world, "H1", recorded, day)
        assert record is not None
        told = shown_record(await lawful_now(world.connection, world.keys, record, today, world.now), 1)
        return {fact["source_key"][-2:]: (fact["status"], fact["value"] is None) for fact in told["facts"]}

    assert await shown(date(2026, 10, 19), date(2026, 10, 20)) == {
        "J1": ("LOCKED", True), "J2": ("LOCKED", True), "25": ("CURRENT", False), "|1": ("CURRENT", False),
    }  # fmt: skip
    assert set(await shown(date(2026, 10, 19), date(2026, 12, 1))) == {"J1", "J2", "25", "|1"}
    assert set(await shown(date(2026, 10, 19), date(2026, 12, 2))) == {"J1", "25"}
    assert set(await shown(date(2026, 4, 1), date(2026, 10, 20))) == {"J1", "J2", "|1"}
