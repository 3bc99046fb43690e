"""What is held back, listed without personal content; and the sources that there are."""

from typing import Any, NamedTuple

import asyncpg

from hub.core.clock import iso
from hub.core.errors import InputError
from hub.core.names import QuarantineReason
from hub.records.intake.row_county import ENTRY_COUNTIES

_LIST = f"""
SELECT * FROM ingest.quarantine q
WHERE ($1::text IS NULL OR source = $1) AND ($2::smallint IS NULL OR reason = $2) AND ($3::text IS NULL OR status = $3)
  AND number > $4
  AND ($6::text[] IS NULL OR number = ANY($7::bigint[])
       OR (SELECT {ENTRY_COUNTIES} && $6 FROM ingest.held_row w WHERE w.row_id = q.row_id))
ORDER BY number LIMIT $5
"""

_SOURCES_SHOWN = 20
"""How many names of sources an error lists."""


class OwnEntries(NamedTuple):
    """The entries of some counties: those whose row concerns one of them, and those of these numbers."""

    counties: list[str]
    numbers: list[int]


class NoSuchSourceError(InputError):
    """No source of that name has ever been pulled."""

    code = "SOURCE_UNKNOWN"


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
    connection: asyncpg.Connection,
    *,
    source: str | None,
    reason: QuarantineReason | None,
    status: str | None,
    after: int = 0,
    first: int | None = None,
    own: OwnEntries | None = None,
) -> list[dict[str, Any]]:
    """Entries without personal content, oldest first; ``None`` means any.

    ``after``: only entries with a greater number, at most ``first`` of them. ``own``: only these.
    """
    records = await connection.fetch(_LIST, source, reason, status, after, first, *(own or (None, None)))
    return [_listed(record) for record in records]


async def require_source(connection: asyncpg.Connection, source: str) -> str:
    """The kind of a source that was pulled at least once. Raises :class:`NoSuchSourceError` naming those there are."""
    kinds = dict(await connection.fetch("SELECT source, kind FROM ingest.source_state ORDER BY source"))
    if source not in kinds:
        known = ", ".join(f"`{name}`" for name in list(kinds)[:_SOURCES_SHOWN])
        raise NoSuchSourceError(
            "no source of that name has been pulled.",
            remedy=f"There are: {known}." if known else "Nothing has been pulled yet.",
        )
    kind: str = kinds[source]
    return kind
