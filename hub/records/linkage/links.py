"""Links facts to people: by ID number, and clinic rows without one by name and village.

A link by name and village is ``PROBABLE`` or ``REVIEW`` and only for a data steward's eyes (docs/CONTRACTS.md 1.3). A
link once made stays until a reviewer decides otherwise (hub/records/linkage/link_decisions.py) or the row gets a new
version; what was decided goes before every rule here.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from hub.core.clock import day_of, system_clock, years_before
from hub.core.identifiers import ADULT_AGE
from hub.core.names import LinkState
from hub.core.text import normalise_name
from hub.records.intake.payloads import open_hint, open_payload
from hub.records.intake.statistics import BULK, take_statistics
from hub.records.linkage.link_decisions import keep_decisions
from hub.records.linkage.relink import NewLink, relink
from hub.records.people.households import phone_text
from hub.records.people.persons import CHUNK, load_aliases, people_of, subject_of
from hub.records.people.places import Gazetteer, VillageName
from hub.records.people.roster import mark_stale
from hub.store.keys import KeyService

_TAKEN_AT_ONCE = 100_000
"""Touched rows taken off the list at a time: bounds memory; each time what was taken before is gone over again."""

LENT_PHONE_MAX = 5
"""A phone given by more current households than this is a cadre's and tells nobody apart (docs/CONTRACTS.md 1.3)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member who may be meant by a row without ID number."""

    member_no: str
    person_id: UUID
    same_phone: bool


def decide(candidates: Sequence[Candidate], phone_households: int) -> tuple[LinkState, tuple[Candidate, ...]]:
    """The link that these candidates allow, and those it names: the linked one, or all for review.

    ``phone_households`` is the number of current households that gave the phone of the row.
    """
    if not candidates:
        return LinkState.UNLINKED, ()
    if len(candidates) == 1:
        return LinkState.PROBABLE, tuple(candidates)
    same_phone = [candidate for candidate in candidates if candidate.same_phone]
    if len(same_phone) == 1 and phone_households <= LENT_PHONE_MAX:
        return LinkState.PROBABLE, (same_phone[0],)
    return LinkState.REVIEW, tuple(sorted(candidates, key=lambda candidate: candidate.member_no))


async def link_facts(connection: asyncpg.Connection, keys: KeyService, now: datetime) -> None:
    """Link every fact that is new since the last time; households whose facts changed are marked stale.

    Facts of people whom no roster names yet are linked too: their person lives under county 000000. Cost: one look-up
    and one update per batch of touched rows.
    """
    async with connection.transaction():
        async for row_ids in _touched_facts(connection):
            await _make_people(connection, keys, row_ids)
            await keep_decisions(connection, keys, row_ids, now)
            await _link_by_number(connection, row_ids, now)
            await connection.execute(
                """UPDATE record.observation o SET county = h.county FROM record.household_directory h
                   WHERE o.row_id = ANY($1) AND o.kind = 'FACT' AND h.household_no = o.household_no
                     AND o.county <> h.county""",
                row_ids,
            )
            await _mark_stale_by_rows(connection, row_ids)
        await _mark_stale_by_consents(connection)
        await _link_by_place(connection, keys, now)


async def unlinked_rows(connection: asyncpg.Connection, keys: KeyService, now: datetime | None = None) -> set[UUID]:
    """Rows without ID number for which nobody can be meant: current ones, and those in quarantine for that reason.

    Everything that can be linked is linked first. ``now`` says who is an adult; by default the start of the last run.
    """
    if now is None:
        now = await connection.fetchval("SELECT max(started_at) FROM ingest.run") or system_clock()
    async with connection.transaction():
        await _link_by_place(connection, keys, now)
    return {record["row_id"] for record in await connection.fetch(_UNLINKED)}


