"""Register who may use the hub: organisations, their systems, and people's accounts. Each change is an audit entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.ids import uuid7
from hub.core.names import Purpose, Role
from hub.core.version import VERSION


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation; a bank's id is its 12-digit code. ``kind`` as in access.organisation."""

    organisation_id: str
    name_zh: str
    name_en: str
    kind: str


@dataclass(frozen=True, slots=True)
class Client:
    """A system that may ask for its organisation in one role. ``jwks`` holds its public keys (RFC 7517)."""

    client_id: str
    organisation_id: str
    role: Role
    county_codes: Sequence[str]
    purposes: Sequence[Purpose]
    jwks: Mapping[str, Any]
    max_subjects_per_day: int = 5000


@dataclass(frozen=True, slots=True)
class Account:
    """A person who uses the hub; a resident's account names whose record is his own."""

    account_id: str
    role: Role
    person_id: UUID | None = None
    organisation_id: str | None = None
    county_codes: Sequence[str] = ()
    village_codes: Sequence[str] = ()


async def register_client(connection: asyncpg.Connection, organisation: Organisation, client: Client) -> UUID:
    """Register a system, or change its registration; returns the audit event. Needs the owner's connection."""
    async with connection.transaction():
        await connection.execute(
            """INSERT INTO access.organisation (organisation_id, name_zh, name_en, kind) VALUES ($1, $2, $3, $4)
               ON CONFLICT (organisation_id) DO UPDATE SET name_zh = EXCLUDED.name_zh, name_en = EXCLUDED.name_en""",
            organisation.organisation_id,
            organisation.name_zh,
            organisation.name_en,
            organisation.kind,
        )
        await connection.execute(
            """INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks,
                                          max_subjects_per_day)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (client_id) DO UPDATE SET role = EXCLUDED.role, county_codes = EXCLUDED.county_codes,
                   purposes = EXCLUDED.purposes, jwks = EXCLUDED.jwks,
                   max_subjects_per_day = EXCLUDED.max_subjects_per_day""",
            client.client_id,
            client.organisation_id,
            client.role.value,
            list(client.county_codes),
            [purpose.value for purpose in client.purposes],
            orjson.dumps(dict(client.jwks)).decode(),
            client.max_subjects_per_day,
        )
        facts = {"client": client.client_id, "role": client.role.value, "status": "ACTIVE"}
        return await _record(connection, "client:operator:changed", facts)


async def open_account(connection: asyncpg.Connection, account: Account) -> UUID:
    """Open an account, or change it; returns the audit event. Needs the owner's connection."""
    async with connection.transaction():
        await connection.execute(
            """INSERT INTO auth.account (account_id, role, person_id, organisation_id, county_codes, village_codes)
               VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (account_id) DO UPDATE SET role = EXCLUDED.role, person_id = EXCLUDED.person_id,
                   organisation_id = EXCLUDED.organisation_id, county_codes = EXCLUDED.county_codes,
                   village_codes = EXCLUDED.village_codes, status = 'ACTIVE'""",
            account.account_id,
            account.role.value,
            account.person_id,
            account.organisation_id,
            list(account.county_codes),
            list(account.village_codes),
        )
        facts = {"account": account.account_id, "role": account.role.value, "status": "ACTIVE"}
        return await _record(connection, "account:operator:changed", facts)


async def _record(connection: asyncpg.Connection, event: str, facts: dict[str, str]) -> UUID:
    ev = uuid7()
    await append(
        connection,
        PendingEntry(
            ev=ev,
            kind=Kind.ADMIN,
            event=event,
            organisation="hub",
            actor="operator",
            decision=Decision.ALLOW,
            policy=f"hub-{VERSION}",
            facts=facts,
        ),
    )
    return ev
