"""An operator opens, suspends, resumes or closes an account, or assigns villages to it; always recorded.

The database decides what is allowed: one account per person and role, system, security and audit never in one person,
and a second person for accounts that watch the others (docs/PEOPLE.md). A suspended or closed account loses its
sessions and their tokens in the same statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.core.canonical import canonical_bytes
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.names import Role
from hub.flows.people.account_desk import RECEIPT_SECONDS, AccountDesk
from hub.store.refusals import refusing

POLICY = "accounts-1"
"""Version of the rules of accounts."""

HOLDER_PURPOSE = "holder"
"""Under which the ID number of an account's holder is hashed and what names him is sealed."""

REFUSALS = {
    "HB160": RefusedError("this id belongs to an account or a system already.", code="ACCOUNT_ID_TAKEN"),
    "HB161": RefusedError("this person has an open account of this role already.", code="ACCOUNT_PER_PERSON"),
    "HB162": RefusedError(
        "this person has another of the accounts OPERATOR, SECURITY_ADMIN and AUDITOR, which belong to three people.",
        code="SEPARATION_OF_DUTIES",
    ),
    "HB163": RefusedError(
        "an account of this role needs its holder, and one of a lender its organisation.", code="ACCOUNT_INCOMPLETE"
    ),
    "HB164": RefusedError("this organisation is not registered.", code="ORGANISATION_UNKNOWN"),
    "HB165": RefusedError("there is no such open account, passkey or enrolment.", code="ACCOUNT_UNKNOWN"),
    "HB166": RefusedError("the account's status does not allow this.", code="ACCOUNT_STATUS"),
    "HB167": RefusedError(
        "villages are assigned to collectors and village reviewers only.", code="ROLE_WITHOUT_VILLAGES"
    ),
    "HB168": RefusedError("this passkey is enrolled already.", code="PASSKEY_KNOWN"),
    "HB169": RefusedError(
        "another security administrator, signed in with a passkey, decides this.", code="NOT_ALLOWED"
    ),
}
"""What the functions of the database refuse."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a staff account: identified in person by whoever opens it."""

    id_number: str = field(repr=False)
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be opened. Residents: ``person_id`` of the record; everybody else: ``holder``."""

    account_id: str
    role: Role
    person_id: UUID | None = None
    holder: Holder | None = None
    organisation_id: str | None = None
    county_codes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of an account. ``change_id``: it waits for a second person under this id."""

    account_id: str
    role: Role
    status: str
    receipt: Receipt
    change_id: UUID | None = None
    sessions_ended: int = 0


async def open_account(desk: AccountDesk, account: NewAccount, *, operator: str) -> Changed:
    """Open an account, or ask for it where that takes two people. Raises :class:`RefusedError` with the codes above.

    Nobody is opened an account as guardian (:class:`InputError`): that is what a resident is who names a ward.
    """
    if account.role is Role.GUARDIAN:
        raise InputError(
            "nobody has an account as guardian; a guardian signs in as himself.",
            remedy="Open one as RESIDENT, and register the guardianship with `hub guardian add`.",
            code="GUARDIAN_ACCOUNT",
        )
    holder, change = account.holder, uuid7()
    async with desk.change() as conn:
        with refusing(REFUSALS):
            row = await conn.fetchrow(
                "SELECT * FROM auth.open_account($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                account.account_id,
                account.role.value,
                account.person_id,
                [] if holder is None else desk.keys.indexes(HOLDER_PURPOSE, holder.id_number),
                None if holder is None else _sealed(desk, account.account_id, holder),
                account.organisation_id,
                list(account.county_codes),
                change,
                operator,
            )
        more: dict[str, Any] = {} if account.organisation_id is None else {"organisation": account.organisation_id}
        if account.county_codes:
            more["counties"] = sorted(account.county_codes)
        person = account.person_id
        ev = await _record(
            conn, account.account_id, account.role, row["status"], operator, person, row["change_id"], more
        )
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return Changed(account.account_id, account.role, row["status"], receipt, row["change_id"])


