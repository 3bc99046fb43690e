"""A fault at any named phase of a pull, by exception or by kill -9; after one undisturbed run all is as ever.

Every phase of the enumeration is tried, so a new one is tried as soon as it has a name, and one that a pull never
passes fails here.
"""

import asyncio
import contextlib
import gc
import os
import random
import signal
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
    Killer,
    Moment,
    pull_with,
    raise_error,
    raise_passing_error,
)
from tests.done.sandbox_world import World
from tests.done.state import differences, state_of

# A fault that ends the run ends the other sources wherever they are, amid a handshake for instance; what the event loop
# then leaves open is closed when it is collected.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

TRANSPORT = (
    Phase.TAX_TOKEN, Phase.TAX_PAGE, Phase.CLINIC_LISTING, Phase.CLINIC_FILE, Phase.CIVIL_CALL, Phase.BANK_LISTING,
    Phase.BANK_FILE, Phase.BANK_SIGNATURE, Phase.BANK_KEYS, Phase.SOCIAL_QUERY,
)  # fmt: skip
"""Phases that are one exchange with an agency each."""

COMMITS = (Phase.COMMIT, Phase.SETTLE_COMMIT, Phase.FOLD_COMMIT)
ERRORS = [*(Fault(phase, Moment.BEFORE) for phase in Phase), *(Fault(phase, Moment.AFTER) for phase in COMMITS)]
KILLS = [*(Fault(phase, Moment.AFTER) for phase in Phase), *(Fault(phase, Moment.BEFORE) for phase in COMMITS)]
"""Every phase of the enumeration each, and both sides of every commit."""

FURTHER_ON = [
    Fault(phase, Moment.AFTER, passage) for phase, passage in product((Phase.MERGE, Phase.COMMIT, Phase.CLOSE), (2, 5))
]
"""Passages after the first, where rows of some sources are stored already."""


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """What is left open is collected here, and not in somebody else's test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="hub-faults-") as folder:
        made = asyncio.run(World.make(Path(folder), seed=7, households=100))
        yield made
        asyncio.run(made.end())


@pytest.fixture(scope="module")
def killer(world: World) -> Iterator[Killer]:
    with Killer(world.hub.home, world.sandbox.sources_file) as started:
        yield started


async def _finish(world: World) -> None:
    """One undisturbed run, and then everything stored is compared with what the clean run stored, row by row."""
    report = await pull_with(None, world.hub.home, world.sandbox.sources_file)
    assert {source["status"] for source in report["sources"].values()} <= {"OK", "PARTIAL"}
    assert differences(world.state, await state_of(world.hub.database)) == []


async def _with_error(world: World, fault: Fault) -> None:
    await world.hub.restore(EMPTY)
    watcher = FaultyPhase(fault, raise_error)
    with contextlib.suppress(InjectedError):  # outside the reading of a source a fault ends the run
        await pull_with(watcher, world.hub.home, world.sandbox.sources_file)
    assert watcher.happened, f"{fault} was never passed"
    await _finish(world)


async def _with_kill(world: World, killer: Killer, fault: Fault) -> None:
    await world.hub.restore(EMPTY)
    assert await killer.pull_and_kill(fault) == -signal.SIGKILL, f"{fault} was never passed"
    await _finish(world)


@pytest.mark.parametrize("fault", ERRORS, ids=str)
async def test_after_an_error_anywhere_all_is_as_ever(world: World, fault: Fault) -> None:
    await _with_error(world, fault)


@pytest.mark.parametrize("fault", KILLS + FURTHER_ON, ids=str)
async def test_killed_anywhere_all_is_as_ever(world: World, killer: Killer, fault: Fault) -> None:
    await _with_kill(world, killer, fault)


@pytest.mark.parametrize("phase", TRANSPORT)
async def test_what_may_pass_is_tried_again_in_the_same_run(world: World, phase: Phase) -> None:
    await world.hub.restore(EMPTY)
    watcher = FaultyPhase(Fault(phase, Moment.BEFORE, 1), raise_passing_error)
    await pull_with(watcher, world.hub.home, world.sandbox.sources_file)
    assert watcher.happened
    assert differences(world.state, await state_of(world.hub.database)) == []


async def test_one_fault_after_the_other_until_no_phase_is_left(world: World) -> None:
    """Twenty broken runs on top of one another, in an order drawn anew, and one that is not."""
    seed = int(os.environ.get("HUB_TEST_SEED", random.SystemRandom().randrange(10**6)))
    await world.hub.restore(EMPTY)
    for fault in random.Random(seed).sample(ERRORS, 20):
        watcher = FaultyPhase(fault, raise_error)
        with contextlib.suppress(InjectedError):
            await pull_with(watcher, world.hub.home, world.sandbox.sources_file)
    await _finish(world)
    assert_nothing_new(await world.pull_to_the_end())
