"""Which version of a key is current.

Of the valid rows of a key, the one with the greatest version counts; at equal versions a tombstone, then the later
arrival. A row that came in a file which another file of its group has replaced counts only if the key stands in that
replacement solely in quarantine (clinic interface, section 2).
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg

_RECOMPUTE = """
WITH held AS (
    SELECT h.row_id, h.source_key, h.version_rank, h.tombstone, h.arrival, h.is_current,
        h.state = 'VALID' AND NOT EXISTS (
            SELECT FROM ingest.file f
            WHERE f.source = h.source AND f.file_group = h.file_group AND f.state = 'READ'
              AND f.file_number > h.file_number
              AND NOT (EXISTS (SELECT FROM ingest.held_row q WHERE q.source = h.source AND q.source_key = h.source_key
                                 AND q.file_name = f.name AND q.state <> 'VALID')
                       AND NOT EXISTS (SELECT FROM ingest.held_row v WHERE v.source = h.source
                                 AND v.source_key = h.source_key AND v.file_name = f.name AND v.state = 'VALID'))
        ) AS eligible
    FROM unnest($3::text[]) AS contested (source_key)
    JOIN ingest.held_row h ON h.source = $1 AND h.source_key = contested.source_key
), judged AS (
    SELECT row_id, is_current, eligible AND row_number() OVER (
        PARTITION BY source_key ORDER BY eligible DESC, version_rank DESC, tombstone DESC, arrival DESC) = 1 AS wins
    FROM held
)
UPDATE ingest.held_row h SET
    is_current  = j.wins,
    current_run = CASE WHEN j.wins THEN $2 ELSE h.current_run END,
    lost_run    = CASE WHEN j.wins THEN h.lost_run ELSE $2 END
FROM judged j
WHERE h.row_id = j.row_id AND j.is_current <> j.wins
RETURNING h.row_id, h.is_current
"""
"""One way through the rows of the keys, whatever the planner believes: no join of two intermediate results."""


async def recompute_currency(
    connection: asyncpg.Connection, source: str, contested: Collection[str], run_id: UUID, now: datetime
) -> int:
    """Work out the currency of every contested key of a source; returns how many rows changed.

    What ceases to be current closes its recorded range; what becomes current opens one. A version that was current
    before and is again gets a second observation, so that both ranges stay in the history.
    """
    # A plan made while the ledger was nearly empty must not be kept for a million rows.
    await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    changed = await connection.fetch(_RECOMPUTE, source, run_id, sorted(contested))
    if not changed:
        return 0
    lost = [record["row_id"] for record in changed if not record["is_current"]]
    gained = [record["row_id"] for record in changed if record["is_current"]]
    if lost:
        await connection.execute(
            "UPDATE record.observation SET recorded_to = $2 WHERE row_id = ANY($1) AND recorded_to = 'infinity'",
            lost,
            now,
        )
    if gained:
        await _open(connection, gained, now)
    return len(changed)


async def _open(connection: asyncpg.Connection, gained: list[UUID], now: datetime) -> None:
    reopened = await connection.fetch(
        """INSERT INTO record.observation (county, observation_id, row_id, source, source_key, version, kind, category,
               tombstone, subject_index, household_no, person_id, link, valid_from, valid_to, adverse, suppressed,
               consent_id, source_time, recorded_from, agreement_no, digest, payload, hint)
           SELECT DISTINCT ON (row_id) county, uuidv7(), row_id, source, source_key, version, kind, category, tombstone,
               subject_index, household_no, person_id, link, valid_from, valid_to, adverse, suppressed, consent_id,
               source_time, $2, agreement_no, digest, payload, hint
           FROM record.observation WHERE row_id = ANY($1) AND recorded_from < recorded_to
           ORDER BY row_id, recorded_from DESC
           RETURNING row_id""",
        gained,
        now,
    )
    again = {record["row_id"] for record in reopened}
    await connection.execute(
        """UPDATE record.observation SET recorded_from = $2, recorded_to = 'infinity'
           WHERE row_id = ANY($1) AND recorded_from = recorded_to""",
        [row_id for row_id in gained if row_id not in again],
        now,
    )
