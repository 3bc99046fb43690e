"""Regulators and auditors read the alarms about officers' queries; the reading is recorded before anything is shown."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from hub.access.alerts import Alert, AlertKind, list_alerts
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash
from hub.audit.proof import Receipt
from hub.core.disclosure import Asker
from hub.core.errors import RefusedError, StoreError
from hub.core.ids import uuid7
from hub.core.names import Purpose
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation
from hub.flows.readings.read_log import READERS
from hub.store.database import DATABASE_ERRORS

POLICY = "alert-reading-1"
"""Version of the rule: whoever reads the log reads the alarms."""


@dataclass(frozen=True, slots=True)
class AlertsWanted:
    """Which alarms; ``None`` means all. ``after``: go on behind this one."""

    first: int
    after: UUID | None = None
    status: str | None = None
    kind: AlertKind | None = None


async def read_alerts(
    desk: ConsentDesk, auditor: asyncpg.Pool, asker: Asker, operation: Operation, wanted: AlertsWanted
) -> tuple[list[Alert], Receipt]:
    """One alarm more than asked for, so that the caller knows whether there are more.

    ``auditor`` is a pool as ``hub_auditor``. Raises :class:`RefusedError` for everybody but regulators and auditors.
    """
    ev = uuid7()
    async with desk.recording() as conn:
        state = await conn.fetchrow("SELECT * FROM auth.bearer_state($1, $2)", asker.token_id, asker.client_id)
        if state is None or state["found_role"] not in READERS:
            raise RefusedError("Only regulators and auditors read the alarms.", code="NOT_ALLOWED")
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.QUERY,
                event="alert:auditor:listed",
                organisation=state["organisation_id"] or "hub",
                actor=asker.actor,
                decision=Decision.ALLOW,
                policy=POLICY,
                purpose=Purpose.SUPERVISION.value,
                operation=operation_hash(operation.document),
                facts={"client": asker.client_id, "role": state["found_role"], "token": asker.token_id},
            ),
        )
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    try:
        async with auditor.acquire() as conn:
            found = await list_alerts(
                conn, status=wanted.status, kind=wanted.kind, first=wanted.first + 1, after=wanted.after
            )
    except DATABASE_ERRORS as error:
        raise StoreError("The alarms cannot be read now.", remedy="Try again.") from error
    return found, receipt
