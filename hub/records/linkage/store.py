"""Loads what is to be scored from the record, and writes the proposals."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson
import pyarrow as pa

from hub.core.clock import years_before
from hub.core.identifiers import ADULT_AGE
from hub.core.text import normalise_text
from hub.records.intake.payloads import open_hint, open_identity, open_payload
from hub.records.linkage.link_review import DAMAGED_NUMBER, WireHint, wire_hint
from hub.records.linkage.links import LENT_PHONE_MAX
from hub.records.linkage.locating import Locator
from hub.records.linkage.model import model_name
from hub.records.linkage.scoring import Scored, score
from hub.records.linkage.tables import People, Unnamed, rows_table
from hub.records.people.effective import NUMBER
from hub.records.people.households import phone_text
from hub.records.people.places import VillageName
from hub.store.keys import KeyService

_CHUNK = 5_000
"""People opened at a time; only their table lines stay in memory."""

_WRITING = 7_241_019
"""Advisory lock held while proposals are written."""


class _Said(NamedTuple):
    row_id: UUID
    hint: WireHint


@dataclass(slots=True)
class Phones:
    """The phones that rows give, numbered from 1, and which of them are lent to many households."""

    numbers: dict[bytes, int] = field(default_factory=dict)
    lent: set[int] = field(default_factory=set)

    def number_of(self, index: bytes | None) -> int | None:
        """The number of a household's phone: 0 if no row gives it, ``None`` if the household has none."""
        return None if index is None else self.numbers.get(index, 0)


@dataclass(frozen=True, slots=True)
class Proposed:
    """What a scoring came to: rows scored, and proposals by band."""

    rows: int
    proposals: dict[str, int]
    model: str


_WAITING = """
SELECT o.row_id, o.hint FROM record.observation o
WHERE o.recorded_to = 'infinity' AND o.kind = 'FACT' AND NOT o.tombstone AND o.link IN ('PROBABLE', 'REVIEW')
  AND o.hint IS NOT NULL
UNION ALL
SELECT DISTINCT ON (o.row_id) o.row_id, o.hint
FROM ingest.quarantine q JOIN record.observation o USING (row_id)
WHERE q.status = 'OPEN' AND q.reason = 22 AND o.link IS NULL AND o.hint IS NOT NULL
"""

_DAMAGED = """
SELECT q.row_id, q.sealed_row, s.kind FROM ingest.quarantine q JOIN ingest.source_state s USING (source)
WHERE q.status = 'OPEN' AND q.reason = ANY($1) AND q.sealed_row IS NOT NULL
"""

_PEOPLE = """
SELECT p.person_id, p.sealed_identity, h.village_code, h.phone_index FROM record.person p
JOIN record.household h ON h.county = p.county AND h.household_id = p.household_id AND h.held AND h.status = 'ACTIVE'
WHERE p.status = 'ACTIVE' AND p.birth_date <= $1 AND h.village_code IS NOT NULL
"""

_PEOPLE_BY_NUMBER = """
SELECT d.blind_index, p.person_id, p.sealed_identity, h.village_code, h.phone_index FROM record.directory d
JOIN record.person p ON p.county = d.county AND p.person_id = d.person_id
JOIN record.household h ON h.county = p.county AND h.household_id = p.household_id AND h.held AND h.status = 'ACTIVE'
WHERE d.blind_index = ANY($2) AND p.status = 'ACTIVE' AND p.birth_date <= $1 AND h.village_code IS NOT NULL
"""


