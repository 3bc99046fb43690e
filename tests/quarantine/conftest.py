"""A hub with a steward's desk, over a real database and a real audit log."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.flows.receipts import receipt_desk
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from tests.quarantine.deliveries import Hub


@pytest.fixture
async def hub(database: Database, keys: KeyService, tmp_path: Path) -> AsyncIterator[Hub]:
    connection = await database.connect(DbRole.INGEST)
    async with receipt_desk(database, keys, tmp_path) as receipts:
        yield Hub(database, connection, keys, receipts)
    await connection.close()
