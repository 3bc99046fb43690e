"""A steward opens one row in quarantine: its content, and what was done with it. Recorded before it is shown."""

from typing import Any

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.core.contracts import contract_of
from hub.core.ids import uuid7
from hub.flows.stewards.quarantined_entry import NoSuchEntryError
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.flows.stewards.steward_record import steward_record
from hub.records.held_back.quarantine import entry_id
from hub.records.held_back.quarantine_entries import acts_of, find_entry, subject_of_entry


async def show_row(desk: StewardDesk, act: StewardAct, number: int) -> tuple[dict[str, Any], Receipt]:
    """The entry as ``hub quarantine list`` prints it, with ``row`` in wire names, its contract and the acts.

    ``row`` is null where only the count may be kept, and after the entry was closed. Raises
    :class:`~hub.core.errors.InputError`, and :class:`~hub.core.errors.AuditError` without a receipt.
    """
    act.check()
    await desk.receipts.ready()
    event = uuid7()
    async with desk.reading() as connection:
        entry = await find_entry(connection, desk.keys, number)
        if entry is None:
            raise NoSuchEntryError("there is no such quarantine entry.", remedy="See `hub quarantine list`.")
        acts = await acts_of(connection, desk.keys, number)
        subject = await subject_of_entry(connection, entry)
        facts = {"source": entry.source, "entry": entry_id(number), "reasonCode": entry.reason.name}
        persons = {subject: {"entry": entry_id(number)}}
        await append(
            connection, steward_record(desk.keys, act, event, "quarantine:steward:shown", facts, persons=persons)
        )
    receipt = await desk.signed(event)
    return {
        "schema": "hub.quarantine-entry/1",
        **entry.listed(),
        "version": entry.version,
        "contract": {"refused_by": entry.contract, "present": contract_of(entry.kind)},
        "row": entry.wire,
        "acts": [earlier.as_json() for earlier in acts],
    }, receipt
