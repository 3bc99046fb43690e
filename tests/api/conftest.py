"""The running hub of the API tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.store.database import Database

from .world import Api, running_api


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database, tmp_path / "home") as api:
        yield api
