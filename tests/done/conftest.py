"""What the tests of the whole way share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.connectors.agencies import civil
from hub.store.database import Database
from hub.store.keys import KeyService
from hub.store.server import EmbeddedServer
from tests.done.agencies import Agencies, five_agencies
from tests.done.samples import HubUnderTest


@pytest.fixture(autouse=True)
def _fast_civil(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers here do not mind more than ten calls a second."""
    monkeypatch.setattr(civil, "CALLS_PER_SECOND", 500)


@pytest.fixture
def hub(database: Database, keys: KeyService, tmp_path: Path) -> HubUnderTest:
    return HubUnderTest(database, keys, tmp_path)


@pytest.fixture
async def agencies(tmp_path: Path, server: EmbeddedServer, template: Database) -> AsyncIterator[Agencies]:
    """They need the run's server, which is up once the template is made."""
    async with five_agencies(tmp_path / "agencies", server) as running:
        yield running
