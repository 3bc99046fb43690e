"""The running hub of the API tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.access.publish import publish
from hub.app import open_hub
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys

from .world import Api, Visitors, settings_in


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    settings = settings_in(tmp_path / "home")
    keys = FileKeys(settings.keys_folder)
    owner = await database.connect(DbRole.OWNER)
    await publish(owner, keys)
    visitors = Visitors()
    async with open_hub(settings, database, visitors=visitors) as hub:
        api = Api(hub, owner, keys, visitors)
        await api.seed()
        yield api
        await api.http.aclose()
    await owner.close()
