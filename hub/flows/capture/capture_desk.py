"""What the flows about captured consents share: whose number is the own one, and how an act is recorded."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.events import EVENTS, Decision
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.consent import captures
from hub.consent.captures import OwnIndexes
from hub.core.disclosure import Asker
from hub.core.errors import InputError
from hub.core.text import is_plain_text
from hub.flows.consent.consent_change import ConsentDesk, Operation, client_facts
from hub.flows.people.change_account import HOLDER_PURPOSE
from hub.store.keys import KeyService

POLICY = "captures-1"
"""Version of the rules of captures, recorded with every act."""

REASON_MAX = 500
"""Characters of a reason."""


async def own_indexes(conn: asyncpg.Connection, keys: KeyService, asker: Asker) -> OwnIndexes:
    """By what the database tells whether whoever acts is concerned himself."""
    sealed = await captures.sealed_holder(conn, asker)
    if sealed is None:
        return OwnIndexes([], [])
    number = json.loads(keys.open(HOLDER_PURPOSE, sealed, asker.client_id.encode()))["id_number"]
    return OwnIndexes(keys.indexes("identity", number), keys.indexes(HOLDER_PURPOSE, number))


def check_reason(reason: str) -> None:
    """Raise :class:`InputError` unless a reason is given, in plain text."""
    if not reason.strip() or len(reason) > REASON_MAX:
        raise InputError(
            f"A reason of 1 to {REASON_MAX} characters is needed.",
            remedy="Say which case this is for.",
            code="REASON_MISSING",
        )
    if not is_plain_text(reason):
        raise InputError("A reason is plain text of one line.", code="TEXT_MALFORMED")


async def record(
    conn: asyncpg.Connection,
    desk: ConsentDesk,
    asker: Asker,
    role: str,
    ev: UUID,
    event: str,
    facts: Mapping[str, Any],
    *,
    operation: Operation,
    person: UUID | None = None,
    own: Mapping[str, Any] | None = None,
    purpose: str | None = None,
    county: str | None = None,
    decision: Decision = Decision.ALLOW,
) -> None:
    """Append one act; ``own`` are the facts of the person concerned alone."""
    subjects = () if person is None else (person,)
    told = {**facts, **client_facts(asker, role)}
    if subjects and own is not None:
        told["persons"] = {str(person): dict(own)}
    await append(
        conn,
        PendingEntry(
            ev=ev,
            kind=EVENTS[event].kind,
            event=event,
            organisation="" if role == "RESIDENT" else "hub",
            actor=asker.actor,
            decision=decision,
            policy=POLICY,
            purpose=purpose,
            operation=operation_hash(operation.document),
            county=county,
            subjects=subjects,
            facts={name: value for name, value in told.items() if value not in (None, "")},
            sealed=seal_request(desk.keys, ev, operation.document, operation.variables),
        ),
    )
