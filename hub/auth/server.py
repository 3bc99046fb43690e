"""The authorization server: Authlib's client-credentials grant and client-assertion core, made strict.

Authlib's hooks are synchronous, so the client is loaded before they are called, and the use of the assertion's ``jti``
is recorded after its signature was checked; the token leaves only then. What Authlib's defaults would let through is
closed here and pinned by tests: weak algorithms, an audience list, far expiry, repeated parameters, telling errors.
"""

import json
import re
from collections import defaultdict
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion

from hub.auth.jwks import PublicKey, read_jwks, signed_payload
from hub.auth.store import AuthStore, RegisteredClient
from hub.auth.tokens import LIFETIME, InvalidTokenError, TokenIssuer, TokenVerifier
from hub.core.clock import SHANGHAI, Clock
from hub.core.errors import InputError

ASSERTION_LIFE_MAX_SECONDS = 300
"""How far ahead an assertion may run out; until then its id is remembered."""

_LEEWAY_SECONDS = 10
_JTI_MAX = 256
_ASSERTION_MAX = 8192
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
"""What JSON can carry and neither UTF-8 nor the database can."""
_METHOD = "private_key_jwt"
_ONE_TEXT = "Client authentication failed."


class _RefusedError(InvalidClientError):  # type: ignore[misc]
    """One text for every failed authentication, so that nobody can list clients or probe keys."""

    def __init__(self) -> None:
        super().__init__(description=_ONE_TEXT, status_code=401)


class _Client(ClientMixin):  # type: ignore[misc]
    """A registered system as Authlib sees it."""

    def __init__(self, found: RegisteredClient, keys: tuple[PublicKey, ...]) -> None:
        self.client_id = found.client_id
        self.keys = keys

    def get_client_id(self) -> str:
        return self.client_id

    def get_allowed_scope(self, scope: str) -> str:
        return ""

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == _METHOD

    def check_grant_type(self, grant_type: str) -> bool:
        return bool(grant_type == ClientCredentialsGrant.GRANT_TYPE)


class _Request(OAuth2Request):  # type: ignore[misc]
    """One POST with a form body. TLS ends at the proxy, so the scheme of the inner hop is not judged."""

    def __init__(self, form: dict[str, str], headers: dict[str, str], client: _Client | None) -> None:
        super().__init__("POST", "https://hub.invalid/oauth2", headers=headers)
        self._form = form
        self.payload = BasicOAuth2Payload(form)
        self.known_client = client
        self.assertion_claims: dict[str, Any] | None = None

    @property
    def form(self) -> dict[str, str]:
        return self._form


class _ClientAssertion(JWTBearerClientAssertion):  # type: ignore[misc]
    """RFC 7523 client authentication with the checks that FAPI 2.0 asks for."""

    CLIENT_AUTH_METHOD = _METHOD

    def __init__(self, issuer: str, clock: Clock) -> None:
        super().__init__()
        self._issuer = issuer
        self._clock = clock

    def __call__(self, query_client: Any, request: _Request) -> Any:
        """The authenticated client, or ``None`` if no assertion was sent."""
        form = request.form
        if form.get("client_assertion_type") != self.CLIENT_ASSERTION_TYPE or "client_assertion" not in form:
            return None
        client = request.known_client
        if client is None or form.get("client_id", client.client_id) != client.client_id:
            raise _RefusedError
        try:
            claims = json.loads(signed_payload(form["client_assertion"], client.keys).payload)
        except ValueError:
            raise _RefusedError from None
        if not isinstance(claims, dict) or not self._good(claims, client.client_id):
            raise _RefusedError
        request.client = client
        request.assertion_claims = claims
        return client

    def _good(self, claims: dict[str, Any], client_id: str) -> bool:
        now = self._clock().timestamp()
        expires, issued, jti = claims.get("exp"), claims.get("iat", now), claims.get("jti")
        starts = claims.get("nbf", issued)
        return (
            claims.get("iss") == client_id
            and claims.get("sub") == client_id
            and claims.get("aud") == self._issuer
            and all(type(at) in (int, float) for at in (expires, issued, starts))
            and now - _LEEWAY_SECONDS < float(expires or 0) <= now + ASSERTION_LIFE_MAX_SECONDS + _LEEWAY_SECONDS
            and max(float(issued), float(starts)) <= now + _LEEWAY_SECONDS
            and isinstance(jti, str)
            and 0 < len(jti) <= _JTI_MAX
            and _NOT_TEXT.search(jti) is None
        )


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = (_METHOD,)


