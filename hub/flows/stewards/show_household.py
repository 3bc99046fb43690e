"""A data steward compares household records with their sources: purpose H, every record an audited disclosure.

What is shown is the record as it stood when it was last settled, so a row of a pull under way is never seen; with a day
and an instant, the record as it was then, as far as the law still lets it be shown.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

import asyncpg
import orjson

from hub.access.alerts import ring_canaries
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.receipts import Receipts
from hub.core.clock import Clock, day_of, iso
from hub.core.errors import InputError
from hub.core.identifiers import check_id_number, clean_id_number, is_adult
from hub.core.ids import uuid7
from hub.core.names import FACT_CATEGORIES, Category, Form, Purpose, QuarantineReason
from hub.core.version import VERSION
from hub.records.folding.as_of import Dweller, dwellers_of, lawful_now, settled_at
from hub.records.folding.fold import FOLD_VERSION, HouseholdRecord, fold
from hub.records.folding.household import load_seen
from hub.records.folding.shown import not_found, shown_record
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

OPERATION = "hub household show"
"""What stands in the log as the operation of such a query."""

_ASKED = [
    [category.value, Form.VALUE.value]
    for category in (*FACT_CATEGORIES, Category.IDENTITY, Category.ROSTER, Category.CONFLICT, Category.CONSENT)
]


@dataclass(frozen=True, slots=True)
class StewardQuery:
    """Who looks, what for and why; ``as_of``: the record of that day, ``recorded_at``: as was held at that instant."""

    steward: str
    purpose: str
    reason: str
    as_of: date | None = None
    recorded_at: datetime | None = None

    def check(self, today: date | None = None) -> None:
        """Raise :class:`InputError` unless the purpose is the steward's, a reason is given and the day has come."""
        if self.purpose not in PURPOSES:
            raise InputError(
                "a household record is shown to a steward for one purpose only.", remedy="Give --purpose H."
            )
        if not self.reason.strip() or len(self.reason) > REASON_MAX:
            raise InputError(
                f"a reason of 1 to {REASON_MAX} characters is needed.",
                remedy="Say with --reason which case this is for.",
            )
        if self.as_of is not None and today is not None and self.as_of > today:
            raise InputError("the day of --as-of has not come yet.", remedy="Give today or an earlier day.")


@dataclass(frozen=True, slots=True)
class _Standpoint:
    """The day and the instant of recording that the records are read as of. ``known``: the last settled instant, at
    which is judged what may still be shown ``today``.
    """

    day: date
    recorded: datetime
    today: date
    known: datetime


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
    query.check(day_of(clock()))
    await receipts.ready()
    lines: list[str] = []
    events: list[UUID] = []
    connection = await database.connect(DbRole.INGEST)
    try:
        for start in range(0, len(numbers), QUERIES_AT_ONCE):
            part = numbers[start : start + QUERIES_AT_ONCE]
            await ring_canaries(connection, _indexes(keys, part, day_of(clock()))[1], query.steward)
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
    known = await settled_at(connection) or now
    recorded = known
    if query.recorded_at is not None:
        recorded = await settled_at(connection, query.recorded_at) or query.recorded_at
    stand = _Standpoint(query.as_of or day_of(now), recorded, day_of(now), known)
    found = await _find(connection, keys, numbers, stand)
    records = await _records(connection, keys, {person.household_id for person in found.values()}, stand)
    lines: list[str] = []
    events: list[UUID] = []
    for offset, number in enumerate(numbers):
        person = found.get(offset)
        record = records.get(person.household_id) if person is not None else None
        asked = _Question(query, number, before + offset + 1, now, stand)
        if person is not None and record is not None and any(m.person_id == person.person_id for m in record.members):
            line = orjson.dumps(shown_record(record, asked.place)).decode()
            entry = _shown_entry(keys, asked, person, record, line)
        else:
            line = orjson.dumps(not_found(asked.place)).decode()
            entry = _entry(keys, asked)
        await append(connection, entry)
        lines.append(line)
        events.append(entry.ev)
    return lines, events


async def _records(
    connection: asyncpg.Connection, keys: KeyService, household_ids: set[UUID], stand: _Standpoint
) -> dict[UUID, HouseholdRecord]:
    records = {}
    for seen in await load_seen(connection, keys, household_ids, stand.day, stand.recorded):
        record = fold(seen, stand.day, stand.recorded)
        records[seen.household.household_id] = await lawful_now(connection, keys, record, stand.today, stand.known)
    return records


async def _find(
    connection: asyncpg.Connection, keys: KeyService, numbers: Sequence[str], stand: _Standpoint
) -> dict[int, Dweller]:
    """The adults with a household behind the numbers, by place in the list."""
    places, indexes = _indexes(keys, numbers, stand.today)
    found = await dwellers_of(connection, places, indexes, stand.day, stand.recorded)
    return {place: person for place, person in found.items() if is_adult(person.birth_date, stand.day)}


def _indexes(keys: KeyService, numbers: Sequence[str], today: date) -> tuple[list[int], list[bytes]]:
    """Places in the list, and blind indexes of the number at that place; 15 digits are upgraded."""
    places: list[int] = []
    indexes: list[bytes] = []
    for place, typed in enumerate(numbers):
        cleaned = clean_id_number(typed)
        number = check_id_number(cleaned, today) if cleaned is not None else QuarantineReason.ID_MISSING
        if isinstance(number, str):
            known_as = keys.indexes("identity", number)
            places += [place] * len(known_as)
            indexes += known_as
    return places, indexes


@dataclass(frozen=True, slots=True)
class _Question:
    """One line of the file: its ID number and its place, counted from 1."""

    query: StewardQuery
    number: str
    place: int
    now: datetime
    stand: _Standpoint


def _entry(keys: KeyService, asked: _Question) -> PendingEntry:
    """What is recorded of a query that found nobody: nothing in clear tells it from another one."""
    event = uuid7()
    variables = {
        "idNumber": asked.number,
        "query": asked.place,
        "day": asked.stand.day.isoformat(),
        "recordedAt": asked.stand.recorded.isoformat(),
        "knownAt": asked.stand.known.isoformat(),
        "today": asked.stand.today.isoformat(),
    }
    return PendingEntry(
        ev=event,
        kind=Kind.QUERY,
        event="household:steward:shown",
        organisation="hub",
        actor=asked.query.steward,
        decision=Decision.DENY,
        policy=f"hub-{VERSION}",
        purpose=Purpose.DATA_QUALITY.value,
        operation=operation_hash(OPERATION),
        facts={"asOf": iso(asked.now), "asked": _ASKED, "reason": asked.query.reason},
        sealed=seal_request(keys, event, OPERATION, variables),
    )


def _shown_entry(
    keys: KeyService, asked: _Question, person: Dweller, record: HouseholdRecord, line: str
) -> PendingEntry:
    """Names everyone listed in the record, the person asked for first, with the digest of what was shown."""
    empty = _entry(keys, asked)
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
    return replace(
        empty,
        decision=Decision.ALLOW,
        county=person.county,
        subjects=subjects,
        facts={**empty.facts, "persons": persons},
    )
