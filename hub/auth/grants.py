"""The three grants of the token endpoint, on Authlib's cores.

Everything that a grant needs to know was loaded, and what may be used once was used, before Authlib is called
(hub/auth/server.py): its hooks are synchronous, and its own order (answer first, delete the code afterwards)
would let two exchanges of one code win.
"""

from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidGrantError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7636.challenge import compare_s256_code_challenge

from hub.auth.client_assertion import METHOD, ONE_TEXT, Client, FormRequest
from hub.auth.grant_store import Held
from hub.auth.tokens import LIFETIME, Holder, TokenIssuer


class TokenServer(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server with the hooks it needs."""

    def __init__(self, issuer: TokenIssuer) -> None:
        super().__init__()
        self.issuer = issuer
        for grant in (SystemGrant, RefreshGrant):
            self.register_grant(grant)
        self.register_grant(CodeGrant, [_S256(required=True)])

    def query_client(self, client_id: str) -> None:
        raise InvalidClientError(description=ONE_TEXT)

    def save_token(self, token: dict[str, Any], request: FormRequest) -> None:
        """Nothing is stored here: what must be known of a token was noted before it was made."""

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        return request

    def create_json_request(self, request: FormRequest) -> FormRequest:
        return request

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """No listeners."""

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any, list[tuple[str, str]]]:
        return status, body, headers

    def make_token(self, request: FormRequest) -> dict[str, Any]:
        """Sign the access token of a request whose holder is known."""
        holder = request.holder
        if holder is None:
            raise InvalidGrantError("There is nobody to give a token to.")
        request.issued = self.issuer.issue(holder, token_id=request.token_id)
        token: dict[str, Any] = {
            "token_type": "Bearer" if holder.key is None else "DPoP",
            "access_token": request.issued.token,
            "expires_in": int(LIFETIME.total_seconds()),
        }
        if request.new_refresh_token is not None:
            token["refresh_token"] = request.new_refresh_token
        if holder.grant is not None:
            token |= {"grant_id": str(holder.grant), "authorization_details": [dict(each) for each in holder.details]}
        return token


class _Grant:
    """What the three have in common: one way to authenticate, one way to make a token."""

    TOKEN_ENDPOINT_AUTH_METHODS = (METHOD,)
    request: FormRequest
    server: TokenServer

    def generate_token(self, **_: Any) -> dict[str, Any]:
        return self.server.make_token(self.request)

    def authenticate_user(self, _: Any) -> Holder | None:
        return self.request.holder


class SystemGrant(_Grant, ClientCredentialsGrant):  # type: ignore[misc]
    """A system acts for its organisation (RFC 6749 section 4.4)."""


class _HeldCode:
    """A code that was good and is used up by now."""

    code_challenge_method = "S256"

    def __init__(self, held: Held) -> None:
        self.code_challenge = held.code_challenge
        self._redirect_uri = held.redirect_uri

    def get_redirect_uri(self) -> str | None:
        return self._redirect_uri

    def get_scope(self) -> str:
        return ""


class CodeGrant(_Grant, AuthorizationCodeGrant):  # type: ignore[misc]
    """Exchange of a code (RFC 6749 section 4.1.3), always with PKCE."""

    def query_authorization_code(self, code: str, client: Client) -> _HeldCode | None:
        held = self.request.held
        return _HeldCode(held) if held is not None and held.state == "GOOD" else None

    def delete_authorization_code(self, authorization_code: _HeldCode) -> None:
        """It was used up before."""


class _HeldToken:
    """A refresh token that is good; the database compared its client."""

    def check_client(self, client: Client) -> bool:
        return True

    def get_scope(self) -> str:
        return ""


class RefreshGrant(_Grant, RefreshTokenGrant):  # type: ignore[misc]
    """A new access token; the refresh token stays as it is, so a lost answer loses nothing (FAPI 2.0)."""

    def authenticate_refresh_token(self, refresh_token: str) -> _HeldToken | None:
        held = self.request.held
        return _HeldToken() if held is not None and held.state == "GOOD" else None

    def revoke_old_credential(self, refresh_token: _HeldToken) -> None:
        """No rotation."""


class _S256(CodeChallenge):  # type: ignore[misc]
    """PKCE with S256 and nothing else, for confidential clients too: every code has a challenge."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)
    CODE_CHALLENGE_METHODS = {"S256": compare_s256_code_challenge}  # noqa: RUF012 - Authlib's own name and type
