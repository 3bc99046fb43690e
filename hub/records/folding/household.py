"""Loads what may bear on households for the fold, in bulk: as many statements for one household as for a thousand."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from hub.core.clock import years_before
from hub.core.identifiers import ADULT_AGE
from hub.core.names import Category, LinkState
from hub.records.adverse_items.adverse import AdverseNote
from hub.records.adverse_items.adverse_notes import ItemOfPerson, notes_on
from hub.records.folding.fold import Seen, SeenConsent, SeenFact, SeenHousehold, SeenMembership
from hub.records.intake.payloads import identity_context, open_identity, open_payload
from hub.records.people.effective import MERGE, SPLIT
from hub.store.keys import KeyService

LATEST = datetime.max.replace(tzinfo=UTC)
"""The recorded instant of a fold that shows what the hub knows now."""

_HOUSEHOLDS = """
SELECT h.household_id, h.household_no, h.village_code, h.group_no, h.status, h.source, h.changed_at,
    CASE WHEN h.row_village_code = h.village_code THEN h.township_name ELSE v.township_name END AS township_name,
    CASE WHEN h.row_village_code = h.village_code THEN h.village_name ELSE v.village_name END AS village_name
FROM record.household h
LEFT JOIN LATERAL (
    SELECT n.township_name, n.village_name FROM record.household n
    WHERE h.row_village_code <> h.village_code AND n.village_code = h.village_code
      AND n.row_village_code = h.village_code AND n.held
    ORDER BY n.household_no LIMIT 1) v ON true
WHERE h.household_id = ANY($1) AND h.held AND h.status = 'ACTIVE'
"""
"""A household that moved is in a village whose names only its new neighbours' rows give."""

_HOUSEHOLDS_AS_OF = """
SELECT h.household_id, h.household_no, h.village_code, h.group_no, h.status, h.source, h.changed_at,
    CASE WHEN h.row_village_code = h.village_code THEN h.township_name ELSE v.township_name END AS township_name,
    CASE WHEN h.row_village_code = h.village_code THEN h.village_name ELSE v.village_name END AS village_name
FROM record.household_version h
LEFT JOIN LATERAL (
    SELECT n.township_name, n.village_name FROM record.household_version n
    WHERE h.row_village_code <> h.village_code AND n.village_code = h.village_code
      AND n.row_village_code = h.village_code AND n.recorded_from <= $2 AND n.recorded_to > $2
      AND (n.valid_from IS NULL OR n.valid_from <= $3) AND (n.valid_to IS NULL OR n.valid_to > $3)
    ORDER BY n.household_no LIMIT 1) v ON true
WHERE h.household_id = ANY($1) AND h.status = 'ACTIVE' AND h.recorded_from <= $2 AND h.recorded_to > $2
  AND (h.valid_from IS NULL OR h.valid_from <= $3) AND (h.valid_to IS NULL OR h.valid_to > $3)
"""

_MEMBERSHIPS = """
SELECT m.household_id, m.member_no, m.person_id, m.relation, m.birth_date, m.valid_from, m.valid_to, m.died_on,
    m.source, m.changed_at, m.recorded_from, nullif(m.recorded_to, 'infinity') AS recorded_to, m.sealed
FROM record.membership m
WHERE m.household_id = ANY($1)
"""

_ELSEWHERE = """
SELECT m.household_id, m.member_no, m.person_id, m.relation, m.birth_date, m.valid_from, m.valid_to, m.died_on,
    m.source, m.changed_at, m.recorded_from, nullif(m.recorded_to, 'infinity') AS recorded_to, NULL::bytea AS sealed
FROM record.membership m
JOIN record.household h ON h.county = m.county AND h.household_id = m.household_id AND h.held AND h.status = 'ACTIVE'
WHERE m.person_id = ANY($1)
"""