async def _touched_facts(connection: asyncpg.Connection) -> AsyncIterator[list[UUID]]:
    """Parts of the touched facts, until none is left: a link that changed adds a version, which is touched again."""
    is_first = True
    while True:
        records = await connection.fetch(
            """DELETE FROM record.touched WHERE ctid = ANY (ARRAY (
                   SELECT ctid FROM record.touched WHERE kind IN ('FACT', 'HOUSEHOLD_FACT') LIMIT $1))
               RETURNING row_id""",
            _TAKEN_AT_ONCE,
        )
        row_ids = list({record["row_id"] for record in records})
        if not row_ids:
            return
        if is_first and len(row_ids) >= BULK:
            await take_statistics(connection, "observation", "directory", "person")
        is_first = False
        for start in range(0, len(row_ids), CHUNK):
            yield row_ids[start : start + CHUNK]


async def _make_people(connection: asyncpg.Connection, keys: KeyService, row_ids: Sequence[UUID]) -> None:
    """People whom the directory does not know yet; a number indexed under an older key leads to the same person."""
    records = await connection.fetch(
        """SELECT DISTINCT ON (o.subject_index) o.subject_index, o.row_id, o.payload FROM record.observation o
           WHERE o.row_id = ANY($1) AND o.kind = 'FACT' AND o.subject_index IS NOT NULL
             AND NOT EXISTS (SELECT FROM record.directory d WHERE d.blind_index = o.subject_index)""",
        row_ids,
    )
    if not records:
        return
    numbers = {r["subject_index"]: open_payload(keys, r["payload"], r["row_id"])["id_number"] for r in records}
    subjects = {index: subject_of(keys, number) for index, number in numbers.items()}
    people = await people_of(connection, keys, await load_aliases(connection, keys), list(subjects.values()))
    await connection.executemany(
        """INSERT INTO record.directory (blind_index, person_id, county)
           SELECT $1, person_id, county FROM record.person WHERE person_id = $2 ON CONFLICT DO NOTHING""",
        [(index, people[subject.index]) for index, subject in subjects.items() if index != subject.index],
    )


async def _link_by_number(connection: asyncpg.Connection, row_ids: Sequence[UUID], now: datetime) -> None:
    """Rows never linked before, in place; those whose number has come to mean another person, with the history kept."""
    await connection.execute(
        """UPDATE record.observation o SET person_id = d.person_id, county = d.county, link = 'ID'
           FROM record.directory d
           WHERE o.row_id = ANY($1) AND o.kind = 'FACT' AND d.blind_index = o.subject_index
             AND (o.link IS NULL OR (o.link = 'ID' AND o.person_id = d.person_id AND o.county <> d.county))""",
        row_ids,
    )
    # While the planner still believes that nothing is linked it would go through all that is, by the index over people.
    records = await connection.fetch(
        """SELECT DISTINCT o.row_id, d.person_id FROM record.observation o
           JOIN record.directory d ON d.blind_index = o.subject_index
           WHERE o.row_id = ANY($1) AND o.link = 'ID' AND o.recorded_to = 'infinity'
             AND coalesce(o.person_id, d.person_id) <> d.person_id""",
        row_ids,
    )
    await relink(connection, [NewLink(r["row_id"], LinkState.ID, r["person_id"]) for r in records], now)


async def _mark_stale_by_rows(connection: asyncpg.Connection, row_ids: Sequence[UUID]) -> None:
    records = await connection.fetch(
        """SELECT DISTINCT o.person_id, h.household_id FROM record.observation o
           LEFT JOIN record.household_directory h ON h.household_no = o.household_no
           WHERE o.row_id = ANY($1) AND (o.person_id IS NOT NULL OR h.household_id IS NOT NULL)""",
        row_ids,
    )
    await mark_stale(
        connection,
        {r["household_id"] for r in records if r["household_id"] is not None},
        {r["person_id"] for r in records if r["person_id"] is not None},
    )


