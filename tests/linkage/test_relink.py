"""A link that changes leaves its history; a reviewer's decision goes before the machine's rules and stays."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from hub.core.clock import day_of
from hub.core.ids import uuid7
from hub.core.names import LinkState, LinkVerdict
from hub.records.folding.fold import fold
from hub.records.folding.household import load_seen
from hub.records.intake.currency import recompute_currency
from hub.records.linkage.link_decisions import DecidedRow, decisions_on, hint_indexes, opened, write_decision
from hub.records.linkage.links import list_links
from hub.records.linkage.relink import NewLink, relink
from tests.records.world import World, bill, event, grade, household, member, number

SI = number("19620705", 302)
NAMESAKE = number("19700101", 302)
OTHER = number("19800101", 302)

ROSTER = [
    household("H1", phone="13800000000"), household("H2"), household("H3"), member("C1", "H1", "思月", SI),
    member("C2", "H2", "思月", NAMESAKE), member("C3", "H3", "罕英", OTHER),
]  # fmt: skip


async def current(world: World, key: str = "K|1") -> asyncpg.Record:
    record = await world.connection.fetchrow(
        "SELECT * FROM record.observation WHERE source_key = $1 AND recorded_to = 'infinity'", key
    )
    assert record is not None
    return record


async def history(world: World, key: str = "K|1") -> list[tuple[str, str, UUID | None]]:
    """Version, link and person of each recorded range that is not empty, in order."""
    return [
        (r["version"], r["link"], r["person_id"])
        for r in await world.connection.fetch(
            "SELECT * FROM record.observation WHERE source_key = $1 AND recorded_from < recorded_to"
            " ORDER BY recorded_from",
            key,
        )
    ]


async def decide(world: World, verdict: LinkVerdict, person: str | None = None, key: str = "K|1") -> int:
    world.now += timedelta(minutes=1)
    record = await current(world, key)
    row = DecidedRow(record["row_id"], record["source"], key, hint_indexes(world.keys, *opened(world.keys, record))[0])
    person_id = record["person_id"] if verdict is LinkVerdict.UNLINK else person and await world.person_id(person)
    made = len(await decisions_on(world.connection, world.keys, row.source, key))
    async with world.connection.transaction():
        return await write_decision(
            world.connection, world.keys, row, number=made + 1, verdict=verdict, person_id=person_id, member_no=None,
            steward="steward-1", reason="case 9", event=uuid7(), now=world.now,
        )  # fmt: skip


async def facts_at(world: World, household_no: str, at: datetime) -> list[tuple[str, LinkState | None]]:
    """Source keys and links in the household's record as the hub knew it at an instant."""
    household_id = await world.connection.fetchval(
        "SELECT household_id FROM record.household_directory WHERE household_no = $1", household_no
    )
    (seen,) = await load_seen(world.connection, world.keys, [household_id], day_of(at), at)
    return [(fact.seen.source_key, fact.seen.link) for fact in fold(seen, day_of(at), at).facts]


async def test_both_histories_of_a_changed_link_stay(world: World) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月", phone="13800000000")])
    one, two = await world.person_id(SI), await world.person_id(NAMESAKE)
    before = world.now
    assert [(state, person) for _, state, person in await history(world)] == [("PROBABLE", one)]
    await decide(world, LinkVerdict.UNLINK)
    unlinked = world.now
    await decide(world, LinkVerdict.LINK, NAMESAKE)
    expected = [("1", "PROBABLE", one), ("1", "REVIEW", None), ("1", "CONFIRMED", two)]
    assert await history(world) == expected
    probable, confirmed = [("K|1", LinkState.PROBABLE)], [("K|1", LinkState.CONFIRMED)]
    assert [await facts_at(world, "H1", at) for at in (before, unlinked, world.now)] == [probable, [], []]
    assert [await facts_at(world, "H2", at) for at in (before, unlinked, world.now)] == [[], [], confirmed]
    assert [d.verdict for d in await decisions_on(world.connection, world.keys, "clinic", "K|1")] == [
        LinkVerdict.UNLINK, LinkVerdict.LINK,
    ]  # fmt: skip
    again = [NewLink((await current(world))["row_id"], LinkState.CONFIRMED, two)]
    assert await relink(world.connection, again, world.now) == 0
    assert await history(world) == expected


async def test_a_confirmed_link_counts_for_recipients_and_shows_differing_names(world: World) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月")])
    await decide(world, LinkVerdict.LINK, OTHER)
    await world.pull()
    sections = await world.sections("H3", OTHER)
    assert [item["balanceBand"] for item in sections["clinic.arrears/BAND"]["items"]] == ["500-2000"]
    assert sections["conflict/VALUE"]["items"] == [{"type": "NAME_DIFFERS", "source": "clinic"}]
    assert await list_links(world.connection, "clinic") == [
        {"source": "clinic", "source_key": "K|1", "state": "CONFIRMED", "candidates": ["member|C3"]}
    ]


