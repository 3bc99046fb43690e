"""A consent that is taken back stops the very next query, also while many are asking."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hub.audit.leaf import Leaf
from hub.store.database import Database
from tests.done.served import BANK_A, HEAD, SON, WIFE, Person, Served, served_hub

READERS = 20


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_hub(database, tmp_path / "home") as hub:
        yield hub


@dataclass
class Seen:
    """What the readers got: places of entries whose answers held a value, and of those whose answers held none."""

    values: list[int] = field(default_factory=list)
    none: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    """Places of entries of questions that were put only after the withdrawal had been answered."""


async def race(served: Served, person: Person, *, before: int) -> tuple[int, Seen]:
    """Readers ask without a pause; after ``before`` answers the person takes the consent back."""
    consent = await served.grant(person)
    await served.owner.execute("UPDATE consent.basis SET max_uses = NULL WHERE basis_id = $1::text::uuid", consent)
    seen, ended, enough = Seen(), asyncio.Event(), asyncio.Event()

    async def read(reader: int) -> None:
        client = ("risk-a", "officer-a")[reader % 2]
        rest = 2
        while rest:
            put_after = ended.is_set()
            rest -= put_after
            reply = await served.profile(client, person)
            assert reply.status_code == 200
            index = reply.json()["extensions"]["receipt"]["index"]
            shown = served.marks.found(reply.content)
            (seen.values if shown else seen.none).append(index)
            if put_after:
                seen.after.append(index)
                assert not shown
            if len(seen.values) >= before:
                enough.set()

    readers = [asyncio.create_task(read(number)) for number in range(READERS)]
    await enough.wait()
    withdrawal = await served.withdraw(person, consent)
    ended.set()
    await asyncio.gather(*readers)
    return withdrawal, seen


async def test_the_very_next_query(served: Served) -> None:
    for person in (HEAD, WIFE):
        consent = await served.grant(person)
        assert served.marks.found((await served.profile("risk-a", person)).content)
        await served.withdraw(person, consent)
        for client in ("risk-a", "officer-a"):
            assert not served.marks.found((await served.profile(client, person)).content)


@pytest.mark.long
@pytest.mark.parametrize("before", [1, 30, 75])
async def test_no_answer_recorded_after_the_withdrawal_holds_a_value(served: Served, before: int) -> None:
    withdrawal, seen = await race(served, SON, before=before)
    assert len(seen.values) >= before
    assert len(seen.after) == 2 * READERS
    assert [index for index in seen.values if index > withdrawal] == []
    assert min(seen.none) > withdrawal
    rows = await served.owner.fetch("SELECT entry FROM audit.entry ORDER BY seq")
    leaves = [Leaf.parse(row["entry"]) for row in rows]
    assert leaves[withdrawal].what == "consent:resident:withdrawn"
    asked = [leaf for leaf in leaves if leaf.what == "profile:client:queried"]
    assert {leaf.organisation for leaf in asked} == {BANK_A}
    assert sorted(leaf.seq for leaf in asked) == sorted(seen.values + seen.none)
    assert {leaf.decision for leaf in asked if leaf.seq > withdrawal} == {"deny"}
    assert "deny" not in {leaf.decision for leaf in asked if leaf.seq < withdrawal}
