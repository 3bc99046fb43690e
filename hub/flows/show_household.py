"""A data steward compares household records with their sources: purpose H, every record an audited disclosure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import asyncpg
import orjson

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.receipts import Receipts
from hub.core.clock import Clock, day_of, iso
from hub.core.errors import InputError
from hub.core.identifiers import check_id_number, clean_id_number, is_adult
from hub.core.ids import uuid7
from hub.core.names import FACT_CATEGORIES, Category, Form, Purpose, QuarantineReason
from hub.core.version import VERSION
from hub.records.fold import FOLD_VERSION, HouseholdRecord, fold
from hub.records.household import LATEST, load_seen
from hub.records.shown import not_found, shown_record
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

PURPOSES = frozenset({"H", Purpose.DATA_QUALITY.value})
"""The one purpose for which a steward may see records: comparison with the sources, H in the data dictionary."""

REASON_MAX = 500
"""Characters of a reason."""

QUERIES_AT_ONCE = 100
"""Records read, and recorded in the audit outbox, in one transaction."""

RECEIPT_SECONDS = 30.0
"""How long to wait until the audit log has signed for what is about to be shown."""

_OPERATION = "hub household show"
_ASKED = [
    [category.value, Form.VALUE.value]
    for category in (*FACT_CATEGORIES, Category.IDENTITY, Category.ROSTER, Category.CONFLICT, Category.CONSENT)
]


@dataclass(frozen=True, slots=True)
class StewardQuery:
    """Who looks, what for and why."""

    steward: str
    purpose: str
    reason: str

    def check(self) -> None:
        """Raise :class:`InputError` unless the purpose is the steward's and a reason is given."""
        if self.purpose not in PURPOSES:
            raise InputError(
                "a household record is shown to a steward for one purpose only.", remedy="Give --purpose H."
            )
        if not self.reason.strip() or len(self.reason) > REASON_MAX:
            raise InputError(
                f"a reason of 1 to {REASON_MAX} characters is needed.",
                remedy="Say with --reason which case this is for.",
            )


@dataclass(frozen=True, slots=True)
class _Found:
    """A person with a current household."""

    person_id: UUID
    county: str
    household_id: UUID


async def show_households(
    database: Database,
    keys: KeyService,
    receipts: Receipts,
    query: StewardQuery,
    numbers: Sequence[str],
    clock: Clock,
) -> list[str]:
    """One JSON line for each ID number as typed, in order; ``NOT_FOUND`` where there is no adult with a household.

    What was read is recorded in the same transaction, and nothing is returned before the audit log has signed for all
    of it. Raises :class:`InputError` for a wrong purpose or a missing reason, :class:`AuditError` without a receipt.
    """
    query.check()
    await receipts.ready()
    lines: list[str] = []
    events: list[UUID] = []
    connection = await database.connect(DbRole.INGEST)
    try:
        for start in range(0, len(numbers), QUERIES_AT_ONCE):
            part = numbers[start : start + QUERIES_AT_ONCE]
            async with connection.transaction(isolation="repeatable_read"):
                some_lines, some_events = await _show(connection, keys, query, part, start, clock)
            lines += some_lines
            events += some_events
    finally:
        await connection.close()
    for event in events:
        await receipts.wait(event, RECEIPT_SECONDS)
    return lines


async def _show(
    connection: asyncpg.Connection,
    keys: KeyService,
    query: StewardQuery,
    numbers: Sequence[str],
    before: int,
    clock: Clock,
) -> tuple[list[str], list[UUID]]:
    now = clock()
    day = day_of(now)
    found = await _find(connection, keys, numbers, day)
    seen = await load_seen(connection, keys, {person.household_id for person in found.values()}, day)
    records = {one.household.household_id: fold(one, day, LATEST) for one in seen}
    lines: list[str] = []
    events: list[UUID] = []
    for offset, number in enumerate(numbers):
        person = found.get(offset)
        record = records.get(person.household_id) if person is not None else None
        if person is not None and record is not None and any(m.person_id == person.person_id for m in record.members):
            line = orjson.dumps(shown_record(record, before + offset + 1)).decode()
            entry = _shown_entry(keys, query, number, iso(now), person, record, line)
        else:
            line = orjson.dumps(not_found(before + offset + 1)).decode()
            entry = _entry(keys, query, number, iso(now))
        await append(connection, entry)
        lines.append(line)
        events.append(entry.ev)
    return lines, events


async def _find(
    connection: asyncpg.Connection, keys: KeyService, numbers: Sequence[str], day: date
) -> dict[int, _Found]:
    """The adults with a current household behind the numbers, by place in the list; 15 digits are upgraded."""
    places: list[int] = []
    indexes: list[bytes] = []
    for place, typed in enumerate(numbers):
        cleaned = clean_id_number(typed)
        number = check_id_number(cleaned, day) if cleaned is not None else QuarantineReason.ID_MISSING
        if isinstance(number, str):
            known_as = keys.indexes("identity", number)
            places += [place] * len(known_as)
            indexes += known_as
    records = await connection.fetch(
        """SELECT a.place, p.person_id, p.county, p.household_id, p.birth_date
           FROM unnest($1::int[], $2::bytea[]) AS a (place, blind_index)
           JOIN record.directory d USING (blind_index)
           JOIN record.person p ON p.county = d.county AND p.person_id = d.person_id
           WHERE p.household_id IS NOT NULL""",
        places,
        indexes,
    )
    return {
        record["place"]: _Found(record["person_id"], record["county"], record["household_id"])
        for record in records
        if is_adult(record["birth_date"], day)
    }


def _entry(keys: KeyService, query: StewardQuery, number: str, as_of: str) -> PendingEntry:
    """What is recorded of a query that found nobody: nothing in clear tells it from another one."""
    event = uuid7()
    return PendingEntry(
        ev=event,
        kind=Kind.QUERY,
        event="household:steward:shown",
        organisation="hub",
        actor=query.steward,
        decision=Decision.DENY,
        policy=f"hub-{VERSION}",
        purpose=Purpose.DATA_QUALITY.value,
        operation=operation_hash(_OPERATION),
        facts={"asOf": as_of, "asked": _ASKED, "reason": query.reason},
        sealed=seal_request(keys, event, _OPERATION, {"idNumber": number}),
    )


def _shown_entry(
    keys: KeyService,
    query: StewardQuery,
    number: str,
    as_of: str,
    person: _Found,
    record: HouseholdRecord,
    line: str,
) -> PendingEntry:
    """Names everyone listed in the record, the person asked for first, with the digest of what was shown."""
    empty = _entry(keys, query, number, as_of)
    others = sorted({m.person_id for m in record.members if m.person_id not in {None, person.person_id}}, key=str)
    subjects = (person.person_id, *(other for other in others if other is not None))
    digest = hashlib.sha256(line.encode()).hexdigest()
    persons: dict[str, object] = {
        str(subject): {"household": str(person.household_id), "named": subject == person.person_id}
        for subject in subjects
    }
    persons[str(person.person_id)] = {
        "household": str(person.household_id),
        "named": True,
        "sections": [["record", Form.VALUE.value, "", FOLD_VERSION, digest]],
    }
    return PendingEntry(
        ev=empty.ev,
        kind=empty.kind,
        event=empty.event,
        organisation=empty.organisation,
        actor=empty.actor,
        decision=Decision.ALLOW,
        policy=empty.policy,
        purpose=empty.purpose,
        operation=empty.operation,
        county=person.county,
        subjects=subjects,
        facts={**empty.facts, "persons": persons},
        sealed=empty.sealed,
    )
