"""Loads what may bear on households for the fold, in bulk: as many statements for one household as for a thousand."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from hub.core.clock import years_before
from hub.core.identifiers import ADULT_AGE
from hub.core.names import Category, LinkState
from hub.records.effective import MERGE, SPLIT
from hub.records.fold import Seen, SeenConsent, SeenFact, SeenHousehold, SeenMembership
from hub.records.payloads import identity_context, open_identity, open_payload
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


class _Versions(NamedTuple):
    """Which versions of memberships and facts are wanted, as SQL conditions."""

    memberships: str
    facts: str


_CURRENT = _Versions(" AND m.recorded_to = 'infinity' AND m.valid_to IS NULL", " AND o.recorded_to = 'infinity'")
_AS_OF = _Versions(
    " AND m.recorded_from <= $2 AND m.recorded_to > $2", " AND o.recorded_from <= $2 AND o.recorded_to > $2"
)


async def load_seen(
    connection: asyncpg.Connection,
    keys: KeyService,
    household_ids: Collection[UUID],
    day: date,
    recorded: datetime = LATEST,
) -> list[Seen]:
    """What the hub knows (knew at ``recorded``) about each of these households that is current, ready to fold.

    Facts are loaded for adults on ``day`` only. Seven statements, whatever the number of households; the time goes into
    opening the sealed payloads, about ten microseconds each.
    """
    versions, at = (_CURRENT, ()) if recorded is LATEST else (_AS_OF, (recorded,))
    households = await connection.fetch(_HOUSEHOLDS, list(household_ids))
    ids = [household["household_id"] for household in households]
    memberships = await connection.fetch(_MEMBERSHIPS + versions.memberships, ids, *at)
    adult_born = years_before(day, ADULT_AGE)
    people = list({m["person_id"] for m in memberships if m["person_id"] and m["birth_date"] <= adult_born})
    elsewhere = await connection.fetch(_ELSEWHERE + versions.memberships, people, *at)
    facts = await connection.fetch(_FACTS + versions.facts, people, *at)
    numbers = [household["household_no"] for household in households]
    household_facts = await connection.fetch(_HOUSEHOLD_FACTS + versions.facts, numbers, *at)
    consents = await connection.fetch(_CONSENTS, people)
    lineage = await _lineage(connection, numbers)
    by_person = _Grouped(elsewhere, "person_id"), _Grouped(facts, "person_id"), _Grouped(consents, "person_id")
    by_household = _Grouped(memberships, "household_id"), _Grouped(household_facts, "household_no")
    seen = []
    for household in households:
        own = by_household[0][household["household_id"]]
        concerned = sorted({m["person_id"] for m in own if m["person_id"] is not None})
        others = [m for p in concerned for m in by_person[0][p] if m["household_id"] != household["household_id"]]
        told = [f for p in concerned for f in by_person[1][p]] + by_household[1][household["household_no"]]
        seen.append(
            Seen(
                household=_household(household, lineage),
                memberships=[_membership(keys, m) for m in (*own, *others)],
                facts=[_fact(keys, fact) for fact in told],
                consents=[SeenConsent(**consent) for p in concerned for consent in by_person[2][p]],
            )
        )
    return seen


class _Grouped(defaultdict[Any, list[asyncpg.Record]]):
    """Records by the value of one column."""

    def __init__(self, records: Sequence[asyncpg.Record], column: str) -> None:
        super().__init__(list)
        for record in records:
            self[record[column]].append(record)


async def _lineage(
    connection: asyncpg.Connection, numbers: Sequence[str]
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Predecessors and successors by household number, from all unrevoked splits and merges."""
    records = await connection.fetch(
        """SELECT DISTINCT from_household, to_household FROM record.roster_event
           WHERE event_type = ANY($2) AND from_household IS NOT NULL AND to_household IS NOT NULL
             AND (from_household = ANY($1) OR to_household = ANY($1))""",
        list(numbers),
        [SPLIT, MERGE],
    )
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


def _fact(keys: KeyService, record: asyncpg.Record) -> SeenFact:
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
    )
