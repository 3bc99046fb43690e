"""Authlib's defaults that are unsafe here, pinned: each test shows the library's own behaviour, and that ours differs.

If an upgrade changes a default, the first half of its test fails: then the code that closes it may be needless, or may
close something else. Read the release notes before you change the test.
"""

import inspect
import json
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import authlib.oauth2
import pytest
from authlib.oauth2.rfc6749 import AuthorizationServer
from authlib.oauth2.rfc6749.errors import InvalidClientError, OAuth2Error, UnsupportedResponseTypeError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6750.token import BearerTokenGenerator
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator, JWTBearerTokenValidator
from authlib.oauth2.rfc9207.parameter import IssuerParameter
from joserfc import jwk, jws, jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import RSAKey
from starlette.responses import RedirectResponse

from hub.auth import grants
from hub.auth.client_assertion import ASSERTION_LIFE_MAX_SECONDS, ClientAssertion, FormRequest
from hub.auth.jwks import ALGORITHMS, read_jwks, signed_payload
from hub.auth.par import check_push
from hub.auth.tokens import LIFETIME, InvalidTokenError, TokenVerifier
from hub.core.clock import system_clock
from hub.core.errors import InputError
from tests.auth.test_tokens import _signed, clock, issuer

from .clients import ISSUER, assertion, claims, form, jwks, new_key

__all__ = ["clock", "issuer"]  # fixtures


class Library(JWTBearerClientAssertion):  # type: ignore[misc]
    """Authlib's check as its documentation has it, with nothing of ours."""

    def __init__(self, key: Any) -> None:
        super().__init__()
        self.key = key

    def get_audiences(self) -> list[str]:
        return [ISSUER]

    def validate_jti(self, claims: Any, jti: str) -> bool:
        return True

    def resolve_client_public_key(self, client: Any) -> Any:
        return self.key

    def accepts(self, text: str) -> bool:
        client = SimpleNamespace(check_endpoint_auth_method=lambda *_: True)
        request = SimpleNamespace(form=_form(text), client=None)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self(lambda _: client, request) is client
        except InvalidClientError:
            return False


def _form(text: str) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(form(text).decode()))


def ours_accepts(text: str, key: Any) -> bool:
    checker = ClientAssertion(ISSUER, system_clock, None)  # type: ignore[arg-type]  # the store is not asked here
    known = SimpleNamespace(client_id="risk-a", keys=read_jwks(jwks(key)))
    try:
        return checker(None, FormRequest(_form(text), known)) is known  # type: ignore[arg-type, comparison-overlap]
    except OAuth2Error:
        return False


@pytest.mark.parametrize(
    ("algorithm", "library", "ours"),
    [("RS256", True, False), ("ES256", True, True), ("PS256", False, True), ("EdDSA", False, True),
     ("Ed25519", False, True)],
)  # fmt: skip
def test_canary_01_algorithms(algorithm: str, library: bool, ours: bool) -> None:
    key = new_key(algorithm)
    text = assertion(key, claims("risk-a"), algorithm)
    assert Library(key).accepts(text) is library
    assert ours_accepts(text, key) is ours
    assert set(ALGORITHMS) == {"ES256", "PS256", "Ed25519", "EdDSA"}


def test_canary_02_an_audience_list_that_holds_the_issuer() -> None:
    key = new_key("ES256")
    text = assertion(key, claims("risk-a", aud=[ISSUER, "https://elsewhere.example"]))
    assert Library(key).accepts(text)
    assert not ours_accepts(text, key)


def test_canary_03_an_assertion_for_ten_years() -> None:
    key = new_key("ES256")
    text = assertion(key, claims("risk-a", exp=int(time.time()) + 10 * 365 * 86400))
    assert Library(key).accepts(text)
    assert not ours_accepts(text, key)
    assert ours_accepts(assertion(key, claims("risk-a", exp=int(time.time()) + ASSERTION_LIFE_MAX_SECONDS)), key)


class _Validator(JWTBearerTokenValidator):  # type: ignore[misc]
    def __init__(self, key: Any) -> None:
        super().__init__(issuer="https://hub.example", resource_server="https://hub.example/graphql")
        self.key = key

    def get_jwks(self) -> Any:
        return jwk.KeySet([self.key])

    def accepts(self, text: str) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                token = self.authenticate_token(text)
                self.validate_token(token, None, None)
            except Exception:
                return False
        return token is not None


def _token_of(key: Any, header: dict[str, Any], **more: Any) -> str:
    now = int(time.time())
    body = {
        "iss": "https://hub.example", "aud": "https://hub.example/graphql", "sub": "bank-a", "client_id": "bank-a",
        "iat": now, "exp": now + 300, "jti": "x", **more,
    }  # fmt: skip
    return jws.serialize_compact({"alg": "ES256"} | header, json.dumps(body).encode(), key, algorithms=["ES256"])


def test_canary_04_a_token_without_type(issuer: Any) -> None:
    key = new_key("ES256")
    assert _Validator(key).accepts(_token_of(key, {"typ": "at+jwt"}))
    assert _Validator(key).accepts(_token_of(key, {}))
    for typ in (None, "JWT"):
        with pytest.raises(InvalidTokenError):
            TokenVerifier.of(issuer).verify(_signed(issuer, {"typ": typ}))


def test_canary_05_a_bound_token_as_plain_bearer(issuer: Any) -> None:
    key = new_key("ES256")
    assert _Validator(key).accepts(_token_of(key, {"typ": "at+jwt"}, cnf={"jkt": "thumbprint"}))
    bound = _signed(issuer, {}, cnf={"jkt": "thumbprint"})
    assert TokenVerifier.of(issuer).verify(bound, "thumbprint").key == "thumbprint"
    with pytest.raises(InvalidTokenError):
        TokenVerifier.of(issuer).verify(bound)