async def propose(connection: asyncpg.Connection, keys: KeyService, today: date, now: datetime) -> Proposed:
    """Score every row that waits for a reviewer against the living adults of the roster, and write the proposals.

    In the caller's transaction. What a reviewer has refused for a row is not proposed for it again. Time goes with the
    size of the roster: a person costs about ten microseconds to open, Splink about as much again.
    """
    said = await _waiting(connection, keys)
    found: list[Scored] = []
    people_ids: list[bytes] = []
    if said:
        phones = await _phones(connection, keys, said)
        rows = rows_table(_unnamed(keys, said, await _locator(connection), phones))
        people, people_ids, former_from = await _people(connection, keys, phones, years_before(today, ADULT_AGE))
        found = await asyncio.to_thread(score, people, rows, former_from=former_from)
    refused = await _refused(connection, [one.row_id for one in said])
    kept: dict[tuple[UUID, UUID], Scored] = {}
    for proposal in found:  # the likeliest first: a person found by two numbers is proposed once
        pair = said[proposal.row].row_id, UUID(bytes=people_ids[proposal.person])
        if pair not in refused:
            kept.setdefault(pair, proposal)
    await _write(connection, [one.row_id for one in said], kept, now)
    bands = Counter(proposal.band for proposal in kept.values())
    return Proposed(len(said), dict(sorted(bands.items())), model_name())


async def _waiting(connection: asyncpg.Connection, keys: KeyService) -> list[_Said]:
    said = []
    for record in await connection.fetch(_WAITING):
        hint = open_hint(keys, record["hint"], record["row_id"])
        said.append(_Said(record["row_id"], WireHint(hint["name"], hint["address"], hint["phone"], None)))
    for record in await connection.fetch(_DAMAGED, [int(reason) for reason in DAMAGED_NUMBER]):
        wire = orjson.loads(keys.open("quarantine", record["sealed_row"], record["row_id"].bytes))
        said.append(_Said(record["row_id"], WireHint(*map(normalise_text, wire_hint(record["kind"], wire)))))
    return [one for one in said if one.hint.name]


async def _locator(connection: asyncpg.Connection) -> Locator:
    """All names that households give to villages; those not refreshed for long give the old names."""
    records = await connection.fetch(
        """SELECT DISTINCT row_village_code, township_name, village_name FROM record.household
           WHERE held AND row_village_code IS NOT NULL AND township_name IS NOT NULL AND village_name IS NOT NULL"""
    )
    return Locator(VillageName(*record) for record in records)


async def _phones(connection: asyncpg.Connection, keys: KeyService, said: Sequence[_Said]) -> Phones:
    phones = Phones()
    given = sorted({phone_text(one.hint.phone) for one in said if one.hint.phone})
    for number, phone in enumerate(given, start=1):
        for index in keys.indexes("phone", phone):
            phones.numbers[index] = number
    for record in await connection.fetch(
        """SELECT phone_index, count(*) AS households FROM record.household
           WHERE phone_index = ANY($1) AND held AND status = 'ACTIVE' GROUP BY phone_index""",
        list(phones.numbers),
    ):
        if record["households"] > LENT_PHONE_MAX:
            phones.lent.add(phones.numbers[record["phone_index"]])
    return phones


def _unnamed(keys: KeyService, said: Sequence[_Said], locator: Locator, phones: Phones) -> list[Unnamed]:
    rows = []
    for key, (_, hint) in enumerate(said):
        phone = phones.numbers[keys.index("phone", phone_text(hint.phone))] if hint.phone else None
        place = locator.locate(hint.address)
        rows.append(Unnamed(key, hint.name or "", place, phone, phone in phones.lent, hint.id_number))
    return rows


async def _people(
    connection: asyncpg.Connection, keys: KeyService, phones: Phones, born_until: date
) -> tuple[pa.Table, list[bytes], int]:
    """The table of living adults, numbered from 0, and their ids in that order; from the number returned last on the
    lines repeat people under numbers that were corrected since.
    """
    people, ids = People(), []
    number_of = phones.number_of
    cursor = await connection.cursor(_PEOPLE, born_until)
    while records := await cursor.fetch(_CHUNK):
        for person_id, sealed, village_code, phone_index in records:
            context = person_id.bytes
            identity = open_identity(keys, sealed, context)
            people.add(identity["name"] or "", village_code, number_of(phone_index), identity["id_number"])
            ids.append(context)
    former_from = len(ids)
    former = await _former_numbers(connection, keys)
    for blind_index, person_id, sealed, village_code, phone_index in await connection.fetch(
        _PEOPLE_BY_NUMBER, born_until, list(former)
    ):
        identity = open_identity(keys, sealed, person_id.bytes)
        people.add(identity["name"] or "", village_code, number_of(phone_index), former[blind_index])
        ids.append(person_id.bytes)
    return people.table(), ids, former_from


