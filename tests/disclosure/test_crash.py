"""The database dies amid queries: what was answered is recorded and counted, though the gate waits for no disk."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from hub.audit.receipts import Receipts
from hub.audit.sequencer import Sequencer
from hub.core.errors import HubError
from hub.flows.disclosure.disclose import Discloser
from hub.store.database import DbRole
from hub.store.keys import FileKeys
from hub.store.prepare import StoreOptions, prepare
from hub.store.server import EmbeddedServer

from .test_discloser import by_number, request
from .world import HEAD, World


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Path]:
    """HUB_HOME of a server that waits for the disk as a real one does."""
    yield tmp_path / "home"
    await EmbeddedServer(tmp_path / "home").remove()


async def ask_until_it_breaks(gate: Discloser, answered: list[UUID]) -> None:
    while True:
        try:
            disclosure, receipt = await gate.disclose(request("officer-a", by_number(HEAD)))
        except HubError:
            return
        assert str(receipt.leaf().ev) == str(disclosure.event)
        answered.append(disclosure.event)


async def ask_and_crash(world: World, home: Path, answered: list[UUID], seconds: float) -> None:
    """Eight askers, and the end of every backend in the midst of them: what was only in the server's memory is gone."""
    pool = await world.database.pool(DbRole.APP, size=2)
    sequencer = Sequencer(world.database, world.keys, home / "guard")
    postmaster = int((EmbeddedServer(home).place.data / "postmaster.pid").read_text().splitlines()[0])
    try:
        async with (
            sequencer.running(),
            Receipts(world.database, sequencer) as receipts,
            Discloser(pool, world.keys, receipts, deadline=3, even_step=0.001) as gate,
        ):
            asking = [asyncio.create_task(ask_until_it_breaks(gate, answered)) for _ in range(8)]
            while len(answered) < 20:
                await asyncio.sleep(0.01)
            await asyncio.sleep(seconds)
            os.kill(postmaster, signal.SIGQUIT)
            await asyncio.gather(*asking)
    except HubError:
        pass  # the sequencer says that it lost the database
    finally:
        pool.terminate()


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.0, 0.3])
async def test_what_was_answered_before_a_crash_is_recorded_and_counted(home: Path, seconds: float) -> None:
    database = await prepare(StoreOptions(home))
    world = await World.build(database, FileKeys(home / "keys"))
    basis = await world.basis(HEAD, uses=1_000_000)
    answered: list[UUID] = []
    await ask_and_crash(world, home, answered, seconds)
    assert len(answered) >= 20
    await EmbeddedServer(home).start()
    owner = await database.connect(DbRole.OWNER)
    try:
        recorded = await owner.fetchval("SELECT count(*) FROM audit.entry WHERE ev = ANY ($1)", answered)
        uses = await owner.fetchval("SELECT uses FROM consent.quota WHERE basis_id = $1", basis)
    finally:
        await owner.close()
    assert recorded == len(answered)
    assert uses >= len(answered)
