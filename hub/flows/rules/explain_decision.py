"""Why a field was given or withheld, then and now: for auditors with the rules by name, for residents in plain words.

The decision is rebuilt from its entry in the audit log (hub/flows/rules/recorded_decision.py) and put before Cedar
again,
with the rules of that time and with today's. The explanation is itself an entry of the log; the people concerned find
it in their lists of accesses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from hub.access.explain import PartExplained, explain, known_parts
from hub.audit.events import Decision, Kind
from hub.audit.history import Access, list_accesses
from hub.audit.leaf import Leaf
from hub.audit.open_entry import OpenedEntry, open_entry
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.audit.tree import LOG_ID
from hub.core.clock import Clock
from hub.core.disclosure import Asker
from hub.core.errors import InputError, RefusedError, StoreError
from hub.core.fields import FIELDS
from hub.core.ids import uuid7
from hub.core.names import Purpose, Role
from hub.core.version import VERSION
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation
from hub.flows.readings.own_reading import record_own_reading
from hub.flows.rules.recorded_decision import RecordedDecision, recorded_decision, rules_in_force
from hub.store.database import DATABASE_ERRORS, Database, DbRole
from hub.store.keys import KeyService

REASON_MAX = 500
"""Characters of an auditor's reason."""

POLICY = f"hub-{VERSION}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision explained. ``digest_then`` and ``digest_now`` name the rules; ``parts`` are in the order asked."""

    event: UUID
    index: int
    at: datetime
    organisation: str
    role: Role
    purpose: Purpose
    cause: str | None
    has_basis: bool
    basis_stands: bool
    digest_then: bytes
    digest_now: bytes
    rules_known: bool
    parts: tuple[PartExplained, ...]

    @property
    def follows(self) -> bool:
        """Whether everything decided is what the rules of the time say."""
        return all(part.follows for part in self.parts)


def parts_named(field: str) -> tuple[str, ...]:
    """The parts behind a name: a part (``tax.grade/VALUE``), a category, a field id (``TaxGrade.grade``), or a place in
    the answer (``tax.grades``). Raises :class:`InputError` for what is none.
    """
    every = {f"{one.part.category}/{one.part.form}" for one in FIELDS.values()}
    found = {part for part in every if part == field or part.split("/")[0] == field}
    for field_id, one in FIELDS.items():
        if field == field_id or (one.place and (field == one.place or field.startswith(f"{one.place}."))):
            found |= {f"{part.category}/{part.form}" for part in one.parts}
    if not found:
        raise InputError(
            f"`{field[:80]}` is no field, part or category of a record.",
            remedy="Write it as docs/FIELDS.md does, for instance tax.grade/VALUE, TaxGrade.grade or tax.grades.",
            code="FIELD_UNKNOWN",
        )
    return tuple(sorted(found))


async def explain_to_auditor(
    database: Database,
    keys: KeyService,
    receipts: Receipts,
    *,
    account: str,
    reason: str,
    event: UUID,
    fields: Sequence[str],
    clock: Clock,
) -> Explanation:
    """The explanation of one entry, recorded with its reason before it is returned.

    Raises :class:`RefusedError` for an entry that is unknown or no decision, or whose keys were destroyed.
    """
    if not reason.strip() or len(reason) > REASON_MAX:
        raise InputError(
            f"a reason of 1 to {REASON_MAX} characters is needed.", remedy="Say with --reason what this is for."
        )
    wanted = [part for field in fields for part in parts_named(field)]
    await receipts.ready()
    auditor = await database.connect(DbRole.AUDITOR)
    try:
        entry = await open_entry(auditor, keys, event)
        explanation = await explain_entry(auditor, entry, clock(), wanted)
    finally:
        await auditor.close()
    noted = uuid7()
    record = await database.connect(DbRole.INGEST)
    try:
        async with record.transaction():
            await append(
                record,
                PendingEntry(
                    ev=noted,
                    kind=Kind.QUERY,
                    event="decision:auditor:explained",
                    organisation="hub",
                    actor=account,
                    decision=Decision.ALLOW,
                    policy=POLICY,
                    purpose=Purpose.SUPERVISION.value,
                    subjects=tuple(entry.persons),
                    facts={"entry": entry.leaf.seq, "follows": explanation.follows, "reason": reason},
                ),
            )
    finally:
        await record.close()
    await receipts.wait(noted, RECEIPT_SECONDS)
    return explanation


