"""A further run changes nothing, and a pull that is killed and run again ends where an undisturbed one does.

The moments are drawn anew in every run of the tests; HUB_TEST_SEED repeats the ones that a failure names.
"""

import asyncio
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.done.hub_process import EMPTY, HubHome
from tests.done.outcomes import assert_counts_add_up, assert_nothing_new
from tests.done.sandbox_world import AS_OF, PULLED, World
from tests.done.state import differences, state_of, whole_tables

KILLED = -9


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="hub-crash-") as folder:
        made = asyncio.run(World.make(Path(folder)))
        yield made
        asyncio.run(made.end())


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("HUB_TEST_SEED", random.SystemRandom().randrange(10**6)))


async def _kill_and_finish(world: World, start: str, kills: int, seed: int) -> int:
    """Kill so many pulls one after the other from a saved state, end with an undisturbed one; returns hits."""
    rng, hits, left = random.Random(seed), 0, world.report["seconds"]
    await world.hub.restore(start)
    for _ in range(kills):
        ended = await world.hub.run_and_kill(rng.uniform(0.0, left), *world.pull)
        # Never 3: a pull that was killed must not keep the next one out.
        assert ended.code in {KILLED, 0, 1}, (seed, ended.code, ended.err.decode())
        hits += ended.code == KILLED
        left *= 0.8
    await world.pull_to_the_end()
    assert differences(world.state, await state_of(world.hub.database)) == [], f"seed {seed}"
    return hits


@pytest.mark.long
async def test_a_second_run_changes_nothing(world: World) -> None:
    assert_counts_add_up(world.report)
    await world.hub.restore(PULLED)
    before = await whole_tables(world.hub.database)
    report = await world.pull_to_the_end()
    assert report["exit_code"] == 0
    assert_nothing_new(report)
    assert differences(before, await whole_tables(world.hub.database)) == []


@pytest.mark.long
async def test_killed_at_random_moments_it_ends_the_same(world: World, seed: int) -> None:
    """Everything stored is compared, and everything the commands show."""
    assert await _kill_and_finish(world, EMPTY, 3, seed) >= 1, f"seed {seed}"
    assert await world.show(world.hub) == world.shown, f"seed {seed}"


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_killed_many_times_it_ends_the_same(world: World, seed: int) -> None:
    hits, rounds = 0, 0
    while hits < 15:  # a kill may come after the pull has ended; only those that hit count
        hits += await _kill_and_finish(world, EMPTY, 3, seed + rounds)
        rounds += 1
        assert rounds < 30, f"seed {seed}: {hits} kills hit in {rounds} rounds"
    assert await world.show(world.hub) == world.shown, f"seed {seed}"


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_killed_on_the_second_day_it_ends_the_same(tmp_path: Path, seed: int) -> None:
    """The same for a pull that finds corrections, withdrawals and late rows on top of what is held."""
    world = await World.make(tmp_path / "second-day", seed=5)
    try:
        await world.hub.save("first_day")
        await world.sandbox.advance(AS_OF + timedelta(days=1))
        await world.remember()
        hits = sum([await _kill_and_finish(world, "first_day", 2, seed + number) for number in range(6)])
        assert hits >= 6, f"seed {seed}"
        assert await world.show(world.hub) == world.shown, f"seed {seed}"
    finally:
        await world.end()


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_killed_while_a_fresh_home_is_made_it_ends_the_same(world: World, tmp_path: Path, seed: int) -> None:
    """From the very first command: while keys, server and schema are made as well."""
    rng = random.Random(seed)
    for number in range(3):
        hub = HubHome(tmp_path / f"fresh-{number}")
        for _ in range(4):
            await hub.start_and_kill(rng.uniform(0.3, 6.0), *world.pull)
        await world.pull_to_the_end(hub)
        assert await world.show(hub) == world.shown, f"seed {seed}"
        await hub.remove()


_HOLDER = """
import asyncio, sys
from pathlib import Path
from hub.flows.intake.pull import _connected, only_pull
from tests.done.hub_process import HubHome

async def hold():
    database = HubHome(Path(sys.argv[1])).database
    async with only_pull(database):
        connection = await _connected(database)
        print("held", flush=True)
        await connection.execute("SELECT pg_sleep(60)")

asyncio.run(hold())
"""


@pytest.mark.long
async def test_only_a_living_pull_keeps_another_one_out(world: World) -> None:
    """Exit code 3 while a run lives; one killed amid a long statement of the database is out of the way at once."""
    await world.hub.restore(PULLED)
    before = await whole_tables(world.hub.database)
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", _HOLDER, str(world.hub.home), stdout=pipe)
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    ended = await world.hub.run(*world.pull)
    assert ended.code == 3
    assert b"another `hub pull` is running" in ended.err
    assert differences(before, await whole_tables(world.hub.database)) == []
    holder.kill()
    await holder.wait()
    assert_nothing_new(await world.pull_to_the_end())


def test_the_comparison_names_what_differs() -> None:
    clean = {"people": Counter(a=1, b=2), "events": Counter(e=1)}
    assert differences(clean, {"people": Counter(a=1, b=2), "events": Counter(e=1)}) == []
    assert differences(clean, {"people": Counter(b=1, c=1)}) == [
        "events: missing: e", "people: missing: a", "people: missing: b", "people: too much: c",
    ]  # fmt: skip
    assert differences({}, {"x": Counter("abc")}, most=1) == ["x: too much: a", "x: too much: 2 more"]
