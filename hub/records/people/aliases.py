"""Corrected ID numbers: which numbers belong to one person, when a correction comes and when it is revoked."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg

from hub.core.names import LinkState
from hub.records.linkage.relink import NewLink, relink
from hub.records.people.effective import canonical_numbers
from hub.records.people.events import number_corrections


async def regroup_aliases(connection: asyncpg.Connection, now: datetime) -> set[str]:
    """Recompute the aliases from all unrevoked corrections; returns the members whose number is concerned.

    People behind numbers that became one are merged: the one on the roster keeps his id, else the one first known by
    the present number. The other stays in the past: ``record.past_directory`` says until when (``now``) a number led to
    him. Numbers that part again lead to the person who was first known by them; facts are linked anew. Cost:
    proportional to the corrections (a few hundred a year).
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
    await _regroup_people(connection, groups, concerned, now)
    records = await connection.fetch(
        """SELECT DISTINCT member_no FROM record.membership
           WHERE number_index = ANY($1) AND recorded_to = 'infinity'""",
        list(concerned),
    )
    return {record["member_no"] for record in records}


_KNOWN = """
SELECT p.person_id, p.county, p.first_index, p.household_id IS NOT NULL AS on_roster, p.merged_into
FROM record.person p
WHERE p.person_id IN (SELECT d.person_id FROM record.directory d WHERE d.blind_index = ANY($1))
UNION
SELECT p.person_id, p.county, p.first_index, false, p.merged_into
FROM record.person p WHERE p.merged_into IS NOT NULL AND p.first_index = ANY($1)
"""

_LEAD = """
WITH numbers AS (
    SELECT unnest($1::bytea[]) AS blind_index
), past AS (
    INSERT INTO record.past_directory (blind_index, person_id, recorded_to)
    SELECT d.blind_index, d.person_id, $4 FROM record.directory d JOIN numbers USING (blind_index)
    WHERE d.person_id <> $2
)
INSERT INTO record.directory (blind_index, person_id, county) SELECT blind_index, $2, $3 FROM numbers
ON CONFLICT (blind_index) DO UPDATE SET person_id = EXCLUDED.person_id, county = EXCLUDED.county
"""
"""Let numbers lead to a person; whom they led to before stays in the past."""

_LEAD_NOWHERE = """
WITH removed AS (
    DELETE FROM record.directory WHERE blind_index = ANY($1) RETURNING blind_index, person_id
)
INSERT INTO record.past_directory (blind_index, person_id, recorded_to)
SELECT blind_index, person_id, $2 FROM removed
"""


async def _regroup_people(
    connection: asyncpg.Connection, groups: dict[bytes, set[bytes]], concerned: Collection[bytes], now: datetime
) -> None:
    people = await connection.fetch(_KNOWN, list(concerned))
    for present, numbers in groups.items():
        own = [person for person in people if person["first_index"] in numbers]
        if not own:
            await connection.execute(_LEAD_NOWHERE, list(numbers), now)
            continue
        keeper = max(
            own,
            key=lambda person: (
                person["on_roster"],
                person["merged_into"] is None,
                person["first_index"] == present,
                person["person_id"],
            ),
        )
        await connection.execute(_LEAD, list(numbers), keeper["person_id"], keeper["county"], now)
        await connection.execute(
            "UPDATE record.person SET identity_index = $3, merged_into = NULL WHERE county = $1 AND person_id = $2",
            keeper["county"],
            keeper["person_id"],
            present,
        )
        for person in own:
            if person["person_id"] != keeper["person_id"]:
                await _absorb(connection, keeper["person_id"], person["person_id"], person["county"], now)
    await connection.execute(
        """INSERT INTO record.touched (row_id, kind, source, source_key)
           SELECT DISTINCT row_id, kind, source, source_key FROM record.observation
           WHERE subject_index = ANY($1) AND kind = 'FACT' AND recorded_from < recorded_to""",
        list(concerned),
    )


async def _absorb(
    connection: asyncpg.Connection, keeper: UUID, absorbed: UUID, absorbed_county: str, now: datetime
) -> None:
    """From now on ``absorbed`` is ``keeper``. Facts under his numbers are linked anew; those without a number follow
    here. His own row stays: readings as of an earlier instant are about him.
    """
    tied = await connection.fetch(
        """SELECT row_id, link FROM record.observation
           WHERE county = $1 AND person_id = $2 AND link <> 'ID' AND recorded_to = 'infinity'""",
        absorbed_county,
        absorbed,
    )
    await relink(connection, [NewLink(row["row_id"], LinkState(row["link"]), keeper) for row in tied], now)
    await connection.execute("UPDATE record.link_candidate SET person_id = $1 WHERE person_id = $2", keeper, absorbed)
    await connection.execute("DELETE FROM record.section WHERE person_id = $1", absorbed)
    await connection.execute(
        "UPDATE record.person SET merged_into = $3 WHERE county = $1 AND person_id = $2",
        absorbed_county,
        absorbed,
        keeper,
    )
