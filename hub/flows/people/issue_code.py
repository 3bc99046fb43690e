"""An operator has a one-time code made for a person of the sandbox; always recorded, never for anybody else."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.clock import iso
from hub.core.ids import uuid7
from hub.flows.people.account_desk import RECEIPT_SECONDS, AccountDesk
from hub.flows.people.begin_session import CODE_PURPOSE, POLICY, code_mark, put_code

_DIGITS = 8


@dataclass(frozen=True, slots=True)
class IssuedCode:
    """A code and until when it is good. It must never be stored or logged."""

    code: str
    expires_at: datetime


async def issue_code(desk: AccountDesk, account_id: str, *, operator: str) -> IssuedCode:
    """Make a code of eight digits for an account of the sandbox; an earlier one is worth nothing any more.

    Raises :class:`~hub.core.errors.RefusedError` for an account that is not the sandbox's or not open,
    :class:`~hub.core.errors.AuditError` if the log does not record it.
    """
    code = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}d}"
    ev = uuid7()
    async with desk.change() as conn:
        expires_at = await put_code(conn, account_id, desk.keys.index(CODE_PURPOSE, code_mark(account_id, code)))
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.ADMIN,
                event="code:operator:issued",
                organisation="hub",
                actor=operator,
                decision=Decision.ALLOW,
                policy=POLICY,
                facts={"account": account_id, "expiresAt": iso(expires_at)},
            ),
        )
    await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return IssuedCode(code, expires_at)
