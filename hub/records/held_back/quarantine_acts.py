"""Moves a row out of quarantine as a steward decided, and writes down that he did.

Every function works in the caller's transaction, on an entry that the caller has locked. A *released* row counts from
now on as it was delivered. A *repaired* row is a row of its own that takes the place of the delivered one among the
versions of its key: a version delivered later wins over it, and the delivered row stays known by its hash, so that it
is *unchanged* when it comes again. Of a *discarded* row nothing stays but that hash and the count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.core.clock import iso
from hub.core.ids import uuid7
from hub.core.names import QuarantineReason
from hub.core.rows import CheckedRow
from hub.records.adverse_items.adverse import ended_on
from hub.records.adverse_items.adverse_notes import note_adverse
from hub.records.held_back.quarantine import entry_id
from hub.records.held_back.quarantine_entries import QuarantinedRow
from hub.records.intake.judge import Held, Judge, JudgedRow
from hub.records.intake.ledger import LATEST_WINS_KINDS, booked_consents, store_consents
from hub.records.intake.settle import recompute_keys, release_rows
from hub.store.keys import KeyService

REPAIRED, RELEASED, DISCARDED = "REPAIRED", "RELEASED", "DISCARDED"
"""The acts, as ``ingest.quarantine_act.act`` writes them."""


@dataclass(frozen=True, slots=True)
class Decided:
    """An act to be written down. ``values``: of each corrected field what was sent and what is used instead."""

    act: str
    steward: str
    reason: str
    acted_at: datetime
    ev: UUID
    contract: str
    fingerprint: bytes
    row_id: UUID | None = None
    values: Mapping[str, Sequence[Any]] | None = None


async def judge_again(
    connection: asyncpg.Connection,
    keys: KeyService,
    entry: QuarantinedRow,
    checked: CheckedRow,
    row_id: UUID,
    *,
    book: bool = True,
) -> JudgedRow | None:
    """Judge a row anew against everything else that is held, as if it were delivered in its own place.

    ``row_id``: what it will be held as. ``None`` if another row under the same key says the same already. What only the
    end of a pull can judge (references, links, roster duplicates) is not judged here. A sound consent counts from here
    on for the rows that name it, unless it is not to be booked.
    """
    held = [
        Held(
            record["content_hash"],
            record["state"],
            None if record["reason"] is None else QuarantineReason(record["reason"]),
            is_superseded=record["state"] == "VALID" and not record["is_current"],
        )
        for record in await connection.fetch(
            """SELECT content_hash, state, reason, is_current FROM ingest.held_row
               WHERE source = $1 AND source_key = $2 AND version_rank = $3 AND row_id <> $4""",
            entry.source,
            entry.source_key,
            entry.version_rank,
            entry.row_id,
        )
    ]
    judge = Judge(
        ids=iter([row_id]),
        held={(checked.source_key, checked.version_rank): held},
        consents=await booked_consents(connection, entry.source, [checked]),
        business_date=entry.business_date,
        latest_wins=entry.kind in LATEST_WINS_KINDS,
        unreadable=set(),
        has_file=entry.file_name is not None,
    )
    judge.judge(
        checked,
        keys.indexer("content")(checked.content),
        _indexes(keys, checked.id_number),
        {g.id_number: _indexes(keys, g.id_number) for g in checked.guarantors if g.id_number},
    )
    if not judge.result.new:
        return None
    judged = judge.result.new[0]
    if book:
        await store_consents(connection, entry.source, judge.consents)
    return judged


async def release_entry(
    connection: asyncpg.Connection,
    keys: KeyService,
    entry: QuarantinedRow,
    judged: JudgedRow,
    run_id: UUID,
    now: datetime,
) -> None:
    """Let a row count as it was delivered; its entry is closed."""
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM record.observation WHERE row_id = $1)", entry.row_id):
        await _insert_observation(connection, keys, entry, judged, entry.row_id, now, None)
    await note_adverse(connection, entry.row_id, judged.row)
    await release_rows(connection, [entry.row_id], run_id, now)


async def repair_entry(
    connection: asyncpg.Connection,
    keys: KeyService,
    entry: QuarantinedRow,
    judged: JudgedRow,
    decided: Decided,
    run_id: UUID,
    now: datetime,
) -> None:
    """Put the corrected row in the place of the delivered one; the entry is closed."""
    await connection.execute(
        """INSERT INTO ingest.held_row (row_id, source, source_key, version, version_rank, content_hash, arrival, kind,
               tombstone, state, subject_index, file_name, file_group, file_number, first_run, adverse,
               adverse_ended_on)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, false, 'VALID', $9, $10, $11, $12, $13, $14, $15)""",
        judged.row_id, entry.source, entry.source_key, entry.version, entry.version_rank, judged.content_hash,
        entry.arrival, judged.row.kind.value, judged.subject, entry.file_name,
        entry.file_group, entry.file_number, run_id, judged.row.category if judged.row.adverse else None,
        ended_on(judged.row),
    )  # fmt: skip
    provenance = {
        "entry": entry_id(entry.number),
        "by": decided.steward,
        "at": iso(decided.acted_at),
        "why": decided.reason,
        "fields": sorted(decided.values or ()),
    }
    await _insert_observation(connection, keys, entry, judged, judged.row_id, now, provenance)
    await _close(connection, entry)
    await recompute_keys(connection, {(entry.source, entry.source_key)}, run_id, now)


async def discard_entry(connection: asyncpg.Connection, entry: QuarantinedRow) -> None:
    """Destroy what was kept of a row; that it came, and why it was refused, stays."""
    await _close(connection, entry)
    await connection.execute("UPDATE ingest.held_row SET subject_index = NULL WHERE row_id = $1", entry.row_id)


async def write_act(connection: asyncpg.Connection, keys: KeyService, entry: QuarantinedRow, decided: Decided) -> None:
    """Write the act down; its reason and values are sealed."""
    act_id = uuid7()
    values = None
    if decided.values is not None:
        values = keys.seal("quarantine", orjson.dumps(decided.values), act_id.bytes)
    await connection.execute(
        """INSERT INTO ingest.quarantine_act (act_id, number, act, steward, acted_at, ev, contract, fields, fingerprint,
               row_id, sealed_reason, sealed_values)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)""",
        act_id, entry.number, decided.act, decided.steward, decided.acted_at, decided.ev, decided.contract,
        sorted(decided.values or ()), decided.fingerprint, decided.row_id,
        keys.seal("quarantine", decided.reason.encode(), act_id.bytes), values,
    )  # fmt: skip


async def begin_act(connection: asyncpg.Connection, now: datetime) -> UUID:
    """A run without sources: what changes because of the act is told apart from what a pull changed."""
    run_id = uuid7()
    await connection.execute(
        "INSERT INTO ingest.run (run_id, started_at, finished_at, exit_code) VALUES ($1, $2, $2, 0)", run_id, now
    )
    return run_id


async def outcome_of(connection: asyncpg.Connection, row_id: UUID) -> tuple[str, QuarantineReason | None]:
    """What became of a row: ``CURRENT``, ``SUPERSEDED`` or ``QUARANTINED`` with its reason."""
    record = await connection.fetchrow(
        "SELECT state, reason, is_current FROM ingest.held_row WHERE row_id = $1", row_id
    )
    if record["state"] != "VALID":
        return "QUARANTINED", QuarantineReason(record["reason"])
    return ("CURRENT" if record["is_current"] else "SUPERSEDED"), None


async def _close(connection: asyncpg.Connection, entry: QuarantinedRow) -> None:
    """Close the entry. What the end of a pull sent into quarantine left an observation that never counted: its content
    goes too. A range that did count is history and stays.
    """
    await connection.execute(
        "UPDATE ingest.held_row SET state = 'CLOSED', is_current = false WHERE row_id = $1", entry.row_id
    )
    await connection.execute(
        "UPDATE ingest.quarantine SET status = 'CLEARED', sealed_row = NULL WHERE row_id = $1", entry.row_id
    )
    await connection.execute(
        """UPDATE record.observation SET payload = '', hint = NULL, subject_index = NULL, person_id = NULL, link = NULL
           WHERE row_id = $1 AND recorded_from = recorded_to""",
        entry.row_id,
    )
    await connection.execute("DELETE FROM record.link_candidate WHERE row_id = $1", entry.row_id)
    await connection.execute("DELETE FROM record.link_proposal WHERE row_id = $1", entry.row_id)


async def _insert_observation(
    connection: asyncpg.Connection,
    keys: KeyService,
    entry: QuarantinedRow,
    judged: JudgedRow,
    row_id: UUID,
    now: datetime,
    repaired: Mapping[str, Any] | None,
) -> None:
    """The observation of the row with an empty recorded range, which currency opens if the row counts."""
    row = judged.row
    payload: dict[str, Any] = {
        "value": row.value,
        "name": row.name,
        "id_number": row.id_number,
        "wire": row.wire,
        "origin": row.origin,
    }
    if repaired is not None:
        payload["repaired"] = repaired
    hint = row.hint and orjson.dumps({"name": row.hint.name, "address": row.hint.address, "phone": row.hint.phone})
    await connection.execute(
        """INSERT INTO record.observation (observation_id, row_id, source, source_key, version, kind, category,
               tombstone, subject_index, household_no, valid_from, valid_to, adverse, suppressed, consent_id,
               source_time, recorded_from, recorded_to, agreement_no, digest, payload, hint)
           VALUES ($1, $2, $3, $4, $5, $6, $7, false, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16, $17, $18, $19,
               $20)""",
        uuid7(), row_id, entry.source, row.source_key, row.version, row.kind.value,
        row.category.value if row.category else None, judged.subject, row.household_no,
        row.valid_from, row.valid_to, row.adverse, row.suppressed, row.consent_id, row.source_time, now,
        entry.agreement_no or "", judged.content_hash,
        keys.seal("payload", orjson.dumps(payload), row_id.bytes),
        keys.seal("hint", hint, row_id.bytes) if hint else None,
    )  # fmt: skip


def _indexes(keys: KeyService, id_number: str | None) -> tuple[bytes, ...]:
    return () if id_number is None else tuple(keys.indexes("identity", id_number))
