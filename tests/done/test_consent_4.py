"""Line 4: a withdrawal racing queries; no answer whose entry is after its commit contains a value."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.attacks.consent_world import PARTS, given, open_desk
from tests.disclosure.world import HEAD, World

_SQL = "SELECT section_bodies FROM access.disclose($1::jsonb)"


@pytest.fixture
async def world(database: Database, keys: FileKeys) -> AsyncIterator[World]:
    world = await World.build(database, keys)
    yield world
    await world.close()


async def race(world: World, folder: Path, queries: int, at_once: int) -> tuple[int, int]:
    """Entries that gave a value, and that gave none; none of the former is later than the withdrawal's commit."""
    async with open_desk(world, folder) as desk:
        consent = await given(desk)
    # The sequencer rests, so that every entry of the race stays in the outbox with the instant at which it was made.
    await world.owner.execute("UPDATE consent.basis SET max_uses = NULL")
    pool = await world.database.pool(DbRole.APP, size=4)
    left = queries

    async def ask() -> None:
        nonlocal left
        while left > 0:
            left -= at_once
            wires = [world.wire("risk-a", HEAD, parts=list(PARTS)) for _ in range(at_once)]
            rows = await pool.fetch(_SQL, json.dumps(wires))
            assert len({row["section_bodies"] is None for row in rows}) == 1  # a batch stands on one side of it

    try:
        asking = [asyncio.create_task(ask()) for _ in range(4)]
        while await world.owner.fetchval("SELECT count(*) FROM audit.pending") < queries // 10:
            await asyncio.sleep(0.01)
        await world.app.execute(
            "SELECT consent.change('head', 't1', $1, 'withdrawConsent', clock_timestamp(), $2)", consent, uuid4()
        )
        ended = await world.owner.fetchval("SELECT clock_timestamp()")
        await asyncio.gather(*asking)
    finally:
        await pool.close()
    count = "SELECT count(*) FROM audit.pending WHERE event = 'profile:client:queried' AND "
    shown = await world.owner.fetchval(count + "decision <> 'deny'")
    denied = await world.owner.fetchval(count + "decision = 'deny'")
    assert await world.owner.fetchval(count + "decision <> 'deny' AND queued_at > $1", ended) == 0
    assert await world.owner.fetchval(count + "queued_at > $1", ended) > 0
    return shown, denied


async def test_a_withdrawal_racing_queries(world: World, tmp_path: Path) -> None:
    shown, denied = await race(world, tmp_path, 240, 4)
    assert shown + denied == 240
    assert shown >= 24
    assert denied > 0


@pytest.mark.long
async def test_a_withdrawal_racing_ten_thousand_queries(world: World, tmp_path: Path) -> None:
    shown, denied = await race(world, tmp_path, 10_000, 10)
    assert shown + denied == 10_000
    assert shown >= 1_000
    assert denied >= 1_000
