"""Accounts of the sandbox's people, of which nobody has to be identified, are set up; always recorded.

Accounts of real people are opened and changed by hub/flows/people/change_account.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.core.errors import InputError
from hub.core.ids import uuid7
from hub.core.names import Role

POLICY = "registration-1"
_RECEIPT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Account:
    """A person who uses the hub; a resident's account names whose record is his own."""

    account_id: str
    role: Role
    person_id: UUID | None = None
    organisation_id: str | None = None
    county_codes: Sequence[str] = ()
    village_codes: Sequence[str] = ()


async def open_account(conn: asyncpg.Connection, receipts: Receipts, account: Account, *, operator: str) -> Receipt:
    """Store the account and its audit entry in one transaction. ``conn`` is a connection as owner.

    Raises :class:`InputError` for a resident without a person, or an id that a system has; :class:`AuditError` if
    the log does not record it. Then nothing was stored.
    """
    if account.role is Role.RESIDENT and account.person_id is None:
        raise InputError("a resident's account must name the person it belongs to.", code="REGISTRATION")
    ev = uuid7()
    async with conn.transaction():
        await conn.execute("SET LOCAL lock_timeout = '5s'")
        if await conn.fetchval("SELECT true FROM access.client WHERE client_id = $1", account.account_id):
            raise InputError("this id belongs to an organisation's system.", code="REGISTRATION")
        await conn.execute(
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
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.ADMIN,
                event="account:operator:changed",
                organisation="hub",
                actor=operator,
                decision=Decision.ALLOW,
                policy=POLICY,
                facts={
                    "account": account.account_id,
                    "role": account.role.value,
                    "status": "ACTIVE",
                    "counties": sorted(account.county_codes),
                    "villages": sorted(account.village_codes),
                }
                | ({} if account.organisation_id is None else {"organisation": account.organisation_id}),
            ),
        )
        await receipts.ready()
    return await receipts.wait(ev, _RECEIPT_SECONDS)
