"""A steward lets a row out of quarantine: as it is (release), or with named fields corrected (repair).

Either way the row is judged anew by the rules that a new delivery must pass, and by what only the end of a pull can
judge; a row that still breaks a rule stays where it is. The row, what follows for the record, the refreshed sections,
the act and its audit entry are one transaction. Acts and pulls take turns: they hold the same lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.audit.events import Decision
from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.connectors.kept_rows import KeptRow, correctable_fields, recheck, value_of
from hub.core.canonical import INTEGER_MAX
from hub.core.clock import day_of
from hub.core.contracts import contract_of
from hub.core.errors import HubError, InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.names import QuarantineReason
from hub.flows.challenge_sources import challenging
from hub.flows.settle_pull import settle_rows
from hub.flows.steward_desk import StewardAct, StewardDesk
from hub.flows.steward_record import steward_record
from hub.records.judge import JudgedRow
from hub.records.quarantine import entry_id
from hub.records.quarantine_acts import (
    RELEASED,
    REPAIRED,
    Decided,
    begin_act,
    judge_again,
    outcome_of,
    release_entry,
    repair_entry,
    write_act,
)
from hub.records.quarantine_entries import QuarantinedRow, acts_of, bank_code_of, find_entry, subject_of_entry
from hub.records.sections import is_settled, refresh_at_once
from hub.records.settle import clear_overtaken

CORRECTIONS_MAX = 40
"""Fields of one repair."""

TEXT_MAX = 500
"""Characters of a corrected value."""

_EVENTS = {RELEASED: "quarantine:steward:released", REPAIRED: "quarantine:steward:repaired"}


class NoSuchEntryError(InputError):
    """There is no quarantine entry of that number."""

    code = "QUARANTINE_UNKNOWN"


class EntryClosedError(HubError):
    """The entry is not open any more; somebody or something else dealt with it."""

    code = "QUARANTINE_CLOSED"


class StillBreaksError(HubError):
    """The row still breaks rules and stays in quarantine."""

    code = "QUARANTINE_STILL_BREAKS"

    def __init__(self, reasons: tuple[QuarantineReason, ...]) -> None:
        self.reasons = reasons
        super().__init__(
            f"the row still breaks {', '.join(reason.name for reason in reasons)}; it stays in quarantine.",
            remedy="Correct those fields, ask the agency for a new version, or discard the row.",
        )


class NotKeptError(HubError):
    """Nothing of the row may be kept, so nothing can be judged anew."""

    code = "QUARANTINE_NOT_KEPT"


@dataclass(frozen=True, slots=True)
class Readmitted:
    """What came of the act: ``outcome`` is ``CURRENT``, or ``SUPERSEDED`` where a newer version counts."""

    entry: str
    act: str
    outcome: str
    contract: str
    corrected: tuple[str, ...]
    repeated: bool = False


async def release_row(desk: StewardDesk, act: StewardAct, number: int) -> tuple[Readmitted, Receipt | None]:
    """Let a row count whose reason no longer holds.

    Doing it again gives the same answer without a receipt of its own. Raises :class:`InputError`,
    :class:`StillBreaksError`, :class:`EntryClosedError`, :class:`NotKeptError`, an error while a pull runs, and
    :class:`~hub.core.errors.AuditError` if the log cannot record it; then nothing was changed.
    """
    return await _readmit(desk, act, number, None)


async def repair_row(
    desk: StewardDesk, act: StewardAct, number: int, corrections: Mapping[str, Any]
) -> tuple[Readmitted, Receipt | None]:
    """Let a row count with other values in the named wire fields; ``None`` takes a value away. Raises as release."""
    _check_corrections(corrections)
    return await _readmit(desk, act, number, corrections)


def _check_corrections(corrections: Mapping[str, Any]) -> None:
    if not 1 <= len(corrections) <= CORRECTIONS_MAX:
        raise InputError(f"a repair names 1 to {CORRECTIONS_MAX} fields.", remedy="Name the fields that are wrong.")
    for value in corrections.values():
        match value:
            case None | bool():
                continue
            case int() if abs(value) < INTEGER_MAX:
                continue
            case str() if value.isprintable() and 0 < len(value) <= TEXT_MAX:
                continue
        raise InputError(
            "a corrected value is a text of one line, a whole number, true, false or null.",
            remedy="Amounts and dates are texts, as the agency writes them.",
        )


async def _readmit(
    desk: StewardDesk, act: StewardAct, number: int, corrections: Mapping[str, Any] | None
) -> tuple[Readmitted, Receipt | None]:
    act.check()
    event = uuid7()
    try:
        async with desk.deciding() as connection:
            if not await is_settled(connection):
                raise RefusedError(
                    "the last pull was broken off and its rows are not settled; nothing was changed.",
                    remedy="Run the pull again first.",
                    code="PULL_UNSETTLED",
                )
            now = desk.clock()  # in its turn: what was settled before was settled before this instant
            done = await _change(connection, desk, act, number, corrections, now, event)
    except StillBreaksError as refusal:
        await _record_refusal(desk, act, number, corrections, refusal, event)
        await desk.signed(event)
        raise
    return done, None if done.repeated else await desk.signed(event)


async def _change(
    connection: asyncpg.Connection,
    desk: StewardDesk,
    act: StewardAct,
    number: int,
    corrections: Mapping[str, Any] | None,
    now: datetime,
    event: UUID,
) -> Readmitted:
    verb = RELEASED if corrections is None else REPAIRED
    entry = await find_entry(connection, desk.keys, number, lock=True)
    if entry is None:
        raise NoSuchEntryError("there is no such quarantine entry.", remedy="See `hub quarantine list`.")
    fingerprint = desk.keys.index("content", _asked(verb, number, corrections))
    if not entry.is_open:
        return await _repeated(connection, desk, entry, verb, fingerprint)
    kept = await kept_row(connection, entry)
    if corrections is not None:
        unknown = sorted(set(corrections) - correctable_fields(kept))
        if unknown:
            raise InputError(
                f"a row of this source has no field `{unknown[0][:40]}`.",
                remedy="Use the wire names that `hub quarantine show` prints.",
            )
    judged = await _judged(connection, desk, entry, kept, corrections, now)
    decided = Decided(
        act=verb,
        steward=act.steward,
        reason=act.reason,
        acted_at=now,
        ev=event,
        contract=contract_of(entry.kind),
        fingerprint=fingerprint,
        row_id=judged.row_id,
        values=None
        if corrections is None
        else {name: [value_of(kept.wire, name), value] for name, value in corrections.items()},
    )
    run_id = await begin_act(connection, now)
    stale_before = await _stale_households(connection)
    if corrections is None:
        await release_entry(connection, desk.keys, entry, judged, run_id, now)
    else:
        await repair_entry(connection, desk.keys, entry, judged, decided, run_id, now)
    await settle_rows(connection, desk.keys, run_id, now)
    await clear_overtaken(connection, entry.source)
    outcome, reason = await outcome_of(connection, judged.row_id)
    if reason is not None:
        raise StillBreaksError((reason,))
    await refresh_at_once(
        connection, desk.keys, now, await _stale_households(connection) - stale_before, then=challenging(desk.keys)
    )
    await write_act(connection, desk.keys, entry, decided)
    await append(
        connection,
        steward_record(
            desk.keys,
            act,
            event,
            _EVENTS[verb],
            _facts(entry, corrections) | {"outcome": outcome},
            persons={await _subject(connection, entry, judged): {"entry": entry_id(number)}},
        ),
    )
    return Readmitted(entry_id(number), verb, outcome, decided.contract, tuple(sorted(corrections or ())))


def _asked(act: str, number: int, corrections: Mapping[str, Any] | None) -> str:
    """What was asked, in one written form: the same act asked again is known by it."""
    return orjson.dumps([act, number, dict(corrections or {})], option=orjson.OPT_SORT_KEYS).decode()


async def kept_row(connection: asyncpg.Connection, entry: QuarantinedRow) -> KeptRow:
    """The entry as the connectors' rules read it. Raises :class:`NotKeptError` where only the count may be kept."""
    if entry.wire is None:
        raise NotKeptError(
            f"of a row refused as {entry.reason.name} nothing may be kept but the count.",
            remedy="It is judged anew when the agency delivers it again; it can be discarded.",
        )
    return KeptRow(
        kind=entry.kind,
        source_key=entry.source_key,
        version=entry.version,
        origin=entry.origin,
        wire=entry.wire,
        reasons=entry.reasons,
        file_name=entry.file_name,
        business_date=entry.business_date,
        bank_code=await bank_code_of(connection, entry.source) if entry.kind == "bank-files" else None,
    )


