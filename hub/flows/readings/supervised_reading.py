"""Regulators and auditors read what the hub knows of itself; the reading is recorded before anything is shown."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash
from hub.core.disclosure import Asker
from hub.core.errors import RefusedError
from hub.core.names import Purpose, Role
from hub.flows.consent.consent_change import Operation, client_facts

READERS = frozenset({Role.REGULATOR, Role.AUDITOR})


async def record_supervision(
    conn: asyncpg.Connection,
    asker: Asker,
    operation: Operation,
    ev: UUID,
    event: str,
    policy: str,
    *,
    what: str,
    facts: Mapping[str, Any],
    sealed: bytes | None = None,
) -> None:
    """Record, in the transaction of ``conn``, that a regulator or auditor reads; ``what`` names it in a refusal.

    ``facts`` are added to who asked. Raises :class:`RefusedError` (NOT_ALLOWED) for others than :data:`READERS`; then
    nothing was recorded.
    """
    state = await conn.fetchrow("SELECT * FROM auth.bearer_state($1, $2)", asker.token_id, asker.client_id)
    if state is None or state["found_role"] not in READERS:
        raise RefusedError(f"Only regulators and auditors read {what}.", code="NOT_ALLOWED")
    await append(
        conn,
        PendingEntry(
            ev=ev,
            kind=Kind.QUERY,
            event=event,
            organisation=state["organisation_id"] or "hub",
            actor=asker.actor,
            decision=Decision.ALLOW,
            policy=policy,
            purpose=Purpose.SUPERVISION.value,
            operation=operation_hash(operation.document),
            facts={**client_facts(asker, state["found_role"]), **facts},
            sealed=sealed,
        ),
    )