async def test_a_decision_holds_for_new_versions_while_the_hint_stays(world: World) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月")])
    await decide(world, LinkVerdict.LINK, NAMESAKE)
    two = await world.person_id(NAMESAKE)
    await world.pull(clinic=[bill("K|1", "思 月", version=2, suppressed=True)])
    assert (await history(world))[-1] == ("2", "CONFIRMED", two)
    await world.pull(clinic=[bill("K|1", "思月", version=3, phone="13800000000")])
    assert (await history(world))[-1] == ("3", "PROBABLE", await world.person_id(SI)), "another hint is judged anew"
    await world.pull(clinic=[bill("K|1", "思月", version=4)])
    assert (await history(world))[-1] == ("4", "CONFIRMED", two)


@pytest.mark.parametrize(
    ("verdict", "state", "candidates"),
    [(LinkVerdict.UNLINK, "REVIEW", ["member|C1"]), (LinkVerdict.NONE, "UNLINKED", [])],
)
async def test_what_was_refused_is_not_linked_again_by_the_machine(
    world: World, verdict: LinkVerdict, state: str, candidates: list[str]
) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月", phone="13800000000")])
    await decide(world, verdict)
    for version in (1, 2):
        await world.pull(clinic=[bill("K|1", "思月", version=version, phone="13800000000")])
        (entry,) = await list_links(world.connection, "clinic")
        assert (entry["state"], entry["candidates"]) == (state, candidates)
        assert (await current(world))["person_id"] is None
    assert await world.quarantine() == {}


async def test_a_row_linked_by_its_number_can_be_unlinked_and_stays_so(world: World) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "罕英", SI)], tax=[grade("1|XY|2025", SI)])
    await decide(world, LinkVerdict.LINK, OTHER)
    await world.pull(clinic=[bill("K|1", "罕英", SI, version=2)])
    assert (await history(world))[-1] == ("2", "CONFIRMED", await world.person_id(OTHER))
    assert (await current(world, "1|XY|2025"))["person_id"] == await world.person_id(SI), "one row, not the person"
    await world.pull(clinic=[bill("K|1", "罕英", NAMESAKE, version=3)])
    assert (await history(world))[-1] == ("3", "ID", await world.person_id(NAMESAKE))


async def test_a_version_that_counts_again_follows_the_decision_made_meanwhile(world: World) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月", phone="13800000000")])
    await world.pull(clinic=[bill("K|1", "思月", version=2, phone="13800000000")])
    await decide(world, LinkVerdict.LINK, NAMESAKE)
    await world.connection.execute(
        "UPDATE ingest.held_row SET state = 'QUARANTINED', reason = 20 WHERE source_key = 'K|1' AND version = '2'"
    )
    await _recompute(world, "K|1")
    await world.pull()
    assert (await current(world))["version"] == "1"
    assert (await history(world))[-1] == ("1", "CONFIRMED", await world.person_id(NAMESAKE))


async def _recompute(world: World, key: str) -> None:
    world.now += timedelta(minutes=1)
    async with world.connection.transaction():
        await recompute_currency(world.connection, "clinic", {key}, uuid7(), world.now)


async def test_a_confirmed_link_follows_a_corrected_number(world: World) -> None:
    new = number("19700102", 302)
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月")])
    await decide(world, LinkVerdict.LINK, NAMESAKE)
    corrected: dict[str, Any] = {"member_no": "C2", "old_id_number": NAMESAKE, "new_id_number": new}
    await world.pull(civil=[event("E1", "05", "2026-10-19", corrected)])
    await world.pull(clinic=[bill("K|1", "思月", version=2)])
    assert (await history(world))[-1] == ("2", "CONFIRMED", await world.person_id(new))


async def test_a_decision_cannot_be_made_twice_in_one_place(world: World) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月")])
    await decide(world, LinkVerdict.NONE)
    record = await current(world)
    row = DecidedRow(record["row_id"], "clinic", "K|1", b"hint")
    with pytest.raises(asyncpg.UniqueViolationError):
        async with world.connection.transaction():
            await write_decision(
                world.connection, world.keys, row, number=1, verdict=LinkVerdict.LINK,
                person_id=await world.person_id(SI), member_no="C1", steward="steward-2", reason="case 9",
                event=uuid7(), now=world.now,
            )  # fmt: skip
    assert (await current(world))["link"] == "UNLINKED"