async def _mark_stale_by_consents(connection: asyncpg.Connection) -> None:
    """A consent that changed locks or frees the facts that rest on it."""
    changed = await connection.fetch(
        """DELETE FROM record.touched WHERE kind IN ('FURNISHING', 'CONSENT') RETURNING kind, source, source_key"""
    )
    consents: defaultdict[str, set[str]] = defaultdict(set)
    for record in changed:
        if record["kind"] == "FURNISHING":
            consents[record["source"]].add(record["source_key"])
    for source, names in consents.items():
        records = await connection.fetch(
            """SELECT DISTINCT person_id FROM record.observation
               WHERE consent_id = ANY($2) AND source = $1 AND recorded_to = 'infinity'""",
            source,
            list(names),
        )
        await mark_stale(connection, (), {r["person_id"] for r in records if r["person_id"] is not None})


_WITHOUT_NUMBER = """
    o.hint IS NOT NULL AND o.subject_index IS NULL AND o.link IS NULL AND o.kind = 'FACT' AND NOT o.tombstone
    AND (o.recorded_to = 'infinity' OR EXISTS (
        SELECT FROM ingest.held_row h WHERE h.row_id = o.row_id AND h.state = 'QUARANTINED' AND h.reason = 22))
"""

_UNLINKED = f"""
SELECT o.row_id FROM record.observation o WHERE {_WITHOUT_NUMBER}
UNION SELECT h.row_id FROM ingest.held_row h JOIN record.observation o USING (row_id)
WHERE h.state = 'QUARANTINED' AND h.reason = 22 AND h.reason IN (21, 22) AND o.link = 'UNLINKED'
"""
"""What a reviewer found nobody for stays where it is."""

_CANDIDATES = """
SELECT DISTINCT a.row_id, m.member_no, m.person_id, h.phone_index
FROM unnest($1::uuid[], $2::bytea[], $3::text[]) AS a (row_id, name_index, village_code)
JOIN record.membership m ON m.name_index = a.name_index AND m.recorded_to = 'infinity' AND m.valid_to IS NULL
    AND m.died_on IS NULL AND m.birth_date <= $4
JOIN record.household h ON h.county = m.county AND h.household_id = m.household_id
    AND h.held AND h.status = 'ACTIVE' AND h.village_code = a.village_code
JOIN record.person p ON p.county = m.county AND p.person_id = m.person_id AND p.household_id = m.household_id
    AND p.member_no = m.member_no AND p.status = 'ACTIVE'
"""


async def _link_by_place(connection: asyncpg.Connection, keys: KeyService, now: datetime) -> None:
    records = await connection.fetch(
        f"SELECT DISTINCT ON (o.row_id) o.row_id, o.hint FROM record.observation o WHERE {_WITHOUT_NUMBER}"
    )
    decided = await keep_decisions(connection, keys, [record["row_id"] for record in records], now)
    records = [record for record in records if record["row_id"] not in decided]
    if not records:
        return
    villages = await connection.fetch(
        """SELECT DISTINCT row_village_code, township_name, village_name FROM record.household
           WHERE held AND row_village_code IS NOT NULL AND township_name IS NOT NULL AND village_name IS NOT NULL"""
    )
    gazetteer = Gazetteer(VillageName(*village) for village in villages)
    hints = {record["row_id"]: open_hint(keys, record["hint"], record["row_id"]) for record in records}
    asked: list[tuple[UUID, bytes, str]] = []
    phones: dict[UUID, list[bytes]] = {}
    for row_id, hint in hints.items():
        village_code = gazetteer.resolve(hint["address"])
        if village_code is not None:
            asked += [(row_id, i, village_code) for i in keys.indexes("name", normalise_name(hint["name"] or ""))]
            phones[row_id] = keys.indexes("phone", phone_text(hint["phone"])) if hint["phone"] else []
    candidates = await _candidates(connection, asked, phones, years_before(day_of(now), ADULT_AGE))
    shared = await _phone_households(connection, {index for row in phones.values() for index in row})
    decisions = {
        row_id: decide(found, sum(shared.get(index, 0) for index in phones[row_id]))
        for row_id, found in candidates.items()
    }
    await _store(connection, decisions, now)


