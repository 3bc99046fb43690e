"""People: random ids behind ID numbers, their aliases, the household each belongs to, and the step that moves a county.

The directory (blind index -> person) is the only way from an ID number to a person. A person who is on no roster lives
under county 000000 until one brings him.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg

from hub.core.identifiers import birth_date
from hub.records.intake.payloads import open_identity, seal_identity
from hub.store.keys import KeyService

NOWHERE = "000000"
"""The county code of people who are on no roster."""

CHUNK = 5_000
"""Rows handled in one statement: bounds the memory of hub and server."""


@dataclass(frozen=True, slots=True)
class Aliases:
    """Corrected numbers: ``canonical`` leads from their index to the present one's, ``numbers`` from there to text."""

    canonical: dict[bytes, bytes]
    numbers: dict[bytes, str]

    def present(self, index: bytes, number: str) -> tuple[bytes, str]:
        """Blind index and text of the number that the person with ``number`` has now."""
        canonical = self.canonical.get(index, index)
        return canonical, self.numbers.get(canonical, number)


@dataclass(frozen=True, slots=True)
class Subject:
    """An ID number met in a row, with every blind index it may be known by (newest first).

    ``county`` is where a person never met before is put; where he belongs is worked out by :func:`settle_people`.
    """

    number: str
    indexes: tuple[bytes, ...]
    name: str | None = None
    county: str = NOWHERE

    @property
    def index(self) -> bytes:
        """The blind index under the newest key."""
        return self.indexes[0]


def subject_of(keys: KeyService, number: str, name: str | None = None, county: str = NOWHERE) -> Subject:
    """The subject with this checked 18-character ID number."""
    return Subject(number, tuple(keys.indexes("identity", number)), name, county)


async def load_aliases(connection: asyncpg.Connection, keys: KeyService) -> Aliases:
    """All corrected numbers; a few hundred a year in a prefecture."""
    records = await connection.fetch("SELECT alias_index, canonical_index, sealed_number FROM record.alias")
    numbers: dict[bytes, str] = {}
    for record in records:
        if record["canonical_index"] not in numbers:
            opened = open_identity(keys, record["sealed_number"], record["canonical_index"])
            numbers[record["canonical_index"]] = opened["id_number"] or ""
    return Aliases({record["alias_index"]: record["canonical_index"] for record in records}, numbers)


async def people_of(
    connection: asyncpg.Connection, keys: KeyService, aliases: Aliases, subjects: Sequence[Subject]
) -> dict[bytes, UUID]:
    """The person behind each number (key: its newest blind index); people never met before are made.

    One look-up and at most two inserts for the whole batch.
    """
    wanted = {index for subject in subjects for index in subject.indexes}
    wanted |= {aliases.canonical.get(index, index) for index in wanted}
    known = await connection.fetch(
        "SELECT blind_index, person_id, county FROM record.directory WHERE blind_index = ANY($1)", list(wanted)
    )
    person_by_index: dict[bytes, UUID] = {record["blind_index"]: record["person_id"] for record in known}
    county_by_person: dict[UUID, str] = {record["person_id"]: record["county"] for record in known}
    added: dict[bytes, UUID] = {}
    made: list[tuple[UUID, bytes, Subject, str]] = []
    for subject in subjects:
        canonical, number = aliases.present(subject.index, subject.number)
        candidates = (person_by_index.get(index) for index in (canonical, *subject.indexes))
        person_id = next((candidate for candidate in candidates if candidate is not None), None)
        if person_id is None:
            person_id = uuid4()
            county_by_person[person_id] = subject.county
            made.append((person_id, canonical, subject, number))
        for index in (subject.index, canonical):
            if index not in person_by_index:
                person_by_index[index] = added[index] = person_id
    await _insert(connection, keys, added, county_by_person, made)
    return {subject.index: person_by_index[subject.index] for subject in subjects}


