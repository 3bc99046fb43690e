"""The world of the disclosure tests: settled once, copied for each test."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hub.store.database import Database
from hub.store.keys import FileKeys
from tests.conftest import CopyOf

from .world import World


@pytest.fixture(scope="session")
def settled(template: Database, copy_of: CopyOf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world to which nobody is connected any more."""

    async def build(database: Database, keys: FileKeys) -> World:
        world = await World.build(database, keys)
        await world.close()
        return world

    with copy_of(template) as database:
        yield asyncio.run(build(database, FileKeys(tmp_path_factory.mktemp("settled") / "keys")))


@pytest.fixture
def world_database(settled: World, copy_of: CopyOf) -> Iterator[Database]:
    with copy_of(settled.database) as database:
        yield database


@pytest.fixture
async def world(settled: World, world_database: Database, tmp_path: Path) -> AsyncIterator[World]:
    folder = shutil.copytree(settled.keys.files.folder, tmp_path / "keys")
    world = await World.opened(world_database, FileKeys(folder))
    yield world
    await world.close()
