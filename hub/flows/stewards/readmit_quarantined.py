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

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.connectors.kept_rows import KeptRow, correctable_fields, recheck, value_of
from hub.core.canonical import INTEGER_MAX
from hub.core.clock import day_of
from hub.core.contracts import contract_of
from hub.core.errors import HubError, InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.names import QuarantineReason
from hub.flows.intake.challenge_sources import challenging
from hub.flows.intake.settle_pull import settle_rows
from hub.flows.stewards.quarantined_entry import (
    EntryClosedError,
    NoSuchEntryError,
    act_entry,
    entry_or_earlier,
    record_attempt,
)
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk, require_settled
from hub.records.folding.sections import refresh_at_once
from hub.records.held_back.quarantine import entry_id
from hub.records.held_back.quarantine_acts import (
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
from hub.records.held_back.quarantine_county import counties_of_judged
from hub.records.held_back.quarantine_entries import Act, QuarantinedRow, bank_code_of, subject_of_entry
from hub.records.intake.judge import JudgedRow
from hub.records.intake.settle import clear_overtaken

CORRECTIONS_MAX = 40
"""Fields of one repair."""

TEXT_MAX = 500
"""Characters of a corrected value."""


class StillBreaksError(HubError):
    """The row still breaks rules and stays in quarantine."""

    code = "QUARANTINE_STILL_BREAKS"

    def __init__(self, reasons: tuple[QuarantineReason, ...]) -> None:
        self.reasons = reasons
        super().__init__(
            f"the row still breaks {', '.join(reason.name for reason in reasons)}; it stays in quarantine.",
            remedy="Correct those fields, ask the agency for a new version, or discard the row.",
        )


class OtherCountyError(RefusedError):
    """The corrected row would be about somebody of a county that is not the steward's. ``person``: whom."""

    code = "REPAIR_OUT_OF_AREA"

    def __init__(self, person: UUID | None) -> None:
        self.person = person
        super().__init__(
            "the corrected row is about somebody of a county that is not yours; nothing was changed.",
            remedy="Ask a steward of that county, or of the whole prefecture.",
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


async def release_row(desk: StewardDesk, act: StewardAct, number: int) -> tuple[Readmitted, Receipt]:
    """Let a row count whose reason no longer holds.

    Doing it again gives the same steward the same answer and the first receipt. Raises :class:`InputError`,
    :class:`StillBreaksError`, :class:`EntryClosedError`, :class:`OtherCountyError`, :class:`NotKeptError`, an error
    while a pull runs, and :class:`~hub.core.errors.AuditError` if the log cannot record it; then nothing was changed.
    """
    return await _readmit(desk, act, number, None)


async def repair_row(
    desk: StewardDesk, act: StewardAct, number: int, corrections: Mapping[str, Any]
) -> tuple[Readmitted, Receipt]:
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
) -> tuple[Readmitted, Receipt]:
    act.check()
    asked = _Asked(number, RELEASED if corrections is None else REPAIRED, dict(corrections or {}))
    event = uuid7()
    try:
        async with desk.deciding() as connection:
            await require_settled(connection)
            done, recorded = await _change(connection, desk, act, asked, event)
    except StillBreaksError as refusal:
        remaining = {"remaining": [reason.name for reason in refusal.reasons]}
        await record_attempt(desk, act, event, asked.verb, number, asked.facts | remaining, fields=asked.fields)
        raise
    except OtherCountyError as refusal:
        await record_attempt(
            desk, act, event, asked.verb, number, asked.facts, persons=[refusal.person], fields=asked.fields
        )
        raise
    except (EntryClosedError, NoSuchEntryError):
        # Not even the names of fields: nothing has checked that they are names.
        await record_attempt(desk, act, event, asked.verb, number, {})
        raise
    return done, await desk.signed(recorded)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a steward asks for."""

    number: int
    verb: str
    corrections: Mapping[str, Any]

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(sorted(self.corrections))

    @property
    def facts(self) -> dict[str, Any]:
        """As the log writes it."""
        return {"fields": list(self.fields)} if self.verb == REPAIRED else {}

    def fingerprint(self, desk: StewardDesk) -> bytes:
        """A keyed hash of its one written form: the same act asked again is known by it."""
        asked = [self.verb, self.number, dict(self.corrections)]
        return desk.keys.index("content", orjson.dumps(asked, option=orjson.OPT_SORT_KEYS).decode())


async def _change(
    connection: asyncpg.Connection, desk: StewardDesk, act: StewardAct, asked: _Asked, event: UUID
) -> tuple[Readmitted, UUID]:
    """What came of it, and the event that records it."""
    now = desk.clock()  # in its turn: what was settled before was settled before this instant
    fingerprint = asked.fingerprint(desk)
    entry = await entry_or_earlier(connection, desk, act, asked.number, fingerprint)
    if isinstance(entry, Act):
        return await _repeated(connection, entry, asked), entry.event
    kept = await kept_row(connection, entry)
    unknown = sorted(set(asked.corrections) - correctable_fields(kept)) if asked.corrections else []
    if unknown:
        raise InputError(
            f"a row of this source has no field `{unknown[0][:40]}`.",
            remedy="Use the wire names that `hub quarantine show` prints.",
        )
    judged = await _judged(connection, desk, entry, kept, asked, now)
    person = await _subject(connection, entry, judged)
    counties = await counties_of_judged(connection, judged)
    if counties and not act.may_judge(counties):
        raise OtherCountyError(person)
    decided = Decided(
        act=asked.verb,
        steward=act.steward,
        reason=act.reason,
        acted_at=now,
        ev=event,
        contract=contract_of(entry.kind),
        fingerprint=fingerprint,
        row_id=judged.row_id,
        values={name: [value_of(kept.wire, name), value] for name, value in asked.corrections.items()} or None,
    )
    outcome = await _let_in(connection, desk, entry, judged, decided, now)
    await write_act(connection, desk.keys, entry, decided)
    facts = asked.facts | {"outcome": outcome}
    await append(
        connection, act_entry(desk, act, event, asked.verb, entry, facts, persons=[person], fields=asked.fields)
    )
    return Readmitted(entry_id(asked.number), asked.verb, outcome, decided.contract, asked.fields), event


async def _let_in(
    connection: asyncpg.Connection,
    desk: StewardDesk,
    entry: QuarantinedRow,
    judged: JudgedRow,
    decided: Decided,
    now: datetime,
) -> str:
    """Let the row count with all that follows from it; gives what became of it. Raises :class:`StillBreaksError`."""
    run_id = await begin_act(connection, now)
    stale_before = await _stale_households(connection)
    if decided.act == RELEASED:
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
    return outcome


async def _repeated(connection: asyncpg.Connection, earlier: Act, asked: _Asked) -> Readmitted:
    """The answer to an act that the same steward did before."""
    assert earlier.row_id is not None, "a row that was let in is a row"
    outcome, _ = await outcome_of(connection, earlier.row_id)
    return Readmitted(entry_id(asked.number), asked.verb, outcome, earlier.contract, asked.fields, repeated=True)


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


async def _judged(
    connection: asyncpg.Connection,
    desk: StewardDesk,
    entry: QuarantinedRow,
    kept: KeptRow,
    asked: _Asked,
    now: datetime,
) -> JudgedRow:
    """The row by the rules of a delivery. Raises :class:`StillBreaksError`."""
    checked = recheck(kept, day_of(now), asked.corrections or None)
    if checked.reasons:
        raise StillBreaksError(checked.reasons)
    judged = await judge_again(
        connection, desk.keys, entry, checked, entry.row_id if asked.verb == RELEASED else uuid7()
    )
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
