"""The outbox: one row per event, written in the transaction of what it records (hub/audit/events.py says how)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind, check_event
from hub.core.canonical import canonical_bytes
from hub.core.errors import AuditError
from hub.core.ids import uuid7
from hub.store.keys import KeyService

MAX_SUBJECTS = 1000
"""The most persons that one event may concern; larger work is several events, or one with counts only."""

_INSERT = """
INSERT INTO audit.pending (ev, kind, event, organisation, actor, purpose, decision, policy, operation, county, subjects,
                           facts, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """One event to be recorded; the meaning of each part is told at the head of hub/audit/events.py."""

    ev: UUID
    kind: Kind
    event: str
    organisation: str
    actor: str
    decision: Decision
    policy: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    purpose: str | None = None
    operation: bytes | None = None
    county: str | None = None
    subjects: tuple[UUID, ...] = ()
    sealed: bytes | None = None


async def append(conn: asyncpg.Connection, entry: PendingEntry) -> None:
    """Write the event into the outbox on the caller's connection, inside his transaction.

    Raises :class:`AuditError` if the event is not on the closed list, its facts are not those listed, or the outbox
    refuses; the caller's transaction must then end without effect.
    """
    check_event(entry.event, entry.kind, entry.facts, [str(subject) for subject in entry.subjects])
    try:
        facts = canonical_bytes(dict(entry.facts)).decode()
    except (TypeError, ValueError) as error:
        raise AuditError(
            f"the facts of audit event `{entry.event}` have no canonical form: {error}.", code="AUDIT_EVENT_FACTS"
        ) from None
    if len(entry.subjects) > MAX_SUBJECTS:
        raise AuditError(
            f"audit event `{entry.event}` concerns more than {MAX_SUBJECTS} persons.",
            remedy="Record it in several events.",
            code="AUDIT_EVENT_FACTS",
        )
    try:
        await conn.execute(
            _INSERT,
            entry.ev,
            entry.kind,
            entry.event,
            entry.organisation,
            entry.actor,
            entry.purpose,
            entry.decision,
            entry.policy,
            entry.operation,
            entry.county,
            list(entry.subjects),
            facts,
            entry.sealed,
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise AuditError(
            f"audit event `{entry.event}` cannot be written to the outbox ({type(error).__name__}).",
            remedy="Nothing was done. See the database log; `hub doctor` says whether the audit log works.",
            code="AUDIT_OUTBOX",
        ) from error


async def try_outbox(conn: asyncpg.Connection, entry: PendingEntry) -> None:
    """Make sure that this connection can write into the outbox; nothing stays. Raises :class:`AuditError`.

    ``entry`` is any event of the caller's; it is tried under an id of its own.
    """
    trial = conn.transaction()
    await trial.start()
    try:
        await append(conn, replace(entry, ev=uuid7()))
    finally:
        await trial.rollback()


def seal_request(keys: KeyService, ev: UUID, document: str, variables: Mapping[str, Any]) -> bytes:
    """The ``sealed`` part of an entry: the operation with its variables, readable only by the sequencer and later
    under the keys of the person concerned. Variables may be any JSON: the text is kept as it is, not compared.
    """
    text = json.dumps({"document": document, "variables": dict(variables)}, ensure_ascii=False, sort_keys=True)
    return keys.seal("audit-transit", text.encode(), ev.bytes)


def operation_hash(document: str) -> bytes:
    """SHA-256 of a normalised operation text, the ``operation`` of an entry."""
    return hashlib.sha256(document.encode()).digest()
