"""What an operator's commands read that names officers or cases; recorded before anything is shown, as over the API."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg

from hub.access.alerts import Alert, AlertKind, OfficerOutcome, alert_rules, list_alerts, officer_outcomes
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.consent.bases import ListedBasis, listed
from hub.core.ids import uuid7
from hub.core.version import VERSION

_RECEIPT_SECONDS = 60.0


async def alarms(
    connection: asyncpg.Connection, receipts: Receipts, operator: str, *, status: str | None, kind: AlertKind | None
) -> list[Alert]:
    """Alarms about queries, oldest first; ``None`` means all. ``connection`` is one as hub_ingest.

    Raises :class:`AuditError` if the log cannot record; then nothing was read.
    """
    await _record(connection, receipts, operator, "alert:operator:listed", {"what": "alarms"})
    return await list_alerts(connection, status=status, kind=kind)


async def outcomes(
    connection: asyncpg.Connection, receipts: Receipts, operator: str, days: int, today: date
) -> list[OfficerOutcome]:
    """What came of each officer's queries of these days, worst first. ``connection`` is one as hub_ingest.

    Raises :class:`AuditError` as :func:`alarms`.
    """
    await _record(connection, receipts, operator, "alert:operator:listed", {"what": "outcomes", "days": days})
    rule = (await alert_rules(connection))[AlertKind.NO_RESULT]
    return await officer_outcomes(connection, today - timedelta(days=days), today, rule.settled_days)


async def declared_bases(
    connection: asyncpg.Connection, receipts: Receipts, operator: str, now: datetime, *, open_only: bool
) -> list[ListedBasis]:
    """Declared bases with their references, newest first. ``connection`` is one as hub_app.

    Raises :class:`AuditError` as :func:`alarms`.
    """
    await _record(connection, receipts, operator, "basis:operator:listed", {})
    return await listed(connection, now, open_only=open_only)


async def _record(
    connection: asyncpg.Connection, receipts: Receipts, operator: str, name: str, facts: Mapping[str, Any]
) -> None:
    await receipts.ready()
    event = uuid7()
    await append(
        connection,
        PendingEntry(
            ev=event,
            kind=Kind.QUERY,
            event=name,
            organisation="hub",
            actor=operator,
            decision=Decision.ALLOW,
            policy=f"hub-{VERSION}",
            facts=facts,
        ),
    )
    await receipts.wait(event, _RECEIPT_SECONDS)