async def event_at(auditor: asyncpg.Connection, index: int) -> UUID:
    """The event of the entry at a place of the log. Raises :class:`RefusedError` if there is none."""
    entry = await auditor.fetchval("SELECT entry FROM audit.entry WHERE log_id = $1 AND seq = $2", LOG_ID, index)
    if entry is None:
        raise RefusedError(f"the log has no entry {index}.", code="ENTRY_UNKNOWN")
    return Leaf.parse(entry).ev


async def explain_entry(
    auditor: asyncpg.Connection, entry: OpenedEntry, now: datetime, wanted: Sequence[str] = ()
) -> Explanation:
    """The explanation of an opened entry; ``wanted`` parts only, by default all that were asked."""
    if entry.shared is None or None in entry.persons.values():
        raise RefusedError(
            "the keys of the entry's detail were destroyed when a person concerned was erased.", code="DETAIL_DESTROYED"
        )
    own = [blob.facts() for blob in entry.persons.values() if blob is not None]
    named = next((facts for facts in own if facts.get("named")), {})
    found = await recorded_decision(auditor, entry.leaf, entry.shared.facts(), named)
    return await _explained(auditor, entry.leaf.ev, entry.leaf.seq, entry.leaf.organisation, found, now, wanted)


async def explain_to_resident(
    desk: ConsentDesk, auditor: asyncpg.Pool, asker: Asker, operation: Operation, event: UUID
) -> tuple[Explanation, Receipt]:
    """One access of the own list explained; recorded before it is shown.

    Raises :class:`RefusedError` with ``NOT_ALLOWED`` for an account without a person, and ``NOT_FOUND`` for an event
    that is not in his list or is no decision about him.
    """
    ev = uuid7()
    async with desk.recording() as conn:
        person = await record_own_reading(desk, conn, asker, operation, ev, "decision:resident:explained", POLICY)
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    try:
        async with auditor.acquire() as conn:
            access = await _own_access(conn, desk, person, event)
            return await _explain_access(conn, access, desk.clock()), receipt
    except DATABASE_ERRORS as error:
        raise StoreError("The explanation cannot be read now.", remedy="Try again.") from error


async def _own_access(conn: asyncpg.Connection, desk: ConsentDesk, person: UUID, event: UUID) -> Access:
    """The entry as it stands in the person's own chain: what of it concerns others cannot be opened this way."""
    async with desk.pool.acquire() as app:
        known_as = await app.fetchval("SELECT auth.known_as($1)", person)
    for each in known_as:
        place = await conn.fetchval(_PLACE, event, each)
        if place is not None:
            (access,) = await list_accesses(conn, desk.keys, each, before=place + 1, limit=1)
            return access
    raise _not_found()


_PLACE = "SELECT audit.place_in_chain($1, $2)"


async def _explain_access(conn: asyncpg.Connection, access: Access, now: datetime) -> Explanation:
    if access.shared is None or access.own is None or not access.intact:
        raise _not_found()
    entry = await conn.fetchval("SELECT entry FROM audit.entry WHERE log_id = $1 AND seq = $2", LOG_ID, access.seq)
    leaf = Leaf.parse(entry)
    if not access.own.get("named"):
        # Another adult was named, this one only shown beside him: what was decided about the other is not his to know.
        raise _not_found()
    try:
        found = await recorded_decision(conn, leaf, access.shared, access.own)
    except RefusedError:
        raise _not_found() from None
    return await _explained(conn, leaf.ev, leaf.seq, leaf.organisation, found, now, ())


async def _explained(
    auditor: asyncpg.Connection,
    event: UUID,
    index: int,
    organisation: str,
    found: RecordedDecision,
    now: datetime,
    wanted: Sequence[str],
) -> Explanation:
    digest_now, rules_now = await rules_in_force(auditor)
    decided = found.decided
    parts = [part for part in decided.asked if not wanted or part in wanted]
    if not parts:
        raise RefusedError("the field was not asked for in this entry.", code="FIELD_NOT_ASKED")
    return Explanation(
        event=event,
        index=index,
        at=decided.at,
        organisation=organisation,
        role=decided.role,
        purpose=decided.purpose,
        cause=decided.cause,
        has_basis=found.basis_id is not None,
        basis_stands=decided.basis is not None and decided.basis.stands and decided.basis.covered_at(now),
        digest_then=found.digest,
        digest_now=digest_now,
        rules_known=found.rules is not None,
        parts=explain(decided, found.rules, rules_now, now, known_parts(parts)),
    )


def _not_found() -> RefusedError:
    return RefusedError("There is no such access in your list that could be explained.", code="NOT_FOUND")
