"""The ledger: every row a source ever delivered, and which of them is the current version of its key.

One step of a pull is merged in one transaction: the rows are compared with what is held (set-wise, over a staging
table), new ones are judged (hub/records/judge.py), copied in, and the currency of the touched keys is worked out again
by one statement. Cost grows with the rows of the step and the versions held under their keys, not with the ledger.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.core.ids import uuid7
from hub.core.names import QuarantineReason
from hub.core.rows import CheckedRow, FileRead, FileRefused, RowKind, Step
from hub.records.currency import recompute_currency
from hub.records.judge import BookedConsent, Held, Judge, JudgedRow, Judgement
from hub.store.keys import KeyService

LATEST_WINS_KINDS = frozenset({"social-view"})
"""Source kinds that show only the current state, where what is read later is newer."""

_HELD_COLUMNS = (
    "row_id", "source", "source_key", "version", "version_rank", "content_hash", "arrival", "kind", "tombstone",
    "state", "reason", "is_current", "subject_index", "file_name", "file_group", "file_number", "first_run",
    "current_run",
)  # fmt: skip
_OBSERVATION_COLUMNS = (
    "observation_id", "row_id", "source", "source_key", "version", "kind", "category", "tombstone", "subject_index",
    "household_no", "valid_from", "valid_to", "adverse", "suppressed", "consent_id", "source_time", "recorded_from",
    "recorded_to", "agreement_no", "digest", "payload", "hint",
)  # fmt: skip
_QUARANTINE_COLUMNS = (
    "row_id", "source", "source_key", "reason", "other_reasons", "origin", "first_seen", "last_seen", "run_id",
    "sealed_row",
)  # fmt: skip

FOREVER = datetime.max.replace(tzinfo=UTC)
"""What asyncpg sends as PostgreSQL's ``infinity``."""

_MAY_BE_MOVED = frozenset({RowKind.MEMBER, RowKind.EVENT})


@dataclass(frozen=True, slots=True)
class SourceInRun:
    """The source whose rows are merged, and the run that brings them."""

    name: str
    kind: str
    agreement_no: str
    run_id: UUID


async def merge_step(
    connection: asyncpg.Connection, keys: KeyService, source: SourceInRun, step: Step, now: datetime
) -> Judgement:
    """Merge one step in the caller's transaction and move the counts, the file list and the watermark with it."""
    await connection.execute("SELECT FROM ingest.source_state WHERE source = $1 FOR UPDATE", source.name)
    judge = await _judge(connection, keys, source, step)
    current = await _plainly_current(connection, source, step, judge)
    await _insert(connection, keys, source, step, judge.result, now, current)
    if step.file is not None:
        await _note_file(connection, source, step.file)
    if step.refused is not None:
        await _note_refused(connection, source, step.refused)
    await _store_consents(connection, source, judge.consents, judge.result.new)
    if await connection.fetchval("SELECT EXISTS (SELECT FROM touched)"):
        await recompute_currency(connection, source.name, source.run_id, now)
    await _note_seen_again(connection, source, judge.result, now)
    await _count(connection, source, step, judge.result)
    return judge.result


async def _judge(connection: asyncpg.Connection, keys: KeyService, source: SourceInRun, step: Step) -> Judge:
    """Stage the keys of the step, fetch what is held under them, and judge row after row."""
    await connection.execute(
        "CREATE TEMP TABLE touched (source_key text PRIMARY KEY) ON COMMIT DROP",
    )
    step_keys = {row.source_key for row in step.rows}
    await connection.copy_records_to_table("touched", records=[(key,) for key in step_keys])
    if step.file is not None and step.file.group is not None:
        # A replacement takes back what the lower numbers of its group brought, so their keys are touched too.
        await connection.execute(
            """INSERT INTO touched SELECT DISTINCT source_key FROM ingest.held_row
               WHERE source = $1 AND file_group = $2 ON CONFLICT DO NOTHING""",
            source.name,
            step.file.group,
        )
    held: dict[tuple[str, int], list[Held]] = {}
    for record in await connection.fetch(
        """SELECT h.source_key, h.version_rank, h.content_hash, h.state, h.reason, h.is_current
           FROM ingest.held_row h JOIN touched t USING (source_key) WHERE h.source = $1""",
        source.name,
    ):
        held.setdefault((record["source_key"], record["version_rank"]), []).append(
            Held(
                record["content_hash"],
                record["state"],
                None if record["reason"] is None else QuarantineReason(record["reason"]),
                is_superseded=record["state"] == "VALID" and not record["is_current"],
                was_held=True,
            )
        )
    judge = Judge(
        held=held,
        consents=await _consents(connection, source, step.rows),
        business_date=step.file.business_date if step.file else None,
        latest_wins=source.kind in LATEST_WINS_KINDS,
        unreadable=await _unreadable(connection, source, step),
        has_file=step.file is not None,
    )
    for row in step.rows:
        judge.judge(
            row,
            keys.indexes("content", row.content.decode("latin-1")),  # an unreadable row need not be UTF-8
            _indexes(keys, row.id_number),
            {g.id_number: _indexes(keys, g.id_number) for g in row.guarantors if g.id_number},
        )
    return judge


