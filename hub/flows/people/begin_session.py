"""A person signs in: with a passkey whose signature was checked, or, in the sandbox, with a one-time code.

The cookie's secret exists twice only: here for a moment, and in the browser. The database holds its SHA-256. Nothing is
handed out before the session is recorded; a resident finds it in his own list of accesses.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.errors import RefusedError
from hub.core.ids import uuid7
from hub.core.names import Role
from hub.flows.people.account_desk import RECEIPT_SECONDS, AccountDesk
from hub.store.refusals import refusing

POLICY = "sign-in-1"
"""Version of the rules of signing in."""

CODE_PURPOSE = "one-time-code"
"""Under which a code is hashed (:meth:`hub.store.keys.KeyService.index`)."""

_SECRET_BYTES = 32
_NOBODY = "HB150"
_REFUSALS = {
    _NOBODY: RefusedError("this passkey or code signs nobody in.", code="SIGN_IN_REFUSED"),
    "HB151": RefusedError("this sign-in was used already.", code="CHALLENGE_USED"),
    "HB152": RefusedError("this account signs in with a passkey only.", code="STEP_UP_REQUIRED"),
    "HB153": RefusedError(
        "the counter of this passkey did not grow: there may be a copy of it.", code="PASSKEY_COPIED"
    ),
}


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """A passkey as its authenticator made it; ``synced``: it may lie on several devices of its owner."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    synced: bool


@dataclass(frozen=True, slots=True)
class PasskeyProof:
    """A checked answer of a passkey to a challenge; ``challenge`` is the hub's own, good until ``expires_at``."""

    account_id: str
    credential_id: bytes
    sign_count: int
    challenge: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that began. ``secret`` goes into the cookie and nowhere else."""

    secret: str
    session_id: UUID
    account_id: str
    role: Role


def digest_of(secret: str) -> bytes:
    """What the database knows of a cookie."""
    return hashlib.sha256(secret.encode()).digest()


def code_mark(account_id: str, code: str) -> str:
    """The text of which the keyed hash of a code is made: a code is good for one account."""
    return f"{account_id}|{code}"


async def begin_by_passkey(desk: AccountDesk, proof: PasskeyProof) -> Begun:
    """Begin a session. Raises :class:`RefusedError` (SIGN_IN_REFUSED, CHALLENGE_USED, PASSKEY_COPIED); a copied passkey
    is recorded.
    """
    statement = "SELECT * FROM auth.begin_by_passkey($1, $2, $3, $4, $5, $6)"
    digest = hashlib.sha256(proof.challenge).digest()
    arguments = (proof.credential_id, proof.sign_count, digest, proof.expires_at)
    try:
        return await _begin(desk, "PASSKEY", statement, *arguments)
    except RefusedError as refusal:
        if refusal.code == "PASSKEY_COPIED":
            await _record_refusal(desk, proof.account_id, refusal.code)
        raise


async def begin_by_code(desk: AccountDesk, account_id: str, code: str) -> Begun:
    """Begin a session of a sandbox account. Raises :class:`RefusedError` (SIGN_IN_REFUSED, STEP_UP_REQUIRED).

    Each attempt takes one of five tries, whatever comes of it; a wrong one is recorded.
    """
    async with desk.reading() as conn:
        held: bytes | None = await conn.fetchval("SELECT auth.try_code($1)", account_id)
    offered = desk.keys.indexes(CODE_PURPOSE, code_mark(account_id, code))
    fits = [hmac.compare_digest(held or b"", each) for each in offered]
    if True not in fits:
        if held is not None:
            await _record_refusal(desk, account_id, "CODE_WRONG")
        raise RefusedError(_REFUSALS[_NOBODY].message, code=_REFUSALS[_NOBODY].code)
    return await _begin(desk, "CODE", "SELECT * FROM auth.begin_by_code($1, $2, $3, $4)", account_id, held)


async def _begin(desk: AccountDesk, method: str, statement: str, *arguments: object) -> Begun:
    secret, session, ev = secrets.token_urlsafe(_SECRET_BYTES), uuid7(), uuid7()
    async with desk.change() as conn:
        with refusing(_REFUSALS):
            row = await conn.fetchrow(statement, session, digest_of(secret), *arguments)
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.ADMIN,
                event="session:person:begun",
                organisation="",
                actor=row["account_id"],
                decision=Decision.ALLOW,
                policy=POLICY,
                subjects=() if row["person_id"] is None else (row["person_id"],),
                facts={"role": row["role"], "method": method, "session": str(session)},
            ),
        )
    await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return Begun(secret, session, row["account_id"], Role(row["role"]))


async def _record_refusal(desk: AccountDesk, account_id: str, reason: str) -> None:
    async with desk.change() as conn:
        await append(conn, refusal_entry(account_id, reason))


def refusal_entry(account_id: str, reason: str) -> PendingEntry:
    """The entry of an attempt that was refused although a passkey or a code of the account was at hand."""
    return PendingEntry(
        ev=uuid7(),
        kind=Kind.ADMIN,
        event="session:hub:refused",
        organisation="hub",
        actor=account_id,
        decision=Decision.DENY,
        policy=POLICY,
        facts={"reason": reason},
    )


async def put_code(conn: asyncpg.Connection, account_id: str, index: bytes) -> datetime:
    """Store the keyed hash of a code in the place of an earlier one; gives when it runs out.

    Raises :class:`RefusedError` for an account that is not the sandbox's.
    """
    with refusing(_REFUSALS):
        expires: datetime = await conn.fetchval("SELECT auth.put_code($1, $2)", account_id, index)
    return expires