async def _repeated(
    connection: asyncpg.Connection, desk: StewardDesk, entry: QuarantinedRow, act: str, fingerprint: bytes
) -> Readmitted:
    """The answer to an act that was done before; any other act comes too late."""
    for earlier in await acts_of(connection, desk.keys, entry.number):
        if earlier.fingerprint == fingerprint and earlier.row_id is not None:
            outcome, _ = await outcome_of(connection, earlier.row_id)
            corrected = tuple(sorted(earlier.values))
            return Readmitted(entry_id(entry.number), act, outcome, earlier.contract, corrected, repeated=True)
    raise EntryClosedError(
        "this entry is closed: the agency, a pull or another steward has dealt with it.",
        remedy="See `hub quarantine show`.",
    )


async def _judged(
    connection: asyncpg.Connection,
    desk: StewardDesk,
    entry: QuarantinedRow,
    kept: KeptRow,
    corrections: Mapping[str, Any] | None,
    now: datetime,
) -> JudgedRow:
    """The row by the rules of a delivery. Raises :class:`StillBreaksError`."""
    checked = recheck(kept, day_of(now), corrections)
    if checked.reasons:
        raise StillBreaksError(checked.reasons)
    judged = await judge_again(connection, desk.keys, entry, checked, entry.row_id if corrections is None else uuid7())
    if judged is None:
        raise InputError(
            "a row of this key and version that says the same is held already.", remedy="Discard this one."
        )
    if judged.reasons:
        raise StillBreaksError(judged.reasons)
    return judged


