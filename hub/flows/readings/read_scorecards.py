"""Read the scorecards of the sources: figures without personal data, recorded like every reading."""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.core.clock import Clock
from hub.core.disclosure import Asker
from hub.core.errors import InputError, RefusedError, StoreError
from hub.core.ids import uuid7
from hub.core.names import Purpose, Role
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation, client_facts
from hub.records.intake.scorecard import Trend, scorecards
from hub.store.database import DATABASE_ERRORS, Database, DbRole

POLICY = "scorecards-1"
"""Version of the rule: data stewards, regulators and operators see how good every source is."""

READERS = frozenset({Role.STEWARD, Role.REGULATOR, Role.OPERATOR})
DAYS_MAX = 400
"""The longest span of a card."""


def check_days(days: int) -> int:
    """The span of a card. Raises :class:`InputError`."""
    if not 1 <= days <= DAYS_MAX:
        raise InputError(f"a scorecard spans 1 to {DAYS_MAX} days.", code="DAYS_RANGE")
    return days


async def scorecards_for_operator(
    database: Database, receipts: Receipts, clock: Clock, days: int, operator: str
) -> list[Trend]:
    """The cards for a command. Raises :class:`~hub.core.errors.AuditError` if the reading cannot be recorded."""
    await receipts.ready()
    ev = uuid7()
    connection = await database.connect(DbRole.INGEST)
    try:
        found = await _trends(connection, clock(), days)
        facts = {"days": days, "role": Role.OPERATOR.value}
        await append(connection, _entry(ev, "hub", operator, facts))
    finally:
        await connection.close()
    await receipts.wait(ev, RECEIPT_SECONDS)
    return found


async def scorecards_for_official(
    desk: ConsentDesk, auditor: asyncpg.Pool, asker: Asker, operation: Operation, days: int
) -> tuple[list[Trend], Receipt]:
    """The cards over the API. Raises :class:`RefusedError` for other roles than :data:`READERS`."""
    ev = uuid7()
    async with desk.recording() as connection:
        state = await connection.fetchrow("SELECT * FROM auth.bearer_state($1, $2)", asker.token_id, asker.client_id)
        if state is None or state["found_role"] not in READERS:
            raise RefusedError("Only data stewards, regulators and operators read scorecards.", code="NOT_ALLOWED")
        facts = {"days": days, **client_facts(asker, state["found_role"])}
        entry = _entry(ev, state["organisation_id"] or "hub", asker.actor, facts)
        await append(
            connection,
            PendingEntry(
                ev=ev, kind=entry.kind, event=entry.event, organisation=entry.organisation, actor=entry.actor,
                decision=entry.decision, policy=entry.policy, purpose=entry.purpose, facts=facts,
                operation=operation_hash(operation.document),
                sealed=seal_request(desk.keys, ev, operation.document, operation.variables),
            ),
        )  # fmt: skip
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    try:
        async with auditor.acquire() as connection:
            return await _trends(connection, desk.clock(), days), receipt
    except DATABASE_ERRORS as error:
        raise StoreError("The scorecards cannot be read now.", remedy="Try again.") from error


async def _trends(connection: asyncpg.Connection, now: datetime, days: int) -> list[Trend]:
    span = timedelta(days=days)
    before = {card.source: card for card in await scorecards(connection, now - 2 * span, now - span)}
    found = []
    for card in await scorecards(connection, now - span, now):
        old = before.get(card.source)
        found.append(Trend(card, old if old is not None and old.pulls else None))
    return found


def _entry(ev: UUID, organisation: str, actor: str, facts: dict[str, object]) -> PendingEntry:
    return PendingEntry(
        ev=ev,
        kind=Kind.QUERY,
        event="scorecard:official:queried",
        organisation=organisation,
        actor=actor,
        decision=Decision.ALLOW,
        policy=POLICY,
        purpose=Purpose.STATISTICS.value,
        facts=facts,
    )