_ELSEWHERE_AS_OF = """
SELECT m.household_id, m.member_no, m.person_id, m.relation, m.birth_date, m.valid_from, m.valid_to, m.died_on,
    m.source, m.changed_at, m.recorded_from, nullif(m.recorded_to, 'infinity') AS recorded_to, NULL::bytea AS sealed
FROM record.membership m
JOIN record.household_version h ON h.household_id = m.household_id AND h.status = 'ACTIVE'
    AND h.recorded_from <= $2 AND h.recorded_to > $2
    AND (h.valid_from IS NULL OR h.valid_from <= $3) AND (h.valid_to IS NULL OR h.valid_to > $3)
WHERE m.person_id = ANY($1) AND m.recorded_from <= $2 AND m.recorded_to > $2
"""

_FACT_COLUMNS = """
SELECT o.row_id, o.category, o.source, o.source_key, o.version, o.person_id, o.link, o.valid_from, o.valid_to,
    o.adverse, o.suppressed, o.consent_id, o.source_time, o.recorded_from,
    nullif(o.recorded_to, 'infinity') AS recorded_to, o.household_no, o.payload
"""

_FACTS = (
    _FACT_COLUMNS
    + """
FROM unnest($1::uuid[]) AS a (person_id)
JOIN record.person p USING (person_id)
JOIN record.observation o ON o.county = p.county AND o.person_id = p.person_id
WHERE o.kind = 'FACT' AND NOT o.tombstone
"""
)

_HOUSEHOLD_FACTS = (
    _FACT_COLUMNS
    + """
FROM record.observation o
WHERE o.household_no = ANY($1) AND o.kind = 'FACT' AND NOT o.tombstone
"""
)

_CONSENTS = """
SELECT c.source, c.consent_id, d.person_id, c.granted_on, c.expires_on, c.withdrawn_on, c.deleted
FROM record.directory d JOIN record.furnishing_consent c ON c.subject_index = d.blind_index
WHERE d.person_id = ANY($1)
"""

_CONSENTS_AS_OF = """
WITH led AS (
    SELECT DISTINCT ON (p.blind_index) p.blind_index, p.person_id FROM record.past_directory p
    WHERE p.recorded_to > $2 ORDER BY p.blind_index, p.recorded_to
), known AS (
    SELECT d.blind_index, d.person_id FROM record.directory d
    WHERE d.person_id = ANY($1) AND NOT EXISTS (SELECT FROM led WHERE led.blind_index = d.blind_index)
    UNION ALL
    SELECT blind_index, person_id FROM led WHERE person_id = ANY($1)
)
SELECT o.source, o.source_key, o.row_id, k.person_id, o.payload
FROM known k JOIN record.observation o ON o.subject_index = k.blind_index
WHERE o.kind = 'CONSENT' AND NOT o.tombstone AND o.recorded_from <= $2 AND o.recorded_to > $2
"""
"""The consent rows themselves, by whom their number led to then; one that the bank took back is not among them."""

_RECORDED_FACT = " AND o.recorded_from <= $2 AND o.recorded_to > $2"
_RECORDED_MEMBERSHIP = " AND m.recorded_from <= $2 AND m.recorded_to > $2"
_CURRENT_FACT = " AND o.recorded_to = 'infinity'"
_CURRENT_MEMBERSHIP = " AND m.recorded_to = 'infinity' AND m.valid_to IS NULL"


class _Read(NamedTuple):
    """What the statements give about the asked households."""

    households: Sequence[asyncpg.Record]
    memberships: Sequence[asyncpg.Record]
    elsewhere: Sequence[asyncpg.Record]
    facts: Sequence[asyncpg.Record]
    household_facts: Sequence[asyncpg.Record]
    consents: Sequence[SeenConsent]