def _indexes(keys: KeyService, id_number: str | None) -> tuple[bytes, ...]:
    return () if id_number is None else tuple(keys.indexes("identity", id_number))


async def _plainly_current(connection: asyncpg.Connection, source: SourceInRun, step: Step, judge: Judge) -> set[UUID]:
    """Rows that are current because nothing else is held under their key; their keys need no further working out."""
    if step.file is not None and step.file.group is not None and await _is_group_known(connection, source, step.file):
        return set()
    known = {key for (key, _), rows in judge.held.items() if any(row.was_held for row in rows)}
    best: dict[str, JudgedRow] = {}
    for judged in judge.result.new:
        key = judged.row.source_key
        if judged.reason is None and key not in known:
            other = best.get(key)
            if other is None or _rank(judged) >= _rank(other):
                best[key] = judged
    await connection.execute("DELETE FROM touched WHERE source_key <> ALL($1)", list(known))
    return {judged.row_id for judged in best.values()}


def _rank(judged: JudgedRow) -> tuple[int, bool]:
    return judged.row.version_rank, judged.row.tombstone


async def _is_group_known(connection: asyncpg.Connection, source: SourceInRun, file: FileRead) -> bool:
    known: bool = await connection.fetchval(
        """SELECT EXISTS (SELECT FROM ingest.file
                          WHERE source = $1 AND file_group = $2 AND state = 'READ' AND name <> $3)""",
        source.name,
        file.group,
        file.name,
    )
    return known


async def _unreadable(connection: asyncpg.Connection, source: SourceInRun, step: Step) -> set[bytes]:
    if not any(row.reasons and row.reasons[0] is QuarantineReason.ROW_UNREADABLE for row in step.rows):
        return set()
    records = await connection.fetch(
        "SELECT content_hash FROM ingest.held_row WHERE source = $1 AND reason = $2",
        source.name,
        QuarantineReason.ROW_UNREADABLE,
    )
    return {record["content_hash"] for record in records}


async def _consents(
    connection: asyncpg.Connection, source: SourceInRun, rows: Sequence[CheckedRow]
) -> dict[str, BookedConsent]:
    wanted = {row.consent_id for row in rows if row.consent_id} | {
        g.consent_id for row in rows for g in row.guarantors if g.consent_id
    }
    wanted |= {row.source_key.removeprefix("consent|") for row in rows if row.kind is RowKind.CONSENT}
    if not wanted:
        return {}
    records = await connection.fetch(
        "SELECT * FROM record.furnishing_consent WHERE source = $1 AND consent_id = ANY($2)", source.name, list(wanted)
    )
    return {
        record["consent_id"]: BookedConsent(
            rank=record["version_rank"],
            deleted=record["deleted"],
            subject_indexes=() if record["subject_index"] is None else (record["subject_index"],),
            granted_on=record["granted_on"],
            expires_on=record["expires_on"],
            withdrawn_on=record["withdrawn_on"],
        )
        for record in records
    }


