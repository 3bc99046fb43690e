"""A further run changes nothing, and a pull that is killed and run again ends where an undisturbed one does."""

import asyncio
import json
import os
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hub.sandbox.prefecture import Prefecture
from hub.sandbox.sandbox import Sandbox
from tests.done.hub_process import HubHome, open_home
from tests.done.outcomes import assert_counts_add_up, assert_nothing_new
from tests.done.state import State, comparable, differences, state_of, whole_tables

AS_OF = date(2026, 11, 10)
KILLED = -9


@dataclass
class World:
    """A sandbox, a hub, and what one undisturbed pull made of them."""

    sandbox: Sandbox
    hub: HubHome
    folder: Path
    seconds: float = 0.0
    state: State | None = None
    seen: Any = None

    @property
    def pull(self) -> tuple[str, ...]:
        return ("pull", "--sources", str(self.sandbox.sources_file), "--report", str(self.folder / "report.json"))

    async def pull_to_the_end(self) -> dict[str, Any]:
        """One undisturbed run; some files of this world are refused, which is exit code 1."""
        file = self.folder / "report.json"
        file.unlink(missing_ok=True)
        ended = await self.hub.run(*self.pull)
        assert ended.code in {0, 1}, (ended.code, ended.err.decode())
        assert file.exists(), ended.err.decode()
        report: dict[str, Any] = json.loads(file.read_bytes())
        assert {source["status"] for source in report["sources"].values()} <= {"OK", "PARTIAL"}
        return report

    async def shown(self) -> dict[str, Any]:
        """What the commands print: records of all people (by any number they ever had), links, quarantine."""
        numbers = sorted({person.id_number for person in self.sandbox.prefecture.population.people if person.id_number})
        file = self.folder / "numbers"
        file.write_text("\n".join(numbers) + "\n")
        records = await self._lines(
            "household", "show", "--id-number-file", str(file), "--purpose", "H", "--reason", "comparison", "--json"
        )
        quarantined = await self._lines("quarantine", "list", "--json", "--status", "all")
        for entry in quarantined:
            del entry["id"], entry["first_seen"], entry["last_seen"]
        return {
            "households": comparable(records),
            "links": await self._lines("links", "list", "--source", "clinic", "--json"),
            "quarantine": sorted(quarantined, key=lambda entry: json.dumps(entry, sort_keys=True)),
        }

    async def _lines(self, *arguments: str) -> list[dict[str, Any]]:
        ended = await self.hub.run(*arguments)
        assert ended.code == 0, ended.err.decode()
        return [json.loads(line) for line in ended.out.splitlines()]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A prefecture of 100 households with all its dirt, pulled once."""
    with tempfile.TemporaryDirectory(prefix="hub-crash-") as folder:
        yield from _world(Path(folder))


def _world(folder: Path) -> Iterator[World]:
    async def begin() -> World:
        sandbox = await Sandbox.start(folder / "sandbox", Prefecture(3, 100, AS_OF))
        made = World(sandbox, await open_home(folder / "home"), folder)
        report = await made.pull_to_the_end()
        made.seconds = report["seconds"]
        made.state = await state_of(made.hub.database)
        made.seen = await made.shown()
        return made

    async def end(made: World) -> None:
        await made.hub.remove()
        await made.sandbox.stop()
        await made.sandbox.social._server.remove()

    made = asyncio.run(begin())
    yield made
    asyncio.run(end(made))


async def test_a_second_run_changes_nothing(world: World) -> None:
    await world.hub.empty()
    assert_counts_add_up(await world.pull_to_the_end())
    before = await whole_tables(world.hub.database)
    report = await world.pull_to_the_end()
    assert report["exit_code"] == 0
    assert_nothing_new(report)
    assert differences(before, await whole_tables(world.hub.database)) == []


async def _killed(world: World, kills: int, seed: int) -> int:
    """Kill so many pulls one after the other from an empty hub, end with an undisturbed one; returns kills that hit."""
    rng, hits, left = random.Random(seed), 0, world.seconds
    await world.hub.empty()
    for _ in range(kills):
        ended = await world.hub.run_and_kill(rng.uniform(0.0, left), *world.pull)
        # The exit code of the pull after a kill must never be 3: a dead pull does not keep the next one out.
        assert ended.code in {KILLED, 0, 1}, (seed, ended.code, ended.err.decode())
        hits += ended.code == KILLED
        left *= 0.8
    await world.pull_to_the_end()
    assert differences(world.state or {}, await state_of(world.hub.database)) == [], f"seed {seed}"
    return hits


async def test_killed_at_random_moments_it_ends_the_same(world: World) -> None:
    """Everything stored is compared, and everything the commands show."""
    seed = int(os.environ.get("HUB_TEST_SEED", random.randrange(10**6)))
    assert await _killed(world, 3, seed) >= 1, f"seed {seed}"
    assert await world.shown() == world.seen, f"seed {seed}"


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_killed_many_times_it_ends_the_same(world: World) -> None:
    seed = int(os.environ.get("HUB_TEST_SEED", random.randrange(10**6)))
    hits = 0
    for number in range(8):
        hits += await _killed(world, 3, seed + number)
    assert hits >= 15, f"seed {seed}"
    assert await world.shown() == world.seen, f"seed {seed}"
