"""An auditor has a past answer made again, byte for byte, from what the log pins: nobody ever stored the reply.

The entry names the operation, what was decided, the rules and the basis that decided it, and of each section that left
the fold, the instant of the fold and the digest. The decision is checked against the rules of that time, the household
is folded as of that instant, every section must have its digest, and the same operation runs over the same sections.
Where that is not possible any more, or not lawful, the refusal says exactly why (hub/flows/readings/obstacles.py); the
log does not, as it would remember what the law forgets.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.access.parts import PART_FACTS, part_of
from hub.audit.detail import Blob
from hub.audit.events import Decision, Kind
from hub.audit.open_entry import OpenedEntry, check_receipt, open_entry
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.core.clock import Clock, day_of
from hub.core.disclosure import AbsentPart, Disclosure, Part, Section, WithheldPart
from hub.core.errors import InputError
from hub.core.ids import uuid7
from hub.core.names import AbsenceReason, Category, Form, Purpose, WithheldReason
from hub.core.version import VERSION
from hub.flows.disclosure.gate_wire import pseudonym_space
from hub.flows.readings.obstacles import Obstacle, Outcome, ReplayRefusedError
from hub.flows.readings.past_fold import Line, PastFolds
from hub.flows.stewards.show_household import OPERATION as SHOW
from hub.records.folding.fold import FOLD_VERSION
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

REASON_MAX = 500
"""Characters of a reason."""

RECEIPT_SECONDS = 30.0
"""How long to wait until the audit log has signed for the replay."""

ANSWERS = frozenset(
    {"profile:client:queried", "household:resident:queried", "household:guardian:queried", "household:steward:shown"}
)
"""Events of answers that show a record; only these can be made again."""

_NOT_SHOWN = frozenset({None, "USED_UP"})
"""Causes of a denial after which the person was named all the same."""

_REFUSED = frozenset({"ASKER_UNKNOWN", "ASKER_SUSPENDED", "TOKEN_REVOKED"})
"""Causes after which there was no answer at all."""

_IDENTITY = "identity/VALUE"

_HOUSEHOLD_PARTS = frozenset(facts.part for facts in PART_FACTS if facts.household)


@dataclass(frozen=True, slots=True)
class ReplayQuery:
    """Who wants to see the answer again, and why."""

    account: str
    reason: str

    def check(self) -> None:
        """Raise :class:`InputError` without a reason."""
        if not self.reason.strip() or len(self.reason) > REASON_MAX:
            raise InputError(
                f"a reason of 1 to {REASON_MAX} characters is needed.", remedy="Say with --reason what this is for."
            )


@dataclass(frozen=True, slots=True)
class PastAnswer:
    """A past disclosure made again, with the operation that it answered."""

    document: str
    variables: dict[str, Any]
    client_id: str
    token_id: str
    actor: str
    purpose: Purpose
    person_id: UUID | None
    asked: frozenset[str]
    disclosure: Disclosure


Run = Callable[[PastAnswer], Awaitable[bytes | None]]
"""Executes the operation over the disclosure: the bytes of ``data``, ``None`` if it asks for other parts."""


async def replay_answer(
    database: Database,
    keys: KeyService,
    receipts: Receipts,
    query: ReplayQuery,
    receipt: Receipt,
    run: Run,
    clock: Clock,
) -> bytes:
    """The bytes of the ``data`` that the receipt was given with; the replay is recorded before they are returned.

    An attempt that fails is recorded as well, without the obstacle. Raises :class:`ReplayRefusedError` with it,
    :class:`RefusedError` for a receipt that does not hold, :class:`AuditError` if the log was altered or cannot record.
    """
    query.check()
    await receipts.ready()
    auditor = await database.connect(DbRole.AUDITOR)
    record = await database.connect(DbRole.INGEST)
    try:
        await check_receipt(auditor, receipt)
        entry = await open_entry(auditor, keys, receipt.leaf().ev)
        data, refusal = b"", None
        try:
            data = await _replay(auditor, record, keys, entry, run, day_of(clock()))
        except ReplayRefusedError as error:
            refusal = error
        event = await _note(record, query, entry, Outcome.REPLAYED if refusal is None else refusal.obstacle.outcome)
    finally:
        await auditor.close()
        await record.close()
    await receipts.wait(event, RECEIPT_SECONDS)
    if refusal is not None:
        raise refusal
    return data


async def _replay(
    auditor: asyncpg.Connection,
    record: asyncpg.Connection,
    keys: KeyService,
    entry: OpenedEntry,
    run: Run,
    today: date,
) -> bytes:
    if entry.leaf.what not in ANSWERS:
        raise ReplayRefusedError(Obstacle.NOT_AN_ANSWER)
    request = entry.request() if entry.is_whole else None
    if entry.shared is None or request is None:
        raise ReplayRefusedError(Obstacle.NOT_AN_ANSWER if entry.is_whole else Obstacle.DETAIL_DESTROYED)
    decision = _read(entry, entry.shared)
    folds = PastFolds(record, keys, day_of(decision.as_of), today)
    if request[0] == SHOW:
        named = decision.named
        return await folds.shown_line(request[1], named.lines[0] if named.lines else None, named.household)
    if decision.reason in _REFUSED:
        raise ReplayRefusedError(Obstacle.NOT_AN_ANSWER)
    await _check(auditor, entry, decision)
    answer = await _answer(keys, folds, entry, decision, request)
    data = await run(answer)
    if data is None:
        raise ReplayRefusedError(Obstacle.SCHEMA_DIFFERS)
    return data


@dataclass(frozen=True, slots=True)
class _Told:
    """What the entry says of one person; ``household`` is ``None`` where nothing of him left."""

    person: UUID | None = None
    household: UUID | None = None
    basis: UUID | None = None
    folded_at: str | None = None
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class _Decision:
    """What the entry says was decided."""

    as_of: datetime
    role: str | None
    reason: str | None
    asked: tuple[str, ...]
    withheld: Mapping[str, str]
    absent: Mapping[str, str]
    adults_not_shown: int | None
    named: _Told
    others: tuple[_Told, ...]

    @property
    def granted(self) -> list[str]:
        """The parts that were open; none where nothing left."""
        return [part for part in self.asked if part not in self.withheld] if self.named.household else []


def _read(entry: OpenedEntry, shared: Blob) -> _Decision:
    facts = shared.facts()
    told = [_told(person, blob.facts()) for person, blob in entry.persons.items() if blob is not None]
    is_named = [bool(blob.value("facts.named")) for blob in entry.persons.values() if blob is not None]
    return _Decision(
        as_of=datetime.fromisoformat(facts["asOf"]),
        role=facts.get("role"),
        reason=facts.get("reason"),
        asked=tuple("/".join(part) for part in facts["asked"]),
        withheld={f"{category}/{form}": reason for category, form, reason in facts.get("withheld", ())},
        absent={f"{category}/{form}": reason for category, form, reason in facts.get("absent", ())},
        adults_not_shown=facts.get("adultsNotShown"),
        named=next((each for each, named in zip(told, is_named, strict=True) if named), _Told()),
        others=tuple(each for each, named in zip(told, is_named, strict=True) if not named),
    )


def _told(person: UUID, facts: Mapping[str, Any]) -> _Told:
    household, basis = facts.get("household"), facts.get("basis")
    return _Told(
        person,
        UUID(household) if household else None,
        UUID(basis) if basis else None,
        facts.get("foldedAt"),
        tuple(Line(*line) for line in facts.get("sections", ())),
    )


async def _check(auditor: asyncpg.Connection, entry: OpenedEntry, decision: _Decision) -> None:
    """Whether what was granted follows from the rules and bases that the entry names. Today's rules do not matter."""
    leaf = entry.leaf
    try:
        digest = bytes.fromhex(leaf.policy)
    except ValueError:
        raise ReplayRefusedError(Obstacle.RULES_UNKNOWN) from None
    rows = await auditor.fetch("SELECT * FROM access.recorded_rules($1, $2, $3)", digest, decision.role, leaf.purpose)
    if not rows:
        raise ReplayRefusedError(Obstacle.RULES_UNKNOWN)
    rules = {row["part"]: row for row in rows}
    shown = {f"{line.category}/{line.form}" for line in decision.named.lines}
    if not shown <= set(decision.granted):
        raise ReplayRefusedError(Obstacle.DECISION_DIFFERS)
    for told, parts in ((decision.named, decision.granted), *((other, [_IDENTITY]) for other in decision.others)):
        open_parts = [rules.get(part) for part in parts]
        if any(rule is None or rule["closed"] is not None for rule in open_parts):
            raise ReplayRefusedError(Obstacle.DECISION_DIFFERS)
        resting = [rule for rule in open_parts if rule is not None and rule["needs_basis"]]
        if resting:
            await _check_basis(auditor, entry, decision, told, resting)


