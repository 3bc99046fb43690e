"""Households: random ids behind household numbers, their effective state, and the step that moves a county."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg

from hub.core.text import remove_white_space
from hub.records.effective import HouseholdState, effective_household, household_from_value
from hub.records.events import events_of_households
from hub.records.membership import HouseholdKey
from hub.records.payloads import open_payload
from hub.records.persons import CHUNK, NOWHERE
from hub.store.keys import KeyService


class _Found(NamedTuple):
    state: HouseholdState
    value: dict[str, Any]
    source: str


@dataclass(frozen=True, slots=True)
class _Derived:
    """A household ready to be written; ``found`` is ``None`` where no row is held any more."""

    number: str
    found: _Found | None
    state: HouseholdState | None
    phone_index: bytes | None

    @property
    def county(self) -> str | None:
        """Home county, the first six digits of the village code."""
        return None if self.state is None else self.state.village_code[:6]


def phone_text(phone: str) -> str:
    """The form in which phone numbers are compared."""
    return remove_white_space(phone)


async def household_keys(connection: asyncpg.Connection, numbers: Collection[str]) -> dict[str, HouseholdKey]:
    """Id and county of each household number; numbers never met get an id and a household that is not held."""
    wanted = sorted(numbers)
    records = await connection.fetch(
        "SELECT household_no, household_id, county FROM record.household_directory WHERE household_no = ANY($1)", wanted
    )
    found = {r["household_no"]: HouseholdKey(r["household_id"], r["county"]) for r in records}
    new = {number: HouseholdKey(uuid4(), NOWHERE) for number in wanted if number not in found}
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
    connection: asyncpg.Connection, keys: KeyService, sources: Sequence[str], numbers: Collection[str]
) -> set[UUID]:
    """Bring the state of these households up to date; returns the ids of those that changed."""
    changed: set[UUID] = set()
    wanted = sorted(numbers)
    for start in range(0, len(wanted), CHUNK):
        part = wanted[start : start + CHUNK]
        found = await _household_rows(connection, keys, sources, part)
        events = await events_of_households(connection, part)
        derived = []
        for number in part:
            row = found.get(number)
            state = effective_household(row.state, events.get(number, [])) if row else None
            phone = row.value["phone"] if row else None
            derived.append(_Derived(number, row, state, keys.index("phone", phone_text(phone)) if phone else None))
        changed |= await _write(connection, derived)
    return changed


async def _household_rows(
    connection: asyncpg.Connection, keys: KeyService, sources: Sequence[str], numbers: Sequence[str]
) -> dict[str, _Found]:
    records = await connection.fetch(
        """SELECT row_id, source, payload FROM record.observation
           WHERE source = ANY($1) AND source_key = ANY($2) AND recorded_to = 'infinity' AND NOT tombstone
             AND kind = 'HOUSEHOLD'""",
        list(sources),
        [f"household|{number}" for number in numbers],
    )
    newest: dict[str, _Found] = {}
    for record in records:
        value = open_payload(keys, record["payload"], record["row_id"])["value"]
        row = _Found(household_from_value(value), value, record["source"])
        known = newest.get(row.state.household_no)
        if known is None or (row.state.changed_at, row.source) > (known.state.changed_at, known.source):
            newest[row.state.household_no] = row
    return newest


async def _write(connection: asyncpg.Connection, derived: Sequence[_Derived]) -> set[UUID]:
    keys = await household_keys(connection, [household.number for household in derived])
    moves = [
        (keys[household.number], household.county, household.number)
        for household in derived
        if household.county is not None and household.county != keys[household.number].county
    ]
    await _move_households(connection, moves)
    columns = list(
        zip(*(_record(household, keys[household.number].household_id) for household in derived), strict=True)
    )
    records = await connection.fetch(
        """UPDATE record.household h SET held = n.held, status = n.status, village_code = n.village_code,
               group_no = n.group_no, row_village_code = n.row_village_code, township_name = n.township_name,
               village_name = n.village_name, phone_index = n.phone_index, source = n.source, changed_at = n.changed_at
           FROM unnest($1::uuid[], $2::bool[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                       $9::bytea[], $10::text[], $11::timestamptz[])
               AS n (household_id, held, status, village_code, group_no, row_village_code, township_name, village_name,
                     phone_index, source, changed_at)
           WHERE h.household_id = n.household_id
             AND (h.held, h.status, h.village_code, h.group_no, h.row_village_code, h.township_name, h.village_name,
                  h.phone_index, h.source)
                 IS DISTINCT FROM (n.held, n.status, n.village_code, n.group_no, n.row_village_code, n.township_name,
                                   n.village_name, n.phone_index, n.source)
           RETURNING h.household_id""",
        *columns,
    )
    return {record["household_id"] for record in records} | {key.household_id for key, _, _ in moves}


def _record(household: _Derived, household_id: UUID) -> tuple[Any, ...]:
    if household.found is None or household.state is None:
        return (household_id, False, "CANCELLED", None, None, None, None, None, None, None, None)
    state, value = household.state, household.found.value
    return (
        household_id, True, state.status, state.village_code, state.group_no, value["village_code"],
        value["township_name"], value["village_name"], household.phone_index, household.found.source, state.changed_at,
    )  # fmt: skip


async def _move_households(
    connection: asyncpg.Connection, moves: Iterable[tuple[HouseholdKey, str | None, str]]
) -> None:
    """Re-key households to another county, with their memberships and household facts; old sections are dropped.

    The people of the household follow when their own county is settled (hub/records/persons.py).
    """
    moved = list(moves)
    if not moved:
        return
    ids = [key.household_id for key, _, _ in moved]
    old = [key.county for key, _, _ in moved]
    new = [county for _, county, _ in moved]
    numbers = [number for _, _, number in moved]
    rows = "FROM unnest($1::uuid[], $2::bpchar[], $3::bpchar[]) AS m (household_id, old_county, new_county)"
    for table in ("household", "membership"):
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
