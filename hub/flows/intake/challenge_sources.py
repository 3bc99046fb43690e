"""What folded records give cause to ask of their sources becomes challenges, with an entry of the audit log.

One entry for all that a batch opened and one for all that it closed: they name counts and a digest over the ids, so
that the list can be checked against the log, and nobody.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.ids import uuid7
from hub.core.version import VERSION
from hub.records.folding.challenge_store import Folded, sync_challenges
from hub.records.folding.sections import AfterFold
from hub.store.keys import KeyService


def challenging(keys: KeyService) -> AfterFold:
    """What to do after each batch of folds: open and close challenges in its transaction."""

    async def after_fold(
        connection: asyncpg.Connection, folded: Sequence[Folded], households: Sequence[UUID], now: datetime
    ) -> None:
        changed = await sync_challenges(connection, keys, folded, households, now)
        for event, ids in (("challenge:hub:opened", changed.opened), ("challenge:hub:closed", changed.closed)):
            if ids:
                await append(connection, _entry(event, ids))

    return after_fold


def _entry(event: str, ids: Sequence[UUID]) -> PendingEntry:
    content = hashlib.sha256(b"".join(sorted(each.bytes for each in ids))).hexdigest()
    return PendingEntry(
        ev=uuid7(),
        kind=Kind.WRITE,
        event=event,
        organisation="hub",
        actor="hub",
        decision=Decision.ALLOW,
        policy=f"hub-{VERSION}",
        facts={"challenges": len(ids), "content": content},
    )