async def load_seen(
    connection: asyncpg.Connection,
    keys: KeyService,
    household_ids: Collection[UUID],
    day: date,
    recorded: datetime = LATEST,
) -> list[Seen]:
    """What the hub knows (knew at ``recorded``) about each of these households that is current, ready to fold.

    Facts are loaded for adults on ``day`` only. Seven statements, nine where there are adverse items, whatever the
    number of households; the time goes into opening the sealed payloads, about ten microseconds each.
    """
    if recorded is LATEST:
        read = await _read_present(connection, household_ids, day)
    else:
        read = await _read_as_of(connection, keys, household_ids, day, recorded)
    numbers = [household["household_no"] for household in read.households]
    lineage = await _lineage(connection, numbers, day, recorded)
    consents: defaultdict[UUID | None, list[SeenConsent]] = defaultdict(list)
    for consent in read.consents:
        consents[consent.person_id].append(consent)
    noted = await _notes(connection, keys, (*read.facts, *read.household_facts), recorded)
    elsewhere, facts = _Grouped(read.elsewhere, "person_id"), _Grouped(read.facts, "person_id")
    by_household = _Grouped(read.memberships, "household_id"), _Grouped(read.household_facts, "household_no")
    seen = []
    for household in read.households:
        own = by_household[0][household["household_id"]]
        concerned = sorted({m["person_id"] for m in own if m["person_id"] is not None})
        others = [m for p in concerned for m in elsewhere[p] if m["household_id"] != household["household_id"]]
        told = [f for p in concerned for f in facts[p]] + by_household[1][household["household_no"]]
        seen.append(
            Seen(
                household=_household(household, lineage),
                memberships=[_membership(keys, m) for m in (*own, *others)],
                facts=[_fact(keys, fact, noted) for fact in told],
                consents=[consent for p in concerned for consent in consents[p]],
            )
        )
    return seen


async def _read_present(connection: asyncpg.Connection, household_ids: Collection[UUID], day: date) -> _Read:
    households = await connection.fetch(_HOUSEHOLDS, list(household_ids))
    ids = [household["household_id"] for household in households]
    memberships = await connection.fetch(_MEMBERSHIPS + _CURRENT_MEMBERSHIP, ids)
    people = _adults(memberships, day)
    numbers = [household["household_no"] for household in households]
    return _Read(
        households,
        memberships,
        await connection.fetch(_ELSEWHERE + _CURRENT_MEMBERSHIP, people),
        await connection.fetch(_FACTS + _CURRENT_FACT, people),
        await connection.fetch(_HOUSEHOLD_FACTS + _CURRENT_FACT, numbers),
        [SeenConsent(**consent) for consent in await connection.fetch(_CONSENTS, people)],
    )


async def _read_as_of(
    connection: asyncpg.Connection,
    keys: KeyService,
    household_ids: Collection[UUID],
    day: date,
    recorded: datetime,
) -> _Read:
    households = await connection.fetch(_HOUSEHOLDS_AS_OF, list(household_ids), recorded, day)
    ids = [household["household_id"] for household in households]
    memberships = await connection.fetch(_MEMBERSHIPS + _RECORDED_MEMBERSHIP, ids, recorded)
    people = _adults(memberships, day)
    numbers = [household["household_no"] for household in households]
    return _Read(
        households,
        memberships,
        await connection.fetch(_ELSEWHERE_AS_OF, people, recorded, day),
        await connection.fetch(_FACTS + _RECORDED_FACT, people, recorded),
        await connection.fetch(_HOUSEHOLD_FACTS + _RECORDED_FACT, numbers, recorded),
        [_consent(keys, consent) for consent in await connection.fetch(_CONSENTS_AS_OF, people, recorded)],
    )


def _adults(memberships: Sequence[asyncpg.Record], day: date) -> list[UUID]:
    born = years_before(day, ADULT_AGE)
    return list({m["person_id"] for m in memberships if m["person_id"] and m["birth_date"] <= born})


class _Grouped(defaultdict[Any, list[asyncpg.Record]]):
    """Records by the value of one column."""

    def __init__(self, records: Sequence[asyncpg.Record], column: str) -> None:
        super().__init__(list)
        for record in records:
            self[record[column]].append(record)


