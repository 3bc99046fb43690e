"""One entry of quarantine with what was kept of its row, and what stewards did with it."""

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.core.clock import iso
from hub.core.errors import InputError
from hub.core.names import QuarantineReason
from hub.records.held_back.quarantine import entry_id
from hub.store.keys import KeyService

_ENTRY_ID = re.compile(r"q-([0-9]{6,18})")

_READ_AT_ONCE = 500
"""Rows of which the store hands over the content at a time."""

_ENTRY = """
SELECT q.number, q.row_id, q.source, q.source_key, q.reason, q.other_reasons, q.origin, q.first_seen, q.last_seen,
    q.status, q.sealed_row, q.contract, s.kind, s.agreement_no, h.version, h.version_rank, h.arrival, h.subject_index,
    h.kind AS row_kind, h.state, h.file_name, h.file_group, h.file_number, f.business_date
FROM ingest.quarantine q
JOIN ingest.held_row h USING (row_id)
JOIN ingest.source_state s ON s.source = q.source
LEFT JOIN ingest.file f ON f.source = q.source AND f.name = h.file_name
"""


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """An entry with its row. ``wire`` is ``None`` where only the count may be kept, and after the entry is closed.

    ``reasons``: all that were found, the one that won first. ``row_kind`` says what the row speaks about. The row's
    place among the deliveries (``arrival``, file) is part of it, because a repaired row takes that place.
    """

    number: int
    row_id: UUID
    source: str
    kind: str
    agreement_no: str | None
    source_key: str
    version: str
    version_rank: int
    arrival: int
    row_kind: str
    reasons: tuple[QuarantineReason, ...]
    origin: str
    first_seen: datetime
    last_seen: datetime
    status: str
    state: str
    contract: str | None
    subject_index: bytes | None
    file_name: str | None
    file_group: str | None
    file_number: int | None
    business_date: date | None
    wire: dict[str, Any] | None

    @property
    def reason(self) -> QuarantineReason:
        """The reason that won."""
        return self.reasons[0]

    def listed(self) -> dict[str, Any]:
        """The entry as ``hub quarantine list`` prints it: without personal content."""
        return {
            "id": entry_id(self.number),
            "source": self.source,
            "source_key": self.source_key,
            "reason": self.reason.name,
            "other_reasons": [other.name for other in self.reasons[1:]],
            "origin": self.origin,
            "first_seen": iso(self.first_seen),
            "last_seen": iso(self.last_seen),
            "status": self.status,
        }

    @property
    def is_open(self) -> bool:
        """Whether the row still waits."""
        return self.status == "OPEN" and self.state == "QUARANTINED"


@dataclass(frozen=True, slots=True)
class Act:
    """What a steward did with an entry. ``values``: of each corrected field what was sent and what was put in place;
    ``event``: the audit entry.
    """

    act: str
    steward: str
    acted_at: datetime
    reason: str
    contract: str
    fingerprint: bytes
    row_id: UUID | None
    event: UUID
    values: Mapping[str, Sequence[Any]]

    def as_json(self) -> dict[str, Any]:
        """For a steward's eyes."""
        return {
            "act": self.act,
            "steward": self.steward,
            "at": iso(self.acted_at),
            "why": self.reason,
            "contract": self.contract,
            "corrected": {name: {"sent": sent, "used": used} for name, (sent, used) in self.values.items()},
        }


def number_of(entry: str) -> int:
    """The number behind an entry's name such as ``q-000017``. Raises :class:`InputError`."""
    match = _ENTRY_ID.fullmatch(entry)
    if match is None:
        raise InputError(
            "this is not the name of a quarantine entry.", remedy="Take it from `hub quarantine list`: q-000017."
        )
    return int(match[1])


async def find_entry(
    connection: asyncpg.Connection, keys: KeyService, number: int, *, lock: bool = False
) -> QuarantinedRow | None:
    """The entry of this number; with ``lock`` nobody else changes it before the caller's transaction has ended."""
    query = f"{_ENTRY} WHERE q.number = $1" + (" FOR UPDATE OF h, q" if lock else "")
    record = await connection.fetchrow(query, number)
    return None if record is None else _entry(keys, record)


async def open_entries(
    connection: asyncpg.Connection, keys: KeyService, source: str, reason: QuarantineReason | None = None
) -> AsyncIterator[QuarantinedRow]:
    """All open entries of a source with what was kept of them, oldest first; read bit by bit, in a transaction."""
    query = f"""{_ENTRY} WHERE q.status = 'OPEN' AND q.source = $1 AND ($2::smallint IS NULL OR q.reason = $2)
                ORDER BY q.number"""
    async for record in connection.cursor(query, source, reason, prefetch=_READ_AT_ONCE):
        yield _entry(keys, record)


async def acts_of(connection: asyncpg.Connection, keys: KeyService, number: int) -> list[Act]:
    """What stewards did with an entry, in the order of time."""
    records = await connection.fetch(
        "SELECT * FROM ingest.quarantine_act WHERE number = $1 ORDER BY acted_at, act_id", number
    )
    return [
        Act(
            act=record["act"],
            steward=record["steward"],
            acted_at=record["acted_at"],
            reason=keys.open("quarantine", record["sealed_reason"], record["act_id"].bytes).decode(),
            contract=record["contract"],
            fingerprint=record["fingerprint"],
            row_id=record["row_id"],
            event=record["ev"],
            values={}
            if record["sealed_values"] is None
            else orjson.loads(keys.open("quarantine", record["sealed_values"], record["act_id"].bytes)),
        )
        for record in records
    ]


async def bank_code_of(connection: asyncpg.Connection, source: str) -> str | None:
    """The bank code under which a source's sound rows stand; ``None`` if there is none yet."""
    code: str | None = await connection.fetchval(
        """SELECT split_part(source_key, '|', 2) FROM ingest.held_row
           WHERE source = $1 AND (source_key LIKE 'loan|%' OR source_key LIKE 'line|%') AND is_current
           LIMIT 1""",
        source,
    )
    return code


async def subjects_of(connection: asyncpg.Connection, indexes: Collection[bytes]) -> dict[bytes, UUID]:
    """The people behind these indexes of ID numbers, as far as the hub knows them."""
    records = await connection.fetch(
        "SELECT blind_index, person_id FROM record.directory WHERE blind_index = ANY($1)", list(indexes)
    )
    return {record["blind_index"]: record["person_id"] for record in records}


async def subject_of_entry(connection: asyncpg.Connection, entry: QuarantinedRow) -> UUID | None:
    """The person whom the row is about, where its ID number is sound and the hub knows him."""
    if entry.subject_index is None:
        return None
    person: UUID | None = await connection.fetchval(
        "SELECT person_id FROM record.directory WHERE blind_index = $1", entry.subject_index
    )
    return person


def _entry(keys: KeyService, record: asyncpg.Record) -> QuarantinedRow:
    values = dict(record)
    sealed, reason, others = values.pop("sealed_row"), values.pop("reason"), values.pop("other_reasons")
    return QuarantinedRow(
        **values,
        reasons=tuple(QuarantineReason(code) for code in (reason, *others)),
        wire=None if sealed is None else orjson.loads(keys.open("quarantine", sealed, record["row_id"].bytes)),
    )
