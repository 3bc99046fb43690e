"""Readings as of a day and an instant: at which instant the record stood still, and who was where then.

The day is valid time (what was true on it), the instant recorded time (what the hub held to be true at it). An as-of
reading shows what was lawful to show then and still is: :func:`lawful_now`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from hub.core.clock import years_before
from hub.core.names import FactStatus
from hub.records.adverse_items.adverse import YEARS_AT_MOST, ended_on, is_over
from hub.records.adverse_items.adverse_notes import ItemOfPerson, notes_on, over_versions
from hub.records.folding.fold import Fact, HouseholdRecord
from hub.records.folding.household import LATEST
from hub.records.intake.payloads import open_payload
from hub.store.keys import KeyService


class Dweller(NamedTuple):
    """Somebody who was in a household: of several the one he had joined last."""

    person_id: UUID
    county: str
    household_id: UUID
    birth_date: date


async def settled_at(connection: asyncpg.Connection, instant: datetime | None = None) -> datetime | None:
    """The last instant, at or before ``instant``, at which the record was settled; ``None`` before the first pull.

    What was recorded after it is provisional (docs/adr/0002) and nobody was shown it.
    """
    found: datetime | None = await connection.fetchval(
        "SELECT max(at) FROM record.settled WHERE at <= coalesce($1::timestamptz, 'infinity')", instant
    )
    return found


_DWELLERS = """
WITH asked AS (
    SELECT DISTINCT a.place, coalesce(led.person_id, d.person_id) AS person_id
    FROM unnest($1::int[], $2::bytea[]) AS a (place, blind_index)
    LEFT JOIN LATERAL (
        SELECT p.person_id FROM record.past_directory p
        WHERE p.blind_index = a.blind_index AND p.recorded_to > $3 ORDER BY p.recorded_to LIMIT 1) led ON true
    LEFT JOIN record.directory d ON d.blind_index = a.blind_index
)
SELECT DISTINCT ON (asked.place) asked.place, m.person_id, h.county, m.household_id, m.birth_date
FROM asked
JOIN record.membership m ON m.person_id = asked.person_id AND m.recorded_from <= $3 AND m.recorded_to > $3
    AND m.valid_from <= $4 AND (m.valid_to IS NULL OR m.valid_to > $4)
JOIN record.household_version h ON h.household_id = m.household_id AND h.status = 'ACTIVE'
    AND h.recorded_from <= $3 AND h.recorded_to > $3
    AND (h.valid_from IS NULL OR h.valid_from <= $4) AND (h.valid_to IS NULL OR h.valid_to > $4)
