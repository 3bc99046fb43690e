"""What the consent flows share: who asks in which operation, and one transaction with its audit entry."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request, try_outbox
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.consent import store
from hub.consent.minors import Party
from hub.consent.states import Verb
from hub.core.clock import Clock, system_clock
from hub.core.disclosure import Asker
from hub.core.errors import StoreError
from hub.core.ids import uuid7
from hub.core.names import Role
from hub.flows.disclosure.even_time import EVEN_STEP
from hub.store.database import DATABASE_ERRORS
from hub.store.keys import KeyService

POLICY = "consent-terms-2"
"""Version of the terms and notices, recorded with every change."""

RECEIPT_SECONDS = 10.0
"""How long a change waits for the audit log to sign."""

_TRIAL = PendingEntry(
    ev=uuid7(),
    kind=Kind.CONSENT,
    event="consent:client:requested",
    organisation="",
    actor="trial",
    decision=Decision.DENY,
    policy=POLICY,
    facts={"consent": ""},
)
"""Written and taken back, to see whether the outbox takes it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The operation as it was sent: kept sealed in the audit log."""

    document: str
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsentDesk:
    """Everything that a change of consent needs: connections as ``hub_app``, keys, the audit log, the clock.

    Answers to requests for consent leave in steps of ``even_step`` seconds.
    ``call_back_per_mille``: of a thousand captured consents, how many are drawn to be confirmed with the person.
    """

    pool: asyncpg.Pool
    keys: KeyService
    receipts: Receipts
    clock: Clock = system_clock
    even_step: float = EVEN_STEP
    call_back_per_mille: int = 100

    @asynccontextmanager
    async def change(self) -> AsyncIterator[asyncpg.Connection]:
        """One transaction: the change and its audit entry, or neither; it is committed only if the log can record.

        Raises :class:`AuditError` or :class:`StoreError`; then nothing was changed.
        """
        async with self.recording() as conn:
            yield conn
            await self.receipts.ready()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction for what leaves no entry, since it shows nothing of a record; only while the log can record."""
        async with self.recording() as conn:
            await try_outbox(conn, _TRIAL)
            await self.receipts.ready()
            yield conn

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[asyncpg.Connection]:
        """One transaction for the entry of a reading, which shows nothing before the entry is signed."""
        try:
            async with self.pool.acquire() as conn, conn.transaction():
                await conn.execute("SET LOCAL lock_timeout = '5s'")
                yield conn
        except DATABASE_ERRORS as error:
            busy = getattr(error, "sqlstate", None) in {"55P03", "40P01"}
            raise StoreError(
                f"The database did not take the change or its record ({type(error).__name__}).",
                remedy="Nothing was changed or shown; try again in a moment.",
                code="BUSY" if busy else "STORE",
            ) from error


def client_facts(asker: Asker, role: str) -> dict[str, str]:
    """The asker as the audit log writes him."""
    return {"client": asker.client_id, "role": role, "token": asker.token_id}


def consent_entry(
    desk: ConsentDesk,
    ev: UUID,
    event: str,
    asker: Asker,
    consent_id: UUID,
    ended: store.Ended,
    operation: Operation,
    *,
    role: str = Role.RESIDENT.value,
    organisation: str = "",
    facts: Mapping[str, str] = MappingProxyType({}),
) -> PendingEntry:
    """The audit entry of a step with one consent, or with the request for it (their ids are one series).

    ``organisation`` is the asker's; a person has none. ``facts`` are added to those of every step. A guardian's step
    has an event of his own: ``event`` is named for the resident who decides for himself.
    """
    if ended.party == Party.GUARDIAN:
        event, role = event.replace(":resident:", ":guardian:"), Role.GUARDIAN.value
    return PendingEntry(
        ev=ev,
        kind=Kind.CONSENT,
        event=event,
        organisation=organisation,
        actor=asker.actor,
        decision=Decision.ALLOW,
        policy=POLICY,
        purpose=ended.purpose,
        operation=operation_hash(operation.document),
        county=ended.county,
        subjects=(ended.person_id,),
        facts={
            "consent": str(consent_id),
            **facts,
            **client_facts(asker, role),
            "persons": {str(ended.person_id): {"recipient": ended.organisation_id}},
        },
        sealed=seal_request(desk.keys, ev, operation.document, operation.variables),
    )


async def take_own_step(
    desk: ConsentDesk, asker: Asker, consent_id: UUID, verb: Verb, event: str, operation: Operation
) -> tuple[store.Ended, Receipt]:
    """A step that a person takes with his own consent, or a ward's, recorded under ``event``; no reason is asked.

    Raises CONSENT_NOT_IN_FORCE where there is no such consent of his, or none that this step fits.
    """
    now, ev = desk.clock(), uuid7()
    async with desk.change() as conn:
        changed = await store.change(conn, asker, consent_id, verb, now, ev)
        await append(conn, consent_entry(desk, ev, event, asker, consent_id, changed, operation))
    return changed, await desk.receipts.wait(ev, RECEIPT_SECONDS)
