"""What the audit log is told of a steward's work on quarantine."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, operation_hash, seal_request
from hub.core.names import Purpose
from hub.core.version import VERSION
from hub.flows.steward_desk import StewardAct
from hub.store.keys import KeyService


def quarantine_record(
    keys: KeyService,
    act: StewardAct,
    event: UUID,
    name: str,
    kind: Kind,
    facts: Mapping[str, Any],
    *,
    decision: Decision = Decision.ALLOW,
    subject: UUID | None = None,
) -> PendingEntry:
    """The entry of one act; with a ``subject`` it stands in that person's list of accesses too."""
    told = {**facts, **act.facts}
    if subject is not None:
        told["persons"] = {str(subject): {"entry": facts["entry"]}}
    return PendingEntry(
        ev=event,
        kind=kind,
        event=name,
        organisation="hub",
        actor=act.steward,
        decision=decision,
        policy=f"hub-{VERSION}",
        purpose=Purpose.DATA_QUALITY.value,
        operation=operation_hash(act.document),
        subjects=() if subject is None else (subject,),
        facts=told,
        sealed=seal_request(keys, event, act.document, act.variables),
    )