class _Server(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server with the six hooks it needs; requests are made by :class:`AuthorizationEndpoints`."""

    def query_client(self, client_id: str) -> None:
        raise InvalidClientError(description=_ONE_TEXT)

    def save_token(self, token: dict[str, Any], request: _Request) -> None:
        """Nothing is stored: the token is signed and short-lived."""

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def create_json_request(self, request: _Request) -> _Request:
        return request

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """No listeners."""

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any, list[tuple[str, str]]]:
        return status, body, headers


Answer = tuple[int, dict[str, Any], dict[str, str]]
"""Status, JSON body, headers."""

_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}


class AuthorizationEndpoints:
    """The token and revocation endpoints, apart from HTTP."""

    def __init__(self, issuer: TokenIssuer, store: AuthStore) -> None:
        self.issuer = issuer
        self._store = store
        self._verifier = TokenVerifier.of(issuer)
        self._assertion = _ClientAssertion(issuer.issuer, issuer.clock)
        self._server = _Server()
        self._server.register_grant(_Grant)
        self._server.register_client_auth_method(_METHOD, self._assertion)
        self._server.register_token_generator("default", self._generate)

    def _generate(self, client: _Client, **_: Any) -> dict[str, Any]:
        issued = self.issuer.issue_for_client(client.client_id)
        return {
            "token_type": "Bearer",
            "access_token": issued.token,
            "expires_in": int(LIFETIME.total_seconds()),
        }

    async def token(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Answer a token request (RFC 6749 section 4.4 with RFC 7523 client authentication)."""
        try:
            request = await self._request(body, headers)
        except OAuth2Error as error:
            return _failed(error)
        status, answer, _ = self._server.create_token_response(request)
        if status != 200:
            return _plain(status, answer)
        if not await self._first_use(request):
            return _failed(_RefusedError())
        return 200, dict(answer), dict(_NO_STORE)

    async def revoke(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Take back a token of the client's own (RFC 7009); an unknown token is answered the same way."""
        try:
            request = await self._request(body, headers)
            client = self._server.authenticate_client(request, (_METHOD,), "revocation")
            if not await self._first_use(request):
                raise _RefusedError
            if "token" not in request.form:
                raise InvalidRequestError("Missing 'token'.")
        except OAuth2Error as error:
            return _failed(error)
        try:
            claims = self._verifier.verify(request.form["token"])
        except InvalidTokenError:
            return 200, {}, dict(_NO_STORE)
        if claims.is_system and claims.subject == client.client_id:
            await self._store.revoke_token(claims.token_id, claims.expires_at)
        return 200, {}, dict(_NO_STORE)

    async def _request(self, body: bytes, headers: dict[str, str]) -> _Request:
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            raise InvalidRequestError("The body must be application/x-www-form-urlencoded.")
        try:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=20
            )
        except ValueError:
            raise InvalidRequestError("The body cannot be read as a form.") from None
        seen: defaultdict[str, int] = defaultdict(int)
        for name, _ in pairs:
            seen[name] += 1
        if any(count > 1 for count in seen.values()):
            raise InvalidRequestError("A parameter is repeated.")
        form = dict(pairs)
        return _Request(form, headers, await self._known_client(form.get("client_assertion", "")))

    async def _known_client(self, assertion: str) -> _Client | None:
        """The client that the unverified assertion names, with keys to verify it; ``None`` if unknown or closed."""
        if not 0 < len(assertion) <= _ASSERTION_MAX:
            return None
        try:
            _, claims = self._assertion.extract_assertion(assertion)
        except InvalidClientError:
            return None
        named = claims.get("sub")
        if not isinstance(named, str) or not 0 < len(named) <= 64 or _NOT_TEXT.search(named):
            return None
        found = await self._store.find_client(named)
        if found is None or not found.is_active:
            return None
        try:
            return _Client(found, read_jwks(found.jwks))
        except InputError:
            return None

    async def _first_use(self, request: _Request) -> bool:
        claims = request.assertion_claims
        if claims is None:
            return False
        expires = datetime.fromtimestamp(float(claims["exp"]) + _LEEWAY_SECONDS, SHANGHAI)
        return await self._store.use_assertion(request.client.client_id, claims["jti"], expires)


def _failed(error: OAuth2Error) -> Answer:
    status, answer, _ = error()
    return _plain(status, answer)


def _plain(status: int, answer: Any) -> Answer:
    body = dict(answer)
    headers = dict(_NO_STORE)
    if body.get("error") == "invalid_client":
        status, body = 401, {"error": "invalid_client", "error_description": _ONE_TEXT}
    return status, body, headers


def metadata(issuer: str) -> dict[str, Any]:
    """The authorization server's metadata document (RFC 8414)."""
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/oauth2/token",
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "jwks_uri": f"{issuer}/oauth2/jwks",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": [_METHOD],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "PS256", "Ed25519", "EdDSA"],
        "revocation_endpoint_auth_methods_supported": [_METHOD],
        "revocation_endpoint_auth_signing_alg_values_supported": ["ES256", "PS256", "Ed25519", "EdDSA"],
        "service_documentation": f"{issuer}/explorer",
    }
