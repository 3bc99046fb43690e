"""A small prefecture with everything that carries a key, and the desk of the commands about keys."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.audit.receipts import Receipts
from hub.audit.sequencer import Sequencer
from hub.flows.keys.rotate_keys import KeyDesk
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.keys.holding import Holding


@pytest.fixture
async def holding(database: Database, keys: FileKeys, tmp_path: Path) -> AsyncIterator[Holding]:
    sequencer = Sequencer(database, keys, tmp_path / "guard")
    owner, ingest = await database.connect(DbRole.OWNER), await database.connect(DbRole.INGEST)
    async with sequencer.running(), Receipts(database, sequencer, role=DbRole.INGEST, connections=1) as receipts:
        made = Holding(KeyDesk(database, keys, receipts, "operator"), owner, ingest)
        await made.fill()
        yield made
    await owner.close()
    await ingest.close()
