"""Callers of the API: a bank's system with its own key, or a person with a token."""

import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

from hub.core.errors import SourceError

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MEDIA = "application/graphql-response+json"
_EARLY_SECONDS = 30


@dataclass
class Caller:
    """Sends GraphQL operations with a bearer token. ``issuer`` is the hub's public address."""

    http: httpx.AsyncClient
    issuer: str
    token: str = field(default="", repr=False)

    async def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """The whole reply as JSON. Raises :class:`SourceError` if the hub answers with errors instead of data."""
        reply = await self.ask_raw(document, **variables)
        if reply.get("data") is None:
            code = reply["errors"][0].get("extensions", {}).get("code", "unknown")
            raise SourceError(f"the hub refused the operation ({code}): {reply['errors'][0]['message']}")
        return reply

    async def ask_raw(self, document: str, **variables: Any) -> dict[str, Any]:
        """The whole reply as JSON, errors too."""
        answer = await self.http.post(
            f"{self.issuer}/graphql",
            json={"query": document, "variables": variables},
            headers={"Authorization": f"Bearer {await self.bearer()}", "Accept": _MEDIA, "Accept-Language": "en"},
        )
        reply: dict[str, Any] = answer.json()
        return reply

    async def bearer(self) -> str:
        """The token to send."""
        return self.token


@dataclass
class SystemCaller(Caller):
    """A bank's system: gets its tokens with a signed assertion (RFC 7523) and renews them in time."""

    client_id: str = ""
    key: ECKey | None = field(default=None, repr=False)
    _until: float = 0.0

    async def bearer(self) -> str:
        """A token with some life left."""
        if time.monotonic() > self._until:
            await self._renew()
        return self.token

    async def _renew(self) -> None:
        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.issuer,
            "iat": now,
            "exp": now + 60,
            "jti": uuid4().hex,
        }
        assert self.key is not None, "a system signs with its key"
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION,
            "client_assertion": jwt.encode({"alg": "ES256"}, claims, self.key, algorithms=["ES256"]),
        }
        answer = await self.http.post(f"{self.issuer}/oauth2/token", data=form)
        if answer.status_code != httpx.codes.OK:
            raise SourceError(f"the hub gave `{self.client_id}` no token: HTTP {answer.status_code}.")
        granted = answer.json()
        self.token = granted["access_token"]
        self._until = time.monotonic() + granted["expires_in"] - _EARLY_SECONDS
