"""Help at the village desk (协助查询): a resident without a phone sees his own record on another's screen or paper.

The resident brings a code of his own, on paper from a steward who saw his identity card. One code is one look: the hub
opens a session of the resident's for the length of one answer, reads with it what he may read himself, and ends it. The
assistant gets no token and no cookie of it. Every reading names the assistant and the reason, in the log and in the
resident's own list of accesses.
"""

import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.clock import iso
from hub.core.disclosure import Asker
from hub.core.errors import RefusedError
from hub.core.ids import uuid7
from hub.flows.consent.consent_change import ConsentDesk, Operation
from hub.flows.people.account_desk import RECEIPT_SECONDS, AccountDesk
from hub.flows.people.begin_session import digest_of
from hub.flows.readings.issue_report import Discloses, issue_report, read_beside, read_record
from hub.flows.readings.own_reading import record_own_reading
from hub.store.refusals import refusing

POLICY = "assistance-1"
"""Version of the rules of help at a desk."""

CODE_PURPOSE = "one-time-code"
"""Under which codes are hashed; the sandbox's codes are made in the same way (hub/flows/people/begin_session.py)."""

OPERATION = Operation("hub assistance")
"""What stands in the log as the operation of a look at a desk."""

_DIGITS = 8
_REFUSALS = {
    "HB150": RefusedError("this code opens nobody's record at this desk.", code="ASSISTANCE_REFUSED"),
    "HB192": RefusedError(
        "an assistant signs in with a passkey, in a role of the village or township.", code="NOT_ALLOWED"
    ),
}


class AssistanceReason(StrEnum):
    """Why somebody else's help is needed. A closed list: nothing about the resident is written down in free words."""

    NO_PHONE = "NO_PHONE"
    NO_SIGNAL = "NO_SIGNAL"
    CANNOT_READ = "CANNOT_READ"
    DISABILITY = "DISABILITY"


class Wanted(StrEnum):
    """What the resident wants: to look, or a numbered report to take home (which is counted)."""

    LOOK = "LOOK"
    REPORT = "REPORT"


@dataclass(frozen=True, slots=True)
class PrintedCode:
    """A code for paper, until when it is good. It must never be stored or logged."""

    account_id: str
    code: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AssistanceDesk:
    """Everything that help needs; connections as ``hub_app``, but for those of ``accounts`` in commands."""

    accounts: AccountDesk
    consents: ConsentDesk
    discloser: Discloses


@dataclass(frozen=True, slots=True)
class _Look:
    """A session that is open for one answer."""

    session: UUID
    asker: Asker
    person: UUID


async def print_code(desk: AccountDesk, person: UUID, *, steward: str) -> PrintedCode:
    """Make a code for a resident whose identity card the steward has seen; an earlier one is worth nothing then.

    ``desk`` works as hub_ingest. Raises :class:`RefusedError` (ACCOUNT_UNKNOWN) for a resident without an account.
    """
    code, ev = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}d}", uuid7()
    async with desk.change() as conn:
        account = await _account_of(conn, person)
        mark = desk.keys.index(CODE_PURPOSE, f"{account}|{code}")
        with refusing(_REFUSALS):
            expires = await conn.fetchval("SELECT auth.put_printed_code($1, $2, $3)", account, mark, steward)
        facts = {"account": account, "expiresAt": iso(expires)}
        await append(conn, _entry(ev, "code:steward:issued", steward, person, facts))
    await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return PrintedCode(account, code, expires)


async def assist(
    desk: AssistanceDesk, secret: str, account_id: str, code: str, reason: AssistanceReason, wanted: Wanted
) -> dict[str, Any]:
    """What the resident may see himself, after his code was found to fit; ``secret`` is the assistant's own cookie.

    Raises :class:`RefusedError` (ASSISTANCE_REFUSED, ASSISTANCE_LIMIT, NOT_ALLOWED); each try counts, and a refusal is
    recorded with the assistant.
    """
    accounts, cookie = desk.accounts, digest_of(secret)
    with refusing(_REFUSALS):
        async with accounts.pool.acquire() as conn:
            tried = await conn.fetchrow("SELECT * FROM auth.try_assistance($1, $2)", cookie, account_id)
    if tried["over"]:
        await _refuse(accounts, tried["assistant"], "ASSISTANCE_LIMIT")
        raise RefusedError("this desk has used up its tries of today.", code="ASSISTANCE_LIMIT")
    offered = accounts.keys.indexes(CODE_PURPOSE, f"{account_id}|{code}")
    fitting = [held for held in tried["digests"] for each in offered if hmac.compare_digest(held, each)]
    if not fitting:
        await _refuse(accounts, tried["assistant"], "ASSISTANCE_REFUSED")
        raise RefusedError(_REFUSALS["HB150"].message, code="ASSISTANCE_REFUSED")
    session, token, ev = uuid7(), str(uuid7()), uuid7()
    async with accounts.change() as conn:
        with refusing(_REFUSALS):
            row = await conn.fetchrow(
                "SELECT * FROM auth.begin_assisted($1, $2, $3, $4, $5, $6)",
                session, cookie, account_id, fitting[0], token, reason.value,
            )  # fmt: skip
        await append(conn, _begun(ev, session, row["assistant"], row["person_id"], reason, "CODE"))
    await accounts.receipts.wait(ev, RECEIPT_SECONDS)
    look = _Look(session, Asker(account_id, token, account_id), row["person_id"])
    async with _ending(accounts, look):
        return await _shown(desk, look, wanted)