async def _store_consents(
    connection: asyncpg.Connection, source: SourceInRun, consents: dict[str, BookedConsent], new: list[JudgedRow]
) -> None:
    changed = [(name, consent) for name, consent in consents.items() if consent.changed_by is not None]
    if not changed:
        return
    await connection.executemany(
        """INSERT INTO record.furnishing_consent
               (source, consent_id, row_id, version_rank, deleted, subject_index, granted_on, expires_on, withdrawn_on)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT (source, consent_id) DO UPDATE SET
               row_id = EXCLUDED.row_id, version_rank = EXCLUDED.version_rank, deleted = EXCLUDED.deleted,
               subject_index = EXCLUDED.subject_index, granted_on = EXCLUDED.granted_on,
               expires_on = EXCLUDED.expires_on, withdrawn_on = EXCLUDED.withdrawn_on""",
        [
            (source.name, name, c.changed_by, c.rank, c.deleted, next(iter(c.subject_indexes), None), c.granted_on,
             c.expires_on, c.withdrawn_on)
            for name, c in changed
        ],
    )  # fmt: skip


async def _insert(
    connection: asyncpg.Connection,
    keys: KeyService,
    source: SourceInRun,
    step: Step,
    judgement: Judgement,
    now: datetime,
    current: set[UUID],
) -> None:
    new = judgement.new
    if not new:
        return
    last_arrival: int = await connection.fetchval(
        "UPDATE ingest.source_state SET arrivals = arrivals + $2 WHERE source = $1 RETURNING arrivals",
        source.name,
        len(new),
    )
    arrival = last_arrival - len(new)
    await connection.copy_records_to_table(
        "held_row",
        schema_name="ingest",
        columns=_HELD_COLUMNS,
        records=[
            _held_record(source, step.file, j, arrival + n, j.row_id in current) for n, j in enumerate(new, start=1)
        ],
    )
    await connection.copy_records_to_table(
        "observation",
        schema_name="record",
        columns=_OBSERVATION_COLUMNS,
        records=[
            _observation_record(keys, source, j, now, FOREVER if j.row_id in current else now)
            for j in new
            if j.reason is None
        ],
    )
    await connection.copy_records_to_table(
        "quarantine",
        schema_name="ingest",
        columns=_QUARANTINE_COLUMNS,
        records=[_quarantine_record(keys, source, j, now) for j in new if j.reason is not None],
    )


def _held_record(
    source: SourceInRun, file: FileRead | None, judged: JudgedRow, arrival: int, is_current: bool
) -> tuple[Any, ...]:
    row, reason = judged.row, judged.reason
    # Of a row that may only be counted not even the blind index of its subject is kept.
    subject = next(iter(judged.subject_indexes), None) if reason is None or reason.keeps_row else None
    return (
        judged.row_id, source.name, row.source_key, row.version, row.version_rank, judged.content_hash, arrival,
        row.kind.value, row.tombstone, "VALID" if reason is None else "QUARANTINED", reason, is_current,
        subject, file.name if file else None, file.group if file else None,
        file.number if file else None, source.run_id, source.run_id if is_current else None,
    )  # fmt: skip


def _observation_record(
    keys: KeyService, source: SourceInRun, judged: JudgedRow, now: datetime, recorded_to: datetime
) -> tuple[Any, ...]:
    """The observation of a valid row; unless it is plainly current its recorded range is empty for the moment."""
    row = judged.row
    context = judged.row_id.bytes
    payload: dict[str, Any] = {"value": row.value, "name": row.name, "id_number": row.id_number}
    if row.kind in _MAY_BE_MOVED or row.household_no is not None or row.hint is not None:
        # Only what the end of the run may still send into quarantine keeps its wire form.
        payload |= {"wire": row.wire, "origin": row.origin}
    hint = row.hint and orjson.dumps({"name": row.hint.name, "address": row.hint.address, "phone": row.hint.phone})
    return (
        uuid7(), judged.row_id, source.name, row.source_key, row.version, row.kind.value,
        row.category.value if row.category else None, row.tombstone, next(iter(judged.subject_indexes), None),
        row.household_no, row.valid_from, row.valid_to, row.adverse, row.suppressed, row.consent_id, row.source_time,
        now, recorded_to, source.agreement_no, judged.content_hash,
        keys.seal("payload", orjson.dumps(payload), context),
        keys.seal("hint", hint, context) if hint else None,
    )  # fmt: skip


