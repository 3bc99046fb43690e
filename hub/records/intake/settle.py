"""The end of a pull: what can only be judged when every source of the run has been read.

Missing references, roster duplicates and clinic rows that nobody can be linked to are moved into quarantine; rows that
were there for such a reason and are not any more are released. The functions here only move rows; what is missing is
found by hub/records/people/references.py and hub/records/linkage/links.py.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from hub.core.contracts import contract_of
from hub.core.names import RETRIED_REASONS, QuarantineReason
from hub.records.intake.currency import recompute_currency
from hub.store.keys import KeyService


async def quarantine_rows(
    connection: asyncpg.Connection,
    keys: KeyService,
    row_ids: Collection[UUID],
    reason: QuarantineReason,
    run_id: UUID,
    now: datetime,
) -> int:
    """Move valid rows into quarantine; the earlier version of each key, if any, is current again. Returns how many.

    Rows that are in quarantine already stay as they are. The provisional recorded range of the observation is emptied:
    nothing was folded from it yet.
    """
    records = await connection.fetch(
        """SELECT h.row_id, h.source, h.source_key, s.kind, o.payload
           FROM ingest.held_row h JOIN ingest.source_state s USING (source)
           JOIN LATERAL (SELECT payload FROM record.observation o WHERE o.row_id = h.row_id LIMIT 1) o ON true
           WHERE h.row_id = ANY($1) AND h.state = 'VALID'""",
        list(row_ids),
    )
    if not records:
        return 0
    moved = [record["row_id"] for record in records]
    await connection.execute(
        """UPDATE ingest.held_row SET state = 'QUARANTINED', reason = $2, is_current = false, current_run = NULL
           WHERE row_id = ANY($1)""",
        moved,
        reason,
    )
    await connection.execute(
        """UPDATE record.observation SET recorded_to = recorded_from
           WHERE row_id = ANY($1) AND recorded_to = 'infinity'""",
        moved,
    )
    held_back = []
    for record in records:
        payload = orjson.loads(keys.open("payload", record["payload"], record["row_id"].bytes))
        sealed = keys.seal("quarantine", orjson.dumps(payload["wire"]), record["row_id"].bytes)
        held_back.append((
            record["row_id"], record["source"], record["source_key"], reason, payload["origin"], now, run_id, sealed,
            contract_of(record["kind"]),
        ))  # fmt: skip
    await connection.executemany(
        """INSERT INTO ingest.quarantine
                   (row_id, source, source_key, reason, origin, first_seen, last_seen, run_id, sealed_row,
                    contract)
               VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9)
               ON CONFLICT (row_id) DO UPDATE SET status = 'OPEN', reason = EXCLUDED.reason,
                   last_seen = EXCLUDED.last_seen, run_id = EXCLUDED.run_id, sealed_row = EXCLUDED.sealed_row,
                   contract = EXCLUDED.contract""",
        held_back,
    )
    await recompute_keys(connection, {(record["source"], record["source_key"]) for record in records}, run_id, now)
    return len(moved)


async def retried_rows(connection: asyncpg.Connection, reason: QuarantineReason) -> set[UUID]:
    """Rows in open quarantine for a reason that is tried again at the end of every pull."""
    assert reason in RETRIED_REASONS
    records = await connection.fetch(
        """SELECT h.row_id FROM ingest.held_row h JOIN ingest.quarantine q USING (row_id)
           WHERE h.state = 'QUARANTINED' AND h.reason = $1 AND h.reason IN (21, 22) AND q.status = 'OPEN'""",
        reason,
    )
    return {record["row_id"] for record in records}


async def release_rows(
    connection: asyncpg.Connection, row_ids: Collection[UUID], run_id: UUID, now: datetime
) -> dict[str, int]:
    """Close the quarantine entries of these rows and let them count again; returns rows of earlier runs by source."""
    records = await connection.fetch(
        """UPDATE ingest.held_row SET state = 'VALID', reason = NULL WHERE row_id = ANY($1) AND state = 'QUARANTINED'
           RETURNING row_id, source, source_key, first_run""",
        list(row_ids),
    )
    if not records:
        return {}
    await connection.execute(
        "UPDATE ingest.quarantine SET status = 'CLEARED', sealed_row = NULL WHERE row_id = ANY($1)",
        [record["row_id"] for record in records],
    )
    await recompute_keys(connection, {(record["source"], record["source_key"]) for record in records}, run_id, now)
    released: dict[str, int] = {}
    for record in records:
        if record["first_run"] != run_id:
            released[record["source"]] = released.get(record["source"], 0) + 1
    return released


_ENDED = """
UPDATE record.observation o SET recorded_to = $1
FROM ingest.held_row l JOIN ingest.held_row h USING (source, source_key)
WHERE (l.reason = 13 OR l.purged_at IS NOT NULL)
  AND (l.state = 'QUARANTINED' AND l.reason = 13 OR l.state = 'VALID' AND l.purged_at IS NOT NULL)
  AND (l.version_rank > h.version_rank OR l.version_rank = h.version_rank AND l.tombstone)
  AND h.adverse IS NOT NULL AND o.row_id = h.row_id AND o.recorded_to = 'infinity'
"""


async def close_ended_items(connection: asyncpg.Connection, now: datetime) -> None:
    """End the recorded range of adverse rows of which a later version was refused because the item is long over.

    The same is over at once for the purge (``record.expired_adverse``), but nobody waits for that. The row stays the
    one that counts of its key, so the report tells of it as ever and a newer version takes its place.
    """
    await connection.execute(_ENDED, now)


async def clear_overtaken(connection: asyncpg.Connection, source: str) -> None:
    """Close open quarantine entries of keys for which a later row was accepted (docs/CONTRACTS.md 1.2)."""
    await connection.execute(
        """UPDATE ingest.quarantine q SET status = 'CLEARED', sealed_row = NULL FROM ingest.held_row h
           WHERE h.row_id = q.row_id AND q.status = 'OPEN' AND q.source = $1 AND EXISTS (
               SELECT FROM ingest.held_row c WHERE c.source = h.source AND c.source_key = h.source_key
                 AND c.is_current AND c.arrival > h.arrival)""",
        source,
    )


async def recompute_keys(
    connection: asyncpg.Connection, keys: set[tuple[str, str]], run_id: UUID, now: datetime
) -> None:
    """Work out anew which version counts of each of these keys (source, source key)."""
    for source in sorted({source for source, _ in keys}):
        await recompute_currency(connection, source, {key for name, key in keys if name == source}, run_id, now)
