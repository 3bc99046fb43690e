"""Client authentication with a signed assertion (RFC 7523), by Authlib's core with the checks that FAPI 2.0 asks for.

Authlib's hooks are synchronous, so the client is loaded before they are called, and the use of the assertion's id is
recorded after its signature was checked; whatever was asked for is done only then.
"""

import hashlib
import json
import re
from datetime import datetime
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidClientError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion

from hub.auth.dpop import Proof
from hub.auth.grant_store import Held
from hub.auth.jwks import PublicKey, read_jwks, signed_payload
from hub.auth.store import AuthStore, RegisteredClient
from hub.auth.tokens import Holder, IssuedToken
from hub.core.clock import SHANGHAI, Clock
from hub.core.errors import InputError

ASSERTION_LIFE_MAX_SECONDS = 300
"""How far ahead an assertion may run out; until then its id is remembered."""

LEEWAY_SECONDS = 10
METHOD = "private_key_jwt"
ONE_TEXT = "Client authentication failed."
"""The one text for every failed authentication, so that nobody can list clients or probe keys."""

_ID_MAX = 256
_INSTANT_MAX = 1 << 40  # some 35,000 years
_ASSERTION_MAX = 8192
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
"""What JSON can carry and neither UTF-8 nor the database can."""


class RefusedClientError(InvalidClientError):  # type: ignore[misc]
    """``invalid_client``, whatever the reason."""

    def __init__(self) -> None:
        super().__init__(description=ONE_TEXT, status_code=401)


class Client(ClientMixin):  # type: ignore[misc]
    """A registered system or app as Authlib sees it."""

    def __init__(self, found: RegisteredClient, keys: tuple[PublicKey, ...]) -> None:
        self.registered = found
        self.client_id = found.client_id
        self.keys = keys

    def get_client_id(self) -> str:
        return self.client_id

    def get_allowed_scope(self, scope: str) -> str:
        return ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Exact comparison, character by character (RFC 9700 section 2.1)."""
        return redirect_uri in self.registered.redirect_uris

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == METHOD

    def check_grant_type(self, grant_type: str) -> bool:
        """Systems speak for their organisation; an app speaks for people only."""
        if grant_type == "client_credentials":
            return self.registered.organisation_id is not None
        return grant_type in ("authorization_code", "refresh_token") and bool(self.registered.redirect_uris)


class FormRequest(OAuth2Request):  # type: ignore[misc]
    """One POST with a form body. TLS ends at the proxy, so the scheme of the inner hop is not judged.

    ``held`` and ``holder`` are filled in by the endpoint before Authlib's grant runs, ``issued`` by the grant.
    """

    def __init__(self, form: dict[str, str], client: Client | None) -> None:
        super().__init__("POST", "https://hub.invalid/oauth2", headers={})
        self._form = form
        self.payload = BasicOAuth2Payload(form)
        self.known_client = client
        self.assertion_claims: dict[str, Any] | None = None
        self.proof: Proof | None = None
        self.held: Held | None = None
        self.holder: Holder | None = None
        self.token_id: str | None = None
        self.new_refresh_token: str | None = None
        self.issued: IssuedToken | None = None

    @property
    def form(self) -> dict[str, str]:
        return self._form


class ClientAssertion(JWTBearerClientAssertion):  # type: ignore[misc]
    """The check of an assertion. ``get_known`` loads whom it names, ``__call__`` is Authlib's hook."""

    CLIENT_AUTH_METHOD = METHOD

    def __init__(self, issuer: str, clock: Clock, store: AuthStore) -> None:
        super().__init__()
        self._issuer = issuer
        self._clock = clock
        self._store = store

    async def get_known(self, assertion: str) -> Client | None:
        """The client that the unverified assertion names, with keys to verify it; ``None`` if unknown or closed."""
        if not 0 < len(assertion) <= _ASSERTION_MAX:
            return None
        try:
            _, claims = self.extract_assertion(assertion)
        except (InvalidClientError, ValueError, RecursionError):
            return None
        named = claims.get("sub")
        if not isinstance(named, str) or not 0 < len(named) <= 64 or _NOT_TEXT.search(named):
            return None
        found = await self._store.find_client(named)
        if found is None or not found.is_active:
            return None
        try:
            return Client(found, read_jwks(found.jwks))
        except InputError:
            return None

    def __call__(self, query_client: Any, request: FormRequest) -> Client | None:
        """The authenticated client, or ``None`` if no assertion was sent."""
        if request.client is not None:
            return request.client  # type: ignore[no-any-return]  # checked before, in this very request
        form = request.form
        if form.get("client_assertion_type") != self.CLIENT_ASSERTION_TYPE or "client_assertion" not in form:
            return None
        client = request.known_client
        if client is None or form.get("client_id", client.client_id) != client.client_id:
            raise RefusedClientError
        try:
            claims = json.loads(signed_payload(form["client_assertion"], client.keys).payload)
        except (ValueError, RecursionError):
            raise RefusedClientError from None
        if not isinstance(claims, dict) or not self._good(claims, client.client_id):
            raise RefusedClientError
        request.client = client
        request.assertion_claims = claims
        return client

    def mark_of(self, request: FormRequest) -> tuple[bytes, datetime]:
        """What stands for the checked assertion, and how long it must be remembered."""
        claims = request.assertion_claims
        if claims is None:
            raise RefusedClientError
        expires = datetime.fromtimestamp(float(claims["exp"]) + LEEWAY_SECONDS, SHANGHAI)
        return hashlib.sha256(claims["jti"].encode()).digest(), expires

    def _good(self, claims: dict[str, Any], client_id: str) -> bool:
        now = self._clock().timestamp()
        expires, issued, jti = claims.get("exp"), claims.get("iat", now), claims.get("jti")
        starts = claims.get("nbf", issued)
        return (
            claims.get("iss") == client_id
            and claims.get("sub") == client_id
            and claims.get("aud") == self._issuer
            and all(isinstance(at, int | float) and abs(at) < _INSTANT_MAX for at in (expires, issued, starts))
            and not any(isinstance(at, bool) for at in (expires, issued, starts))
            and now - LEEWAY_SECONDS < float(expires or 0) <= now + ASSERTION_LIFE_MAX_SECONDS + LEEWAY_SECONDS
            and max(float(issued), float(starts)) <= now + LEEWAY_SECONDS
            and isinstance(jti, str)
            and 0 < len(jti) <= _ID_MAX
            and _NOT_TEXT.search(jti) is None
        )
