"""A resident reads what the hub holds about the use of his own data; the reading is an entry of his list itself."""

from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.core.clock import iso
from hub.core.disclosure import Asker
from hub.core.errors import RefusedError
from hub.core.names import Category, Form, Purpose, Role
from hub.flows.consent.consent_change import ConsentDesk, Operation, client_facts


async def record_own_reading(
    desk: ConsentDesk, conn: asyncpg.Connection, asker: Asker, operation: Operation, ev: UUID, event: str, policy: str
) -> UUID:
    """Record, in the transaction of ``conn``, that the person behind the account reads his list; gives the person.

    Raises :class:`RefusedError` (NOT_ALLOWED) for an account without a person; then nothing was recorded.
    """
    state = await conn.fetchrow("SELECT * FROM auth.bearer_state($1, $2)", asker.token_id, asker.client_id)
    if state is None or state["found_role"] != Role.RESIDENT or state["person_id"] is None:
        raise RefusedError("Only a resident has a list of accesses.", code="NOT_ALLOWED")
    person: UUID = state["person_id"]
    await _append(desk, conn, asker, operation, ev, event, policy, person, Role.RESIDENT)
    return person


async def record_ward_reading(
    desk: ConsentDesk,
    conn: asyncpg.Connection,
    asker: Asker,
    operation: Operation,
    ev: UUID,
    event: str,
    policy: str,
    ward: UUID,
) -> None:
    """As :func:`record_own_reading`, of a guardian who reads the list of a ward. Raises WARD_UNKNOWN."""
    found = await conn.fetchval(
        "SELECT ward_id FROM consent.wards_of($1, $2, $3) WHERE ward_id = $4",
        asker.client_id,
        asker.token_id,
        desk.clock(),
        ward,
    )
    if found is None:
        raise RefusedError("There is no such ward of yours.", code="WARD_UNKNOWN")
    await _append(desk, conn, asker, operation, ev, event, policy, ward, Role.GUARDIAN)


async def _append(
    desk: ConsentDesk,
    conn: asyncpg.Connection,
    asker: Asker,
    operation: Operation,
    ev: UUID,
    event: str,
    policy: str,
    person: UUID,
    role: Role,
) -> None:
    await append(
        conn,
        PendingEntry(
            ev=ev,
            kind=Kind.QUERY,
            event=event,
            organisation="",
            actor=asker.actor,
            decision=Decision.ALLOW,
            policy=policy,
            purpose=Purpose.SELF_ACCESS.value,
            operation=operation_hash(operation.document),
            subjects=(person,),
            facts={
                "asOf": iso(desk.clock()),
                "asked": [[Category.ACCESS_HISTORY.value, Form.VALUE.value]],
                **client_facts(asker, role.value),
                **await helped_by(conn, asker.token_id),
            },
            sealed=seal_request(desk.keys, ev, operation.document, operation.variables),
        ),
    )


async def helped_by(conn: asyncpg.Connection, token_id: str) -> dict[str, str]:
    """Who helped, and why, where the token came of help at a desk; as the log writes it."""
    row = await conn.fetchrow("SELECT assistant, reason FROM auth.assistance_of($1)", token_id)
    return {} if row is None else {"assistant": row["assistant"], "assistanceReason": row["reason"]}
