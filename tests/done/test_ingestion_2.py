"""A fault at any named phase of a pull, by exception or by kill -9; after one undisturbed run all is as ever.

Every phase of the enumeration is tried at its beginning and at its end, so a new phase is tried as soon as it has a
name, and one that a pull never passes fails here.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from hub.core.phases import Phase
from tests.done.hub_process import EMPTY
from tests.done.outcomes import assert_nothing_new
from tests.done.pull_faults import (
    Fault,
    FaultyPhase,
    InjectedError,
    Moment,
    pull_with,
    raise_error,
    raise_passing_error,
)
from tests.done.sandbox_world import World
from tests.done.state import differences, state_of

TRANSPORT = [phase for phase in Phase if "." in phase and not phase.endswith("commit")]
"""Phases that are one exchange with an agency each."""

EVERYWHERE = [Fault(phase, moment) for phase, moment in product(Phase, Moment)]
FURTHER_ON = [
    Fault(phase, Moment.AFTER, passage)
    for phase, passage in product((Phase.MERGE, Phase.COMMIT, Phase.CLOSE), (2, 3, 5))
]
"""Passages after the first, where rows of some sources are stored already."""

QUICK_ERRORS = [
    Fault(Phase.COMMIT, Moment.BEFORE, 3),
    Fault(Phase.CLINIC_FILE, Moment.AFTER, 4),
    Fault(Phase.JUDGE, Moment.AFTER, 2),
    Fault(Phase.LINKS, Moment.AFTER),
]
QUICK_KILLS = [
    Fault(Phase.COMMIT, Moment.AFTER, 3),
    Fault(Phase.SETTLE_COMMIT, Moment.AFTER),
    Fault(Phase.FOLD_COMMIT, Moment.BEFORE),
]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="hub-faults-") as folder:
        made = asyncio.run(World.make(Path(folder), seed=7, households=100))
        yield made
        asyncio.run(made.end())


async def _finish(world: World) -> None:
    """One undisturbed run, and then everything stored is compared with what the clean run stored, row by row."""
    await world.pull_to_the_end()
    assert differences(world.state, await state_of(world.hub.database)) == []


async def _with_error(world: World, fault: Fault) -> None:
    await world.hub.restore(EMPTY)
    watcher = FaultyPhase(fault, raise_error)
    with contextlib.suppress(InjectedError):  # outside the reading of a source a fault ends the run
        await pull_with(watcher, world.hub.home, world.sandbox.sources_file)
    assert watcher.happened, f"{fault} was never passed"
    await _finish(world)


async def _with_kill(world: World, fault: Fault) -> None:
    await world.hub.restore(EMPTY)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.done.pull_faults", str(fault), str(world.sandbox.sources_file),
        env=world.hub.environment(), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await process.communicate()
    assert process.returncode == -signal.SIGKILL, (str(fault), err.decode())
    await _finish(world)


@pytest.mark.parametrize("fault", QUICK_ERRORS, ids=str)
async def test_after_an_error_here_all_is_as_ever(world: World, fault: Fault) -> None:
    await _with_error(world, fault)


@pytest.mark.parametrize("fault", QUICK_KILLS, ids=str)
async def test_killed_here_all_is_as_ever(world: World, fault: Fault) -> None:
    await _with_kill(world, fault)


@pytest.mark.long
@pytest.mark.parametrize("fault", EVERYWHERE + FURTHER_ON, ids=str)
async def test_after_an_error_anywhere_all_is_as_ever(world: World, fault: Fault) -> None:
    await _with_error(world, fault)


@pytest.mark.long
@pytest.mark.parametrize("fault", EVERYWHERE + FURTHER_ON, ids=str)
async def test_killed_anywhere_all_is_as_ever(world: World, fault: Fault) -> None:
    await _with_kill(world, fault)


@pytest.mark.parametrize(
    "phase", [Phase.CIVIL_CALL, Phase.SOCIAL_QUERY, pytest.param(Phase.BANK_SIGNATURE, marks=pytest.mark.long)]
)
async def test_what_may_pass_is_tried_again_in_the_same_run(world: World, phase: Phase) -> None:
    await world.hub.restore(EMPTY)
    watcher = FaultyPhase(Fault(phase, Moment.BEFORE, 1), raise_passing_error)
    await pull_with(watcher, world.hub.home, world.sandbox.sources_file)
    assert watcher.happened
    assert differences(world.state, await state_of(world.hub.database)) == []


@pytest.mark.long
async def test_one_fault_after_the_other_until_no_phase_is_left(world: World) -> None:
    """Thirty broken runs on top of one another, in an order drawn anew, and one that is not."""
    seed = int(os.environ.get("HUB_TEST_SEED", random.SystemRandom().randrange(10**6)))
    await world.hub.restore(EMPTY)
    for fault in random.Random(seed).sample(EVERYWHERE, 30):
        watcher = FaultyPhase(fault, raise_error)
        with contextlib.suppress(InjectedError):
            await pull_with(watcher, world.hub.home, world.sandbox.sources_file)
    await _finish(world)
    assert_nothing_new(await world.pull_to_the_end())
