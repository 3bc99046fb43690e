"""The log of runs: when each source was pulled, how that ended, what it brought, and how long each phase took."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.core.errors import HubError, RetryableError
from hub.core.names import SourceStatus
from hub.core.phases import Passages, Phase
from hub.records.intake.measures import Measures

WHOLE_RUN = ""
"""Stands for the source of phases that belong to the run as a whole."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the reading of a source ended, and what was measured meanwhile."""

    status: SourceStatus
    error: HubError | None
    seconds: float
    measures: Measures


async def open_run(connection: asyncpg.Connection, run_id: UUID, now: datetime) -> None:
    """A run begins."""
    await connection.execute("INSERT INTO ingest.run (run_id, started_at) VALUES ($1, $2)", run_id, now)


async def open_source(
    connection: asyncpg.Connection, run_id: UUID, source: str, kind: str, agreement_no: str, now: datetime
) -> Any | None:
    """The reading of a source begins; gives its watermark, ``None`` if it was never read."""
    await connection.execute(
        """INSERT INTO ingest.source_state (source, kind, agreement_no) VALUES ($1, $2, $3)
           ON CONFLICT (source) DO UPDATE SET agreement_no = EXCLUDED.agreement_no""",
        source,
        kind,
        agreement_no,
    )
    watermark = await connection.fetchval("SELECT watermark FROM ingest.source_state WHERE source = $1", source)
    await connection.execute(
        "INSERT INTO ingest.run_source (run_id, source, watermark_before, started_at) VALUES ($1, $2, $3, $4)",
        run_id,
        source,
        watermark,
        now,
    )
    return None if watermark is None else orjson.loads(watermark)


async def close_source(
    connection: asyncpg.Connection, run_id: UUID, source: str, ending: Ending, now: datetime
) -> None:
    """The reading of a source has ended, well or not."""
    error, measures = ending.error, ending.measures
    await connection.execute(
        """UPDATE ingest.run_source r SET status = $3, error = $4, error_code = $5, may_pass = $6, seconds = $7,
               finished_at = $8, fields = $9, filled = $10, ages = $11,
               watermark_after = (SELECT watermark::text FROM ingest.source_state s WHERE s.source = r.source)
           WHERE run_id = $1 AND source = $2""",
        run_id,
        source,
        ending.status.value,
        None if error is None else str(error),
        None if error is None else error.code,
        None if error is None else isinstance(error, RetryableError),
        ending.seconds,
        now,
        measures.fields,
        measures.filled,
        orjson.dumps(measures.ages).decode(),
    )
    await connection.execute(
        """UPDATE ingest.source_state SET last_status = $2,
               last_ok_at = CASE WHEN $2 = 'FAILED' THEN last_ok_at ELSE $3 END WHERE source = $1""",
        source,
        ending.status.value,
        now,
    )


async def note_phases(
    connection: asyncpg.Connection, run_id: UUID, source: str, passages: Mapping[Phase, Passages]
) -> None:
    """Keep what was measured of each phase; ``source`` is :data:`WHOLE_RUN` for those of the run itself."""
    await connection.executemany(
        """INSERT INTO ingest.run_phase (run_id, source, phase, times, failed, seconds, longest)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING""",
        [
            (run_id, source, phase.value, each.times, each.failed, each.seconds, each.longest)
            for phase, each in passages.items()
        ],
    )


async def note_outcomes(
    connection: asyncpg.Connection, run_id: UUID, outcomes: Mapping[str, Mapping[str, Any]]
) -> None:
    """Keep the counts of the report (docs/CONTRACTS.md 2.4), by source: the ledger goes on changing after the run."""
    await connection.executemany(
        """UPDATE ingest.run_source SET accepted = $3, superseded = $4, withdrawn = $5, released = $6, quarantined = $7
           WHERE run_id = $1 AND source = $2""",
        [
            (
                run_id, source, entry["accepted"], entry["superseded"], entry["withdrawn"], entry["released"],
                orjson.dumps(entry["quarantined"]).decode(),
            )
            for source, entry in outcomes.items()
        ],
    )  # fmt: skip


async def close_run(connection: asyncpg.Connection, run_id: UUID, exit_code: int, now: datetime) -> None:
    """A run has ended."""
    await connection.execute(
        "UPDATE ingest.run SET finished_at = $2, exit_code = $3 WHERE run_id = $1", run_id, now, exit_code
    )
