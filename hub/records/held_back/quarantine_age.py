"""Rows that an agency of adverse items sent and the hub refused: how long what was kept of them is kept.

Of a refused row it may not be known whether it states an adverse item, or when that ended (``ROW_UNREADABLE``, a
damaged code or day). Whatever had ended when the row came is over
:data:`~hub.records.adverse_items.adverse.YEARS_AT_MOST` years
later under every regime (征信业管理条例 art. 16); of what had not, a newer row tells. Rows whose end is known go with
the purge.
"""

from datetime import date

import asyncpg

from hub.core.clock import midnight, years_before
from hub.records.adverse_items.adverse import YEARS_AT_MOST, regimes

_AGED = """
SELECT q.row_id FROM ingest.quarantine q
JOIN ingest.held_row h USING (row_id)
JOIN ingest.source_state s ON s.source = q.source
WHERE q.status = 'OPEN' AND q.sealed_row IS NOT NULL AND q.first_seen < $1 AND h.kind = 'FACT'
  AND h.adverse_ended_on IS NULL AND split_part(s.kind, '-', 1) = ANY ($2)
  AND NOT EXISTS (SELECT FROM record.observation o WHERE o.row_id = q.row_id)
"""
"""A row that has an observation was judged, and waits for its household or its person."""


async def count_aged(connection: asyncpg.Connection, today: date) -> int:
    """How many refused rows have been kept for longer than that."""
    count: int = await connection.fetchval(f"SELECT count(*) FROM ({_AGED}) aged", *_limits(today))
    return count


async def destroy_aged(connection: asyncpg.Connection, today: date, rows_at_once: int) -> int:
    """Destroy what was kept of the next of them, as a discard does: that each came, when and why it was refused, stays,
    and the same row is *unchanged* when it comes again. Returns how many; the caller's transaction records it.
    """
    found = await connection.fetch(
        f"{_AGED} ORDER BY q.number LIMIT $3 FOR UPDATE OF q, h", *_limits(today), rows_at_once
    )
    aged = [record["row_id"] for record in found]
    await connection.execute(
        "UPDATE ingest.quarantine SET status = 'CLEARED', sealed_row = NULL WHERE row_id = ANY ($1)", aged
    )
    await connection.execute(
        """UPDATE ingest.held_row SET state = 'CLOSED', subject_index = NULL, adverse = NULL
           WHERE row_id = ANY ($1)""",
        aged,
    )
    return len(aged)


def _limits(today: date) -> tuple[object, list[str]]:
    """The first instant that is not too old, and the agencies whose rows may state adverse items."""
    agencies = {category.value.partition(".")[0] for category in regimes().by_category}
    return midnight(years_before(today, YEARS_AT_MOST)), sorted(agencies)