async def _former_numbers(connection: asyncpg.Connection, keys: KeyService) -> dict[bytes, str]:
    """Numbers that the police corrected, by blind index; a few hundred a year."""
    numbers = {}
    for record in await connection.fetch(
        """SELECT DISTINCT ON (o.row_id) o.row_id, o.payload FROM record.roster_event e
           JOIN record.observation o USING (row_id) WHERE e.event_type = $1 AND o.recorded_to = 'infinity'""",
        NUMBER,
    ):
        for member in open_payload(keys, record["payload"], record["row_id"])["value"]["members"]:
            if member["old_id_number"]:
                numbers[keys.index("identity", member["old_id_number"])] = member["old_id_number"]
    return numbers


async def _refused(connection: asyncpg.Connection, row_ids: Collection[UUID]) -> set[tuple[UUID, UUID]]:
    records = await connection.fetch(
        """SELECT DISTINCT o.row_id, d.person_id FROM record.observation o
           JOIN record.link_decision d ON d.source = o.source AND d.source_key = o.source_key AND d.verdict = 'UNLINK'
           WHERE o.row_id = ANY($1)""",
        list(row_ids),
    )
    return {(record["row_id"], record["person_id"]) for record in records}


async def _write(
    connection: asyncpg.Connection,
    scored: Sequence[UUID],
    proposals: Mapping[tuple[UUID, UUID], Scored],
    now: datetime,
) -> None:
    """Replace the proposals of the rows scored, and take away those of rows that are neither current nor held back."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _WRITING)
    await connection.execute(
        """DELETE FROM record.link_proposal p WHERE p.row_id = ANY($1) OR NOT (
               EXISTS (SELECT FROM record.observation o WHERE o.row_id = p.row_id AND o.recorded_to = 'infinity')
               OR EXISTS (SELECT FROM ingest.quarantine q WHERE q.row_id = p.row_id AND q.status = 'OPEN'))""",
        list(scored),
    )
    await connection.execute(
        """INSERT INTO record.link_proposal
               (county, row_id, person_id, member_no, band, score, evidence, model, scored_at)
           SELECT p.county, n.row_id, p.person_id, coalesce(p.member_no, ''), n.band, n.score, n.evidence::jsonb, $6, $7
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::float8[], $5::text[])
               AS n (row_id, person_id, band, score, evidence)
           JOIN record.person p USING (person_id)
           WHERE n.row_id = ANY($8::uuid[])""",
        [row_id for row_id, _ in proposals],
        [person_id for _, person_id in proposals],
        [proposal.band for proposal in proposals.values()],
        [proposal.score for proposal in proposals.values()],
        [orjson.dumps(_evidence(proposal)).decode() for proposal in proposals.values()],
        model_name(),
        now,
        await _still_waiting(connection, [row_id for row_id, _ in proposals]),
    )


async def _still_waiting(connection: asyncpg.Connection, row_ids: Collection[UUID]) -> list[UUID]:
    """Those of these rows that wait now: while they were scored, some were decided, discarded or purged.

    They are locked until the caller's transaction ends, so that whoever closes one of them finds its proposals.
    """
    await connection.execute(
        "SELECT FROM ingest.held_row WHERE row_id = ANY($1) ORDER BY row_id FOR SHARE", list(row_ids)
    )
    records = await connection.fetch(
        """SELECT n.row_id FROM unnest($1::uuid[]) AS n (row_id)
           WHERE EXISTS (SELECT FROM record.observation o WHERE o.row_id = n.row_id AND o.recorded_to = 'infinity'
                         AND NOT o.tombstone AND o.link IN ('PROBABLE', 'REVIEW'))
              OR EXISTS (SELECT FROM ingest.quarantine q WHERE q.row_id = n.row_id AND q.status = 'OPEN')""",
        list(set(row_ids)),
    )
    return [record["row_id"] for record in records]


def _evidence(proposal: Scored) -> list[dict[str, Any]]:
    return [
        {"attribute": attribute, "agreement": agreement, "bits": bits}
        for attribute, agreement, bits in proposal.evidence
    ]
