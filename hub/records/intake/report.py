"""The report of a pull (docs/CONTRACTS.md 2.4), counted from the ledger after everything is settled."""

from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.core.names import LinkState, QuarantineReason

_OUTCOMES = """
SELECT count(*) FILTER (WHERE state = 'VALID' AND is_current) AS accepted,
       count(*) FILTER (WHERE state = 'VALID' AND NOT is_current) AS superseded
FROM ingest.held_row WHERE first_run = $1 AND source = $2
"""

_QUARANTINED = """
SELECT reason, count(*) AS rows FROM ingest.held_row
WHERE first_run = $1 AND source = $2 AND state <> 'VALID' GROUP BY reason ORDER BY reason
"""

_WITHDRAWN = """
SELECT count(DISTINCT h.source_key) FROM ingest.held_row h
WHERE h.lost_run = $1 AND h.source = $2 AND NOT h.tombstone AND h.first_run <> $1 AND h.current_run <> $1
  AND NOT EXISTS (SELECT FROM ingest.held_row c
                  WHERE c.source = h.source AND c.source_key = h.source_key AND c.is_current AND NOT c.tombstone)
"""

_LINKS = """
SELECT o.link, count(*) AS rows FROM ingest.held_row h
JOIN record.observation o ON o.row_id = h.row_id AND o.recorded_to = 'infinity'
WHERE h.first_run = $1 AND h.source = $2 AND h.state = 'VALID' AND h.is_current AND NOT h.tombstone
  AND o.link IS NOT NULL
GROUP BY o.link
"""


async def source_report(
    connection: asyncpg.Connection, run_id: UUID, source: str, kind: str, released: int
) -> dict[str, Any]:
    """The entry of one source. ``fetched = accepted + unchanged + superseded + sum(quarantined)`` always holds."""
    moved = await connection.fetchrow(
        "SELECT * FROM ingest.run_source WHERE run_id = $1 AND source = $2", run_id, source
    )
    outcomes = await connection.fetchrow(_OUTCOMES, run_id, source)
    quarantined = await connection.fetch(_QUARANTINED, run_id, source)
    links = dict.fromkeys((LinkState.ID.value, LinkState.PROBABLE.value, LinkState.REVIEW.value), 0)
    if kind == "clinic-sftp":
        links |= {record["link"]: record["rows"] for record in await connection.fetch(_LINKS, run_id, source)}
    return {
        "status": moved["status"],
        "error": moved["error"],
        "fetched": moved["fetched"],
        "accepted": outcomes["accepted"],
        "unchanged": moved["unchanged"],
        "superseded": outcomes["superseded"],
        "quarantined": {QuarantineReason(record["reason"]).name: record["rows"] for record in quarantined},
        "withdrawn": await connection.fetchval(_WITHDRAWN, run_id, source),
        "released": released,
        "dropped_fields": orjson.loads(moved["dropped_fields"]),
        "repaired_fields": orjson.loads(moved["repaired_fields"]),
        "links": links,
        "files": {"processed": moved["files_processed"], "refused": orjson.loads(moved["files_refused"])},
        "watermark_before": moved["watermark_before"],
        "watermark_after": moved["watermark_after"],
        "seconds": round(moved["seconds"] or 0.0, 3),
    }
