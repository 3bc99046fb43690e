"""A bank's system and a person's browser, as the tests of the code flow drive them: plain HTTP only."""

import hashlib
import json
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from .clients import ASSERTION_TYPE, FORM, assertion, claims, new_key, proof

CALLBACK = "https://bank.example/callback"
_FIELD = re.compile(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">')
_PART = re.compile(r'name="part" value="([^"]*)"')


@dataclass
class Partner:
    """A registered client with its two keys: one authenticates it, one its tokens are bound to."""

    http: httpx.AsyncClient
    issuer: str
    client_id: str
    key: Any
    algorithm: str = "ES256"
    redirect_uri: str = CALLBACK
    proof_key: Any = None
    nonce: str | None = None
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def assertion(self, **changes: Any) -> str:
        return assertion(self.key, claims(self.client_id, **({"aud": self.issuer} | changes)), self.algorithm)

    def __post_init__(self) -> None:
        self.proof_key = self.proof_key or new_key(self.algorithm)

    async def post(
        self, path: str, data: dict[str, Any], *, bound: bool = True, proof_text: str | None = None, **headers: str
    ) -> httpx.Response:
        """An authenticated POST; with ``bound`` it carries a proof, repeated once if the server wants its nonce."""
        for _ in range(2):
            body = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()} | data
            sent = FORM | headers
            if bound:
                sent["dpop"] = proof_text or self.proof(path)
            reply = await self.http.post(path, data={k: v for k, v in body.items() if v is not None}, headers=sent)
            self.nonce = reply.headers.get("dpop-nonce", self.nonce)
            if proof_text or reply.status_code != 400 or reply.json().get("error") != "use_dpop_nonce":
                break
        return reply

    def proof(self, path: str, **changes: Any) -> str:
        key = changes.pop("key", self.proof_key)
        return proof(key, self.issuer + path, changes.pop("nonce", self.nonce), algorithm=self.algorithm, **changes)

    def challenge(self) -> str:
        return urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")

    def push_form(self, details: Any = None, **changes: Any) -> dict[str, Any]:
        form = {
            "response_type": "code", "redirect_uri": self.redirect_uri, "state": "state-7",
            "code_challenge": self.challenge(), "code_challenge_method": "S256",
        }  # fmt: skip
        if details is not None:
            form["authorization_details"] = details if isinstance(details, str) else json.dumps(details)
        return {name: value for name, value in (form | changes).items() if value is not None}

    async def push(self, details: Any = None, **changes: Any) -> str:
        reply = await self.post("/oauth2/par", self.push_form(details, **changes), bound=False)
        assert reply.status_code == 201, reply.text
        uri: str = reply.json()["request_uri"]
        return uri

    async def exchange(self, code: str, *, bound: bool = True, **changes: Any) -> httpx.Response:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }  # fmt: skip
        return await self.post("/oauth2/token", form | changes, bound=bound)

    async def system_token(self) -> str:
        reply = await self.post("/oauth2/token", {"grant_type": "client_credentials"})
        assert reply.status_code == 200, reply.text
        token: str = reply.json()["access_token"]
        return token

    async def introspect(self, token: str) -> dict[str, Any]:
        reply = await self.post("/oauth2/introspect", {"token": token}, bound=False)
        assert reply.status_code == 200, reply.text
        state: dict[str, Any] = reply.json()
        return state

    async def ask(
        self, token: str, query: str, variables: dict[str, Any] | None = None, *, proof_text: str | None = None
    ) -> httpx.Response:
        """One GraphQL operation with the bound token."""
        for _ in range(2):
            text = proof_text or self.proof("/graphql", token=token)
            reply = await self.http.post(
                "/graphql", json={"query": query, "variables": variables or {}},
                headers={"authorization": f"DPoP {token}", "dpop": text},
            )  # fmt: skip
            self.nonce = reply.headers.get("dpop-nonce", self.nonce)
            if proof_text or "use_dpop_nonce" not in reply.headers.get("www-authenticate", ""):
                break
        return reply


@dataclass
class Browser:
    """A person's browser without JavaScript."""

    http: httpx.AsyncClient
    account: str

    @property
    def cookies(self) -> dict[str, str]:
        return {"cookie": f"test-account={self.account}"} if self.account else {}

    async def open(self, client_id: str, request_uri: str) -> httpx.Response:
        return await self.http.get(
            "/oauth2/authorize", params={"client_id": client_id, "request_uri": request_uri}, headers=self.cookies
        )

    async def answer(self, page: httpx.Response, decision: str = "yes", **changes: Any) -> httpx.Response:
        """Send the form of a page: all parts ticked, the special notice accepted."""
        assert page.status_code == 200, page.text
        form: dict[str, Any] = {name: unescape(value) for name, value in _FIELD.findall(page.text)}
        form |= {"decision": decision, "part": _PART.findall(page.text), "heightened": "yes"} | changes
        return await self.http.post(
            "/oauth2/authorize", data={k: v for k, v in form.items() if v is not None}, headers=FORM | self.cookies
        )

    async def consent(self, client_id: str, request_uri: str, decision: str = "yes", **changes: Any) -> dict[str, str]:
        """Open, answer, and give the parameters that the client gets back."""
        return back(await self.answer(await self.open(client_id, request_uri), decision, **changes))


def back(reply: httpx.Response) -> dict[str, str]:
    """The parameters of a redirect to the client."""
    assert reply.status_code == 303, reply.text
    return {name: values[0] for name, values in parse_qs(urlsplit(reply.headers["location"]).query).items()}
