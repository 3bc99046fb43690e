"""What is held back: listing without personal content, and the rows themselves for return to the agency."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from hub.core.clock import iso
from hub.core.names import QuarantineReason
from hub.store.keys import KeyService

_LIST = """
SELECT * FROM ingest.quarantine
WHERE ($1::text IS NULL OR source = $1) AND ($2::smallint IS NULL OR reason = $2) AND ($3::text IS NULL OR status = $3)
ORDER BY number
"""


def entry_id(number: int) -> str:
    """The name of a quarantine entry, such as ``q-000017``."""
    return f"q-{number:06d}"


def _listed(record: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": entry_id(record["number"]),
        "source": record["source"],
        "source_key": record["source_key"],
        "reason": QuarantineReason(record["reason"]).name,
        "other_reasons": [QuarantineReason(other).name for other in record["other_reasons"]],
        "origin": record["origin"],
        "first_seen": iso(record["first_seen"]),
        "last_seen": iso(record["last_seen"]),
        "status": record["status"],
    }


async def list_quarantine(
    connection: asyncpg.Connection, *, source: str | None, reason: QuarantineReason | None, status: str | None
) -> list[dict[str, Any]]:
    """Entries without personal content, oldest first; ``None`` means any."""
    return [_listed(record) for record in await connection.fetch(_LIST, source, reason, status)]


async def export_quarantine(
    connection: asyncpg.Connection, keys: KeyService, *, source: str, reason: QuarantineReason | None
) -> Sequence[dict[str, Any]]:
    """The open entries of one source whose row may be kept, with the row in wire names."""
    return [
        {**_listed(record), "row": orjson.loads(keys.open("quarantine", record["sealed_row"], record["row_id"].bytes))}
        for record in await connection.fetch(_LIST, source, reason, "OPEN")
        if record["sealed_row"] is not None
    ]
