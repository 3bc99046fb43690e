"""Effective state of households and members over a real database (docs/CONTRACTS.md, civil affairs section 3)."""

from hub.core.rows import RowKind
from tests.records.world import (
    OTHER_VILLAGE,
    World,
    event,
    grade,
    household,
    member,
    number,
    relief,
    tombstone,
)

DAO = number("19850312")
SI = number("19620705", 302)
OLD = number("19850312", 999)


async def test_a_split_moves_the_member_and_keeps_his_past(world: World) -> None:
    split = event(
        "E1", "01", "2026-10-03", {"member_no": "C2", "relation": "01"}, from_household="H1", to_household="H2",
        registered_at="2026-10-05T09:00:00+08:00",
    )  # fmt: skip
    await world.pull(
        civil=[
            household("H1"),
            household("H2"),
            member("C1", "H1", "刀岩保", DAO),
            member("C2", "H1", "思月", SI),
            split,
        ]
    )
    assert await world.roster() == {"C1": ("H1", "2012-05-01", None), "C2": ("H2", "2026-10-03", None)}
    history = await world.connection.fetch(
        """SELECT valid_from, valid_to FROM record.membership
           WHERE member_no = 'C2' AND recorded_to = 'infinity' ORDER BY valid_from"""
    )
    assert [(str(r["valid_from"]), str(r["valid_to"])) for r in history] == [
        ("2012-05-01", "2026-10-03"),
        ("2026-10-03", "None"),
    ]
    assert (await world.person(SI))["household_no"] == "H2"
    await world.pull(civil=[tombstone("event|E1", RowKind.EVENT, 2)])
    assert (await world.roster())["C2"] == ("H1", "2012-05-01", None)
    assert (await world.person(SI))["household_no"] == "H1"


async def test_a_newer_row_contains_its_event_and_the_past_stays_in_the_history(world: World) -> None:
    split = event(
        "E1", "01", "2026-10-03", {"member_no": "C2", "relation": "01"}, from_household="H1", to_household="H2"
    )
    await world.pull(civil=[household("H1"), household("H2"), member("C2", "H1", "思月", SI), split])
    newer = member(
        "C2", "H2", "思月", SI, version=2, joined_on="2026-10-03", relation="01", changed_at="2026-10-10T00:00:00+08:00"
    )
    before = await world.connection.fetch("SELECT * FROM record.membership ORDER BY membership_id")
    await world.pull(civil=[newer])
    assert await world.connection.fetch("SELECT * FROM record.membership ORDER BY membership_id") == before
    await world.pull(civil=[tombstone("event|E1", RowKind.EVENT, 2)])
    assert (await world.roster())["C2"] == ("H2", "2026-10-03", None)


async def test_a_merge_cancels_the_household_and_who_is_left_in_it_has_none(world: World) -> None:
    merge = event(
        "E1", "02", "2026-10-03", {"member_no": "C1", "relation": "97"}, from_household="H1", to_household="H2"
    )
    await world.pull(
        civil=[
            household("H1"),
            household("H2"),
            member("C1", "H1", "刀岩保", DAO),
            member("C2", "H1", "思月", SI),
            merge,
        ]
    )
    assert await world.roster() == {"C1": ("H2", "2026-10-03", None)}
    assert (await world.person(SI))["household_no"] is None
    assert await world.sections("H1") == {}
    assert (await world.sections("H2"))["roster/VALUE"]["size"] == 1


async def test_moving_county_takes_along_people_facts_and_sections(world: World) -> None:
    await world.pull(
        civil=[household("H1"), member("C1", "H1", "刀岩保", DAO), relief("J1", "H1")], tax=[grade("t|XY|2025", DAO)]
    )
    person = await world.person_id(DAO)
    move = event("E1", "03", "2026-10-03", from_household="H1", to_village_code=OTHER_VILLAGE, to_group_no="01")
    await world.pull(civil=[move])
    assert await world.person_id(DAO) == person
    for table in ("person", "household", "membership", "section", "directory", "household_directory"):
        counties = await world.connection.fetch(f"SELECT DISTINCT county FROM record.{table}")
        assert [record["county"] for record in counties] == ["533124"], table
    facts = await world.connection.fetch("SELECT DISTINCT county FROM record.observation WHERE kind = 'FACT'")
    assert [record["county"] for record in facts] == ["533124"]
    roster = (await world.sections("H1"))["roster/VALUE"]
    assert (roster["countyName"], roster["villageCode"], roster["groupNo"]) == ("陇川县", OTHER_VILLAGE, "01")
    assert (await world.roster())["C1"] == ("H1", "2012-05-01", None)