_LINEAGE = """
SELECT DISTINCT from_household, to_household FROM record.roster_event
WHERE event_type = ANY($2) AND from_household IS NOT NULL AND to_household IS NOT NULL
  AND (from_household = ANY($1) OR to_household = ANY($1))
"""

_LINEAGE_AS_OF = (
    _LINEAGE
    + """ AND recorded_from <= $3 AND effective_on <= $4
UNION
SELECT from_household, to_household FROM record.past_lineage
WHERE recorded_from <= $3 AND recorded_to > $3 AND effective_on <= $4
  AND (from_household = ANY($1) OR to_household = ANY($1))
"""
)


async def _lineage(
    connection: asyncpg.Connection, numbers: Sequence[str], day: date, recorded: datetime
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Predecessors and successors by household number, from all unrevoked splits and merges."""
    statement, at = (_LINEAGE, ()) if recorded is LATEST else (_LINEAGE_AS_OF, (recorded, day))
    records = await connection.fetch(statement, list(numbers), [SPLIT, MERGE], *at)
    before: defaultdict[str, set[str]] = defaultdict(set)
    after: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        before[record["to_household"]].add(record["from_household"])
        after[record["from_household"]].add(record["to_household"])
    return before, after


def _household(record: asyncpg.Record, lineage: tuple[dict[str, set[str]], dict[str, set[str]]]) -> SeenHousehold:
    number = record["household_no"]
    before, after = lineage
    return SeenHousehold(
        **record,
        predecessors=tuple(sorted(before.get(number, ()))),
        successors=tuple(sorted(after.get(number, ()))),
    )


def _membership(keys: KeyService, record: asyncpg.Record) -> SeenMembership:
    values = dict(record)
    sealed = values.pop("sealed")
    context = identity_context(record["person_id"], record["member_no"])
    identity = open_identity(keys, sealed, context) if sealed is not None else {"name": None, "id_number": None}
    return SeenMembership(**values, name=identity["name"] or "", id_number=identity["id_number"])


def _consent(keys: KeyService, record: asyncpg.Record) -> SeenConsent:
    value = open_payload(keys, record["payload"], record["row_id"])["value"]
    granted, expires, withdrawn = (
        None if value.get(name) is None else date.fromisoformat(value[name])
        for name in ("granted_on", "expires_on", "withdrawn_on")
    )
    consent_id = record["source_key"].removeprefix("consent|")
    return SeenConsent(record["source"], consent_id, record["person_id"], granted, expires, withdrawn)


async def _notes(
    connection: asyncpg.Connection, keys: KeyService, facts: Iterable[asyncpg.Record], recorded: datetime
) -> dict[ItemOfPerson, AdverseNote]:
    return await notes_on(connection, keys, {_item(fact) for fact in facts if fact["adverse"]}, recorded)


def _item(record: asyncpg.Record) -> ItemOfPerson:
    return ItemOfPerson(record["source"], record["source_key"], record["person_id"])


def _fact(keys: KeyService, record: asyncpg.Record, noted: Mapping[ItemOfPerson, AdverseNote]) -> SeenFact:
    payload = open_payload(keys, record["payload"], record["row_id"])
    category = Category(record["category"])
    return SeenFact(
        category=category,
        source=record["source"],
        source_key=record["source_key"],
        version=record["version"],
        person_id=record["person_id"],
        link=LinkState(record["link"]) if record["link"] is not None else None,
        name=payload["name"],
        value=payload["value"],
        valid_from=record["valid_from"],
        valid_to=record["valid_to"],
        adverse=record["adverse"],
        suppressed=record["suppressed"],
        consent_id=record["consent_id"],
        source_time=record["source_time"],
        recorded_from=record["recorded_from"],
        recorded_to=record["recorded_to"],
        owner=record["source_key"].split("|")[1] if category in {Category.BANK_LINE, Category.BANK_LOAN} else "",
        note=noted[_item(record)] if record["adverse"] else None,
        is_repaired="repaired" in payload,
    )