async def stop_account(desk: AccountDesk, account_id: str, status: str, *, operator: str) -> Changed:
    """Suspend (``SUSPENDED``) or close (``CLOSED``) an account; whoever is signed in is out at once."""
    async with desk.change() as conn:
        with refusing(REFUSALS):
            row = await conn.fetchrow("SELECT * FROM auth.stop_account($1, $2)", account_id, status)
        more = {"sessions": row["sessions"]}
        role, person = Role(row["role"]), row["person_id"]
        ev = await _record(conn, account_id, role, status, operator, person, None, more)
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return Changed(account_id, role, status, receipt, sessions_ended=row["sessions"])


async def resume_account(desk: AccountDesk, account_id: str, *, operator: str) -> Changed:
    """Open a suspended account again, or ask for it where that takes two people."""
    async with desk.change() as conn:
        with refusing(REFUSALS):
            row = await conn.fetchrow("SELECT * FROM auth.resume_account($1, $2, $3)", account_id, uuid7(), operator)
        status = "ACTIVE" if row["change_id"] is None else "SUSPENDED"
        role, person = Role(row["role"]), row["person_id"]
        ev = await _record(conn, account_id, role, status, operator, person, row["change_id"], {})
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return Changed(account_id, role, status, receipt, row["change_id"])


async def assign_village(
    desk: AccountDesk, account_id: str, village: str, from_day: date, to_day: date | None, *, operator: str
) -> Receipt:
    """Make a village a collector's from a day on, to a last day if one is given."""
    async with desk.change() as conn:
        with refusing(REFUSALS):
            await conn.fetchrow(
                "SELECT * FROM auth.assign_village($1, $2, $3, $4, $5)", uuid7(), account_id, village, from_day, to_day
            )
        last = {} if to_day is None else {"to": to_day.isoformat()}
        ev = await _record_assignment(
            conn, account_id, {"village": village, "from": from_day.isoformat()} | last, operator
        )
    return await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def unassign_village(
    desk: AccountDesk, account_id: str, village: str, last_day: date, *, operator: str
) -> tuple[int, Receipt]:
    """Take a village away after a day; gives how many assignments that ended."""
    async with desk.change() as conn:
        with refusing(REFUSALS):
            ended = await conn.fetchval("SELECT auth.unassign_village($1, $2, $3)", account_id, village, last_day)
        ev = await _record_assignment(conn, account_id, {"village": village, "to": last_day.isoformat()}, operator)
    return ended, await desk.receipts.wait(ev, RECEIPT_SECONDS)


def _sealed(desk: AccountDesk, account_id: str, holder: Holder) -> bytes:
    text = canonical_bytes({"id_number": holder.id_number, "name": holder.name})
    return desk.keys.seal(HOLDER_PURPOSE, text, account_id.encode())


async def _record(
    conn: asyncpg.Connection,
    account_id: str,
    role: Role,
    status: str,
    operator: str,
    person: UUID | None,
    change: UUID | None,
    more: dict[str, Any],
) -> UUID:
    ev = uuid7()
    waits = {} if change is None else {"change": str(change)}
    await append(
        conn,
        PendingEntry(
            ev=ev,
            kind=Kind.ADMIN,
            event="account:operator:changed" if change is None else "account:operator:proposed",
            organisation="hub",
            actor=operator,
            decision=Decision.ALLOW,
            policy=POLICY,
            subjects=() if person is None else (person,),
            facts={"account": account_id, "role": role.value, "status": status} | waits | more,
        ),
    )
    return ev


async def _record_assignment(conn: asyncpg.Connection, account_id: str, facts: dict[str, Any], operator: str) -> UUID:
    ev = uuid7()
    await append(
        conn,
        PendingEntry(
            ev=ev,
            kind=Kind.ADMIN,
            event="account:operator:assigned",
            organisation="hub",
            actor=operator,
            decision=Decision.ALLOW,
            policy=POLICY,
            facts={"account": account_id} | facts,
        ),
    )
    return ev
