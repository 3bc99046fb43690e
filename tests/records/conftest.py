"""A small prefecture over a real database."""

from collections.abc import AsyncIterator

import pytest

from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from tests.records.world import World


@pytest.fixture
async def world(database: Database, keys: KeyService) -> AsyncIterator[World]:
    connection = await database.connect(DbRole.INGEST)
    yield World(connection, keys)
    await connection.close()
