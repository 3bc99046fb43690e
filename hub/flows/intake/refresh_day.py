"""What time alone changes: once a day the sections of households whose day has come are folded anew.

A birthday, the end of a relief or five years after an adverse item's end change a record without any delivery; a row
that a value rests on goes out of date.
"""

from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.core.clock import Clock
from hub.core.ids import uuid7
from hub.core.version import VERSION
from hub.flows.intake.challenge_sources import challenging
from hub.records.folding.sections import due_households, is_settled, refresh_sections
from hub.store.keys import KeyService

_RECEIPT_SECONDS = 300.0


async def refresh_day(connection: asyncpg.Connection, keys: KeyService, receipts: Receipts, clock: Clock) -> int:
    """Fold the households that are due; returns how many. The caller keeps pulls from settling meanwhile.

    While rows of a pull wait to be settled nothing is folded: they are provisional (docs/adr/0002), and the settling
    that comes folds what is due as well. Raises :class:`AuditError` if the log cannot record; nothing was changed then.
    """
    now = clock()
    if not await is_settled(connection):
        return 0
    households = await due_households(connection, now)
    if not households:
        return 0
    await receipts.ready()
    event = uuid7()
    await append(connection, _entry(event, households))
    folded = await refresh_sections(connection, keys, now, then=challenging(keys))
    await receipts.wait(event, _RECEIPT_SECONDS)
    return folded


def _entry(event: UUID, households: int) -> PendingEntry:
    return PendingEntry(
        ev=event,
        kind=Kind.WRITE,
        event="record:hub:folded",
        organisation="hub",
        actor="hub worker",
        decision=Decision.ALLOW,
        policy=f"hub-{VERSION}",
        facts={"households": households, "cause": "day"},
    )