def test_canary_06_audience_and_life_of_tokens(issuer: Any) -> None:
    source = inspect.getsource(JWTBearerTokenGenerator.get_audiences)
    assert "client.get_client_id()" in source, "the library's audience is the client itself"
    lives = BearerTokenGenerator.GRANT_TYPES_EXPIRES_IN
    assert lives["authorization_code"] == lives["client_credentials"] == 864000, "ten days"
    made = jwt.decode(issuer.issue_for_client("bank-a").token, issuer.public_key, algorithms=["Ed25519"]).claims
    assert made["aud"] == issuer.issuer + "/graphql"
    assert made["exp"] - made["iat"] == LIFETIME.total_seconds() == 300


def test_canary_07_short_rsa_keys() -> None:
    with pytest.warns(SecurityWarning):
        weak = RSAKey.generate_key(1024)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        text = jws.serialize_compact({"alg": "PS256"}, b"x", weak, algorithms=["PS256"])
        assert jws.deserialize_compact(text, weak, algorithms=["PS256"]).payload == b"x"
        with pytest.raises(InputError):
            read_jwks(jwks(weak))


def test_canary_08_the_name_of_the_method() -> None:
    assert JWTBearerClientAssertion.CLIENT_AUTH_METHOD == "client_assertion_jwt"
    assert '"token"' in inspect.getsource(JWTBearerClientAssertion.authenticate_client)
    assert ClientAssertion.CLIENT_AUTH_METHOD == "private_key_jwt"
    for grant in (grants.SystemGrant, grants.CodeGrant, grants.RefreshGrant):
        assert grant.TOKEN_ENDPOINT_AUTH_METHODS == ("private_key_jwt",)


def test_canary_09_the_code_is_deleted_after_the_token_is_saved() -> None:
    source = inspect.getsource(AuthorizationCodeGrant)
    assert source.index("self.save_token(token)") < source.index("self.delete_authorization_code(authorization_code)")
    assert "self.request.held" in inspect.getsource(grants.CodeGrant.query_authorization_code), "used up before"


def test_canary_10_an_error_of_the_grant_redirects() -> None:
    class Server(AuthorizationServer):  # type: ignore[misc]
        def query_client(self, client_id: str) -> Any:
            return SimpleNamespace(check_redirect_uri=lambda _: True)

    payload = SimpleNamespace(client_id="a", redirect_uri="https://bank.example/cb", response_type="token", state="s")
    with pytest.raises(UnsupportedResponseTypeError) as library:
        Server().get_authorization_grant(SimpleNamespace(payload=payload))
    assert library.value()[0] == 302
    client = SimpleNamespace(check_redirect_uri=lambda _: True)
    with pytest.raises(UnsupportedResponseTypeError) as ours:
        check_push({"response_type": "token"}, client, system_clock().date())  # type: ignore[arg-type]
    status, _, headers = ours.value()
    assert status == 400
    assert "location" not in {name.lower() for name, _ in headers}


def test_canary_11_the_library_tells_unknown_clients_apart() -> None:
    key = new_key("ES256")
    request = SimpleNamespace(form=_form(assertion(key, claims("nobody"))), client=None)
    with pytest.raises(InvalidClientError, match="does not exist"):
        Library(key)(lambda _: None, request)
    checker = ClientAssertion(ISSUER, system_clock, None)  # type: ignore[arg-type]
    with pytest.raises(InvalidClientError, match="Client authentication failed"):
        checker(None, FormRequest(_form(assertion(key, claims("nobody"))), None))


def test_canary_12_pkce_is_plain_and_for_public_clients() -> None:
    assert CodeChallenge.DEFAULT_CODE_CHALLENGE_METHOD == "plain"
    assert CodeChallenge.SUPPORTED_CODE_CHALLENGE_METHOD == ["plain", "S256"]
    assert 'request.auth_method == "none"' in inspect.getsource(CodeChallenge.validate_code_verifier)
    ours = grants._S256()
    assert (ours.DEFAULT_CODE_CHALLENGE_METHOD, set(ours.CODE_CHALLENGE_METHODS)) == ("S256", {"S256"})
    assert grants._HeldCode.code_challenge_method == "S256"


def test_canary_13_the_two_names_of_ed25519() -> None:
    """RFC 9864 renamed ``EdDSA``; a key that carries the old name must still verify what bears the new one."""
    key = new_key("Ed25519")
    entry = key.as_dict(private=False)
    for algorithm in ("Ed25519", "EdDSA"):
        text = assertion(key, claims("risk-a"), algorithm)
        assert signed_payload(text, read_jwks({"keys": [entry]})).payload
    with pytest.warns(SecurityWarning, match="EdDSA"):
        jws.serialize_compact({"alg": "EdDSA"}, b"x", key, algorithms=["EdDSA"])


def test_canary_14_the_issuer_parameter_does_not_know_starlette() -> None:
    class Issuer(IssuerParameter):  # type: ignore[misc]
        def get_issuer(self) -> str:
            return ISSUER

    with pytest.raises(AttributeError):
        Issuer().add_issuer_parameter(None, RedirectResponse("https://bank.example/cb"))


def test_canary_15_what_the_library_still_lacks() -> None:
    """When one of these appears in Authlib, see whether it can take the place of ours."""
    names = {path.name for path in Path(authlib.oauth2.__file__).parent.iterdir()}
    assert "rfc9068" in names
    assert {"rfc9126", "rfc9396", "rfc9449", "rfc8705"} & names == set()
