"""Alarms about officers' queries: found, recorded in the log, closed by a person, thresholds set (docs/ALERTS.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from hub.access.alerts import (
    Alert,
    AlertKind,
    AlertOutcome,
    close_alert,
    find_alerts,
    note_recorded,
    unrecorded,
)
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.core.clock import Clock, day_of
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.version import VERSION

_RECEIPT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Raised:
    """How many alarms were found by counting, and how many were entered into the log (canaries among them)."""

    found: int
    recorded: int


async def raise_alerts(connection: asyncpg.Connection, receipts: Receipts, clock: Clock) -> Raised:
    """Look through the ledger and enter what is new into the log. ``connection`` is one as hub_ingest.

    Raises :class:`AuditError` if the log cannot record; then the alarms stand and the next call records them.
    """
    now = clock()
    found = await find_alerts(connection, day_of(now), now)
    await receipts.ready()
    event: UUID | None = None
    recorded = 0
    async with connection.transaction():
        for alert in await unrecorded(connection):
            event = uuid7()
            await append(connection, _entry(event, "alert:hub:raised", "hub alerts", _facts(alert)))
            await note_recorded(connection, alert.alert_id, event)
            recorded += 1
    if event is not None:
        await receipts.wait(event, _RECEIPT_SECONDS)
    return Raised(found, recorded)


async def close_one(
    connection: asyncpg.Connection, receipts: Receipts, clock: Clock, alert_id: UUID, outcome: AlertOutcome, who: str
) -> Alert:
    """Close an alarm with what was found. Raises :class:`RefusedError` (ALERT_UNKNOWN) if no open one has this id."""
    await receipts.ready()
    event = uuid7()
    async with connection.transaction():
        closed = await close_alert(connection, alert_id, outcome, who, clock())
        if closed is None:
            raise RefusedError(
                "there is no open alarm of this id.", remedy="`hub alerts list` shows them.", code="ALERT_UNKNOWN"
            )
        facts = {"alert": str(alert_id), "kind": closed.kind.value, "outcome": outcome.value}
        await append(connection, _entry(event, "alert:operator:closed", who, facts))
    await receipts.wait(event, _RECEIPT_SECONDS)
    return closed


async def set_rule(
    connection: asyncpg.Connection, receipts: Receipts, kind: AlertKind, minimum: int, score: float, who: str
) -> None:
    """Change the thresholds of a kind. ``connection`` is one as owner. Raises :class:`InputError` for canaries."""
    await receipts.ready()
    event = uuid7()
    async with connection.transaction():
        status = await connection.execute(
            "UPDATE access.alert_rule SET minimum = $2, score = $3 WHERE kind = $1", kind.value, minimum, score
        )
        if status == "UPDATE 0":
            raise InputError(f"alarms of kind {kind} have no thresholds.", code="ALERT_RULE")
        facts = {"kind": kind.value, "minimum": minimum, "score": str(score)}
        await append(connection, _entry(event, "alert:operator:set", who, facts))
    await receipts.wait(event, _RECEIPT_SECONDS)


def _facts(alert: Alert) -> dict[str, Any]:
    """What the log is told in clear: never the officer, who stands in the alarm itself."""
    facts: dict[str, Any] = {"alert": str(alert.alert_id), "kind": alert.kind.value, "day": alert.day.isoformat()}
    facts["observed"] = str(alert.observed)
    if alert.score is not None:
        facts["score"] = str(alert.score)
    if alert.organisation_id is not None:
        facts["about"] = alert.organisation_id
    return facts


def _entry(event: UUID, name: str, actor: str, facts: Mapping[str, Any]) -> PendingEntry:
    return PendingEntry(
        ev=event,
        kind=Kind.ADMIN,
        event=name,
        organisation="hub",
        actor=actor,
        decision=Decision.ALLOW,
        policy=f"hub-{VERSION}",
        facts=facts,
    )
