"""A small prefecture over a real database, with somebody who signs the log."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.audit.receipts import Receipts
from hub.flows.receipts import receipt_desk
from hub.store.database import Database
from hub.store.keys import KeyService
from tests.records.conftest import world

__all__ = ["world"]


@pytest.fixture
async def receipts(database: Database, keys: KeyService, tmp_path: Path) -> AsyncIterator[Receipts]:
    async with receipt_desk(database, keys, tmp_path) as made:
        yield made
