"""The review of links: what a steward sees, what he decides, and what of it is recorded."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from hub.core.errors import HubError, InputError, RefusedError
from hub.core.names import LinkState, LinkVerdict
from hub.flows.intake.pull import PULL_LOCK, PullRunningError, only_puller
from hub.flows.receipts import receipt_desk
from hub.flows.stewards.review_links import LinkChoice, decide_link, list_open_reviews, show_review
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.records.linkage.link_review import OPEN_STATES, ReviewFilter
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from tests.linkage.test_relink import NAMESAKE, OTHER, ROSTER, SI
from tests.records.world import World, bill, member, number

ACT = StewardAct("steward-1", "case 9", "a review", {})
COLLEAGUE = StewardAct("steward-2", "case 9", "a review", {})


@pytest.fixture
async def desk(database: Database, keys: KeyService, tmp_path: Path, world: World) -> AsyncIterator[StewardDesk]:
    def clock() -> Any:
        world.now += timedelta(seconds=1)
        return world.now

    async with receipt_desk(database, keys, tmp_path) as receipts:
        yield StewardDesk(database, keys, receipts, clock)


async def review_of(desk: StewardDesk, key: str = "K|1") -> UUID:
    (found,) = await list_open_reviews(desk, ReviewFilter(tuple(LinkState), source_key=key), 10)
    return found.row_id


async def state(world: World) -> list[Any]:
    """Everything that a decision may change."""
    tables = ("record.observation", "record.section", "record.link_decision", "ingest.held_row", "ingest.quarantine")
    found = []
    for table in tables:
        found += [tuple(row) for row in await world.connection.fetch(f"SELECT t::text FROM {table} t ORDER BY 1")]
    return found


async def events(world: World) -> list[str]:
    """Names of the steward's entries, written or waiting; the reader has no right to the log itself."""
    connection = await world_owner(world)
    try:
        return [
            row["event"]
            for row in await connection.fetch(
                "SELECT convert_from(entry, 'UTF8')::jsonb ->> 'what' AS event FROM audit.entry ORDER BY seq"
            )
            if row["event"].startswith("link:")
        ]
    finally:
        await connection.close()


async def world_owner(world: World) -> Any:
    return await _DATABASE[0].connect(DbRole.OWNER)


_DATABASE: list[Database] = []


@pytest.fixture(autouse=True)
def _remember(database: Database) -> None:
    _DATABASE[:] = [database]


async def test_a_wrong_link_is_found_unlinked_and_made_anew(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月", phone="13800000000"), bill("K|2", "思月")])
    queue = await list_open_reviews(desk, ReviewFilter(), 10)
    assert {(q.source_key, q.state) for q in queue} == {("K|1", LinkState.PROBABLE), ("K|2", LinkState.REVIEW)}
    row_id = await review_of(desk)
    shown, receipt = await show_review(desk, ACT, row_id)
    assert receipt.as_json()
    assert (shown.name, shown.address, shown.phone) == ("思月", "遮放镇弄坎村委会3组", "13800000000")
    (candidate,) = shown.candidates
    assert (candidate.member_no, candidate.name, candidate.phone, candidate.linked, candidate.by_exact_rule) == (
        "C1", "思月", "13800000000", True, True,
    )  # fmt: skip
    assert candidate.id_masked == f"533103********{SI[-4:]}"
    await decide_link(desk, ACT, LinkChoice(row_id, LinkVerdict.LINK, 0, "C1"))
    assert "clinic.arrears/BAND" in await world.sections("H1", SI)
    await decide_link(desk, ACT, LinkChoice(row_id, LinkVerdict.UNLINK, 1))
    assert "clinic.arrears/BAND" not in await world.sections("H1", SI), "refreshed with the decision"
    made, _ = await decide_link(desk, COLLEAGUE, LinkChoice(row_id, LinkVerdict.LINK, 2, "C2"))
    assert (made.number, made.state) == (3, LinkState.CONFIRMED)
    assert "clinic.arrears/BAND" in await world.sections("H2", NAMESAKE)
    after, _ = await show_review(desk, ACT, row_id)
    assert [(d.verdict.value, d.member_no, d.steward, d.reason) for d in after.decisions] == [
        ("LINK", "C1", "steward-1", "case 9"), ("UNLINK", "C1", "steward-1", "case 9"),
        ("LINK", "C2", "steward-2", "case 9"),
    ]  # fmt: skip
    assert await events(world) == [
        "link:steward:shown", *["link:steward:decided"] * 3, "link:steward:shown",
    ]  # fmt: skip
    assert [q.source_key for q in await list_open_reviews(desk, ReviewFilter(), 10)] == ["K|2"]


async def test_only_one_of_two_reviewers_decides(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月")])
    row_id = await review_of(desk)
    answers = await asyncio.gather(
        decide_link(desk, ACT, LinkChoice(row_id, LinkVerdict.LINK, 0, "C1")),
        decide_link(desk, COLLEAGUE, LinkChoice(row_id, LinkVerdict.LINK, 0, "C2")),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, RefusedError)]
    assert [refusal.code for refusal in refused] == ["REVIEW_DECIDED"]
    assert await world.connection.fetchval("SELECT count(*) FROM record.link_decision") == 1
    assert await events(world) == ["link:steward:decided"]


async def test_the_same_decision_again_is_the_first_one(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月")])
    choice = LinkChoice(await review_of(desk), LinkVerdict.LINK, 0, "C1")
    first, receipt = await decide_link(desk, ACT, choice)
    before = await state(world)
    again, second_receipt = await decide_link(desk, ACT, choice)
    assert again == first
    assert second_receipt.as_json()["index"] == receipt.as_json()["index"]
    assert await state(world) == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"member_no": "C9"}, "MEMBER_UNKNOWN"),
        ({"member_no": "C8"}, "MEMBER_UNKNOWN"),
        ({"verdict": LinkVerdict.UNLINK, "member_no": None}, "NOT_LINKED"),
        ({"member_no": None}, "LINK_MEMBER"),
        ({"verdict": LinkVerdict.NONE}, "LINK_MEMBER"),
        ({"decisions_seen": 1}, "REVIEW_DECIDED"),
        ({"row_id": uuid4()}, "REVIEW_UNKNOWN"),
    ],
)
async def test_a_refused_decision_changes_nothing(
    world: World, desk: StewardDesk, change: dict[str, Any], code: str
) -> None:
    child = member("C8", "H1", "思小月", number("20150601"))
    await world.pull(civil=[*ROSTER, child], clinic=[bill("K|1", "思月")])
    choice = {"row_id": await review_of(desk), "verdict": LinkVerdict.LINK, "decisions_seen": 0, "member_no": "C1"}
    before = await state(world)
    with pytest.raises(HubError) as caught:
        await decide_link(desk, ACT, LinkChoice(**(choice | change)))
    assert caught.value.code == code
    assert await state(world) == before
    assert await events(world) == []


