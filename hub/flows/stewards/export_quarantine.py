"""Hand held-back rows back to their agency: a disclosure by a steward, recorded before the file is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import asyncpg
import orjson

from hub.audit.outbox import MAX_SUBJECTS, append
from hub.connectors.kept_rows import KeptRow
from hub.connectors.returned_files import is_returnable, returned_file
from hub.core.ids import uuid7
from hub.core.names import QuarantineReason
from hub.flows.stewards.readmit_quarantined import kept_row
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.flows.stewards.steward_record import steward_record
from hub.records.held_back.quarantine import require_source
from hub.records.held_back.quarantine_entries import QuarantinedRow, open_entries, subjects_of

_CHUNK_BYTES = 1 << 20
"""Lines are handed over in parts of about this size."""

Write = Callable[[bytes, bytes | None], None]


class ExportFormat(StrEnum):
    """How the rows are written: one JSON object per line with the entry, or as the agency itself delivers."""

    JSONL = "jsonl"
    NATIVE = "native"


@dataclass(slots=True)
class _Part:
    """What one entry of the log tells: so many rows, about these people."""

    rows: int = 0
    persons: dict[UUID, None] = field(default_factory=dict)


async def export(
    desk: StewardDesk,
    act: StewardAct,
    source: str,
    reason: QuarantineReason | None,
    write: Write,
    form: ExportFormat = ExportFormat.JSONL,
) -> int:
    """Write the open rows of ``source`` whose content may be kept; returns how many.

    ``write`` gets the file part by part, and in the agency's own format, where it is one part, a second file: the entry
    of each row, line by line in the order of the rows. It is called only after the audit log has signed for the
    disclosure, which stands in the list of every person of a row whom the hub knows. Raises :class:`AuditError`
    otherwise, :class:`~hub.core.errors.InputError` if there is no such source. In the agency's own format a row of
    which only its place was kept is left out.

    Rows are opened twice, for the log and for the file, in one state of the record, and not held meanwhile.
    """
    act.check()
    await desk.receipts.ready()
    async with desk.reading() as connection:
        kind = await require_source(connection, source)
        parts = await _parts(connection, desk, source, reason, form)
        for event in await _record(desk, act, source, reason, parts):
            await desk.signed(event)
        if form is ExportFormat.NATIVE:
            await _write_native(connection, desk, kind, source, reason, write)
        else:
            await _write_lines(connection, desk, source, reason, write)
    return sum(part.rows for part in parts)


async def _parts(
    connection: asyncpg.Connection,
    desk: StewardDesk,
    source: str,
    reason: QuarantineReason | None,
    form: ExportFormat,
) -> list[_Part]:
    indexes = [
        entry.subject_index
        async for entry in open_entries(connection, desk.keys, source, reason)
        if entry.wire is not None and (form is ExportFormat.JSONL or await _returnable(connection, entry))
    ]
    people = await subjects_of(connection, {index for index in indexes if index is not None})
    parts = [_Part()]
    for index in indexes:
        if len(parts[-1].persons) == MAX_SUBJECTS:
            parts.append(_Part())
        parts[-1].rows += 1
        if index in people:
            parts[-1].persons[people[index]] = None
    return parts


async def _returnable(connection: asyncpg.Connection, entry: QuarantinedRow) -> KeptRow | None:
    row = await kept_row(connection, entry)
    return row if is_returnable(row) else None


async def _record(
    desk: StewardDesk, act: StewardAct, source: str, reason: QuarantineReason | None, parts: Sequence[_Part]
) -> list[UUID]:
    events = []
    async with desk.writing() as connection:
        for part in parts:
            event = uuid7()
            facts = {"source": source, "rows": part.rows} | ({"reasonCode": reason.name} if reason else {})
            persons: dict[UUID | None, dict[str, str]] = {person: {} for person in part.persons}
            entry = steward_record(desk.keys, act, event, "quarantine:steward:exported", facts, persons=persons)
            await append(connection, entry)
            events.append(event)
    return events


async def _write_lines(
    connection: asyncpg.Connection, desk: StewardDesk, source: str, reason: QuarantineReason | None, write: Write
) -> None:
    chunk = bytearray()
    async for entry in open_entries(connection, desk.keys, source, reason):
        if entry.wire is not None:
            chunk += orjson.dumps({**entry.listed(), "row": entry.wire}) + b"\n"
        if len(chunk) >= _CHUNK_BYTES:
            write(bytes(chunk), None)
            chunk.clear()
    write(bytes(chunk), None)


async def _write_native(
    connection: asyncpg.Connection,
    desk: StewardDesk,
    kind: str,
    source: str,
    reason: QuarantineReason | None,
    write: Write,
) -> None:
    rows, index = [], bytearray()
    async for entry in open_entries(connection, desk.keys, source, reason):
        row = None if entry.wire is None else await _returnable(connection, entry)
        if row is not None:
            rows.append(row)
            index += orjson.dumps(entry.listed()) + b"\n"
    write(returned_file(kind, rows), bytes(index))
