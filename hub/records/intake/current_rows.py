"""Current roster rows by their keys."""

from collections.abc import Collection

import asyncpg

from hub.core.rows import RowKind


async def current_rows(
    connection: asyncpg.Connection, kind: RowKind, sources: Collection[str], source_keys: Collection[str]
) -> list[asyncpg.Record]:
    """``row_id``, ``source``, ``payload`` of the current rows of a kind under these keys; no tombstones.

    The keys are looked up in the ledger, which alone has an index over them. Cost: one look-up for each key, whatever
    the size of the record.
    """
    return list(
        await connection.fetch(
            """SELECT o.row_id, o.source, o.payload
               FROM ingest.held_row h JOIN record.observation o ON o.row_id = h.row_id
               WHERE h.source = ANY($2) AND h.source_key = ANY($3) AND h.is_current AND NOT h.tombstone
                 AND o.kind = $1 AND o.recorded_to = 'infinity'""",
            kind.value,
            list(sources),
            list(source_keys),
        )
    )
