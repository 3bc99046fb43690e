"""Corrected ID numbers: which numbers belong to one person, when a correction comes and when it is revoked."""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

import asyncpg

from hub.records.effective import canonical_numbers
from hub.records.events import number_corrections


async def regroup_aliases(connection: asyncpg.Connection) -> set[str]:
    """Recompute the aliases from all unrevoked corrections; returns the members whose number is concerned.

    People behind numbers that became one are merged: the one on the roster keeps his id, else the one first known by
    the present number. Numbers that part again leave the id with the number the person was first known by; the facts
    under the others are linked anew. Cost: proportional to the corrections (a few hundred a year).
    """
    corrections, sealed = await number_corrections(connection)
    new = canonical_numbers(corrections)
    old = {
        record["alias_index"]: record["canonical_index"]
        for record in await connection.fetch("SELECT alias_index, canonical_index FROM record.alias")
    }
    changed = {index for index in new.keys() | old.keys() if new.get(index) != old.get(index)}
    if not changed:
        return set()
    concerned = changed | {mapping[index] for mapping in (new, old) for index in changed if index in mapping}
    # Everyone who shared or will share a present number with a changed one is judged anew.
    concerned |= {index for mapping in (new, old) for index, present in mapping.items() if present in concerned}
    await connection.execute("DELETE FROM record.alias WHERE alias_index = ANY($1)", list(changed))
    await connection.copy_records_to_table(
        "alias",
        schema_name="record",
        columns=["alias_index", "canonical_index", "sealed_number"],
        records=[(index, new[index], sealed[new[index]]) for index in changed if index in new],
    )
    groups: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for index in concerned:
        groups[new.get(index, index)].add(index)
    await _regroup_people(connection, groups, concerned)
    records = await connection.fetch(
        """SELECT DISTINCT member_no FROM record.membership
           WHERE number_index = ANY($1) AND recorded_to = 'infinity'""",
        list(concerned),
    )
    return {record["member_no"] for record in records}


async def _regroup_people(
    connection: asyncpg.Connection, groups: dict[bytes, set[bytes]], concerned: Collection[bytes]
) -> None:
    known = await connection.fetch(
        """SELECT d.blind_index, p.person_id, p.county, p.first_index, p.household_id IS NOT NULL AS on_roster
           FROM record.directory d JOIN record.person p ON p.county = d.county AND p.person_id = d.person_id
           WHERE d.blind_index = ANY($1)""",
        list(concerned),
    )
    people = {record["person_id"]: record for record in known}
    for present, numbers in groups.items():
        own = [person for person in people.values() if person["first_index"] in numbers]
        if not own:
            await connection.execute("DELETE FROM record.directory WHERE blind_index = ANY($1)", list(numbers))
            continue
        keeper = max(
            own, key=lambda person: (person["on_roster"], person["first_index"] == present, person["person_id"])
        )
        await connection.execute(
            """INSERT INTO record.directory (blind_index, person_id, county) SELECT unnest($1::bytea[]), $2, $3
               ON CONFLICT (blind_index) DO UPDATE SET person_id = EXCLUDED.person_id, county = EXCLUDED.county""",
            list(numbers),
            keeper["person_id"],
            keeper["county"],
        )
        await connection.execute(
            "UPDATE record.person SET identity_index = $3 WHERE county = $1 AND person_id = $2",
            keeper["county"],
            keeper["person_id"],
            present,
        )
        for person in own:
            if person["person_id"] != keeper["person_id"]:
                await _absorb(connection, keeper["person_id"], keeper["county"], person["person_id"], person["county"])
    await connection.execute(
        """INSERT INTO record.touched (row_id, kind, source, source_key)
           SELECT DISTINCT row_id, kind, source, source_key FROM record.observation
           WHERE subject_index = ANY($1) AND kind = 'FACT' AND recorded_from < recorded_to""",
        list(concerned),
    )


async def _absorb(
    connection: asyncpg.Connection, keeper: UUID, keeper_county: str, absorbed: UUID, absorbed_county: str
) -> None:
    """Everything about ``absorbed`` is about ``keeper`` from now on (history too: it always was one person)."""
    await connection.execute(
        "UPDATE record.observation SET person_id = $1, county = $2 WHERE county = $4 AND person_id = $3",
        keeper,
        keeper_county,
        absorbed,
        absorbed_county,
    )
    await connection.execute("UPDATE record.link_candidate SET person_id = $1 WHERE person_id = $2", keeper, absorbed)
    await connection.execute("DELETE FROM record.section WHERE person_id = $1", absorbed)
    await connection.execute(
        "DELETE FROM record.person WHERE county = $1 AND person_id = $2", absorbed_county, absorbed
    )
