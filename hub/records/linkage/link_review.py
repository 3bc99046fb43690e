"""The review queue: rows that do not name a person properly, and what a reviewer sees of one of them.

The list holds numbers only. One row is opened beside the members who may be meant, with the evidence per attribute that
the scoring wrote; whoever calls for it records the reading.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from hub.core.errors import InputError
from hub.core.identifiers import mask_id_number
from hub.core.names import LinkState, QuarantineReason
from hub.core.text import is_plain_text
from hub.records.held_back.quarantine import entry_id
from hub.records.intake.payloads import identity_context, open_identity, open_payload
from hub.records.intake.row_county import REVIEW_COUNTIES
from hub.records.linkage.link_decisions import LinkDecision, decisions_on, hint_indexes, opened
from hub.store.keys import KeyService

OPEN_STATES = (LinkState.PROBABLE, LinkState.REVIEW, LinkState.UNLINKED)
"""States in which a row waits for a reviewer."""

DAMAGED_NUMBER = (QuarantineReason.ID_PRECISION_LOST, QuarantineReason.ID_FORMAT, QuarantineReason.ID_CHECK_DIGIT)
"""Rows held back for these reasons get proposals that help to repair them; they are never linked by a review."""


class ReviewPlace(NamedTuple):
    """Where a review stands in the list; the next page begins after it."""

    band: str
    score: float
    row_id: UUID


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Which reviews to list; ``None`` means any. ``states`` are those of :data:`OPEN_STATES` by default.

    ``counties``: only rows that concern one of them (hub/records/intake/row_county.py).
    """

    states: tuple[LinkState, ...] = OPEN_STATES
    source: str | None = None
    source_key: str | None = None
    band: str | None = None
    counties: frozenset[str] | None = None

    def check(self) -> None:
        """Raise :class:`InputError` where a text cannot be the name of anything: the store would not take it."""
        for given in (self.source, self.source_key, self.band):
            if given is not None and not is_plain_text(given):
                raise InputError("this is no plain text.", remedy="Check source, key and band.", code="TEXT_MALFORMED")


@dataclass(frozen=True, slots=True)
class QueuedReview:
    """One row of the list. ``quarantine``: the number and reason of its entry where the row is held back."""

    row_id: UUID
    source: str
    source_key: str
    version: str
    state: LinkState
    since: datetime
    band: str | None
    score: float | None
    proposals: int
    decisions: int
    quarantine: tuple[str, QuarantineReason] | None

    @property
    def place(self) -> ReviewPlace:
        """Where it stands in the list."""
        return ReviewPlace(self.band or "Z", self.score or 0.0, self.row_id)


@dataclass(frozen=True, slots=True)
class Evidence:
    """How far row and member agree in one attribute; ``bits`` is the weight of that for (or against) the person."""

    attribute: str
    agreement: str
    bits: float


@dataclass(frozen=True, slots=True)
class ReviewCandidate:
    """A member who may be meant, as the roster has him. ``linked``: the row is tied to him now."""

    person_id: UUID
    county: str
    household_id: UUID | None
    member_no: str
    name: str | None
    id_masked: str | None
    birth_year: int
    is_male: bool | None
    household_no: str | None
    village_code: str | None
    township_name: str | None
    village_name: str | None
    group_no: str | None
    phone: str | None
    status: str
    linked: bool
    by_exact_rule: bool
    band: str | None
    score: float | None
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class ReviewedRow:
    """The version of a row under review: what the source said, who may be meant, what was decided before.

    ``counties``: whose stewards it concerns; empty where no county is known.
    """

    row_id: UUID
    source: str
    source_key: str
    version: str
    category: str | None
    state: LinkState
    quarantine: tuple[str, QuarantineReason] | None
    name: str | None
    address: str | None
    phone: str | None
    id_masked: str | None
    value: dict[str, Any]
    hint_index: bytes
    candidates: tuple[ReviewCandidate, ...]
    decisions: tuple[LinkDecision, ...]
    counties: frozenset[str]

    @property
    def is_linkable(self) -> bool:
        """Whether a reviewer may link it: a valid row, or one held back only because nobody was found."""
        return self.quarantine is None or self.quarantine[1] is QuarantineReason.ID_MISSING_UNLINKED

    @property
    def linked_to(self) -> ReviewCandidate | None:
        """The member to whom the row is tied now."""
        return next((candidate for candidate in self.candidates if candidate.linked), None)