async def _check_basis(
    auditor: asyncpg.Connection,
    entry: OpenedEntry,
    decision: _Decision,
    told: _Told,
    resting: Sequence[asyncpg.Record],
) -> None:
    if told.basis is None:
        raise ReplayRefusedError(Obstacle.DECISION_DIFFERS)
    basis = await auditor.fetchrow("SELECT * FROM consent.recorded_basis($1)", told.basis)
    if basis is None:
        raise ReplayRefusedError(Obstacle.CONSENT_ERASED)
    is_covered = (
        (basis["organisation_id"], basis["purpose"]) == (entry.leaf.organisation, entry.leaf.purpose)
        and basis["effective_from"] <= decision.as_of < basis["expires_at"]
        and all(rule["part"] in basis["parts"] for rule in resting)
        and (basis["heightened"] or not any(rule["needs_heightened_notice"] for rule in resting))
    )
    if not is_covered:
        raise ReplayRefusedError(Obstacle.DECISION_DIFFERS)


async def _answer(
    keys: KeyService, folds: PastFolds, entry: OpenedEntry, decision: _Decision, request: tuple[str, dict[str, Any]]
) -> PastAnswer:
    assert entry.shared is not None
    facts, leaf = entry.shared.facts(), entry.leaf
    space = pseudonym_space(leaf.organisation, facts["client"])
    named = decision.named
    is_shown = named.person is not None and (named.household is not None or decision.reason in _NOT_SHOWN)
    sections: list[Section] = []
    for told in (named, *decision.others):
        if told.household is None or told.person is None:
            continue
        at = await folds.instant(told.folded_at, decision.as_of)
        bodies = await folds.bodies(told.household, told.person, told.lines, at)
        sections += _sections(keys.pseudonym(space, told.person), told.lines, bodies)
    if any(line.version != FOLD_VERSION for told in (named, *decision.others) for line in told.lines):
        _refuse_resolved(request[0], named.lines)
    disclosure = Disclosure(
        event=leaf.ev,
        as_of=decision.as_of,
        subject=keys.pseudonym(space, named.person) if is_shown and named.person is not None else None,
        other_adults=tuple(keys.pseudonym(space, other.person) for other in decision.others if other.person),
        adults_not_shown=decision.adults_not_shown,
        sections=tuple(sections),
        withheld=tuple(WithheldPart(part_of(key), WithheldReason(why)) for key, why in decision.withheld.items()),
        absent=tuple(AbsentPart(part_of(key), AbsenceReason(why)) for key, why in decision.absent.items()),
        basis_id=named.basis,
    )
    return PastAnswer(
        document=request[0],
        variables=request[1],
        client_id=facts["client"],
        token_id=facts["token"],
        actor=entry.shared.value("actor"),
        purpose=Purpose(leaf.purpose or ""),
        person_id=named.person,
        asked=frozenset(decision.asked),
        disclosure=disclosure,
    )