async def _candidates(
    connection: asyncpg.Connection,
    asked: Sequence[tuple[UUID, bytes, str]],
    phones: Mapping[UUID, Sequence[bytes]],
    born_until: date,
) -> dict[UUID, list[Candidate]]:
    """Living adult members of that name in that village, each with the membership in his own household."""
    records = await connection.fetch(
        _CANDIDATES, [a[0] for a in asked], [a[1] for a in asked], [a[2] for a in asked], born_until
    )
    found: defaultdict[UUID, list[Candidate]] = defaultdict(list)
    for record in records:
        same_phone = record["phone_index"] in phones[record["row_id"]]
        found[record["row_id"]].append(Candidate(record["member_no"], record["person_id"], same_phone))
    return found


async def _phone_households(connection: asyncpg.Connection, indexes: set[bytes]) -> dict[bytes, int]:
    records = await connection.fetch(
        """SELECT phone_index, count(*) AS households FROM record.household
           WHERE phone_index = ANY($1) AND held AND status = 'ACTIVE' GROUP BY phone_index""",
        list(indexes),
    )
    return {record["phone_index"]: record["households"] for record in records}


async def _store(
    connection: asyncpg.Connection, decisions: Mapping[UUID, tuple[LinkState, tuple[Candidate, ...]]], now: datetime
) -> None:
    links: list[NewLink] = []
    named: list[tuple[UUID, str, UUID]] = []
    for row_id, (state, candidates) in decisions.items():
        links.append(NewLink(row_id, state, candidates[0].person_id if state is LinkState.PROBABLE else None))
        named += [(row_id, candidate.member_no, candidate.person_id) for candidate in candidates]
    await relink(connection, links, now)
    await connection.execute(
        """INSERT INTO record.link_candidate (row_id, member_no, person_id)
           SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[]) ON CONFLICT DO NOTHING""",
        [row[0] for row in named],
        [row[1] for row in named],
        [row[2] for row in named],
    )


_LISTED = """
WITH without_number AS (
    SELECT o.row_id, o.person_id, o.source_key, coalesce(o.link, 'UNLINKED') AS state FROM record.observation o
    WHERE o.source = $1 AND o.recorded_to = 'infinity' AND o.hint IS NOT NULL AND o.subject_index IS NULL
      AND NOT o.tombstone
    UNION ALL
    SELECT DISTINCT ON (h.source_key) NULL::uuid, NULL::uuid, h.source_key, 'UNLINKED' FROM ingest.held_row h
    WHERE h.source = $1 AND h.state = 'QUARANTINED' AND h.reason = 22 AND h.reason IN (21, 22)
      AND NOT EXISTS (SELECT FROM ingest.held_row c
                      WHERE c.source = h.source AND c.source_key = h.source_key AND c.is_current)
)
SELECT w.source_key, w.state,
    coalesce(array_agg('member|' || c.member_no ORDER BY c.member_no) FILTER (WHERE c.member_no IS NOT NULL), '{}')
        AS candidates
FROM without_number w LEFT JOIN LATERAL (
    SELECT l.member_no FROM record.link_candidate l WHERE l.row_id = w.row_id AND w.state IN ('PROBABLE', 'REVIEW')
    UNION
    SELECT p.member_no FROM record.person p WHERE p.person_id = w.person_id AND w.state = 'CONFIRMED') c ON true
GROUP BY w.source_key, w.state ORDER BY w.source_key
"""


async def list_links(connection: asyncpg.Connection, source: str) -> list[dict[str, Any]]:
    """One entry for each row without ID number of a source, as docs/CONTRACTS.md 2.6 writes it, sorted by key.

    ``UNLINKED`` rows are those that wait in quarantine for a candidate, and those for which a reviewer found nobody;
    ``CONFIRMED`` ones were linked by a reviewer. Numbers of members and rows only, no names.
    """
    return [
        {"source": source, "source_key": r["source_key"], "state": r["state"], "candidates": list(r["candidates"])}
        for r in await connection.fetch(_LISTED, source)
    ]
