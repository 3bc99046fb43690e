"""Links of clinic rows without ID number (docs/CONTRACTS.md 1.3 and 2.6)."""

from uuid import UUID, uuid4

import pytest

from hub.core.names import LinkState
from hub.records.linkage.links import LENT_PHONE_MAX, Candidate, decide, list_links
from hub.records.people.places import Gazetteer, VillageName
from tests.records.world import OTHER_VILLAGE, VILLAGE, World, bill, event, household, member, number

SI = number("19620705", 302)
NAMESAKE = number("19700101", 302)
CHILD = number("20150601", 302)

NONGKAN = VillageName("533103102203", "遮放镇", "弄坎村")
HUSA = VillageName("533103102204", "遮放镇", "户弄村")


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("遮放镇弄坎村", "533103102203"),
        ("潞西市 遮放镇弄坎村委会3组", "533103102203"),
        ("遮放镇弄坎村民委员会", "533103102203"),
        ("遮放镇", None),
        ("芒市镇弄坎村", None),
        ("遮放镇弄坎村、户弄村", None),
        ("", None),
        (None, None),
    ],
)
def test_an_address_fits_one_village_or_none(address: str | None, code: str | None) -> None:
    assert Gazetteer([NONGKAN, HUSA]).resolve(address) == code


def test_two_codes_of_one_name_are_not_resolved() -> None:
    assert Gazetteer([NONGKAN, NONGKAN._replace(village_code="533103102999")]).resolve("遮放镇弄坎村") is None
    assert Gazetteer([NONGKAN, NONGKAN._replace(village="村")]).resolve("遮放镇弄坎村") == "533103102203"


def _candidate(no: str, *, same_phone: bool = False) -> Candidate:
    return Candidate(no, uuid4(), same_phone)


def test_the_phone_decides_only_if_it_tells_one_apart_and_is_not_lent() -> None:
    one, two = _candidate("C1", same_phone=True), _candidate("C2")
    assert decide([two], 0) == (LinkState.PROBABLE, (two,))
    assert decide([two, one], LENT_PHONE_MAX) == (LinkState.PROBABLE, (one,))
    assert decide([two, one], LENT_PHONE_MAX + 1) == (LinkState.REVIEW, (one, two))
    assert decide([_candidate("C1", same_phone=True), one], 1)[0] is LinkState.REVIEW
    assert decide([], 0) == (LinkState.UNLINKED, ())


async def _states(world: World) -> dict[str, tuple[str, list[str]]]:
    return {e["source_key"]: (e["state"], e["candidates"]) for e in await list_links(world.connection, "clinic")}


async def test_one_candidate_is_probable_and_stays_out_of_every_section(world: World) -> None:
    await world.pull(civil=[household("H1"), member("C1", "H1", "思 月", SI)], clinic=[bill("K|1", "思月")])
    assert await _states(world) == {"K|1": ("PROBABLE", ["member|C1"])}
    linked = await world.connection.fetchrow(
        "SELECT person_id, county, link FROM record.observation WHERE link <> 'ID'"
    )
    assert (linked["person_id"], linked["county"]) == (await world.person_id(SI), "533103")
    assert set(await world.sections("H1", SI)) == {"identity/VALUE"}


async def test_two_candidates_go_to_review_unless_the_phone_tells_them_apart(world: World) -> None:
    roster = [
        household("H1", phone="13800000000"), household("H2"), member("C1", "H1", "思月", SI),
        member("C2", "H2", "思月", NAMESAKE),
    ]  # fmt: skip
    await world.pull(civil=roster, clinic=[bill("K|1", "思月"), bill("K|2", "思月", phone="13800000000")])
    assert await _states(world) == {
        "K|1": ("REVIEW", ["member|C1", "member|C2"]),
        "K|2": ("PROBABLE", ["member|C1"]),
    }
    assert await world.connection.fetchval("SELECT person_id FROM record.observation WHERE link = 'REVIEW'") is None


async def test_a_phone_lent_to_many_households_decides_nothing(world: World) -> None:
    lent = [household(f"H{n}", phone="13800000000") for n in range(2, 2 + LENT_PHONE_MAX + 1)]
    people = [member("C1", "H1", "思月", SI), member("C2", "H2", "思月", NAMESAKE)]
    await world.pull(civil=[household("H1"), *lent, *people], clinic=[bill("K|1", "思月", phone="13800000000")])
    assert (await _states(world))["K|1"][0] == "REVIEW"


