"""Judges of the roster at the end of a pull: references to what is not held, and two people under one ID number.

Judged are the rows that are new since the roster was derived last (``record.touched``) and those in quarantine for a
missing reference. A row that was accepted in an earlier run is not judged again.
"""

from collections import defaultdict
from collections.abc import Sequence, Set
from typing import Any
from uuid import UUID

import asyncpg

from hub.core.text import normalise_name
from hub.records.intake.payloads import open_payload
from hub.records.people.persons import CHUNK
from hub.store.keys import KeyService

_JUDGED = """
WITH judged AS (
    SELECT o.row_id, o.source, o.kind, o.household_no
    FROM (SELECT DISTINCT row_id FROM record.touched WHERE kind IN ('MEMBER', 'HOUSEHOLD_FACT')) t
    JOIN record.observation o USING (row_id)
    WHERE o.recorded_to = 'infinity' AND NOT o.tombstone
    UNION
    SELECT o.row_id, o.source, o.kind, o.household_no
    FROM ingest.held_row h JOIN record.observation o USING (row_id)
    WHERE h.reason = 21 AND h.reason IN (21, 22) AND h.state = 'QUARANTINED' AND o.household_no IS NOT NULL
      AND o.kind IN ('MEMBER', 'FACT')
)
SELECT j.row_id FROM judged j
WHERE NOT EXISTS (
    SELECT FROM ingest.held_row h
    WHERE h.source = j.source AND h.source_key = 'household|' || j.household_no
      AND h.is_current AND NOT h.tombstone)
"""

_EVENTS = """
SELECT o.row_id, o.source, o.payload
FROM (SELECT DISTINCT row_id FROM record.touched WHERE kind = 'EVENT') t JOIN record.observation o USING (row_id)
WHERE o.recorded_to = 'infinity' AND NOT o.tombstone
UNION
SELECT o.row_id, o.source, o.payload
FROM ingest.held_row h JOIN record.observation o USING (row_id)
WHERE h.reason = 21 AND h.reason IN (21, 22) AND h.state = 'QUARANTINED' AND o.kind = 'EVENT'
"""

_HELD = """
SELECT h.source, h.source_key FROM ingest.held_row h
WHERE h.source = ANY($1) AND h.source_key = ANY($2) AND h.is_current AND NOT h.tombstone AND h.row_id <> ALL($3)
UNION
SELECT o.source, o.source_key FROM ingest.held_row h JOIN record.observation o USING (row_id)
WHERE h.reason = 21 AND h.reason IN (21, 22) AND h.state = 'QUARANTINED' AND h.source_key = ANY($2)
  AND o.row_id <> ALL($3) AND o.kind = 'MEMBER'
"""
"""Current rows, and those in quarantine whose own reference is held again; rows of ``$3`` are not held."""


async def missing_references(connection: asyncpg.Connection, keys: KeyService) -> set[UUID]:
    """Rows whose household or member is not held: members, reliefs and events, new ones and those tried again.

    Quarantined rows are not held; members who are dead or have left are (docs/CONTRACTS.md, civil affairs section 4).
    Members and reliefs are one statement; events are opened one by one, as their references are sealed.
    """
    missing = {record["row_id"] for record in await connection.fetch(_JUDGED)}
    events = await connection.fetch(_EVENTS)
    if not events:
        return missing
    named = {event["row_id"]: _references(keys, event) for event in events}
    wanted = set().union(*named.values())
    held = {
        (record["source"], record["source_key"])
        for record in await connection.fetch(
            _HELD, sorted({event["source"] for event in events}), sorted(wanted), list(missing)
        )
    }
    for event in events:
        if any((event["source"], reference) not in held for reference in named[event["row_id"]]):
            missing.add(event["row_id"])
    return missing


def _references(keys: KeyService, event: asyncpg.Record) -> set[str]:
    value: dict[str, Any] = open_payload(keys, event["payload"], event["row_id"])["value"]
    households = {f"household|{value[side]}" for side in ("from_household", "to_household") if value[side]}
    return households | {f"member|{member['member_no']}" for member in value["members"]}


async def roster_duplicates(connection: asyncpg.Connection, keys: KeyService) -> set[UUID]:
    """New rows of current members whose ID number belongs to another current member with a different name.

    The member held from before stays; of new ones the smaller number stays. Numbers are looked up in batches by index;
    only rows that share a number are opened.
    """
    fresh = {
        record["row_id"]: record["subject_index"]
        for record in await connection.fetch(
            """SELECT o.row_id, o.subject_index
               FROM (SELECT DISTINCT row_id FROM record.touched WHERE kind = 'MEMBER') t
               JOIN record.observation o USING (row_id)
               WHERE o.recorded_to = 'infinity' AND NOT o.tombstone AND o.subject_index IS NOT NULL"""
        )
    }
    if not fresh:
        return set()
    aliases = await connection.fetch("SELECT alias_index, canonical_index FROM record.alias")
    present = {record["alias_index"]: record["canonical_index"] for record in aliases}
    known_as: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for alias, canonical in present.items():
        known_as[canonical].add(alias)
    people = sorted({present.get(index, index) for index in fresh.values()})
    refused: set[UUID] = set()
    for start in range(0, len(people), CHUNK):
        numbers = [number for person in people[start : start + CHUNK] for number in (person, *known_as[person])]
        groups: defaultdict[bytes, list[UUID]] = defaultdict(list)
        for record in await connection.fetch(
            """SELECT row_id, subject_index FROM record.observation
               WHERE subject_index = ANY($1) AND kind = 'MEMBER' AND recorded_to = 'infinity' AND NOT tombstone""",
            numbers,
        ):
            groups[present.get(record["subject_index"], record["subject_index"])].append(record["row_id"])
        shared = [group for group in groups.values() if len(group) > 1]
        refused |= await _refused_of(connection, keys, shared, fresh.keys())
    return refused


async def _refused_of(
    connection: asyncpg.Connection, keys: KeyService, groups: Sequence[Sequence[UUID]], fresh: Set[UUID]
) -> set[UUID]:
    """Of rows that share a number: the new ones whose name differs from that of a row that stays."""
    if not groups:
        return set()
    records = await connection.fetch(
        "SELECT row_id, payload FROM record.observation WHERE row_id = ANY($1) AND recorded_to = 'infinity'",
        [row_id for group in groups for row_id in group],
    )
    values = {record["row_id"]: open_payload(keys, record["payload"], record["row_id"])["value"] for record in records}
    refused: set[UUID] = set()
    for group in groups:
        members = [
            (row_id in fresh, values[row_id]["member_no"], normalise_name(values[row_id]["name"]), row_id)
            for row_id in group
            if values[row_id]["left_on"] is None
        ]
        kept_names: set[str] = set()
        for is_fresh, _, name, row_id in sorted(members):
            if is_fresh and kept_names - {name}:
                refused.add(row_id)
            else:
                kept_names.add(name)
    return refused
