"""What was added to adverse items: statements of the people themselves, and repairs. Append-only, the newest counts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

import asyncpg
import orjson

from hub.core.clock import day_of
from hub.core.ids import uuid7
from hub.core.names import Category
from hub.core.rows import CheckedRow
from hub.records.adverse_items.adverse import AdverseNote, StatedItem, ended_on, is_over, item_id
from hub.records.intake.payloads import open_payload
from hub.store.keys import KeyService

Item = tuple[str, str]
"""Source and source key of an adverse item."""

_STATEMENTS = """
SELECT s.source, s.source_key, s.statement_id, s.person_id, d.person_id AS known_as, s.sealed_text, s.stated_at
FROM unnest($1::text[], $2::text[]) AS k (source, source_key)
JOIN record.adverse_statement s USING (source, source_key)
LEFT JOIN record.directory d ON d.blind_index = s.identity_index
WHERE s.stated_at <= $3
ORDER BY s.number
"""

_REPAIRS = """
SELECT r.source, r.source_key, r.repaired
FROM unnest($1::text[], $2::text[]) AS k (source, source_key)
JOIN record.adverse_repair r USING (source, source_key)
WHERE r.recorded_at <= $3
ORDER BY r.number
"""


@dataclass(frozen=True, slots=True)
class ItemOfPerson:
    """An adverse item and the person it is linked to."""

    source: str
    source_key: str
    person_id: UUID | None


async def notes_on(
    connection: asyncpg.Connection, keys: KeyService, items: Collection[ItemOfPerson], recorded: datetime
) -> dict[ItemOfPerson, AdverseNote]:
    """What had been added to these items at ``recorded``. A statement shows only beside an item of who made it."""
    if not items:
        return {}
    wanted = sorted({(item.source, item.source_key) for item in items})
    asked = [source for source, _ in wanted], [key for _, key in wanted], recorded
    statements: dict[tuple[Item, UUID], asyncpg.Record] = {}
    for record in await connection.fetch(_STATEMENTS, *asked):
        for person in {record["person_id"], record["known_as"]} - {None}:
            statements[(record["source"], record["source_key"]), person] = record
    repaired = {(r["source"], r["source_key"]): r["repaired"] for r in await connection.fetch(_REPAIRS, *asked)}
    return {item: _note(keys, item, statements, repaired) for item in items}


def _note(
    keys: KeyService,
    item: ItemOfPerson,
    statements: Mapping[tuple[Item, UUID], asyncpg.Record],
    repaired: Mapping[Item, bool],
) -> AdverseNote:
    key = (item.source, item.source_key)
    made = None if item.person_id is None else statements.get((key, item.person_id))
    is_said = made is not None and made["sealed_text"] is not None
    return AdverseNote(
        item_id=item_id(keys, *key),
        statement=(
            keys.open("statement", made["sealed_text"], made["statement_id"].bytes).decode()
            if made is not None and is_said
            else None
        ),
        stated_on=day_of(made["stated_at"]) if made is not None and is_said else None,
        is_repaired=repaired.get(key, False),
    )


@dataclass(frozen=True, slots=True)
class NewStatement:
    """What a person says about an item; ``text`` is ``None`` where he takes his statement back."""

    item: Item
    person_id: UUID
    text: str | None
    event: UUID
    now: datetime


async def write_statement(connection: asyncpg.Connection, keys: KeyService, new: NewStatement) -> None:
    """Write it down; whoever writes about the same item at this moment comes before or after."""
    await _one_at_a_time(connection, new.item)
    statement_id = uuid7()
    sealed = None if new.text is None else keys.seal("statement", new.text.encode(), statement_id.bytes)
    await connection.execute(
        """INSERT INTO record.adverse_statement (county, statement_id, source, source_key, number, person_id,
               identity_index, sealed_text, stated_at, event)
           SELECT p.county, $1, $2, $3, coalesce((SELECT max(number) FROM record.adverse_statement
                                                  WHERE source = $2 AND source_key = $3), 0) + 1,
               p.person_id, p.identity_index, $5, $6, $7
           FROM record.person p WHERE p.person_id = $4""",
        statement_id, *new.item, new.person_id, sealed, new.now, new.event,
    )  # fmt: skip


async def _one_at_a_time(connection: asyncpg.Connection, item: Item) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 15))", "\n".join(item))


@dataclass(frozen=True, slots=True)
class NewRepair:
    """A decision of a competent body about an item; ``repaired`` false takes the one before back."""

    item: Item
    county: str
    repaired: bool
    decided_on: date
    document: str
    reason: str
    steward: str
    event: UUID
    now: datetime


async def write_repair(connection: asyncpg.Connection, keys: KeyService, new: NewRepair) -> None:
    """Write it down; whoever writes about the same item at this moment comes before or after."""
    await _one_at_a_time(connection, new.item)
    repair_id = uuid7()
    sealed = keys.seal("repair", orjson.dumps({"document": new.document, "reason": new.reason}), repair_id.bytes)
    await connection.execute(
        """INSERT INTO record.adverse_repair (county, repair_id, source, source_key, number, repaired, decided_on,
               sealed, steward, recorded_at, event)
           SELECT $1, $2, $3, $4, coalesce((SELECT max(number) FROM record.adverse_repair
                                            WHERE source = $3 AND source_key = $4), 0) + 1, $5, $6, $7, $8, $9, $10""",
        new.county, repair_id, *new.item, new.repaired, new.decided_on, sealed, new.steward, new.now, new.event,
    )  # fmt: skip


_OVER = """
SELECT DISTINCT h.source, h.source_key, h.version
FROM unnest($1::text[], $2::text[]) AS k (source, source_key)
JOIN ingest.held_row h USING (source, source_key)
JOIN record.expired_adverse($3) e ON e.row_id = h.row_id
"""


async def over_versions(
    connection: asyncpg.Connection, items: Collection[Item], today: date
) -> set[tuple[str, str, str]]:
    """Source, key and version of what the next purge takes of these items: also versions whose end only a later one
    tells. For single records: it looks at every adverse row.
    """
    if not items:
        return set()
    sources, keys = zip(*sorted(set(items)), strict=True)
    return {tuple(record) for record in await connection.fetch(_OVER, sources, keys, today)}


async def note_adverse(connection: asyncpg.Connection, row_id: UUID, row: CheckedRow) -> None:
    """Write into the ledger whether a row states an adverse item and when that ended, as the present contract reads it:
    when it was refused that may not have been known.
    """
    await connection.execute(
        "UPDATE ingest.held_row SET adverse = $2, adverse_ended_on = $3 WHERE row_id = $1",
        row_id,
        row.category if row.adverse else None,
        ended_on(row),
    )


async def item_of_person(
    connection: asyncpg.Connection, keys: KeyService, person_id: UUID, wanted: str, day: date
) -> Item | None:
    """The adverse item of a person that goes by this id and may be shown on a day; ``None`` if there is none.

    Until the caller's transaction ends no purge takes it; one that has begun is waited for.
    """
    records = await connection.fetch(
        """SELECT o.source, o.source_key, o.category, o.adverse, o.valid_to, o.row_id, o.payload
           FROM record.person p JOIN record.observation o ON o.county = p.county AND o.person_id = p.person_id
           WHERE p.person_id = $1 AND o.adverse AND o.recorded_to = 'infinity' AND o.link IN ('ID', 'CONFIRMED')
           FOR KEY SHARE OF o""",
        person_id,
    )
    for record in records:
        item = (record["source"], record["source_key"])
        if item_id(keys, *item) == wanted:
            value = open_payload(keys, record["payload"], record["row_id"])["value"]
            stated = StatedItem(Category(record["category"]), True, record["valid_to"], value)
            noted = await notes_on(connection, keys, [ItemOfPerson(*item, person_id)], datetime.max.replace(tzinfo=UTC))
            is_shown = not is_over(stated, day) and not any(note.is_repaired for note in noted.values())
            return item if is_shown else None
    return None