_LIST = f"""
WITH waiting AS (
    SELECT o.row_id, o.source, o.source_key, o.version, o.link AS state, o.recorded_from AS since,
        NULL::bigint AS entry, NULL::smallint AS reason, o.person_id, o.household_no
    FROM record.observation o
    WHERE o.recorded_to = 'infinity' AND o.kind = 'FACT' AND NOT o.tombstone AND o.link = ANY($1)
      AND ($3::text IS NULL OR o.source_key = $3)
      AND (o.link <> 'UNLINKED' OR $3 IS NOT NULL OR $1 = ARRAY['UNLINKED'])
    UNION ALL
    SELECT h.row_id, h.source, h.source_key, h.version, 'UNLINKED', q.first_seen, q.number, q.reason, NULL, NULL
    FROM ingest.quarantine q JOIN ingest.held_row h USING (row_id)
    WHERE q.status = 'OPEN' AND 'UNLINKED' = ANY($1) AND ($3::text IS NULL OR h.source_key = $3)
      AND (q.reason = 22 AND ($3 IS NOT NULL OR NOT EXISTS (
               SELECT FROM record.observation o WHERE o.row_id = h.row_id AND o.link = 'UNLINKED'))
           OR q.reason = ANY($4) AND EXISTS (SELECT FROM record.link_proposal p WHERE p.row_id = h.row_id))
)
SELECT w.*, best.band, best.score, coalesce(best.proposals, 0) AS proposals,
    (SELECT count(*) FROM record.link_decision d WHERE d.source = w.source AND d.source_key = w.source_key) AS decisions
FROM waiting w LEFT JOIN LATERAL (
    SELECT min(p.band) AS band, max(p.score)::float8 AS score, count(*) AS proposals
    FROM record.link_proposal p WHERE p.row_id = w.row_id) best ON true
WHERE ($2::text IS NULL OR w.source = $2) AND ($5::text IS NULL OR best.band = $5)
  AND ($10::text[] IS NULL OR {REVIEW_COUNTIES} && $10)
  AND ($6::text IS NULL OR (coalesce(best.band, 'Z'), -coalesce(best.score, 0), w.row_id) > ($6, -$7::float8, $8::uuid))
ORDER BY coalesce(best.band, 'Z'), -coalesce(best.score, 0), w.row_id
LIMIT $9
"""
"""A row for which a reviewer found nobody waits no more; it is listed only when asked for."""


async def list_reviews(
    connection: asyncpg.Connection, wanted: ReviewFilter, first: int, after: ReviewPlace | None = None
) -> list[QueuedReview]:
    """Rows by band and score, the surest first; rows without proposals last. Numbers of rows only, no names."""
    records = await connection.fetch(
        _LIST,
        [state.value for state in wanted.states],
        wanted.source,
        wanted.source_key,
        [int(reason) for reason in DAMAGED_NUMBER],
        wanted.band,
        *(after or (None, None, None)),
        first,
        None if wanted.counties is None else sorted(wanted.counties),
    )
    return [
        QueuedReview(
            row_id=record["row_id"],
            source=record["source"],
            source_key=record["source_key"],
            version=record["version"],
            state=LinkState(record["state"]),
            since=record["since"],
            band=record["band"],
            score=record["score"],
            proposals=record["proposals"],
            decisions=record["decisions"],
            quarantine=_entry(record["entry"], record["reason"]),
        )
        for record in records
    ]


def _entry(number: int | None, reason: int | None) -> tuple[str, QuarantineReason] | None:
    return None if number is None or reason is None else (entry_id(number), QuarantineReason(reason))


_ROW = f"""
SELECT w.*, {REVIEW_COUNTIES} AS counties FROM (
    SELECT o.row_id, o.source, o.source_key, o.version, o.category, o.link, o.person_id, o.household_no, o.hint,
        o.payload, q.number, q.reason
    FROM record.observation o
    LEFT JOIN ingest.quarantine q ON q.row_id = o.row_id AND q.status = 'OPEN' AND q.reason = 22
    WHERE o.row_id = $1 AND o.kind = 'FACT' AND NOT o.tombstone AND (o.recorded_to = 'infinity' OR q.row_id IS NOT NULL)
    ORDER BY o.recorded_to DESC, o.recorded_from DESC
    LIMIT 1) AS w
"""

