"""What the audit log is told of a steward's act."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hub.audit.events import EVENTS, Decision
from hub.audit.outbox import PendingEntry, operation_hash, seal_request
from hub.core.names import Purpose
from hub.core.version import VERSION
from hub.flows.stewards.steward_desk import StewardAct
from hub.store.keys import KeyService


def steward_record(
    keys: KeyService,
    act: StewardAct,
    event: UUID,
    name: str,
    facts: Mapping[str, Any],
    *,
    decision: Decision = Decision.ALLOW,
    persons: Mapping[UUID | None, Mapping[str, Any]] | None = None,
    county: str | None = None,
) -> PendingEntry:
    """The entry of one act, with what the act itself says beside ``facts``.

    ``persons``: the persons concerned, in order, each with the facts of that person alone; the entry stands in their
    lists of accesses too. ``None`` is nobody: the person of a row that belongs to no one.
    """
    concerned = {person: own for person, own in (persons or {}).items() if person is not None}
    told = {**facts, **act.facts}
    if concerned:
        told["persons"] = {str(person): own for person, own in concerned.items()}
    return PendingEntry(
        ev=event,
        kind=EVENTS[name].kind,
        event=name,
        organisation="hub",
        actor=act.steward,
        decision=decision,
        policy=f"hub-{VERSION}",
        purpose=Purpose.DATA_QUALITY.value,
        operation=operation_hash(act.document),
        county=county,
        subjects=tuple(concerned),
        facts=told,
        sealed=seal_request(keys, event, act.document, act.variables),
    )
