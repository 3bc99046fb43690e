"""One hub with providers for a file of tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hub.store.database import Database

from .world import Benefits, running_benefits


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def benefits(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Benefits]:
    async with running_benefits(module_database, tmp_path_factory.mktemp("benefits") / "home") as benefits:
        yield benefits