_DAMAGED_ROW = f"""
SELECT w.*, {REVIEW_COUNTIES} AS counties FROM (
    SELECT h.row_id, h.source, h.source_key, h.version, q.number, q.reason, q.sealed_row, s.kind AS source_kind,
        NULL::uuid AS person_id, NULL::text AS household_no
    FROM ingest.quarantine q JOIN ingest.held_row h USING (row_id) JOIN ingest.source_state s ON s.source = h.source
    WHERE q.row_id = $1 AND q.status = 'OPEN' AND q.reason = ANY($2) AND q.sealed_row IS NOT NULL) AS w
"""


async def open_review(connection: asyncpg.Connection, keys: KeyService, row_id: UUID) -> ReviewedRow | None:
    """Open one row with its candidates; ``None`` where no such version of a row is current or held back."""
    record = await connection.fetchrow(_ROW, row_id)
    if record is None:
        return await _open_damaged(connection, keys, row_id)
    hint, payload = opened(keys, record)
    decisions = await decisions_on(connection, keys, record["source"], record["source_key"])
    return ReviewedRow(
        row_id=row_id,
        source=record["source"],
        source_key=record["source_key"],
        version=record["version"],
        category=record["category"],
        state=LinkState(record["link"]) if record["link"] is not None else LinkState.UNLINKED,
        quarantine=_entry(record["number"], record["reason"]),
        name=payload["name"] if hint is None else hint["name"],
        address=None if hint is None else hint["address"],
        phone=None if hint is None else hint["phone"],
        id_masked=mask_id_number(payload["id_number"]) if payload["id_number"] else None,
        value=payload["value"],
        hint_index=hint_indexes(keys, hint, payload)[0],
        candidates=await _candidates(connection, keys, row_id, record["person_id"]),
        decisions=tuple(decisions),
        counties=_counties(record),
    )


async def _open_damaged(connection: asyncpg.Connection, keys: KeyService, row_id: UUID) -> ReviewedRow | None:
    record = await connection.fetchrow(_DAMAGED_ROW, row_id, [int(reason) for reason in DAMAGED_NUMBER])
    if record is None:
        return None
    wire = orjson.loads(keys.open("quarantine", record["sealed_row"], row_id.bytes))
    said = wire_hint(record["source_kind"], wire)
    return ReviewedRow(
        row_id=row_id,
        source=record["source"],
        source_key=record["source_key"],
        version=record["version"],
        category=None,
        state=LinkState.UNLINKED,
        quarantine=_entry(record["number"], record["reason"]),
        name=said.name,
        address=said.address,
        phone=said.phone,
        id_masked=mask_id_number(said.id_number) if said.id_number else None,
        value={},
        hint_index=b"",
        candidates=await _candidates(connection, keys, row_id, None),
        decisions=(),
        counties=_counties(record),
    )


def _counties(record: asyncpg.Record) -> frozenset[str]:
    return frozenset(code for code in record["counties"] or () if code is not None)


class WireHint(NamedTuple):
    """What a held-back row says about the person, in the words of its source."""

    name: str | None
    address: str | None
    phone: str | None
    id_number: str | None


_WIRE_NAMES = {
    "clinic-sftp": ("欠费人姓名", "现住址", "联系电话", "证件号码"),
    "tax-rest": ("jyzxm", None, None, "jyzsfzjhm"),
    "social-view": ("aac003", None, None, "aac002"),
    "bank-files": ("name", None, "phone", "id_no"),
}
"""Where each kind of source says name, address, phone and ID number (docs/contracts)."""


def wire_hint(source_kind: str, wire: dict[str, Any]) -> WireHint:
    """What a row in wire names says about the person; nothing for a kind whose rows are not about facts of a person."""
    names = _WIRE_NAMES.get(source_kind, (None,) * 4)
    return WireHint(*(_text(wire.get(name)) if name is not None else None for name in names))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


