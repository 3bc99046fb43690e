"""Access tokens: what is issued, and what is not accepted."""

import json
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from hub.auth.tokens import ACCOUNT_LIFETIME_MAX, InvalidTokenError, TokenIssuer, TokenVerifier
from hub.core.clock import SHANGHAI

NOW = datetime(2026, 10, 20, 9, 0, tzinfo=SHANGHAI)


class StandingClock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def issuer(clock: StandingClock) -> TokenIssuer:
    return TokenIssuer("https://hub.example", Ed25519PrivateKey.generate(), clock)


def _signed(issuer: TokenIssuer, header: dict[str, object], **changes: object) -> str:
    """A token by the hub's own key with one thing changed."""
    at = int(NOW.timestamp())
    claims = {
        "iss": issuer.issuer,
        "aud": issuer.audience,
        "sub": "bank-a",
        "client_id": "bank-a",
        "iat": at,
        "exp": at + 300,
        "jti": "x",
    }
    full = {"alg": "Ed25519", "typ": "at+jwt"} | header
    kept = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(
        {name: value for name, value in full.items() if value is not None},
        kept,
        issuer._key,
        algorithms=["Ed25519"],
        default_type=None,
    )


def test_a_system_gets_a_token_of_five_minutes(issuer: TokenIssuer, clock: StandingClock) -> None:
    issued = issuer.issue_for_client("bank-a")
    claims = TokenVerifier.of(issuer).verify(issued.token)
    assert (claims.subject, claims.is_system, claims.token_id) == ("bank-a", True, issued.token_id)
    assert claims.expires_at == issued.expires_at == NOW + timedelta(seconds=300)


def test_an_account_is_no_system(issuer: TokenIssuer) -> None:
    claims = TokenVerifier.of(issuer).verify(issuer.issue_for_account("resident-1", timedelta(minutes=30)).token)
    assert (claims.subject, claims.is_system) == ("resident-1", False)


def test_a_token_says_who_asks_and_nothing_else(issuer: TokenIssuer) -> None:
    body = issuer.issue_for_client("bank-a").token.split(".")[1]
    claims = json.loads(urlsafe_b64decode(body))
    assert set(claims) == {"iss", "aud", "sub", "client_id", "iat", "exp", "jti"}


def urlsafe_b64decode(text: str) -> bytes:
    from base64 import urlsafe_b64decode as decode

    return decode(text + "=" * (-len(text) % 4))


def test_account_tokens_do_not_live_for_days(issuer: TokenIssuer) -> None:
    with pytest.raises(ValueError, match="at most"):
        issuer.issue_for_account("resident-1", ACCOUNT_LIFETIME_MAX + timedelta(seconds=1))


def test_a_token_ends_also_where_it_is_remembered(issuer: TokenIssuer, clock: StandingClock) -> None:
    verifier = TokenVerifier.of(issuer)
    token = issuer.issue_for_client("bank-a").token
    verifier.verify(token)
    clock.now = NOW + timedelta(seconds=299)
    assert verifier.verify(token).subject == "bank-a"
    clock.now = NOW + timedelta(seconds=300)
    with pytest.raises(InvalidTokenError):
        verifier.verify(token)


@pytest.mark.parametrize(
    ("header", "changes"),
    [
        ({"typ": None}, {}),
        ({"typ": "JWT"}, {}),
        ({}, {"aud": "https://other.example/graphql"}),
        ({}, {"aud": ["https://hub.example/graphql"]}),
        ({}, {"iss": "https://other.example"}),
        ({}, {"sub": None}),
        ({}, {"client_id": 7}),
        ({}, {"jti": ""}),
        ({}, {"exp": None}),
        ({}, {"exp": "4000000000"}),
        ({}, {"iat": None}),
        ({}, {"iat": int(NOW.timestamp()) + 3600, "exp": int(NOW.timestamp()) + 7200}),
        ({}, {"exp": int(NOW.timestamp()) - 1}),
        ({}, {"cnf": {"jkt": "bound to a proof that a plain bearer does not give"}}),
    ],
)
def test_a_token_with_one_thing_wrong_is_refused(
    issuer: TokenIssuer, header: dict[str, object], changes: dict[str, object]
) -> None:
    verifier = TokenVerifier.of(issuer)
    assert verifier.verify(_signed(issuer, {})).subject == "bank-a"
    with pytest.raises(InvalidTokenError):
        verifier.verify(_signed(issuer, header, **changes))


def test_foreign_and_unsigned_tokens_are_refused(issuer: TokenIssuer) -> None:
    verifier = TokenVerifier.of(issuer)
    good = issuer.issue_for_client("bank-a").token
    head, body, signature = good.split(".")
    none = urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').decode().rstrip("=")
    public = OctKey.import_key(json.dumps(issuer.jwks()))
    with_public_key = jwt.encode({"alg": "HS256", "typ": "at+jwt"}, {"sub": "bank-a"}, public, algorithms=["HS256"])
    foreign = TokenIssuer(issuer.issuer, Ed25519PrivateKey.generate(), issuer.clock).issue_for_client("bank-a").token
    bodyless = f"{head}..{signature}"
    for bad in (f"{none}.{body}.", with_public_key, foreign, bodyless, "", "a.b.c", "张三", "x" * 10_000, good[:-2]):
        with pytest.raises(InvalidTokenError) as refusal:
            verifier.verify(bad)
        assert bad == "" or bad not in str(refusal.value)


def test_published_key_is_public_and_verifies(issuer: TokenIssuer) -> None:
    (entry,) = issuer.jwks()["keys"]  # type: ignore[misc]
    assert "d" not in entry
    token = issuer.issue_for_client("bank-a").token
    assert jwt.decode(token, OKPKey.import_key(entry), algorithms=["Ed25519"]).claims["sub"] == "bank-a"
