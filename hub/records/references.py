"""Judges of the roster at the end of a pull: references to what is not held, and two people under one ID number.

Judged are the rows that are new since the roster was derived last (``record.touched``) and those in quarantine for a
missing reference. A row that was accepted in an earlier run is not judged again.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from hub.core.text import normalise_name
from hub.records.payloads import open_payload
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
    SELECT FROM record.observation h
    WHERE h.source = j.source AND h.source_key = 'household|' || j.household_no
      AND h.recorded_to = 'infinity' AND NOT h.tombstone)
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
SELECT o.source, o.source_key FROM record.observation o
WHERE o.source = ANY($1) AND o.source_key = ANY($2) AND NOT o.tombstone AND o.recorded_to = 'infinity'
  AND o.row_id <> ALL($3)
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


_SAME_NUMBER = """
WITH fresh AS (
    SELECT DISTINCT coalesce(a.canonical_index, o.subject_index) AS present
    FROM record.touched t JOIN record.observation o USING (row_id)
    LEFT JOIN record.alias a ON a.alias_index = o.subject_index
    WHERE t.kind = 'MEMBER' AND o.recorded_to = 'infinity' AND NOT o.tombstone AND o.subject_index IS NOT NULL
), numbers AS (
    SELECT present, present AS number FROM fresh
    UNION
    SELECT f.present, a.alias_index FROM fresh f JOIN record.alias a ON a.canonical_index = f.present
), members AS (
    SELECT n.present, o.row_id, o.payload, count(*) OVER (PARTITION BY n.present) AS members
    FROM numbers n JOIN record.observation o ON o.subject_index = n.number
    WHERE o.kind = 'MEMBER' AND o.recorded_to = 'infinity' AND NOT o.tombstone
)
SELECT present, row_id, payload, EXISTS (SELECT FROM record.touched t WHERE t.row_id = m.row_id) AS fresh
FROM members m WHERE members > 1
"""


async def roster_duplicates(connection: asyncpg.Connection, keys: KeyService) -> set[UUID]:
    """New rows of current members whose ID number belongs to another current member with a different name.

    The member held from before stays; of new ones the smaller number stays. Only rows that share a number are opened.
    """
    groups: defaultdict[bytes, list[asyncpg.Record]] = defaultdict(list)
    for record in await connection.fetch(_SAME_NUMBER):
        groups[record["present"]].append(record)
    refused: set[UUID] = set()
    for group in groups.values():
        refused |= _refused(keys, group)
    return refused


def _refused(keys: KeyService, group: Sequence[asyncpg.Record]) -> set[UUID]:
    members = []
    for record in group:
        value = open_payload(keys, record["payload"], record["row_id"])["value"]
        if value["left_on"] is None:
            members.append((record["fresh"], value["member_no"], normalise_name(value["name"]), record["row_id"]))
    kept_names: set[str] = set()
    refused = set()
    for fresh, _, name, row_id in sorted(members, key=lambda member: (member[0], member[1])):
        if fresh and kept_names - {name}:
            refused.add(row_id)
        else:
            kept_names.add(name)
    return refused
