"""Staff accounts for tests: opened by the flows that commands use, with a passkey made on the hub's own page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from starlette.requests import Request

from hub.auth.sign_in import SignedIn
from hub.core.names import Role
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.change_account import Changed, Holder, NewAccount, open_account
from hub.flows.people.enrol_passkey import IssuedEnrolment, issue_enrolment
from hub.store.database import DbRole
from tests.api.world import COUNTY, Api

from .authenticator import Authenticator
from .browser import ORIGIN, Browser, browser


@dataclass
class Staff:
    """The desk of an operator's commands on the running hub."""

    api: Api
    desk: AccountDesk

    async def open(self, account: str, role: Role, number: str, organisation: str | None = None) -> Changed:
        """Open an account for the holder of an ID number."""
        holder = Holder(number, "岩 罕")
        return await open_account(
            self.desk, NewAccount(account, role, None, holder, organisation, (COUNTY,)), operator="root"
        )

    async def code(self, account: str) -> IssuedEnrolment:
        """A fresh enrolment code."""
        return await issue_enrolment(self.desk, account, "identity card seen, form 17", operator="root")

    async def passkey(self, account: str, *codes: str) -> Authenticator:
        """A passkey made with these codes (default: a fresh one)."""
        made = Authenticator()
        first = codes or ((await self.code(account)).code,)
        async with browser(self.api) as visitor:
            reply = await self.enrol(visitor, made, *first)
            assert reply == (303, "/sign-in?notice=PASSKEY_ENROLLED"), reply
        return made

    async def enrol(
        self, visitor: Browser, made: Authenticator, first: str, second: str = "", origin: str = ORIGIN
    ) -> tuple[int, str]:
        """Go through the page; gives the status and where it leads."""
        await visitor.open("/enrol")
        await visitor.send("/enrol", code=first, second=second)
        if visitor.page.status_code != 200:
            return visitor.page.status_code, ""
        answer = made.create(visitor.options("/enrol/passkey"), origin)
        reply = await visitor.send("/enrol/passkey", answer=answer)
        return reply.status_code, reply.headers.get("location", "")

    async def status(self, account: str) -> str:
        """The account's status."""
        found: str = await self.api.owner.fetchval("SELECT status FROM auth.account WHERE account_id = $1", account)
        return found

    async def passkeys(self, account: str) -> list[UUID]:
        """Its passkeys that are not revoked, oldest first."""
        rows = await self.api.owner.fetch(
            "SELECT passkey_id FROM auth.passkey WHERE account_id = $1 AND revoked_at IS NULL ORDER BY enrolled_at",
            account,
        )
        return [row["passkey_id"] for row in rows]


@asynccontextmanager
async def staff_of(api: Api) -> AsyncIterator[Staff]:
    """The operator's desk, with a command's own database login."""
    pool = await api.hub.database.pool(DbRole.INGEST, size=2)
    try:
        yield Staff(api, AccountDesk(pool, api.keys, api.hub.accounts.receipts))
    finally:
        await pool.close()


async def signed_in(api: Api, visitor: Browser) -> SignedIn | None:
    """Who a page of the hub sees at this browser."""
    cookies = "; ".join(f"{each.name}={each.value}" for each in visitor.http.cookies.jar)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"cookie", cookies.encode())]}
    return await api.hub.sign_in.of(Request(scope))


async def bind_token(api: Api, token_id: str, session: UUID, expires: datetime) -> bool:
    """Bind a token to a session, as the exchange of a code does."""
    return bool(await api.owner.fetchval("SELECT auth.bind_token($1, $2, $3)", token_id, session, expires))
