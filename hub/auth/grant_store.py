"""The statements of codes, refresh tokens and grants. Secrets go in as SHA-256 and never come out."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from hub.auth.rar import granted_details
from hub.auth.store import Connections

REQUEST_SECONDS = 60
"""How long a pushed request can be opened for the first time (RFC 9126 section 2.2)."""

FINISH_SECONDS = 15 * 60
"""How long a person may take to sign in and decide, from the moment of the push."""

CODE_SECONDS = 60
"""How long a code can be exchanged (FAPI 2.0 section 5.3.2.1)."""

ACCOUNT_REFRESH_SECONDS = 8 * 3600
"""How long an app can get new tokens for a person; the end of his session ends them before."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A checked authorization request. ``request_id`` is the consent asked for, ``None`` for an app's own request."""

    client_id: str
    redirect_uri: str
    state: str | None
    code_challenge: str
    proof_key: str | None
    request_id: UUID | None
    asks_visitor: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A pushed request that a browser may go on with."""

    redirect_uri: str
    state: str | None
    request_id: UUID | None


@dataclass(frozen=True, slots=True)
class Visit:
    """Who decides: the signed-in account, its session, and how it signed in."""

    account_id: str
    session_id: UUID
    factors: tuple[str, ...]
    signed_in_at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """What a code or refresh token stands for. ``state``: GOOD, UNKNOWN, REUSED, ENDED; else nothing is filled in."""

    state: str
    redirect_uri: str | None
    code_challenge: str | None
    proof_key: str | None
    grant_id: UUID | None
    account_id: str | None
    session_id: UUID | None
    factors: tuple[str, ...]
    signed_in_at: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Grant:
    """A consent as the client that asked for it may know it; ``person_id`` never leaves the hub."""

    is_in_force: bool
    status: str
    organisation_id: str
    person_id: UUID
    purpose: str
    parts: tuple[str, ...]
    application_ref: str | None
    effective_from: datetime
    expires_at: datetime
    max_uses: int | None
    uses: int
    programme: str | None

    @property
    def details(self) -> tuple[dict[str, Any], ...]:
        """What was granted, as tokens and answers carry it."""
        return granted_details(self.purpose, self.parts, self.application_ref, self.programme)


@dataclass(frozen=True, slots=True)
class RefreshState:
    """A refresh token that is good at this moment."""

    grant_id: UUID | None
    account_id: str
    issued_at: datetime
    expires_at: datetime


def new_secret() -> str:
    """256 random bits for a URL."""
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class GrantStore:
    """What the authorization server keeps between the steps of a grant."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def push(self, secret: str, pushed: Pushed) -> None:
        """Keep a pushed request."""
        await self._connections.execute(
            "SELECT auth.push_request($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            digest_of(secret),
            pushed.client_id,
            pushed.redirect_uri,
            pushed.state,
            pushed.code_challenge,
            pushed.proof_key,
            pushed.request_id,
            pushed.asks_visitor,
            REQUEST_SECONDS,
            FINISH_SECONDS,
        )

    async def open(self, secret: str, client_id: str, visit: Visit | None) -> Opened | None:
        """Open a pushed request in a browser; ``visit`` is ``None`` before the person has signed in."""
        row = await self._connections.fetchrow(
            "SELECT * FROM auth.open_request($1, $2, $3, $4)",
            digest_of(secret),
            client_id,
            None if visit is None else visit.session_id,
            None if visit is None else visit.account_id,
        )
        return None if row is None else Opened(row["redirect_uri"], row["state"], row["request_id"])

    async def finish(self, secret: str, client_id: str, visit: Visit, grant_id: UUID | None, code: str | None) -> bool:
        """Finish a pushed request, once; with a code after a yes. ``False``: it was finished before, or has run out."""
        done = await self._connections.fetchval(
            "SELECT auth.finish_request($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            digest_of(secret),
            client_id,
            visit.session_id,
            visit.account_id,
            list(visit.factors),
            visit.signed_in_at,
            grant_id,
            None if code is None else digest_of(code),
            CODE_SECONDS,
            ACCOUNT_REFRESH_SECONDS,
        )
        return bool(done)

    async def use_code(
        self, code: str, client_id: str, token_id: str, token_until: datetime, refresh_token: str
    ) -> Held:
        """Exchange a code, noting the tokens to be made of it; of many callers in any process one gets GOOD."""
        row = await self._connections.fetchrow(
            "SELECT * FROM auth.use_code($1, $2, $3, $4, $5, $6)",
            digest_of(code),
            client_id,
            token_id,
            token_until,
            digest_of(refresh_token),
            ACCOUNT_REFRESH_SECONDS,
        )
        return _held(row)

    async def use_refresh_token(self, token: str, client_id: str, token_id: str, token_until: datetime) -> Held:
        """What a refresh token stands for, noting the access token to be made with it."""
        row = await self._connections.fetchrow(
            "SELECT * FROM auth.use_refresh_token($1, $2, $3, $4)", digest_of(token), client_id, token_id, token_until
        )
        return _held(row)

    async def narrow_token(self, token_id: str, parts: Iterable[str]) -> None:
        """Note that the access token to be made stands for these parts of its consent only; the gate keeps to it."""
        await self._connections.execute("SELECT auth.narrow_token($1, $2)", token_id, list(parts))

    async def refresh_token_of(self, token: str, client_id: str) -> RefreshState | None:
        """A refresh token of this client that is good at this moment."""
        row = await self._connections.fetchrow(
            "SELECT * FROM auth.refresh_token_of($1, $2)", digest_of(token), client_id
        )
        return None if row is None else RefreshState(**dict(row))

    async def revoke_refresh_token(self, token: str, client_id: str) -> bool:
        """Take a refresh token back with all access tokens of the same code; ``False`` if it is not the client's."""
        return bool(
            await self._connections.fetchval("SELECT auth.revoke_refresh_token($1, $2)", digest_of(token), client_id)
        )

    async def grant_of(self, client_id: str, grant_id: UUID) -> Grant | None:
        """A consent that this client asked for, whatever its state."""
        row = await self._connections.fetchrow("SELECT * FROM auth.grant_of($1, $2)", client_id, grant_id)
        return None if row is None else Grant(**dict(row) | {"parts": tuple(row["parts"])})


def _held(row: dict[str, object]) -> Held:
    factors = row["factors"]
    return Held(**dict(row) | {"factors": tuple(factors) if isinstance(factors, Sequence) else ()})  # type: ignore[arg-type]
