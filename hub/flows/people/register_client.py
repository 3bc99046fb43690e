"""An operator registers an organisation and one of its systems, or changes the registration; always recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from hub.access.clients import App, Client, Organisation, save_app, save_client, save_organisation
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.core.canonical import digest, text_digest
from hub.core.errors import InputError
from hub.core.ids import uuid7
from hub.core.names import Role

POLICY = "registration-1"
_RECEIPT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Registered:
    """What a registration is now: the status of the system or app, and the receipt of the change."""

    status: str
    receipt: Receipt


async def register_client(
    conn: asyncpg.Connection,
    receipts: Receipts,
    client: Client,
    *,
    operator: str,
    organisation: Organisation | None = None,
) -> Registered:
    """Store the registration and its audit entry in one transaction. ``conn`` is a connection as owner.

    ``organisation`` is made or renamed first where it is given. ``operator`` names who did it, for the sealed part of
    the log. Raises :class:`InputError` (code REGISTRATION) or :class:`AuditError`; then nothing was stored.
    """
    if client.role is Role.GUARDIAN:
        raise InputError("no system is a guardian: that is a resident who names a ward.", code="REGISTRATION")
    ev = uuid7()
    async with conn.transaction():
        await conn.execute("SET LOCAL lock_timeout = '5s'")
        if organisation is not None:
            await save_organisation(conn, organisation)
        status = await save_client(conn, client)
        facts = _named(organisation) | {
            "organisation": client.organisation_id,
            "role": client.role.value,
            "status": status,
            "counties": sorted(client.county_codes),
            "purposes": sorted(client.purposes),
            "subjectsPerDay": client.max_subjects_per_day,
            "dpopRequired": client.is_dpop_required,
        }
        facts |= _keys_and_addresses(client)
        await append(conn, registration_entry(ev, client.client_id, facts, operator))
        await receipts.ready()
    return Registered(status, await receipts.wait(ev, _RECEIPT_SECONDS))


async def register_app(conn: asyncpg.Connection, receipts: Receipts, app: App, *, operator: str) -> Registered:
    """Store an app of people and its audit entry in one transaction. ``conn`` is a connection as owner.

    Raises :class:`InputError` (code REGISTRATION) or :class:`AuditError`; then nothing was stored.
    """
    ev = uuid7()
    async with conn.transaction():
        await conn.execute("SET LOCAL lock_timeout = '5s'")
        status = await save_app(conn, app)
        facts = {"role": "APP", "status": status, "names": text_digest(f"{app.name_zh}\n{app.name_en}")}
        facts |= _keys_and_addresses(app)
        await append(conn, registration_entry(ev, app.client_id, facts, operator))
        await receipts.ready()
    return Registered(status, await receipts.wait(ev, _RECEIPT_SECONDS))


def _named(organisation: Organisation | None) -> dict[str, Any]:
    """The names under which people meet an organisation, where they were given: a renamed bank asks as another one."""
    if organisation is None:
        return {}
    return {"names": text_digest(f"{organisation.name_zh}\n{organisation.name_en}")}


def _keys_and_addresses(client: Client | App) -> dict[str, Any]:
    return {
        "keys": [digest(key) for key in client.jwks["keys"]],
        "redirectUris": sorted(text_digest(uri) for uri in client.redirect_uris),
    }


def registration_entry(ev: UUID, client_id: str, facts: Mapping[str, Any], operator: str) -> PendingEntry:
    """The audit entry of a changed registration; ``facts``: what it is now."""
    return PendingEntry(
        ev=ev,
        kind=Kind.ADMIN,
        event="client:operator:changed",
        organisation="hub",
        actor=operator,
        decision=Decision.ALLOW,
        policy=POLICY,
        facts={"client": client_id, **facts},
    )