async def _stale_households(connection: asyncpg.Connection) -> set[UUID]:
    records = await connection.fetch("SELECT household_id FROM record.stale_household")
    return {record["household_id"] for record in records}


async def _subject(connection: asyncpg.Connection, entry: QuarantinedRow, judged: JudgedRow) -> UUID | None:
    for index in judged.subject_indexes:
        person: UUID | None = await connection.fetchval(
            "SELECT person_id FROM record.directory WHERE blind_index = $1", index
        )
        if person is not None:
            return person
    return await subject_of_entry(connection, entry)


async def _record_refusal(
    desk: StewardDesk,
    act: StewardAct,
    number: int,
    corrections: Mapping[str, Any] | None,
    refusal: StillBreaksError,
    event: UUID,
) -> None:
    """An attempt that was refused is recorded too: a held-back row was opened for it."""
    async with desk.reading() as connection:
        entry = await find_entry(connection, desk.keys, number)
        assert entry is not None, "it was found a moment ago, and entries stay"
        name = _EVENTS[RELEASED if corrections is None else REPAIRED]
        facts = _facts(entry, corrections) | {"remaining": [reason.name for reason in refusal.reasons]}
        persons = {await subject_of_entry(connection, entry): {"entry": entry_id(number)}}
        await append(
            connection,
            steward_record(desk.keys, act, event, name, facts, decision=Decision.DENY, persons=persons),
        )


def _facts(entry: QuarantinedRow, corrections: Mapping[str, Any] | None) -> dict[str, Any]:
    facts = {
        "source": entry.source,
        "entry": entry_id(entry.number),
        "reasonCode": entry.reason.name,
        "contract": contract_of(entry.kind),
    }
    return facts if corrections is None else facts | {"fields": sorted(corrections)}