async def report_at_counter(
    desk: AssistanceDesk, person: UUID, reason: AssistanceReason, *, steward: str
) -> dict[str, Any]:
    """A report for a resident whose identity card a steward has seen at his counter; for commands.

    Raises :class:`RefusedError` (ACCOUNT_UNKNOWN) for a resident without an account.
    """
    accounts = desk.accounts
    session, token, ev = uuid7(), str(uuid7()), uuid7()
    async with accounts.change() as conn:
        account = await _account_of(conn, person)
        with refusing(_REFUSALS):
            known: UUID = await conn.fetchval(
                "SELECT auth.begin_at_counter($1, $2, $3, $4, $5)", session, account, token, steward, reason.value
            )
        await append(conn, _begun(ev, session, steward, known, reason, "COUNTER"))
    await accounts.receipts.wait(ev, RECEIPT_SECONDS)
    look = _Look(session, Asker(account, token, account), known)
    async with _ending(accounts, look):
        return await _shown(desk, look, Wanted.REPORT)


@asynccontextmanager
async def _ending(accounts: AccountDesk, look: _Look) -> AsyncIterator[None]:
    """The session ends with the answer, whatever came of it; if the database is away, after five minutes."""
    try:
        yield
    finally:
        async with accounts.reading() as conn:
            await conn.fetchval("SELECT auth.end_assisted($1)", look.session)


async def _shown(desk: AssistanceDesk, look: _Look, wanted: Wanted) -> dict[str, Any]:
    consents = desk.consents
    if wanted is Wanted.REPORT:
        report, _ = await issue_report(desk.discloser, consents, look.asker, look.person, OPERATION, uuid7())
        return {"digest": report.digest, "document": report.document, **report.content}
    record = await read_record(desk.discloser, look.asker, look.person, OPERATION)
    ev = uuid7()
    async with consents.recording() as conn:
        person = await record_own_reading(consents, conn, look.asker, OPERATION, ev, "history:resident:queried", POLICY)
        beside = await read_beside(conn, consents, look.asker, person)
    await consents.receipts.wait(ev, RECEIPT_SECONDS)
    return {"report": None} | record | beside


async def _account_of(conn: Any, person: UUID) -> str:
    account: str | None = await conn.fetchval(
        """SELECT account_id FROM auth.account
           WHERE person_id = ANY (record.same_person($1)) AND role = 'RESIDENT' AND status = 'ACTIVE'""",
        person,
    )
    if account is None:
        raise RefusedError(
            "this resident has no open account.",
            remedy="Open one first: `hub account open ID --role RESIDENT --holder-file FILE`.",
            code="ACCOUNT_UNKNOWN",
        )
    return account


async def _refuse(desk: AccountDesk, assistant: str, reason: str) -> None:
    entry = PendingEntry(
        ev=uuid7(),
        kind=Kind.ADMIN,
        event="assistance:desk:refused",
        organisation="hub",
        actor=assistant,
        decision=Decision.DENY,
        policy=POLICY,
        facts={"reason": reason},
    )
    async with desk.change() as conn:
        await append(conn, entry)


def _begun(
    ev: UUID, session: UUID, assistant: str, person: UUID, reason: AssistanceReason, method: str
) -> PendingEntry:
    facts = {"session": str(session), "assistant": assistant, "assistanceReason": reason.value, "method": method}
    return _entry(ev, "assistance:desk:begun", assistant, person, facts)


def _entry(ev: UUID, event: str, actor: str, person: UUID, facts: dict[str, str]) -> PendingEntry:
    return PendingEntry(
        ev=ev,
        kind=Kind.ADMIN,
        event=event,
        organisation="hub",
        actor=actor,
        decision=Decision.ALLOW,
        policy=POLICY,
        subjects=(person,),
        facts=facts,
    )
