"""A steward discards a row in quarantine: its content is destroyed, that it came and why it was refused stays."""

from dataclasses import dataclass

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.core.canonical import canonical_bytes
from hub.core.contracts import contract_of
from hub.core.ids import uuid7
from hub.flows.readmit_quarantined import EntryClosedError, NoSuchEntryError
from hub.flows.steward_desk import StewardAct, StewardDesk
from hub.flows.steward_record import steward_record
from hub.records.quarantine import entry_id
from hub.records.quarantine_acts import DISCARDED, Decided, discard_entry, write_act
from hub.records.quarantine_entries import acts_of, find_entry, subject_of_entry


@dataclass(frozen=True, slots=True)
class Discarded:
    """What came of the act; ``repeated``: it was discarded before."""

    entry: str
    repeated: bool = False


async def discard_row(desk: StewardDesk, act: StewardAct, number: int) -> tuple[Discarded, Receipt | None]:
    """Discard one row; the same row delivered again is recognised and not taken in anew.

    Raises :class:`~hub.core.errors.InputError`, :class:`EntryClosedError`, and :class:`~hub.core.errors.AuditError` if
    the log cannot record it; then nothing was changed.
    """
    act.check()
    now, event = desk.clock(), uuid7()
    async with desk.deciding() as connection:
        entry = await find_entry(connection, desk.keys, number, lock=True)
        if entry is None:
            raise NoSuchEntryError("there is no such quarantine entry.", remedy="See `hub quarantine list`.")
        if not entry.is_open:
            if any(earlier.act == DISCARDED for earlier in await acts_of(connection, desk.keys, number)):
                return Discarded(entry_id(number), repeated=True), None
            raise EntryClosedError(
                "this entry is closed: the agency, a pull or another steward has dealt with it.",
                remedy="See `hub quarantine show`.",
            )
        subject = await subject_of_entry(connection, entry)
        await discard_entry(connection, entry)
        contract = contract_of(entry.kind)
        fingerprint = desk.keys.index("content", canonical_bytes([DISCARDED, number]).decode())
        await write_act(
            connection,
            desk.keys,
            entry,
            Decided(DISCARDED, act.steward, act.reason, now, event, contract, fingerprint),
        )
        facts = {
            "source": entry.source,
            "entry": entry_id(number),
            "reasonCode": entry.reason.name,
            "contract": contract,
        }
        persons = {subject: {"entry": entry_id(number)}}
        await append(
            connection, steward_record(desk.keys, act, event, "quarantine:steward:discarded", facts, persons=persons)
        )
    return Discarded(entry_id(number)), await desk.signed(event)