async def test_the_dead_the_left_and_children_are_no_candidates(world: World) -> None:
    roster = [
        household("H1"), member("C1", "H1", "思月", SI, died_on="2026-01-01"),
        member("C2", "H1", "思月", NAMESAKE, left_on="2026-01-01"), member("C3", "H1", "思月", CHILD),
    ]  # fmt: skip
    await world.pull(civil=roster, clinic=[bill("K|1", "思月")])
    assert await world.quarantine() == {"K|1": 22}
    assert await _states(world) == {"K|1": ("UNLINKED", [])}


async def test_a_row_without_candidate_waits_and_is_released_when_one_comes(world: World) -> None:
    await world.pull(clinic=[bill("K|1", "思月")])
    assert await world.quarantine() == {"K|1": 22}
    await world.pull(civil=[household("H1"), member("C1", "H1", "思月", SI)])
    assert await world.quarantine() == {}
    assert await _states(world) == {"K|1": ("PROBABLE", ["member|C1"])}


async def test_a_link_once_made_stays_until_the_row_gets_a_new_version(world: World) -> None:
    await world.pull(civil=[household("H1"), member("C1", "H1", "思月", SI)], clinic=[bill("K|1", "思月")])
    await world.pull(civil=[household("H2"), member("C2", "H2", "思月", NAMESAKE)])
    assert (await _states(world))["K|1"] == ("PROBABLE", ["member|C1"])
    await world.pull(clinic=[bill("K|1", "思月", version=2)])
    assert (await _states(world))["K|1"] == ("REVIEW", ["member|C1", "member|C2"])


async def test_a_person_in_two_households_counts_once_where_she_lives(world: World) -> None:
    far = household("H2", village=OTHER_VILLAGE, township_name="章凤镇", village_name="广山村")
    parents = member("C1", "H1", "思月", SI, joined_on="1990-01-01")
    husband = member("C2", "H2", "思月", SI, joined_on="2001-01-01")
    rows = [bill("K|1", "思月"), bill("K|2", "思月", address="章凤镇广山村")]
    await world.pull(civil=[household("H1"), far, parents, husband], clinic=rows)
    assert await _states(world) == {"K|1": ("UNLINKED", []), "K|2": ("PROBABLE", ["member|C2"])}


async def test_a_household_that_moved_lives_in_the_village_of_its_new_code(world: World) -> None:
    far = household("H2", village=OTHER_VILLAGE, township_name="章凤镇", village_name="广山村")
    move = event("E1", "03", "2026-10-03", from_household="H1", to_village_code=OTHER_VILLAGE)
    await world.pull(civil=[household("H1"), far, member("C1", "H1", "思月", SI), move])
    await world.pull(clinic=[bill("K|1", "思月", address="章凤镇广山村"), bill("K|2", "思月")])
    assert await _states(world) == {"K|1": ("PROBABLE", ["member|C1"]), "K|2": ("UNLINKED", [])}
    roster = (await world.sections("H1"))["roster/VALUE"]
    assert (roster["townshipName"], roster["villageName"]) == ("章凤镇", "广山村")


async def test_facts_with_number_are_linked_whatever_the_name(world: World) -> None:
    await world.pull(
        civil=[household("H1"), member("C1", "H1", "思月", SI)],
        clinic=[bill("K|1", "思悦", SI), bill("K|2", "思悦", NAMESAKE)],
    )
    sections = await world.sections("H1", SI)
    assert [item["balanceBand"] for item in sections["clinic.arrears/BAND"]["items"]] == ["500-2000"]
    assert sections["conflict/VALUE"]["items"] == [{"type": "NAME_DIFFERS", "source": "clinic"}]
    assert await list_links(world.connection, "clinic") == []
    assert await world.connection.fetchval("SELECT county FROM record.observation WHERE source_key = 'K|2'") == "000000"
    assert isinstance(await world.person_id(NAMESAKE), UUID)
    assert VILLAGE.startswith("533103")
