"""A steward discards a row in quarantine: its content is destroyed, that it came and why it was refused stays."""

from dataclasses import dataclass

import asyncpg

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.core.canonical import canonical_bytes
from hub.core.contracts import contract_of
from hub.core.ids import uuid7
from hub.flows.stewards.quarantined_entry import (
    EntryClosedError,
    NoSuchEntryError,
    act_entry,
    entry_or_earlier,
    record_attempt,
)
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.records.held_back.quarantine import entry_id
from hub.records.held_back.quarantine_acts import DISCARDED, Decided, discard_entry, write_act
from hub.records.held_back.quarantine_entries import Act, QuarantinedRow, subject_of_entry


@dataclass(frozen=True, slots=True)
class Discarded:
    """What came of the act; ``repeated``: it was discarded before."""

    entry: str
    repeated: bool = False


async def discard_row(desk: StewardDesk, act: StewardAct, number: int) -> tuple[Discarded, Receipt]:
    """Discard one row; the same row delivered again is recognised and not taken in anew.

    Doing it again gives the same steward the same answer and the first receipt. Raises
    :class:`~hub.core.errors.InputError`, :class:`EntryClosedError`, and :class:`~hub.core.errors.AuditError` if the log
    cannot record it; then nothing was changed.
    """
    act.check()
    now, event = desk.clock(), uuid7()
    fingerprint = desk.keys.index("content", canonical_bytes([DISCARDED, number]).decode())
    try:
        async with desk.deciding() as connection:
            entry = await entry_or_earlier(connection, desk, act, number, fingerprint)
            if not isinstance(entry, Act):
                await _discard(connection, desk, act, entry, Decided(
                    DISCARDED, act.steward, act.reason, now, event, contract_of(entry.kind), fingerprint,
                ))  # fmt: skip
    except (EntryClosedError, NoSuchEntryError):
        await record_attempt(desk, act, event, DISCARDED, number, {})
        raise
    if isinstance(entry, Act):
        return Discarded(entry_id(number), repeated=True), await desk.signed(entry.event)
    return Discarded(entry_id(number)), await desk.signed(event)


async def _discard(
    connection: asyncpg.Connection, desk: StewardDesk, act: StewardAct, entry: QuarantinedRow, decided: Decided
) -> None:
    subject = await subject_of_entry(connection, entry)
    await discard_entry(connection, entry)
    await write_act(connection, desk.keys, entry, decided)
    await append(connection, act_entry(desk, act, decided.ev, DISCARDED, entry, {}, persons=[subject]))
