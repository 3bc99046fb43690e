"""One hub with providers for a file of tests, without programmes and consents at the beginning of each."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hub.store.database import Database

from .world import Benefits, running_benefits


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Benefits]:
    async with running_benefits(module_database, tmp_path_factory.mktemp("benefits") / "home") as benefits:
        yield benefits


@pytest_asyncio.fixture(loop_scope="module")
async def benefits(running: Benefits) -> Benefits:
    """The hub of the file, as at its beginning but for the log."""
    await running.clear()
    return running