_CANDIDATES = """
WITH named AS (
    SELECT person_id, true AS by_rule FROM record.link_candidate WHERE row_id = $1
    UNION ALL SELECT person_id, false FROM record.link_proposal WHERE row_id = $1
    UNION ALL SELECT $2, false WHERE $2::uuid IS NOT NULL
), wanted AS (SELECT person_id, bool_or(by_rule) AS by_rule FROM named GROUP BY person_id)
SELECT p.county, p.person_id, p.member_no, p.birth_date, p.status, p.sealed_identity, w.by_rule,
    h.household_id, h.household_no, h.village_code, h.township_name, h.village_name, h.group_no, h.source AS told_by,
    s.band, s.score, s.evidence
FROM wanted w JOIN record.person p USING (person_id)
LEFT JOIN record.household h ON h.county = p.county AND h.household_id = p.household_id
LEFT JOIN record.link_proposal s ON s.row_id = $1 AND s.person_id = p.person_id
ORDER BY s.score DESC NULLS LAST, p.member_no
"""


async def _candidates(
    connection: asyncpg.Connection, keys: KeyService, row_id: UUID, linked: UUID | None
) -> tuple[ReviewCandidate, ...]:
    records = await connection.fetch(_CANDIDATES, row_id, linked)
    phones = await _phones(connection, keys, records)
    return tuple(_candidate(keys, record, linked, phones) for record in records)


async def _phones(
    connection: asyncpg.Connection, keys: KeyService, candidates: Sequence[asyncpg.Record]
) -> dict[str, str]:
    """The phone in the current row of each household, by household number."""
    records = await connection.fetch(
        """SELECT o.household_no, o.row_id, o.payload FROM unnest($1::text[], $2::text[]) AS a (source, source_key)
           JOIN ingest.held_row h ON h.source = a.source AND h.source_key = a.source_key
           JOIN record.observation o ON o.row_id = h.row_id
           WHERE o.recorded_to = 'infinity' AND NOT o.tombstone""",
        [candidate["told_by"] for candidate in candidates],
        [f"household|{candidate['household_no']}" for candidate in candidates],
    )
    opened_rows = {r["household_no"]: open_payload(keys, r["payload"], r["row_id"])["value"] for r in records}
    return {number: value["phone"] for number, value in opened_rows.items() if value.get("phone")}


def _candidate(
    keys: KeyService, record: asyncpg.Record, linked: UUID | None, phones: dict[str, str]
) -> ReviewCandidate:
    identity = open_identity(keys, record["sealed_identity"], identity_context(record["person_id"], ""))
    number = identity["id_number"]
    return ReviewCandidate(
        person_id=record["person_id"],
        county=record["county"],
        household_id=record["household_id"],
        member_no=record["member_no"] or "",
        name=identity["name"],
        id_masked=mask_id_number(number) if number else None,
        birth_year=record["birth_date"].year,
        is_male=int(number[16]) % 2 == 1 if number else None,
        household_no=record["household_no"],
        village_code=record["village_code"],
        township_name=record["township_name"],
        village_name=record["village_name"],
        group_no=record["group_no"],
        phone=phones.get(record["household_no"]),
        status=record["status"],
        linked=record["person_id"] == linked,
        by_exact_rule=record["by_rule"],
        band=record["band"],
        score=record["score"],
        evidence=tuple(Evidence(**item) for item in orjson.loads(record["evidence"] or "[]")),
    )


async def find_member(connection: asyncpg.Connection, member_no: str) -> asyncpg.Record | None:
    """Person id, county, household and birth date of the person who is (or was last) a member under this number."""
    return await connection.fetchrow(
        """SELECT p.person_id, p.county, p.household_id, p.birth_date FROM record.membership m
           JOIN record.person p ON p.person_id = m.person_id
           WHERE m.member_no = $1 AND m.recorded_to = 'infinity' ORDER BY m.valid_from DESC LIMIT 1""",
        member_no,
    )


async def people_of_counties(
    connection: asyncpg.Connection, person_ids: Collection[UUID], counties: Collection[str]
) -> set[UUID]:
    """Those of these people who belong to one of the counties."""
    records = await connection.fetch(
        "SELECT person_id FROM record.person WHERE person_id = ANY($1) AND county = ANY($2::text[])",
        list(person_ids),
        list(counties),
    )
    return {record["person_id"] for record in records}


async def households_of(connection: asyncpg.Connection, person_ids: Collection[UUID]) -> dict[UUID, set[UUID]]:
    """The households that list each of these people now."""
    found: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for record in await connection.fetch(
        """SELECT person_id, household_id FROM record.membership
           WHERE person_id = ANY($1) AND recorded_to = 'infinity' AND valid_to IS NULL""",
        list(person_ids),
    ):
        found[record["person_id"]].add(record["household_id"])
    return dict(found)
