"""Regulators and auditors read the alarms about officers' queries; the reading is recorded before anything is shown."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from hub.access.alerts import Alert, AlertKind, list_alerts
from hub.audit.proof import Receipt
from hub.core.disclosure import Asker
from hub.core.errors import StoreError
from hub.core.ids import uuid7
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation
from hub.flows.readings.supervised_reading import record_supervision
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
        await record_supervision(
            conn,
            asker,
            operation,
            ev,
            "alert:auditor:listed",
            POLICY,
            what="the alarms",
            facts={},
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
