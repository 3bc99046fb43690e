"""Dangling references and two people under one number (docs/CONTRACTS.md 1.5 #20 and #21)."""

from hub.core.rows import RowKind
from tests.records.world import World, event, household, member, number, relief, tombstone

DAO = number("19850312")
SI = number("19620705", 302)
REF_MISSING, DUP_CONFLICT = 21, 20


async def test_what_refers_to_nothing_held_waits_and_comes_back(world: World) -> None:
    split = event(
        "E1", "01", "2026-10-03", {"member_no": "C1", "relation": "01"}, from_household="H1", to_household="H2"
    )
    await world.pull(civil=[member("C1", "H1", "刀岩保", DAO), relief("J1", "H1"), split])
    assert await world.quarantine() == {"member|C1": REF_MISSING, "relief|J1": REF_MISSING, "event|E1": REF_MISSING}
    assert await world.roster() == {}
    await world.pull(civil=[household("H1")])
    assert await world.quarantine() == {"event|E1": REF_MISSING}
    assert await world.roster() == {"C1": ("H1", "2012-05-01", None)}
    assert "civil.relief/YES_NO" in await world.sections("H1")
    await world.pull(civil=[household("H2")])
    assert await world.quarantine() == {}
    assert await world.roster() == {"C1": ("H2", "2026-10-03", None)}


async def test_an_event_that_names_a_quarantined_member_waits(world: World) -> None:
    death = event("E1", "04", "2026-10-03", {"member_no": "C1"})
    await world.pull(civil=[household("H1"), member("C1", "H9", "刀岩保", DAO), death])
    assert await world.quarantine() == {"member|C1": REF_MISSING, "event|E1": REF_MISSING}
    await world.pull(civil=[household("H9")])
    assert await world.quarantine() == {}
    assert await world.roster() == {"C1": ("H9", "2012-05-01", "2026-10-03")}


async def test_members_who_are_dead_or_left_are_held(world: World) -> None:
    gone = member("C1", "H1", "刀岩保", DAO, left_on="2020-01-01")
    dead = member("C2", "H1", "思月", SI, died_on="2020-01-01")
    events = [event(f"E{n}", "04", "2026-10-03", {"member_no": f"C{n}"}) for n in (1, 2)]
    await world.pull(civil=[household("H1"), gone, dead, *events])
    assert await world.quarantine() == {}


async def test_a_household_taken_back_later_does_not_refuse_what_was_accepted(world: World) -> None:
    await world.pull(civil=[household("H1"), member("C1", "H1", "刀岩保", DAO)])
    await world.pull(civil=[tombstone("household|H1", RowKind.HOUSEHOLD, 2)])
    assert await world.quarantine() == {}
    assert await world.roster() == {}
    assert (await world.person(DAO))["household_id"] is None
    await world.pull(civil=[household("H1", version=3)])
    assert await world.roster() == {"C1": ("H1", "2012-05-01", None)}


async def test_of_two_new_members_with_one_number_the_smaller_stays(world: World) -> None:
    rows = [household("H1"), member("C9", "H1", "思月", DAO), member("C1", "H1", "刀岩保", DAO)]
    await world.pull(civil=rows)
    assert await world.quarantine() == {"member|C9": DUP_CONFLICT}
    assert list(await world.roster()) == ["C1"]


async def test_the_member_held_from_before_stays(world: World) -> None:
    await world.pull(civil=[household("H1"), member("C9", "H1", "思月", DAO)])
    await world.pull(civil=[member("C1", "H1", "刀岩保", DAO), member("C2", "H1", "思 月", DAO)])
    assert await world.quarantine() == {"member|C1": DUP_CONFLICT}
    assert sorted(await world.roster()) == ["C2", "C9"]


async def test_a_member_who_has_left_does_not_hold_the_number(world: World) -> None:
    await world.pull(civil=[household("H1"), member("C9", "H1", "思月", DAO, left_on="2020-01-01")])
    await world.pull(civil=[member("C1", "H1", "刀岩保", DAO)])
    assert await world.quarantine() == {}
    assert list(await world.roster()) == ["C1"]


async def test_a_number_held_through_a_correction_is_held(world: World) -> None:
    correction = event("E1", "05", "2026-10-03", {"member_no": "C1", "old_id_number": SI, "new_id_number": DAO})
    await world.pull(civil=[household("H1"), member("C1", "H1", "刀岩保", SI), correction])
    await world.pull(civil=[member("C2", "H1", "思月", DAO)])
    assert await world.quarantine() == {"member|C2": DUP_CONFLICT}
