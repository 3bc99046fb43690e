"""A steward reads over the API what is held back: keys, reasons and counts, never the content of a row."""

from typing import Any

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.core.disclosure import Asker
from hub.core.ids import uuid7
from hub.core.names import QuarantineReason
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.flows.stewards.steward_record import steward_record
from hub.records.held_back.quarantine import list_quarantine, require_source
from hub.records.held_back.quarantine_county import own_entries
from hub.records.held_back.quarantine_summary import QuarantineGroup, summarise_quarantine


async def list_rows(
    desk: StewardDesk,
    asker: Asker,
    act: StewardAct,
    *,
    source: str | None,
    reason: QuarantineReason | None,
    status: str | None,
    after: int,
    first: int,
) -> tuple[list[dict[str, Any]], Receipt]:
    """At most ``first + 1`` of the steward's own entries above number ``after``, as ``hub quarantine list`` does.

    Raises :class:`~hub.core.errors.RefusedError` for anybody but a data steward, and
    :class:`~hub.records.held_back.quarantine.NoSuchSourceError`.
    """
    await desk.check_role(asker)
    await desk.receipts.ready()
    event = uuid7()
    async with desk.reading() as connection:
        if source is not None:
            await require_source(connection, source)
        own = await own_entries(connection, desk.keys, act.counties)
        found = await list_quarantine(
            connection, source=source, reason=reason, status=status, after=after, first=first + 1, own=own
        )
        facts: dict[str, Any] = {"view": "rows", "rows": min(len(found), first)}
        facts |= ({"source": source} if source else {}) | ({"reasonCode": reason.name} if reason else {})
        await append(connection, steward_record(desk.keys, act, event, "quarantine:steward:listed", facts))
    return found, await desk.signed(event)


async def summarise(
    desk: StewardDesk, asker: Asker, act: StewardAct, *, days: int, source: str | None
) -> tuple[list[QuarantineGroup], Receipt]:
    """The counts of the steward's own entries by source and reason. Raises as :func:`list_rows`."""
    await desk.check_role(asker)
    await desk.receipts.ready()
    event = uuid7()
    async with desk.reading() as connection:
        if source is not None:
            await require_source(connection, source)
        own = await own_entries(connection, desk.keys, act.counties)
        groups = await summarise_quarantine(connection, desk.clock(), days=days, source=source, own=own)
        facts = {"view": "summary", "rows": sum(group.open for group in groups)} | (
            {"source": source} if source else {}
        )
        await append(connection, steward_record(desk.keys, act, event, "quarantine:steward:listed", facts))
    return groups, await desk.signed(event)
