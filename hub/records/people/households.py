"""Households: random ids behind household numbers, their effective state, and the step that moves a county.

``record.household`` says where each household is now; what it said before, and where the household was before, is added
to ``record.past_household`` in the same statement that changes it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg

from hub.core.rows import RowKind
from hub.core.text import remove_white_space
from hub.records.intake.current_rows import current_rows
from hub.records.intake.payloads import open_payload
from hub.records.people.effective import EventEffect, HouseholdState, effective_places, household_from_value
from hub.records.people.events import events_of_households
from hub.records.people.membership import HouseholdKey
from hub.records.people.persons import CHUNK, NOWHERE
from hub.store.keys import KeyService


class _Found(NamedTuple):
    state: HouseholdState
    value: dict[str, Any]
    source: str


class Version(NamedTuple):
    """Where a household was from ``valid_from`` (``None``: ever since it is known) to before ``valid_to``.

    The names belong to ``row_village_code``, the village of the row; a household that moved is in another one.
    """

    status: str
    village_code: str
    group_no: str | None
    row_village_code: str
    township_name: str | None
    village_name: str | None
    source: str
    changed_at: datetime
    valid_from: date | None
    valid_to: date | None

    @property
    def place(self) -> tuple[str, str, str | None]:
        """What makes one place differ from another."""
        return self.status, self.village_code, self.group_no

    @property
    def content(self) -> tuple[Any, ...]:
        """What it says. A row that comes again with a later time of change alone says nothing new."""
        return (*self[:7], *self[8:])


@dataclass(frozen=True, slots=True)
class _Derived:
    """A household ready to be written: its versions in the order of their days; none where no row is held any more."""

    number: str
    versions: Sequence[Version]
    phone_index: bytes | None

    @property
    def present(self) -> Version | None:
        return self.versions[-1] if self.versions else None

    @property
    def county(self) -> str | None:
        """Home county, the first six digits of the village code."""
        return None if self.present is None else self.present.village_code[:6]


def phone_text(phone: str) -> str:
    """The form in which phone numbers are compared."""
    return remove_white_space(phone)


async def household_keys(
    connection: asyncpg.Connection, numbers: Collection[str], counties: Mapping[str, str | None] | None = None
) -> dict[str, HouseholdKey]:
    """Id and county of each household number; numbers never met get an id and a household that is not held.

    ``counties`` says where those never met are, as far as it is known.
    """
    wanted = sorted(numbers)
    records = await connection.fetch(
        "SELECT household_no, household_id, county FROM record.household_directory WHERE household_no = ANY($1)", wanted
    )
    found = {r["household_no"]: HouseholdKey(r["household_id"], r["county"]) for r in records}
    homes = counties or {}
    new = {number: HouseholdKey(uuid4(), homes.get(number) or NOWHERE) for number in wanted if number not in found}
    if new:
        await connection.copy_records_to_table(
            "household_directory",
            schema_name="record",
            columns=["household_no", "household_id", "county"],
            records=[(number, key.household_id, key.county) for number, key in new.items()],
        )
        await connection.copy_records_to_table(
            "household",
            schema_name="record",
            columns=["county", "household_id", "household_no", "held", "status"],
            records=[(key.county, key.household_id, number, False, "CANCELLED") for number, key in new.items()],
        )
    return found | new


async def derive_households(
    connection: asyncpg.Connection, keys: KeyService, sources: Sequence[str], numbers: Collection[str], now: datetime
) -> set[UUID]:
    """Bring the state of these households up to date; returns the ids of those that changed.

    ``now`` becomes the recorded time of what changes.
    """
    changed: set[UUID] = set()
    wanted = sorted(numbers)
    for start in range(0, len(wanted), CHUNK):
        part = wanted[start : start + CHUNK]
        found = await _household_rows(connection, keys, sources, part)
        events = await events_of_households(connection, part)
        held = await _held_versions(connection, part, events.keys())
        derived = []
        for number in part:
            row = found.get(number)
            versions = versions_of(row, events.get(number, []), [v for _, v in held[number]]) if row else []
            phone = row.value["phone"] if row else None
            derived.append(_Derived(number, versions, keys.index("phone", phone_text(phone)) if phone else None))
        changed |= await _write(connection, derived, held, now)
    return changed | await _newcomers(connection, changed)


async def _newcomers(connection: asyncpg.Connection, changed: Collection[UUID]) -> set[UUID]:
    """Households that moved into the villages of these: what their village is called, only the rows of others tell."""
    records = await connection.fetch(
        """SELECT DISTINCT n.household_id FROM record.household n
           WHERE n.village_code <> n.row_village_code
             AND n.village_code IN (SELECT h.village_code FROM record.household h WHERE h.household_id = ANY($1))""",
        list(changed),
    )
    return {record["household_id"] for record in records}


def versions_of(row: _Found, events: Iterable[EventEffect], held: Iterable[Version]) -> list[Version]:
    """Where the household has been, in order, the present place last.

    A row that contains events does not tell the places before them; those stay as they were ``held``. Where none was,
    the first place that is known stands for the time before as well.
    """
    told = [
        Version(
            place.state.status, place.state.village_code, place.state.group_no, row.value["village_code"],
            row.value["township_name"], row.value["village_name"], row.source, row.state.changed_at, place.since,
            place.until,
        )
        for place in effective_places(row.state, events)
    ]  # fmt: skip
    first = told[0].valid_from
    if first is None:
        return told
    before = [
        old._replace(valid_to=min(old.valid_to or first, first))
        for old in held
        if old.valid_from is None or old.valid_from < first
    ]
    before.sort(key=lambda version: version.valid_from or date.min)
    while before and before[-1].place == told[0].place:
        told[0] = told[0]._replace(valid_from=before.pop().valid_from)
    if not before:
        told[0] = told[0]._replace(valid_from=None)
    return [*before, *told]


async def _held_versions(
    connection: asyncpg.Connection, numbers: Sequence[str], with_events: Collection[str]
) -> defaultdict[str, list[tuple[UUID | None, Version]]]:
    """The versions recorded now of households that have or had earlier places; no id marks the present one."""
    records = await connection.fetch(
        """WITH asked AS MATERIALIZED (
               SELECT d.household_id FROM record.household_directory d
               WHERE d.household_no = ANY($1) AND (d.household_no = ANY($2) OR EXISTS (
                   SELECT FROM record.past_household p
                   WHERE p.household_id = d.household_id AND p.recorded_to = 'infinity'))
           )
           SELECT p.household_no, p.past_id, p.status, p.village_code, p.group_no, p.row_village_code, p.township_name,
               p.village_name, p.source, p.changed_at, p.valid_from, p.valid_to
           FROM asked JOIN record.past_household p USING (household_id) WHERE p.recorded_to = 'infinity'
           UNION ALL
           SELECT h.household_no, NULL, h.status, h.village_code, h.group_no, h.row_village_code, h.township_name,
               h.village_name, h.source, h.changed_at, h.valid_from, NULL
           FROM asked JOIN record.household h USING (household_id) WHERE h.held""",
        list(numbers),
        list(with_events),
    )
    held: defaultdict[str, list[tuple[UUID | None, Version]]] = defaultdict(list)
    for household_no, past_id, *version in records:
        held[household_no].append((past_id, Version(*version)))
    return held


async def _household_rows(
    connection: asyncpg.Connection, keys: KeyService, sources: Sequence[str], numbers: Sequence[str]
) -> dict[str, _Found]:
    wanted = [f"household|{number}" for number in numbers]
    records = await current_rows(connection, RowKind.HOUSEHOLD, sources, wanted)
    newest: dict[str, _Found] = {}
    for record in records:
        value = open_payload(keys, record["payload"], record["row_id"])["value"]
        row = _Found(household_from_value(value), value, record["source"])
        known = newest.get(row.state.household_no)
        if known is None or (row.state.changed_at, row.source) > (known.state.changed_at, known.source):
            newest[row.state.household_no] = row
    return newest


async def _write(
    connection: asyncpg.Connection,
    derived: Sequence[_Derived],
    held: Mapping[str, Sequence[tuple[UUID | None, Version]]],
    now: datetime,
) -> set[UUID]:
    homes = {household.number: household.county for household in derived}
    keys = await household_keys(connection, homes, homes)
    moves = [
        (keys[household.number], household.county, household.number)
        for household in derived
        if household.county is not None and household.county != keys[household.number].county
    ]
    await _move_households(connection, moves)
    counties = {key.household_id: county for key, county, _ in moves}
    columns = list(
        zip(*(_record(household, keys[household.number].household_id) for household in derived), strict=True)
    )
    records = await connection.fetch(_UPDATE, *columns, now)
    for household in derived:
        key = keys[household.number]
        await _write_past(connection, household, held.get(household.number, ()), key, counties, now)
    return {record["household_id"] for record in records} | counties.keys()


_UPDATE = """
WITH told AS (
    SELECT * FROM unnest($1::uuid[], $2::bool[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::timestamptz[], $11::date[], $12::bytea[])
        AS n (household_id, held, status, village_code, group_no, row_village_code, township_name, village_name, source,
              changed_at, valid_from, phone_index)
), changed AS (
    SELECT h.* FROM record.household h JOIN told n USING (household_id)
    WHERE (h.held, h.status, h.village_code, h.group_no, h.row_village_code, h.township_name, h.village_name,
           h.phone_index, h.source, h.valid_from)
          IS DISTINCT FROM (n.held, n.status, n.village_code, n.group_no, n.row_village_code, n.township_name,
                            n.village_name, n.phone_index, n.source, n.valid_from)
), past AS (
    INSERT INTO record.past_household (county, household_id, household_no, status, village_code, group_no,
        row_village_code, township_name, village_name, source, changed_at, valid_from, recorded_from, recorded_to)
    SELECT county, household_id, household_no, status, village_code, group_no, row_village_code, township_name,
        village_name, source, changed_at, valid_from, recorded_from, $13
    FROM changed WHERE held AND recorded_from < $13
)
UPDATE record.household h SET held = n.held, status = n.status, village_code = n.village_code,
    group_no = n.group_no, row_village_code = n.row_village_code, township_name = n.township_name,
    village_name = n.village_name, phone_index = n.phone_index, source = n.source, changed_at = n.changed_at,
    valid_from = n.valid_from, recorded_from = greatest(h.recorded_from, $13)
FROM told n JOIN changed c USING (household_id)
WHERE h.household_id = n.household_id
RETURNING h.household_id
"""


def _record(household: _Derived, household_id: UUID) -> tuple[Any, ...]:
    present = household.present
    if present is None:
        return (household_id, False, "CANCELLED", *[None] * 8, None)
    *content, _ = present
    return (household_id, True, *content, household.phone_index)


async def _write_past(
    connection: asyncpg.Connection,
    household: _Derived,
    held: Sequence[tuple[UUID | None, Version]],
    key: HouseholdKey,
    moved: Mapping[UUID, str | None],
    now: datetime,
) -> None:
    """Make the earlier places recorded now equal to those derived: rows are closed and added."""
    past = {version.content: past_id for past_id, version in held if past_id is not None}
    wanted = {version.content: version for version in household.versions[:-1]}
    if past.keys() == wanted.keys():
        return
    await connection.execute(
        "UPDATE record.past_household SET recorded_to = greatest($2, recorded_from) WHERE past_id = ANY($1)",
        [past_id for content, past_id in past.items() if content not in wanted],
        now,
    )
    county = moved.get(key.household_id) or key.county
    await connection.executemany(
        """INSERT INTO record.past_household (county, household_id, household_no, status, village_code, group_no,
               row_village_code, township_name, village_name, source, changed_at, valid_from, valid_to, recorded_from)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)""",
        [
            (county, key.household_id, household.number, *version, now)
            for content, version in wanted.items()
            if content not in past
        ],
    )


async def _move_households(
    connection: asyncpg.Connection, moves: Iterable[tuple[HouseholdKey, str | None, str]]
) -> None:
    """Re-key households to another county, with their memberships and household facts; old sections are dropped.

    The people of the household follow when their own county is settled (hub/records/people/persons.py).
    """
    moved = list(moves)
    if not moved:
        return
    ids = [key.household_id for key, _, _ in moved]
    old = [key.county for key, _, _ in moved]
    new = [county for _, county, _ in moved]
    numbers = [number for _, _, number in moved]
    rows = "FROM unnest($1::uuid[], $2::bpchar[], $3::bpchar[]) AS m (household_id, old_county, new_county)"
    for table in ("household", "past_household", "membership"):
        await connection.execute(
            f"""UPDATE record.{table} t SET county = m.new_county {rows}
                WHERE t.county = m.old_county AND t.household_id = m.household_id""",
            ids,
            old,
            new,
        )
    await connection.execute(
        """UPDATE record.household_directory t SET county = m.new_county
           FROM unnest($1::text[], $2::bpchar[]) AS m (household_no, new_county)
           WHERE t.household_no = m.household_no""",
        numbers,
        new,
    )
    await connection.execute(
        """UPDATE record.observation t SET county = m.new_county
           FROM unnest($1::text[], $2::bpchar[]) AS m (household_no, new_county)
           WHERE t.household_no = m.household_no AND t.kind = 'FACT'""",
        numbers,
        new,
    )
    await connection.execute("DELETE FROM record.section WHERE household_id = ANY($1)", ids)
