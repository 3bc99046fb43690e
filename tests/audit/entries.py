"""What an entry of the log says, for tests of those who write it."""

from typing import Any

from hub.audit.open_entry import open_entry
from hub.audit.proof import Receipt
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService


async def facts_of(database: Database, keys: KeyService, receipt: Receipt) -> dict[str, Any]:
    """The facts that everybody shares who may read the entry."""
    auditor = await database.connect(DbRole.AUDITOR)
    try:
        entry = await open_entry(auditor, keys, receipt.leaf().ev)
    finally:
        await auditor.close()
    assert entry.shared is not None
    return entry.shared.facts()
