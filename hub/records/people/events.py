"""The decoded, unrevoked life events of the roster, one row per member named: ``record.roster_event``."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from hub.core.rows import RowKind
from hub.records.intake.current_rows import current_rows
from hub.records.intake.payloads import open_payload, seal_identity
from hub.records.people.effective import MERGE, NUMBER, SPLIT, EventEffect
from hub.store.keys import KeyService

_COLUMNS = [
    "event_no", "position", "row_id", "event_type", "effective_on", "registered_at", "from_household", "to_household",
    "to_village_code", "to_group_no", "member_no", "relation", "old_index", "new_index", "sealed_new", "recorded_from",
]  # fmt: skip


_REMOVE = """
WITH removed AS (
    DELETE FROM record.roster_event WHERE event_no = ANY($1) RETURNING *
), past AS (
    INSERT INTO record.past_lineage (event_no, from_household, to_household, effective_on, recorded_from, recorded_to)
    SELECT DISTINCT event_no, from_household, to_household, effective_on, recorded_from, $3::timestamptz FROM removed
    WHERE event_type = ANY($2) AND from_household IS NOT NULL AND to_household IS NOT NULL AND recorded_from < $3
)
SELECT * FROM removed
"""


@dataclass(slots=True)
class EventChange:
    """What the events that came, changed or were revoked speak about, before and after."""

    members: set[str] = field(default_factory=set)
    households: set[str] = field(default_factory=set)
    numbers_changed: bool = False

    def note(self, record: Any) -> None:
        """Take in one row of ``record.roster_event``."""
        if record["member_no"] is not None:
            self.members.add(record["member_no"])
        self.households |= {no for no in (record["from_household"], record["to_household"]) if no is not None}
        self.numbers_changed |= record["event_type"] == NUMBER


async def replace_events(
    connection: asyncpg.Connection,
    keys: KeyService,
    sources: Sequence[str],
    event_nos: Collection[str],
    now: datetime,
) -> EventChange:
    """Decode these events anew; those with no current row (revoked, taken back) disappear.

    What they said of lineage until ``now`` stays in ``record.past_lineage``.
    """
    change = EventChange()
    if not event_nos:
        return change
    for record in await connection.fetch(_REMOVE, list(event_nos), [SPLIT, MERGE], now):
        change.note(record)
    wanted = [f"event|{number}" for number in event_nos]
    records = await current_rows(connection, RowKind.EVENT, sources, wanted)
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for record in records:
        value = open_payload(keys, record["payload"], record["row_id"])["value"]
        rows[value["event_no"]] = list(_rows(keys, value, record["row_id"], now))
    decoded = [row for event in rows.values() for row in event]
    for row in decoded:
        change.note(dict(zip(_COLUMNS, row, strict=True)))
    await connection.copy_records_to_table("roster_event", schema_name="record", columns=_COLUMNS, records=decoded)
    return change


def _rows(keys: KeyService, value: dict[str, Any], row_id: UUID, now: datetime) -> list[tuple[Any, ...]]:
    shared = (
        row_id, value["event_type"], date.fromisoformat(value["effective_on"]),
        datetime.fromisoformat(value["registered_at"]), value["from_household"], value["to_household"],
        value["to_village_code"], value["to_group_no"],
    )  # fmt: skip
    rows = []
    for position, member in enumerate(value["members"] or [{}]):
        old, new = member.get("old_id_number"), member.get("new_id_number")
        new_index = keys.index("identity", new) if new else None
        sealed = seal_identity(keys, None, new, new_index) if new_index else None
        rows.append(
            (value["event_no"], position, *shared, member.get("member_no"), member.get("relation"),
             keys.index("identity", old) if old else None, new_index, sealed, now)
        )  # fmt: skip
    return rows


async def events_of_members(connection: asyncpg.Connection, member_nos: Sequence[str]) -> dict[str, list[EventEffect]]:
    """The unrevoked events of each member."""
    records = await connection.fetch("SELECT * FROM record.roster_event WHERE member_no = ANY($1)", list(member_nos))
    return _grouped(records, "member_no")


async def events_of_households(
    connection: asyncpg.Connection, household_nos: Sequence[str]
) -> dict[str, list[EventEffect]]:
    """The unrevoked events that start from each household."""
    records = await connection.fetch(
        "SELECT * FROM record.roster_event WHERE from_household = ANY($1)", list(household_nos)
    )
    return _grouped(records, "from_household")


async def number_corrections(connection: asyncpg.Connection) -> tuple[list[EventEffect], dict[bytes, bytes]]:
    """All corrections of ID numbers, and the sealed new number by its blind index."""
    records = await connection.fetch("SELECT * FROM record.roster_event WHERE event_type = $1", NUMBER)
    sealed = {record["new_index"]: record["sealed_new"] for record in records if record["new_index"] is not None}
    return [_effect(record) for record in records], sealed


def _grouped(records: Sequence[asyncpg.Record], column: str) -> dict[str, list[EventEffect]]:
    grouped: defaultdict[str, list[EventEffect]] = defaultdict(list)
    for record in records:
        grouped[record[column]].append(_effect(record))
    return grouped


def _effect(record: asyncpg.Record) -> EventEffect:
    return EventEffect(
        event_no=record["event_no"],
        event_type=record["event_type"],
        effective_on=record["effective_on"],
        registered_at=record["registered_at"],
        from_household=record["from_household"],
        to_household=record["to_household"],
        to_village_code=record["to_village_code"],
        to_group_no=record["to_group_no"],
        member_no=record["member_no"],
        relation=record["relation"],
        old_index=record["old_index"],
        new_index=record["new_index"],
    )