async def _insert(
    connection: asyncpg.Connection,
    keys: KeyService,
    added: dict[bytes, UUID],
    counties: dict[UUID, str],
    made: list[tuple[UUID, bytes, Subject, str]],
) -> None:
    if added:
        await connection.copy_records_to_table(
            "directory",
            schema_name="record",
            columns=["blind_index", "person_id", "county"],
            records=[(index, person_id, counties[person_id]) for index, person_id in added.items()],
        )
    if made:
        await connection.copy_records_to_table(
            "person",
            schema_name="record",
            columns=["county", "person_id", "identity_index", "first_index", "birth_date", "sealed_identity"],
            records=[
                (subject.county, person_id, canonical, subject.index, birth_date(number),
                 seal_identity(keys, subject.name, number, person_id.bytes))
                for person_id, canonical, subject, number in made
            ],
        )  # fmt: skip


_STAYS = """
SELECT a.person_id, coalesce(bool_or(m.died_on IS NOT NULL), false) AS died,
    (array_agg(m.county ORDER BY m.valid_from DESC, m.member_no)
        FILTER (WHERE h.held AND h.status = 'ACTIVE'))[1] AS county,
    (array_agg(m.membership_id ORDER BY m.valid_from DESC, m.member_no)
        FILTER (WHERE h.held AND h.status = 'ACTIVE'))[1] AS membership_id
FROM unnest($1::uuid[]) AS a (person_id)
LEFT JOIN record.membership m ON m.person_id = a.person_id AND m.recorded_to = 'infinity' AND m.valid_to IS NULL
LEFT JOIN record.household h ON h.household_id = m.household_id AND h.county = m.county
GROUP BY a.person_id
"""
"""Of several current memberships the one joined last makes the household of the person.

One aggregate and no join of one intermediate result with another: however wrong the planner's idea of a first load is,
each join goes over an index.
"""

_MOVED = f"""
SELECT p.person_id, p.county AS old_county, s.county AS new_county
FROM ({_STAYS}) s JOIN record.person p USING (person_id) WHERE p.county <> s.county
"""

_SETTLE = f"""
UPDATE record.person p SET
    household_id = m.household_id, member_no = m.member_no,
    status = CASE WHEN s.died THEN 'DECEASED' ELSE 'ACTIVE' END,
    name_index = coalesce(m.name_index, p.name_index),
    identity_index = coalesce(m.identity_index, p.identity_index),
    birth_date = coalesce(m.birth_date, p.birth_date),
    sealed_identity = coalesce(m.sealed, p.sealed_identity)
FROM ({_STAYS}) s LEFT JOIN record.membership m ON m.county = s.county AND m.membership_id = s.membership_id
WHERE p.person_id = s.person_id
  AND (p.household_id, p.member_no, p.status, p.sealed_identity)
      IS DISTINCT FROM (m.household_id, m.member_no, CASE WHEN s.died THEN 'DECEASED' ELSE 'ACTIVE' END,
                        coalesce(m.sealed, p.sealed_identity))
"""


async def settle_people(connection: asyncpg.Connection, person_ids: Collection[UUID]) -> None:
    """Work out the household, county, name and status of these people from their current memberships."""
    ids = list(person_ids)
    for start in range(0, len(ids), CHUNK):
        part = ids[start : start + CHUNK]
        moved = await connection.fetch(_MOVED, part)
        await move_people(connection, [(r["person_id"], r["old_county"], r["new_county"]) for r in moved])
        await connection.execute(_SETTLE, part)


async def move_people(connection: asyncpg.Connection, moves: Sequence[tuple[UUID, str, str]]) -> None:
    """Re-key people to another county: person, directory and every version of their observations, in one step.

    The county is part of the primary keys (and the distribution key of a distributed store), so this is the only place
    that changes it for people. Must run inside the caller's transaction.
    """
    if not moves:
        return
    ids, old, new = [m[0] for m in moves], [m[1] for m in moves], [m[2] for m in moves]
    moved = "FROM unnest($1::uuid[], $2::bpchar[], $3::bpchar[]) AS m (person_id, old_county, new_county)"
    for table in ("person", "observation", "challenge"):
        await connection.execute(
            f"""UPDATE record.{table} t SET county = m.new_county {moved}
                WHERE t.county = m.old_county AND t.person_id = m.person_id""",
            ids,
            old,
            new,
        )
    await connection.execute(
        f"UPDATE record.directory t SET county = m.new_county {moved} WHERE t.person_id = m.person_id", ids, old, new
    )
