"""One entry of quarantine in the hands of a steward: whether it is his, whether it is open, what the log is told.

The log outlives the row, also that of an adverse item whose time is over. So it is told which entry, which fields and a
keyed hash of the reason; the reason itself and the values stand sealed in ``ingest.quarantine_act``, which goes with
the row (docs/adr/0009).
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.events import Decision
from hub.audit.outbox import PendingEntry, append
from hub.core.canonical import canonical_bytes
from hub.core.contracts import contract_of
from hub.core.errors import HubError, InputError
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.flows.stewards.steward_record import steward_record
from hub.records.held_back.quarantine import entry_id
from hub.records.held_back.quarantine_acts import DISCARDED, RELEASED, REPAIRED
from hub.records.held_back.quarantine_county import counties_of_entry
from hub.records.held_back.quarantine_entries import Act, QuarantinedRow, acts_of, find_entry, subject_of_entry

_EVENTS = {
    RELEASED: "quarantine:steward:released",
    REPAIRED: "quarantine:steward:repaired",
    DISCARDED: "quarantine:steward:discarded",
}


class NoSuchEntryError(InputError):
    """There is no quarantine entry of that number, or it concerns other counties than the steward's."""

    code = "QUARANTINE_UNKNOWN"


class EntryClosedError(HubError):
    """The entry is not open any more; somebody or something else dealt with it."""

    code = "QUARANTINE_CLOSED"


async def entry_or_earlier(
    connection: asyncpg.Connection, desk: StewardDesk, act: StewardAct, number: int, fingerprint: bytes
) -> QuarantinedRow | Act:
    """The open entry, locked for the caller; or the very same act of the same steward, which closed it before.

    Raises :class:`NoSuchEntryError`, and :class:`EntryClosedError` for whatever else is tried at a closed entry: what
    somebody else put in place is not to be guessed.
    """
    entry = await find_entry(connection, desk.keys, number, lock=True)
    if entry is not None and not entry.is_open:
        for earlier in await acts_of(connection, desk.keys, number):
            if earlier.steward == act.steward and earlier.fingerprint == fingerprint:
                return earlier
    if entry is None or not act.may_judge(await counties_of_entry(connection, entry)):
        raise NoSuchEntryError("there is no such quarantine entry.", remedy="See `hub quarantine list`.")
    if not entry.is_open:
        raise EntryClosedError(
            "this entry is closed: the agency, a pull or another steward has dealt with it.",
            remedy="See `hub quarantine show`.",
        )
    return entry


def act_entry(
    desk: StewardDesk,
    act: StewardAct,
    event: UUID,
    verb: str,
    entry: QuarantinedRow,
    facts: Mapping[str, Any],
    *,
    persons: Collection[UUID | None],
    fields: Collection[str] = (),
    decision: Decision = Decision.ALLOW,
) -> PendingEntry:
    """What the log is told of an act at an entry, or of the attempt. ``fields``: those it corrects."""
    name = entry_id(entry.number)
    reason = desk.keys.index("content", canonical_bytes(["reason", entry.number, act.reason]).decode())
    told = replace(
        act,
        reason="",
        document=f"hub quarantine {verb}",
        variables={"entry": name, "fields": sorted(fields)},
    )
    return steward_record(
        desk.keys,
        told,
        event,
        _EVENTS[verb],
        {
            "source": entry.source,
            "entry": name,
            "reasonCode": entry.reason.name,
            "contract": contract_of(entry.kind),
            "reasonHash": reason.hex(),
            **facts,
        },
        decision=decision,
        persons={person: {"entry": name} for person in persons},
    )


async def record_attempt(
    desk: StewardDesk,
    act: StewardAct,
    event: UUID,
    verb: str,
    number: int,
    facts: Mapping[str, Any],
    *,
    persons: Collection[UUID | None] = (),
    fields: Collection[str] = (),
) -> None:
    """Record that an act was refused, and wait for the log to sign; nothing is told before. An entry that never was
    leaves no record.
    """
    async with desk.reading() as connection:
        entry = await find_entry(connection, desk.keys, number)
        if entry is None:
            return
        concerned = [await subject_of_entry(connection, entry), *persons]
        refused = act_entry(
            desk, act, event, verb, entry, facts, persons=concerned, fields=fields, decision=Decision.DENY
        )
        await append(connection, refused)
    await desk.signed(event)
