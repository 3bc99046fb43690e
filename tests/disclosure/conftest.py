"""The world of the disclosure tests."""

from collections.abc import AsyncIterator

import pytest

from hub.store.database import Database
from hub.store.keys import FileKeys

from .world import World


@pytest.fixture
async def world(database: Database, keys: FileKeys) -> AsyncIterator[World]:
    world = await World.build(database, keys)
    yield world
    await world.close()
