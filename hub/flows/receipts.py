"""Receipts for a command: somebody must lead the audit log while the command records what it does.

Where a server runs, it leads, and the command waits for it; otherwise the command leads for its own moment.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hub.audit.receipts import Receipts
from hub.audit.sequencer import Sequencer
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService


def guard_file(home: Path) -> Path:
    """Where the last signed head is kept outside the database; every process of one HUB_HOME uses the same."""
    return home / "audit-guard"


@asynccontextmanager
async def receipt_desk(database: Database, keys: KeyService, home: Path) -> AsyncIterator[Receipts]:
    """Receipts for the length of a block. Raises :class:`AuditError` if nothing can be recorded."""
    sequencer = Sequencer(database, keys, guard_file(home))
    async with sequencer.running(), Receipts(database, sequencer, role=DbRole.INGEST, connections=1) as receipts:
        yield receipts
