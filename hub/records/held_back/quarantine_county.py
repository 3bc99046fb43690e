"""Which counties a row in quarantine concerns: that of its subject, else what the row itself names.

Where the hub does not know the subject, a clinic's row names its clinic, a row of civil affairs its village or its
household, which may stand in the sealed row alone. A row that names none is for stewards of the whole prefecture.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import asyncpg
import orjson

from hub.core.areas import county_name
from hub.records.held_back.quarantine import OwnEntries
from hub.records.held_back.quarantine_entries import QuarantinedRow
from hub.records.intake.judge import JudgedRow
from hub.records.intake.row_county import ENTRY_COUNTIES
from hub.store.keys import KeyService

_VILLAGES, _HOUSEHOLDS = ("xzqhdm", "xxzqhdm"), ("hubh", "yhubh", "xhubh")
"""Fields of civil affairs that hold a village code or a household number (docs/contracts)."""

_CHUNK = 1_000
"""Rows opened at a time."""

_SEALED_ALONE = f"""
SELECT q.number, q.row_id, q.sealed_row FROM ingest.quarantine q JOIN ingest.source_state s USING (source)
JOIN ingest.held_row w USING (row_id)
WHERE q.status = 'OPEN' AND s.kind = 'civil-soap' AND q.sealed_row IS NOT NULL AND {ENTRY_COUNTIES} IS NULL
"""


async def counties_of_entry(connection: asyncpg.Connection, entry: QuarantinedRow) -> frozenset[str]:
    """The counties of one entry, its sealed row being opened."""
    found = await connection.fetchval(
        f"SELECT {ENTRY_COUNTIES} FROM ingest.held_row w WHERE w.row_id = $1", entry.row_id
    )
    if found is not None:
        return frozenset(code for code in found if code is not None)
    if entry.kind != "civil-soap" or entry.wire is None:
        return frozenset()
    villages, households = _named(entry.wire)
    return villages or frozenset((await _counties_of_households(connection, households)).values())


async def counties_of_judged(connection: asyncpg.Connection, judged: JudgedRow) -> frozenset[str]:
    """The counties of a row as it would count after a correction; empty where it tells none."""
    known = await connection.fetch(
        "SELECT county FROM record.directory WHERE blind_index = ANY($1) AND county <> '000000'",
        list(judged.subject_indexes),
    )
    if known:
        return frozenset(record["county"] for record in known)
    village = (judged.row.value or {}).get("village_code")
    if village is not None and county_name(village) is not None:
        return frozenset({village[:6]})
    number = judged.row.household_no
    return frozenset((await _counties_of_households(connection, [number] if number else [])).values())


async def own_entries(
    connection: asyncpg.Connection, keys: KeyService, counties: Collection[str] | None
) -> OwnEntries | None:
    """The entries of these counties; ``None`` means all.

    Those whose county stands in the sealed row alone are named by number. They are the few rows of civil affairs of
    which neither person nor household is known; all are opened.
    """
    if counties is None:
        return None
    numbers: list[int] = []
    async with connection.transaction():
        cursor = await connection.cursor(_SEALED_ALONE)
        while records := await cursor.fetch(_CHUNK):
            named = {
                record["number"]: _named(
                    orjson.loads(keys.open("quarantine", record["sealed_row"], record["row_id"].bytes))
                )
                for record in records
            }
            homes = await _counties_of_households(connection, {one for _, some in named.values() for one in some})
            for number, (villages, households) in named.items():
                found = villages or {homes[one] for one in households if one in homes}
                if not found.isdisjoint(counties):
                    numbers.append(number)
    return OwnEntries(sorted(counties), numbers)


def _named(wire: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Counties of the villages and numbers of the households that a row of civil affairs names."""
    villages = (wire.get(field) for field in _VILLAGES)
    households = (wire.get(field) for field in _HOUSEHOLDS)
    return (
        frozenset(code[:6] for code in villages if isinstance(code, str) and county_name(code) is not None),
        frozenset(number for number in households if isinstance(number, str) and number),
    )


async def _counties_of_households(connection: asyncpg.Connection, numbers: Iterable[str]) -> dict[str, str]:
    records = await connection.fetch(
        """SELECT household_no, county FROM record.household_directory
           WHERE household_no = ANY($1) AND county <> '000000'""",
        list(numbers),
    )
    return {record["household_no"]: record["county"] for record in records}