async def test_a_corrected_number_makes_facts_under_both_belong_to_one_person(world: World) -> None:
    await world.pull(
        civil=[household("H1"), member("C1", "H1", "刀岩保", OLD)],
        tax=[grade("a|XY|2025", OLD), grade("b|XY|2025", DAO)],
    )
    first, second = await world.person_id(OLD), await world.person_id(DAO)
    assert first != second
    correction = event("E1", "05", "2026-10-03", {"member_no": "C1", "old_id_number": OLD, "new_id_number": DAO})
    await world.pull(civil=[correction])
    assert await world.person_id(OLD) == await world.person_id(DAO) == first
    identity = (await world.sections("H1", DAO))["identity/VALUE"]
    assert identity["maskedIdNumber"].endswith(DAO[-4:])
    assert len((await world.sections("H1", DAO))["tax.grade/VALUE"]["items"]) == 2
    await world.pull(civil=[tombstone("event|E1", RowKind.EVENT, 2)])
    assert await world.person_id(OLD) == first
    assert await world.person_id(DAO) != first
    assert len((await world.sections("H1", OLD))["tax.grade/VALUE"]["items"]) == 1


async def test_a_contained_correction_still_makes_the_alias(world: World) -> None:
    correction = event("E1", "05", "2026-09-01", {"member_no": "C1", "old_id_number": OLD, "new_id_number": DAO})
    await world.pull(
        tax=[grade("a|XY|2025", OLD)], civil=[household("H1"), member("C1", "H1", "刀岩保", DAO), correction]
    )
    assert await world.person_id(OLD) == await world.person_id(DAO)
    assert len((await world.sections("H1", DAO))["tax.grade/VALUE"]["items"]) == 1


async def test_of_two_memberships_the_later_makes_the_household_of_the_person(world: World) -> None:
    parents = member("C1", "H1", "思月", SI, joined_on="1990-01-01")
    husband = member("C2", "H2", "思月", SI, joined_on="2001-01-01")
    await world.pull(civil=[household("H1"), household("H2"), parents, husband])
    assert (await world.person(SI))["household_no"] == "H2"
    for no in ("H1", "H2"):
        conflicts = (await world.sections(no, SI))["conflict/VALUE"]["items"]
        assert conflicts == [{"type": "MEMBERSHIP_OVERLAP", "source": None}]
    await world.pull(civil=[tombstone("member|C2", RowKind.MEMBER, 2)])
    assert (await world.person(SI))["household_no"] == "H1"
    assert "conflict/VALUE" not in await world.sections("H1", SI)


async def test_the_order_in_which_sources_are_pulled_does_not_matter(world: World) -> None:
    await world.pull(tax=[grade("a|XY|2025", DAO)])
    person = await world.person_id(DAO)
    assert (await world.person(DAO))["county"] == "000000"
    await world.pull(civil=[household("H1"), member("C1", "H1", "刀岩保", DAO)])
    assert await world.person_id(DAO) == person
    assert (await world.person(DAO))["county"] == "533103"
    assert "tax.grade/VALUE" in await world.sections("H1", DAO)


async def test_pulling_the_same_again_writes_nothing(world: World) -> None:
    rows = [household("H1"), member("C1", "H1", "刀岩保", DAO), relief("J1", "H1")]
    await world.pull(civil=rows, tax=[grade("a|XY|2025", DAO)])
    tables = ("membership", "person", "section", "household", "observation")
    before = {t: await world.connection.fetch(f"SELECT t::text, xmin::text FROM record.{t} t") for t in tables}
    await world.pull(civil=rows, tax=[grade("a|XY|2025", DAO)])
    for table in tables:
        assert await world.connection.fetch(f"SELECT t::text, xmin::text FROM record.{table} t") == before[table], table
