"""Writes the new rows of a step: into the ledger, the observations and the quarantine, each by one COPY."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.core.contracts import contract_of
from hub.core.rows import CheckedRow, FileRead, RowKind
from hub.records.adverse_items.adverse import ended_on
from hub.records.intake.judge import JudgedRow
from hub.store.keys import KeyService

FOREVER = datetime.max.replace(tzinfo=UTC)
"""What asyncpg sends as PostgreSQL's ``infinity``."""

_HELD_COLUMNS = (
    "row_id", "source", "source_key", "version", "version_rank", "content_hash", "arrival", "kind", "tombstone",
    "state", "reason", "is_current", "subject_index", "file_name", "file_group", "file_number", "first_run",
    "current_run", "adverse", "adverse_ended_on",
)  # fmt: skip
_OBSERVATION_COLUMNS = (
    "observation_id", "row_id", "source", "source_key", "version", "kind", "category", "tombstone", "subject_index",
    "household_no", "valid_from", "valid_to", "adverse", "suppressed", "consent_id", "source_time", "recorded_from",
    "recorded_to", "agreement_no", "digest", "payload", "hint",
)  # fmt: skip
_QUARANTINE_COLUMNS = (
    "row_id", "source", "source_key", "reason", "other_reasons", "origin", "first_seen", "last_seen", "run_id",
    "sealed_row", "contract",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SourceInRun:
    """The source whose rows are merged, and the run that brings them."""

    name: str
    kind: str
    agreement_no: str
    run_id: UUID


async def copy_new_rows(
    connection: asyncpg.Connection,
    keys: KeyService,
    source: SourceInRun,
    file: FileRead | None,
    new: Sequence[JudgedRow],
    arrivals: int,
    current: Collection[UUID],
    now: datetime,
) -> None:
    """Write new rows; ``arrivals`` rows of the source came before, ``current`` names those that count at once."""
    if not new:
        return
    await connection.execute(
        "UPDATE ingest.source_state SET arrivals = $2 WHERE source = $1", source.name, arrivals + len(new)
    )
    await connection.copy_records_to_table(
        "held_row",
        schema_name="ingest",
        columns=_HELD_COLUMNS,
        records=_held_records(source, file, new, arrivals, current),
    )
    await connection.copy_records_to_table(
        "observation",
        schema_name="record",
        columns=_OBSERVATION_COLUMNS,
        records=_observation_records(keys, source, new, current, now),
    )
    quarantined = [judged for judged in new if judged.reasons]
    if quarantined:
        await connection.copy_records_to_table(
            "quarantine",
            schema_name="ingest",
            columns=_QUARANTINE_COLUMNS,
            records=_quarantine_records(keys, source, quarantined, now),
        )


def _held_records(
    source: SourceInRun, file: FileRead | None, new: Sequence[JudgedRow], arrivals: int, current: Collection[UUID]
) -> Iterator[tuple[Any, ...]]:
    of_file = (None, None, None) if file is None else (file.name, file.group, file.number)
    for arrival, judged in enumerate(new, start=arrivals + 1):
        row, reason = judged.row, judged.reason
        is_current = judged.row_id in current
        # Of a row that may only be counted not even the blind index of its subject is kept.
        is_kept = reason is None or reason.keeps_row
        subject = judged.subject if is_kept else None
        adverse = row.category if row.adverse and is_kept else None
        yield (
            judged.row_id, source.name, row.source_key, row.version, row.version_rank, judged.content_hash, arrival,
            row.kind, row.tombstone, "VALID" if reason is None else "QUARANTINED", reason, is_current, subject,
            *of_file, source.run_id, source.run_id if is_current else None,
            adverse, ended_on(row) if adverse else None,
        )  # fmt: skip


def _observation_records(
    keys: KeyService, source: SourceInRun, new: Sequence[JudgedRow], current: Collection[UUID], now: datetime
) -> Iterator[tuple[Any, ...]]:
    """The observations of valid rows, each under the id of its row, as it is the first of that row.

    Unless it is plainly current its recorded range is empty for the moment.
    """
    seal_payload, seal_hint = keys.sealer("payload"), keys.sealer("hint")
    for judged in new:
        if judged.reasons:
            continue
        row, row_id = judged.row, judged.row_id
        context = row_id.bytes
        hint = row.hint and orjson.dumps({"name": row.hint.name, "address": row.hint.address, "phone": row.hint.phone})
        yield (
            row_id, row_id, source.name, row.source_key, row.version, row.kind, row.category, row.tombstone,
            judged.subject, row.household_no, row.valid_from, row.valid_to, row.adverse, row.suppressed,
            row.consent_id, row.source_time, now, FOREVER if row_id in current else now, source.agreement_no,
            judged.content_hash, seal_payload(_payload(row), context), seal_hint(hint, context) if hint else None,
        )  # fmt: skip


def _payload(row: CheckedRow) -> bytes:
    payload: dict[str, Any] = {"value": row.value, "name": row.name, "id_number": row.id_number}
    if _may_be_moved(row):
        # Only what the end of the run may still send into quarantine keeps its wire form.
        payload["wire"], payload["origin"] = row.wire, row.origin
    return orjson.dumps(payload)


def _may_be_moved(row: CheckedRow) -> bool:
    match row.kind:
        case RowKind.MEMBER | RowKind.EVENT:
            return True
        case RowKind.FACT:
            return row.household_no is not None or row.hint is not None
        case _:
            return False


def _quarantine_records(
    keys: KeyService, source: SourceInRun, quarantined: Sequence[JudgedRow], now: datetime
) -> Iterator[tuple[Any, ...]]:
    seal = keys.sealer("quarantine")
    for judged in quarantined:
        row, reason, others = judged.row, judged.reasons[0], [int(other) for other in judged.reasons[1:]]
        sealed = seal(orjson.dumps(row.wire), judged.row_id.bytes) if reason.keeps_row else None
        yield (
            judged.row_id, source.name, row.source_key, reason, others, row.origin, now, now, source.run_id, sealed,
            contract_of(source.kind),
        )  # fmt: skip
