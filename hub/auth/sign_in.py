"""Who is signed in at this browser, and which tokens come of that.

Pages ask :meth:`SignInDesk.of`; ``None`` means: lead the visitor to ``/sign-in?next=<path of the hub>``. A token made
for a signed-in person is bound to his session by the database, in the statement that uses the code up
(``auth.use_code``): it ends with the session, and the gate knows whether a second factor was shown.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from hub.auth.forms import Cookies
from hub.core.names import Role
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.begin_session import Begun, digest_of
from hub.flows.people.end_session import end_session

SESSION_COOKIE = "hub-session"
"""The cookie's name, behind ``__Host-`` where the hub is reached over https."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_AMR = {"PASSKEY": ("pop", "user", "mfa"), "CODE": ("otp",)}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person with a session that stands at this moment.

    ``factors``: 2 with a passkey, which asks for its owner's PIN or finger each time; 1 with a one-time code.
    """

    account_id: str
    role: Role
    person_id: UUID | None
    session_id: UUID
    factors: int
    method: str = "PASSKEY"
    signed_in_at: datetime | None = None

    @property
    def amr(self) -> tuple[str, ...]:
        """How he signed in, in the words of RFC 8176."""
        return _AMR[self.method]


class SignInDesk:
    """Reads, gives and takes the session cookie."""

    def __init__(self, desk: AccountDesk, cookies: Cookies) -> None:
        self._desk = desk
        self._cookies = cookies

    async def of(self, request: Request) -> SignedIn | None:
        """Who is signed in; ``None`` where nobody is. Raises :class:`~hub.core.errors.StoreError`."""
        secret = self.secret(request)
        if secret is None:
            return None
        async with self._desk.reading() as conn:
            row = await conn.fetchrow("SELECT * FROM auth.find_session($1)", digest_of(secret))
        return None if row is None else _signed_in(row)

    def welcome(self, response: Response, begun: Begun) -> None:
        """Hand out the cookie of a session that began."""
        self._cookies.put(response, SESSION_COOKIE, begun.secret)

    async def leave(self, request: Request, response: Response) -> None:
        """End the session of a request, with its tokens, and take the cookie back."""
        secret = self.secret(request)
        if secret is not None:
            await end_session(self._desk, secret)
        self._cookies.remove(response, SESSION_COOKIE)

    def secret(self, request: Request) -> str | None:
        """The session cookie of a request, if it is one in form; for what the database decides by the cookie itself."""
        secret = self._cookies.read(request, SESSION_COOKIE)
        return secret if secret is not None and _SECRET.fullmatch(secret) else None


def _signed_in(row: Any) -> SignedIn:
    return SignedIn(
        account_id=row["account_id"],
        role=Role(row["role"]),
        person_id=row["person_id"],
        session_id=row["session_id"],
        factors=row["factors"],
        method=row["method"],
        signed_in_at=row["begun_at"],
    )