def _refuse_resolved(document: str, lines: Sequence[Line]) -> None:
    """Rules of precedence belong to the version of the fold: another one may name another value of equal sections."""
    if "resolved" in document:
        retired = next(line.version for line in lines if line.version != FOLD_VERSION)
        raise ReplayRefusedError(Obstacle.FOLD_RETIRED, retired)


def _sections(pseudonym: str, lines: Sequence[Line], bodies: Sequence[str]) -> list[Section]:
    """The sections as the gate handed them out: totals summed over the lenders, all others as they are."""
    sections: list[Section] = []
    totals: dict[Part, list[str]] = {}
    for line, body in zip(lines, bodies, strict=True):
        part = Part(Category(line.category), Form(line.form))
        if part.form is Form.TOTAL:
            totals.setdefault(part, []).append(body)
        else:
            adult = None if part in _HOUSEHOLD_PARTS else pseudonym
            sections.append(Section(adult, part, line.owner, body))
    sections += [Section(pseudonym, part, "", total_of(part, each)) for part, each in totals.items()]
    return sections


def total_of(part: Part, bodies: Sequence[str]) -> str:
    """The total over lenders as ``access.read_sections`` writes it: the same values under the same names."""
    read = [orjson.loads(body) for body in bodies]
    total: dict[str, Any] = {"lenders": len(read)}
    if part.category is Category.BANK_LOAN:
        classes = [body["worstClass"] for body in read if body["worstClass"] is not None]
        total["loans"] = sum(body["loans"] for body in read)
        total["totalBalance"] = str(sum(Decimal(body["balance"]) for body in read))
        total["worstClass"] = max(classes, default=None)
    else:
        total["totalAmount"] = str(sum(Decimal(body["amount"]) for body in read))
    return orjson.dumps(total).decode()


async def _note(record: asyncpg.Connection, query: ReplayQuery, entry: OpenedEntry, outcome: Outcome) -> UUID:
    """The entry about the replay; the people concerned find it in their lists of accesses."""
    event = uuid7()
    async with record.transaction():
        await append(
            record,
            PendingEntry(
                ev=event,
                kind=Kind.QUERY,
                event="answer:auditor:replayed",
                organisation="hub",
                actor=query.account,
                decision=Decision.ALLOW if outcome is Outcome.REPLAYED else Decision.DENY,
                policy=f"hub-{VERSION}",
                purpose=Purpose.SUPERVISION.value,
                subjects=tuple(entry.persons),
                facts={"entry": entry.leaf.seq, "outcome": outcome.value, "reason": query.reason},
            ),
        )
    return event
