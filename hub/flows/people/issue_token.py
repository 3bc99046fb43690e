"""An operator issues a short-lived token to a person's account of the sandbox; always recorded.

It stands in for the sign-in of people, which does not exist yet. A resident finds the entry in his own list of
accesses, because whoever holds the token can act as he does.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.core.clock import iso
from hub.core.errors import InputError
from hub.core.ids import uuid7

POLICY = "sandbox-token-1"
"""Version of the rule: only accounts of the sandbox, and nothing is handed out before it is recorded."""

SANDBOX_PREFIX = "sandbox-"
"""How the ids of the sandbox's accounts begin; nobody else's token can be had in this way."""

_RECEIPT_SECONDS = 10.0


class Issued(Protocol):
    """A token and what the record of its issue needs."""

    @property
    def token_id(self) -> str:
        """Its ``jti``."""

    @property
    def expires_at(self) -> datetime:
        """When it runs out."""


Token = TypeVar("Token", bound=Issued)


async def issue_token(
    conn: asyncpg.Connection, receipts: Receipts, account_id: str, make: Callable[[], Token], *, operator: str
) -> Token:
    """Make a token for the account and return it when its issue is recorded. ``conn`` is a connection of hub_ingest.

    ``make`` signs the token; ``operator`` names who asked, for the sealed part of the log. Raises :class:`InputError`
    (code SANDBOX_ACCOUNT) for an account that is not the sandbox's or is not open, :class:`AuditError` if the log does
    not record it; then no token leaves.
    """
    if not account_id.startswith(SANDBOX_PREFIX):
        raise InputError(
            "tokens are issued in this way to the sandbox's own accounts only.",
            remedy="Everybody else signs in for himself.",
            code="SANDBOX_ACCOUNT",
        )
    ev = uuid7()
    async with conn.transaction():
        found = await conn.fetchrow(
            "SELECT role, person_id FROM auth.account WHERE account_id = $1 AND status = 'ACTIVE'", account_id
        )
        if found is None:
            raise InputError(
                f"the account `{account_id}` does not exist here or is closed.",
                remedy="Run `make demo` first, with the same HUB_HOME.",
                code="SANDBOX_ACCOUNT",
            )
        issued = make()
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.ADMIN,
                event="token:operator:issued",
                organisation="hub",
                actor=operator,
                decision=Decision.ALLOW,
                policy=POLICY,
                subjects=() if found["person_id"] is None else (found["person_id"],),
                facts={
                    "role": found["role"],
                    "account": account_id,
                    "token": issued.token_id,
                    "expiresAt": iso(issued.expires_at),
                },
            ),
        )
    await receipts.wait(ev, _RECEIPT_SECONDS)
    return issued