ORDER BY asked.place, m.valid_from DESC, m.member_no
"""


async def dwellers_of(
    connection: asyncpg.Connection,
    places: Sequence[int],
    indexes: Sequence[bytes],
    day: date,
    recorded: datetime,
) -> dict[int, Dweller]:
    """Who the ID numbers behind these blind indexes led to at ``recorded``, and the household he was in on ``day``.

    ``places`` says of each index to which question it belongs; a question without answer is left out. ``county`` is
    where the household's rows lie now.
    """
    records = await connection.fetch(_DWELLERS, list(places), list(indexes), recorded, day)
    return {record["place"]: Dweller(*list(record)[1:]) for record in records}


def _is_expired(fact: Fact, today: date) -> bool:
    """Whether an adverse item ended so long ago that its source may not even deliver it (条例 art. 16)."""
    ended = ended_on(fact.seen)
    return ended is not None and ended < years_before(today, YEARS_AT_MOST)


async def unlawful_items(
    connection: asyncpg.Connection, keys: KeyService, facts: Iterable[Fact], today: date
) -> list[Fact]:
    """The adverse items among facts that were shown once and may not be shown any more: their own end, or one that a
    later version tells, is too long ago, or a competent body repaired them since.
    """
    adverse = [fact for fact in facts if fact.seen.adverse]
    over = await over_versions(connection, {(f.seen.source, f.seen.source_key) for f in adverse}, today)
    shown = [f for f in adverse if not is_over(f.seen, today)]
    shown = [f for f in shown if (f.seen.source, f.seen.source_key, f.seen.version) not in over]
    shown = await _not_repaired(connection, keys, shown, LATEST)
    return [fact for fact in adverse if fact not in shown]


async def lawful_now(
    connection: asyncpg.Connection, keys: KeyService, record: HouseholdRecord, today: date, known: datetime
) -> HouseholdRecord:
    """The record of an earlier day without what may not be shown any more, or was not yet so on that day.

    Adverse items whose time is over under their own regime are left out of an earlier day, and so are those repaired
    since; in a reading of today a steward sees beside its source what that still delivers (docs/adr/0009). A value
    whose furnishing consent was withdrawn since, or that its source has meanwhile suppressed, is held back as it is
    ``today`` (个人信息保护法 art. 47: stored only). ``known`` is the instant at which consents, repairs and sources are
    asked about that: the last settled one.
    """
    is_past = record.day < today
    kept = [
        fact
        for fact in record.facts
        if not (is_over(fact.seen, today) if is_past else _is_expired(fact, today))
        and not (is_past and fact.seen.valid_from is not None and fact.seen.valid_from > record.day)
    ]
    kept = await _not_repaired(connection, keys, kept, known)
    locked = await _locked_consents(connection, keys, kept, today, known)
    suppressed = await _suppressed(connection, kept, known)

    def standing(fact: Fact) -> Fact:
        seen = fact.seen
        if fact.status is not FactStatus.CURRENT:
            return fact
        if seen.consent_id is not None and (seen.source, seen.consent_id) in locked:
            return replace(fact, status=FactStatus.LOCKED)
        return replace(fact, status=FactStatus.SUPPRESSED) if (seen.source, seen.source_key) in suppressed else fact

    return replace(
        record,
        facts=tuple(map(standing, kept)),
        consents=tuple(
            (member_no, consent)
            for member_no, consent in record.consents
            if not is_past or consent.granted_on is None or consent.granted_on <= record.day
        ),
    )


async def _not_repaired(
    connection: asyncpg.Connection, keys: KeyService, facts: Sequence[Fact], known: datetime
) -> list[Fact]:
    def item_of(fact: Fact) -> ItemOfPerson:
        return ItemOfPerson(fact.seen.source, fact.seen.source_key, fact.seen.person_id)

    noted = await notes_on(connection, keys, {item_of(fact) for fact in facts if fact.seen.adverse}, known)
    return [fact for fact in facts if not (fact.seen.adverse and noted[item_of(fact)].is_repaired)]


_VERSIONS = """
SELECT o.source, o.source_key, o.row_id, o.kind, o.suppressed, o.payload
FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS u (source, source_key)) a
JOIN ingest.held_row h USING (source, source_key) JOIN record.observation o ON o.row_id = h.row_id
WHERE NOT o.tombstone AND o.recorded_from <= $3 AND o.recorded_to > $3
"""
"""The versions of rows that counted at an instant; the ledger has the keys of all that ever did."""


async def _locked_consents(
    connection: asyncpg.Connection, keys: KeyService, facts: Sequence[Fact], today: date, known: datetime
) -> set[tuple[str, str]]:
    """Source and id of the consents under these facts that were withdrawn or taken back."""
    named = {(f.seen.source, f.seen.consent_id) for f in facts if f.seen.consent_id is not None}
    found = await connection.fetch(
        _VERSIONS, [source for source, _ in named], [f"consent|{consent_id}" for _, consent_id in named], known
    )
    standing = set()
    for row in found:
        withdrawn = open_payload(keys, row["payload"], row["row_id"])["value"].get("withdrawn_on")
        if withdrawn is None or date.fromisoformat(withdrawn) > today:
            standing.add((row["source"], row["source_key"].removeprefix("consent|")))
    return named - standing


async def _suppressed(connection: asyncpg.Connection, facts: Sequence[Fact], known: datetime) -> set[tuple[str, str]]:
    found = await connection.fetch(
        _VERSIONS + " AND o.suppressed", [f.seen.source for f in facts], [f.seen.source_key for f in facts], known
    )
    return {(row["source"], row["source_key"]) for row in found}
