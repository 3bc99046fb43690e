"""Over the days of a prefecture with all its dirt: what stood ready to leave after a day can be folded again later."""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from hub.core.clock import day_of, system_clock
from hub.records.folding.as_of import settled_at
from hub.records.folding.bodies import sections_of
from hub.records.folding.fold import fold
from hub.records.folding.household import load_seen
from hub.sandbox.prefecture import Prefecture, yesterday
from hub.sandbox.sandbox import Sandbox
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.sandbox.test_pull import Hub

DAYS = 3
FIRST: date = yesterday(system_clock()) - timedelta(days=DAYS)


@pytest.fixture
async def own_sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    sandbox = await Sandbox.start(tmp_path / "sandbox", Prefecture(29, 120, FIRST))
    yield sandbox
    await sandbox.stop(remove=True)


@pytest.mark.long
async def test_every_day_can_be_folded_again(
    own_sandbox: Sandbox, database: Database, keys: FileKeys, tmp_path: Path
) -> None:
    hub = Hub(database, keys, tmp_path / "home", own_sandbox.sources_file)
    connection = await database.connect(DbRole.INGEST)
    states: list[tuple[datetime, set[tuple[object, ...]]]] = []
    for day in range(DAYS):
        if day:
            await own_sandbox.advance(FIRST + timedelta(days=day))
        await hub.pull()
        stored = await connection.fetch(
            "SELECT household_id, person_id, category, form, owner, body FROM record.section"
        )
        at = await settled_at(connection)
        assert at is not None
        states.append((at, set(map(tuple, stored))))
    households = [row[0] for row in await connection.fetch("SELECT household_id FROM record.household_directory")]
    for at, state in states:
        again = set()
        for seen in await load_seen(connection, keys, households, day_of(at), at):
            for s in sections_of(fold(seen, day_of(at), at)):
                place = (seen.household.household_id, s.person_id, s.category.value, s.form.value, s.owner)
                again.add((*place, s.body))
        assert len(again) > 1000
        assert again == state
    assert len({frozenset(state) for _, state in states}) == DAYS
    await connection.close()