async def test_a_reason_is_needed(world: World, desk: StewardDesk) -> None:
    with pytest.raises(InputError):
        await show_review(desk, StewardAct("steward-1", " ", "a review", {}), uuid4())
    with pytest.raises(RefusedError, match="no such version"):
        await show_review(desk, ACT, uuid4())
    assert await events(world) == ["link:steward:shown"], "also what was asked for in vain is recorded"


async def test_nothing_is_decided_while_a_pull_is_under_way(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月")])
    row_id = await review_of(desk)
    await world.connection.execute("SELECT pg_advisory_lock($1)", PULL_LOCK)
    with pytest.raises(PullRunningError):
        await decide_link(desk, ACT, LinkChoice(row_id, LinkVerdict.NONE, 0))
    await world.connection.execute("SELECT pg_advisory_unlock($1)", PULL_LOCK)
    assert await events(world) == []
    await decide_link(desk, ACT, LinkChoice(row_id, LinkVerdict.NONE, 0))
    assert await list_open_reviews(desk, ReviewFilter(), 10) == []


async def test_nothing_is_decided_before_a_broken_pull_is_settled(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "思月")])
    row_id = await review_of(desk)
    world.now += timedelta(minutes=5)
    await world.connection.execute("INSERT INTO ingest.run (run_id, started_at) VALUES ($1, $2)", uuid4(), world.now)
    before = await state(world)
    async with only_puller(_DATABASE[0]):
        with pytest.raises(PullRunningError, match="being read"):
            await decide_link(desk, ACT, LinkChoice(row_id, LinkVerdict.NONE, 0))
    with pytest.raises(RefusedError, match="broken off"):
        await decide_link(desk, ACT, LinkChoice(row_id, LinkVerdict.NONE, 0))
    assert await state(world) == before
    await world.pull()
    await decide_link(desk, ACT, LinkChoice(row_id, LinkVerdict.NONE, 0))


async def test_a_row_that_waits_in_quarantine_is_released_by_linking_it(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "四月")])
    assert await world.quarantine() == {"K|1": 22}
    row_id = await review_of(desk)
    shown, _ = await show_review(desk, ACT, row_id)
    assert (shown.state, shown.candidates, shown.is_linkable) == (LinkState.UNLINKED, (), True)
    await decide_link(desk, ACT, LinkChoice(row_id, LinkVerdict.LINK, 0, "C3"))
    assert await world.quarantine() == {}
    assert "clinic.arrears/BAND" in await world.sections("H3", OTHER)
    await world.pull(clinic=[bill("K|1", "四月")])
    assert await world.connection.fetchval("SELECT count(*) FROM ingest.held_row WHERE source = 'clinic'") == 1
    assert "clinic.arrears/BAND" in await world.sections("H3", OTHER)


async def test_a_row_nobody_was_found_for_stays_in_quarantine_and_off_the_list(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "四月")])
    await decide_link(desk, ACT, LinkChoice(await review_of(desk), LinkVerdict.NONE, 0))
    assert await list_open_reviews(desk, ReviewFilter(), 10) == []
    await world.pull(civil=[member("C4", "H3", "四月", number("19900101"))])
    assert await world.quarantine() == {"K|1": 22}, "what a reviewer decided, no rule undoes"
    made, _ = await decide_link(desk, ACT, LinkChoice(await review_of(desk), LinkVerdict.LINK, 1, "C4"))
    assert made.number == 2
    assert await world.quarantine() == {}


def test_the_queue_is_what_waits() -> None:
    assert LinkState.CONFIRMED not in OPEN_STATES
