"""Scoring over the real record: what is proposed to a reviewer, what is not, and what is never written down."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from hub.core.names import LinkVerdict, QuarantineReason
from hub.core.rows import CheckedRow, RowKind
from hub.flows.intake.score_links import score_links
from hub.flows.receipts import receipt_desk
from hub.flows.stewards.discard_quarantined import discard_row
from hub.flows.stewards.review_links import LinkChoice, decide_link, list_open_reviews, show_review
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.records.linkage.link_review import ReviewFilter
from hub.records.linkage.scoring import score
from hub.store.database import Database
from hub.store.keys import KeyService
from tests.linkage.test_relink import NAMESAKE, OTHER, ROSTER, SI
from tests.records.world import World, bill, event, household, member, number

ACT = StewardAct("steward-1", "case 9", "a review", {})


def crowd(count: int = 60) -> list[CheckedRow]:
    """Other people of the prefecture, so that a name says something."""
    rows = []
    for n in range(count):
        rows += [
            household(
                f"X{n}",
                village=f"5331{22 + n % 2}102{200 + n % 9}",
                township_name=f"镇{n % 9}",
                village_name=f"村{n % 9}寨",
            ),
            member(f"X{n}", f"X{n}", f"张{chr(0x4E00 + 97 * n)}", number("19750101", 100 + n)),
        ]
    return rows


def damaged(key: str, name: str, id_text: str) -> CheckedRow:
    """A clinic row that is held back for its number."""
    row = bill(key, name)
    wire = {"欠费人姓名": name, "证件号码": id_text, "现住址": "遮放镇弄坎村", "联系电话": None}
    return CheckedRow(
        kind=RowKind.FACT, source_key=key, version="1", version_rank=1, origin="page 1",
        content=orjson.dumps([key, id_text]), wire=wire, value=row.value, name=name, category=row.category,
        reasons=(QuarantineReason.ID_CHECK_DIGIT,),
    )  # fmt: skip


async def test_what_no_rule_finds_is_proposed_with_its_evidence(
    database: Database, keys: KeyService, tmp_path: Path, world: World
) -> None:
    wrong = OTHER[:17] + next(c for c in "0123456789" if c != OTHER[17])
    await world.pull(
        civil=[*ROSTER, *crowd()],
        clinic=[
            bill("K|1", "罕莹"),  # misheard
            bill("K|2", "罕英", address="潞西市遮放弄坎"),  # no village for the exact rule
            bill("K|3", "思月"),  # two namesakes
            damaged("K|4", "汉英", wrong),
            bill("K|5", "陌生人", address="缅甸木姐"),
        ],
    )  # fmt: skip
    async with receipt_desk(database, keys, tmp_path) as receipts:
        desk = StewardDesk(database, keys, receipts, lambda: world.now)
        before = await world.connection.fetch("SELECT t::text FROM record.observation t ORDER BY 1")
        proposed = await score_links(database, keys, receipts, desk.clock)
        assert proposed.rows == 5
        assert await world.connection.fetch("SELECT t::text FROM record.observation t ORDER BY 1") == before
        queue = {q.source_key: q for q in await list_open_reviews(desk, ReviewFilter(), 10)}
        assert {key: q.proposals for key, q in queue.items()} == {"K|1": 1, "K|2": 1, "K|3": 2, "K|4": 1, "K|5": 0}
        assert queue["K|4"].quarantine is not None
        assert queue["K|4"].quarantine[1] is QuarantineReason.ID_CHECK_DIGIT
        evidence = {}
        for key in ("K|1", "K|2", "K|3", "K|4"):
            shown, _ = await show_review(desk, ACT, queue[key].row_id)
            best = shown.candidates[0]
            evidence[key] = best.member_no, {e.attribute: e.agreement for e in best.evidence}
            assert best.score is not None
        both, said = "NOTHING_SAID", {"phone": "NOTHING_SAID", "number": "NOTHING_SAID"}
        assert evidence["K|1"] == ("C3", {"name": "VARIANT_CHARACTERS", "place": "SAME_VILLAGE"} | said)
        assert evidence["K|2"] == ("C3", {"name": "SAME", "place": "SAME_VILLAGE"} | said)
        assert evidence["K|3"][1] == {"name": "SAME", "place": "SAME_VILLAGE"} | said
        assert evidence["K|4"] == (
            "C3", {"name": "VARIANT_CHARACTERS", "place": "SAME_VILLAGE", "phone": both,
                   "number": "SAME_BUT_CHECK_DIGIT"},
        )  # fmt: skip
        namesakes, _ = await show_review(desk, ACT, queue["K|3"].row_id)
        assert {c.band for c in namesakes.candidates} <= {"C", "D"}, "of two namesakes neither is likely"
        await decide_link(desk, ACT, LinkChoice(queue["K|1"].row_id, LinkVerdict.LINK, 0, "C3"))
        await decide_link(desk, ACT, LinkChoice(queue["K|1"].row_id, LinkVerdict.UNLINK, 1))
        await score_links(database, keys, receipts, desk.clock)
        again = {q.source_key: q.proposals for q in await list_open_reviews(desk, ReviewFilter(), 10)}
        assert again == {"K|1": 0, "K|2": 1, "K|3": 2, "K|4": 1, "K|5": 0}, "what was refused is not proposed again"
    stored = "".join(r[0] for r in await world.connection.fetch("SELECT t::text FROM record.link_proposal t"))
    assert stored
    assert not any(text in stored for text in ("罕", "思", OTHER[:17], SI[:17], NAMESAKE[:17], "遮放"))


async def test_what_is_closed_while_it_is_scored_gets_no_proposals(
    database: Database, keys: KeyService, tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = OTHER[:17] + next(c for c in "0123456789" if c != OTHER[17])
    await world.pull(civil=ROSTER, clinic=[damaged("K|4", "汉英", wrong), damaged("K|5", "罕英", wrong)])
    first, second = [
        r["number"] for r in await world.connection.fetch("SELECT number FROM ingest.quarantine ORDER BY 1")
    ]
    found: list[int] = []
    async with receipt_desk(database, keys, tmp_path) as receipts:
        desk = StewardDesk(database, keys, receipts, lambda: world.now)
        loop = asyncio.get_running_loop()

        def slow(*given: Any, **more: Any) -> Any:
            asyncio.run_coroutine_threadsafe(discard_row(desk, ACT, first), loop).result(20)
            scored = score(*given, **more)
            found.append(len(scored))
            return scored

        monkeypatch.setattr("hub.records.linkage.store.score", slow)
        await score_links(database, keys, receipts, desk.clock)
        assert found == [2]
        row = "SELECT h.source_key FROM record.link_proposal p JOIN ingest.held_row h USING (row_id)"
        assert [r["source_key"] for r in await world.connection.fetch(row)] == ["K|5"]
        await discard_row(desk, ACT, second)
    assert await world.connection.fetch(row) == []


async def test_nothing_to_score_writes_nothing(
    database: Database, keys: KeyService, tmp_path: Path, world: World
) -> None:
    await world.pull(civil=ROSTER, clinic=[bill("K|1", "罕英", OTHER)])
    async with receipt_desk(database, keys, tmp_path) as receipts:
        proposed = await score_links(database, keys, receipts, lambda: world.now)
    assert (proposed.rows, proposed.proposals) == (0, {})
    assert await world.connection.fetchval("SELECT count(*) FROM record.link_proposal") == 0


async def test_a_damaged_number_that_was_replaced_since_still_tells_whose_it_was(
    database: Database, keys: KeyService, tmp_path: Path, world: World
) -> None:
    new = number("19800202", 304)
    corrected: dict[str, Any] = {"member_no": "C3", "old_id_number": OTHER, "new_id_number": new}
    slip = OTHER[:8] + OTHER[9] + OTHER[8] + OTHER[10:]
    await world.pull(civil=[*ROSTER, *crowd()])
    await world.pull(
        civil=[event("E1", "05", "2026-10-19", corrected)],
        clinic=[damaged("K|1", "无名氏", slip), bill("K|2", "罕莹")],
    )
    async with receipt_desk(database, keys, tmp_path) as receipts:
        desk = StewardDesk(database, keys, receipts, lambda: world.now)
        await score_links(database, keys, receipts, desk.clock)
        queue = {q.source_key: q.row_id for q in await list_open_reviews(desk, ReviewFilter(), 10)}
        shown, _ = await show_review(desk, ACT, queue["K|1"])
        assert {c.member_no: c.evidence[3].agreement for c in shown.candidates} == {"C3": "ONE_SLIP"}
        shown, _ = await show_review(desk, ACT, queue["K|2"])
        assert [(c.member_no, c.evidence[3].agreement) for c in shown.candidates] == [("C3", "NOTHING_SAID")]
        best = shown.candidates[0].score
        assert best is not None
        assert best > 0.5, "two lines of one person do not share"