def _quarantine_record(keys: KeyService, source: SourceInRun, judged: JudgedRow, now: datetime) -> tuple[Any, ...]:
    row, reason = judged.row, judged.reason
    assert reason is not None
    sealed = keys.seal("quarantine", orjson.dumps(row.wire), judged.row_id.bytes) if reason.keeps_row else None
    others = [int(other) for other in judged.reasons[1:]]
    return (
        judged.row_id, source.name, row.source_key, int(reason), others, row.origin, now, now, source.run_id, sealed,
    )  # fmt: skip


async def _note_file(connection: asyncpg.Connection, source: SourceInRun, file: FileRead) -> None:
    await connection.execute(
        """INSERT INTO ingest.file (source, name, state, business_date, file_group, file_number, run_id)
           VALUES ($1, $2, 'READ', $3, $4, $5, $6)
           ON CONFLICT (source, name) DO UPDATE SET state = 'READ', reason = NULL, fingerprint = NULL,
               business_date = EXCLUDED.business_date, file_group = EXCLUDED.file_group,
               file_number = EXCLUDED.file_number, run_id = EXCLUDED.run_id""",
        source.name, file.name, file.business_date, file.group, file.number, source.run_id,
    )  # fmt: skip


async def _note_refused(connection: asyncpg.Connection, source: SourceInRun, refused: FileRefused) -> None:
    await connection.execute(
        """INSERT INTO ingest.file (source, name, state, reason, fingerprint, run_id)
           VALUES ($1, $2, 'REFUSED', $3, $4, $5)
           ON CONFLICT (source, name) DO UPDATE SET state = 'REFUSED', reason = EXCLUDED.reason,
               fingerprint = EXCLUDED.fingerprint, run_id = EXCLUDED.run_id""",
        source.name, refused.name, refused.reason.value, refused.fingerprint, source.run_id,
    )  # fmt: skip


async def _note_seen_again(
    connection: asyncpg.Connection, source: SourceInRun, judgement: Judgement, now: datetime
) -> None:
    """Rows in quarantine that came again unchanged carry the day on which they last did."""
    if not judgement.seen_again:
        return
    await connection.execute(
        """UPDATE ingest.quarantine q SET last_seen = $2
           FROM ingest.held_row h, unnest($3::text[], $4::bigint[]) AS seen (source_key, version_rank)
           WHERE h.row_id = q.row_id AND q.status = 'OPEN' AND h.source = $1
             AND h.source_key = seen.source_key AND h.version_rank = seen.version_rank""",
        source.name,
        now,
        [key for key, _, _ in judgement.seen_again],
        [rank for _, rank, _ in judgement.seen_again],
    )


async def _count(connection: asyncpg.Connection, source: SourceInRun, step: Step, judgement: Judgement) -> None:
    """Move the report's counts and the watermark in the same transaction as the rows."""
    dropped = Counter(name for judged in judgement.new for name in judged.row.dropped)
    repaired = Counter(name for judged in judgement.new for name in judged.row.repaired)
    refused = [] if step.refused is None else [{"name": step.refused.name, "reason": step.refused.reason.value}]
    record = await connection.fetchrow(
        "SELECT dropped_fields, repaired_fields FROM ingest.run_source WHERE run_id = $1 AND source = $2 FOR UPDATE",
        source.run_id,
        source.name,
    )
    await connection.execute(
        """UPDATE ingest.run_source SET fetched = fetched + $3, unchanged = unchanged + $4, dropped_fields = $5,
               repaired_fields = $6, files_processed = files_processed + $7, files_refused = files_refused || $8::jsonb
           WHERE run_id = $1 AND source = $2""",
        source.run_id, source.name, len(step.rows), len(judgement.seen_again),
        orjson.dumps(Counter(orjson.loads(record["dropped_fields"])) + dropped).decode(),
        orjson.dumps(Counter(orjson.loads(record["repaired_fields"])) + repaired).decode(),
        int(step.file is not None), orjson.dumps(refused).decode(),
    )  # fmt: skip
    if step.watermark is not None:
        await connection.execute(
            "UPDATE ingest.source_state SET watermark = $2 WHERE source = $1",
            source.name,
            orjson.dumps(step.watermark).decode(),
        )
