"""Access tokens: short-lived signed JWTs (RFC 9068) that say who may ask, and their check.

>>> issuer = TokenIssuer("https://hub.example", keys.signing_key("tokens"), system_clock)
>>> issued = issuer.issue_for_client("bank-a")
>>> TokenVerifier.of(issuer).verify(issued.token).subject
'bank-a'
"""

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey

from hub.auth.jwks import signed_payload
from hub.core.clock import SHANGHAI, Clock
from hub.core.errors import RefusedError

LIFETIME = timedelta(seconds=300)
"""How long a token of a system lives (FAPI 2.0 asks for short-lived tokens that need no rotation)."""

ACCOUNT_LIFETIME_MAX = timedelta(hours=8)
"""The longest life of a token of a sandbox account, until people can sign in."""

ALGORITHM = "Ed25519"
_TYPE = "at+jwt"
_LEEWAY_SECONDS = 10
_TOKEN_MAX = 4096
_CACHE_MAX = 10_000
_ACCOUNTS_CLIENT = "hub-accounts"


class InvalidTokenError(RefusedError):
    """The token cannot be used (RFC 6750 ``invalid_token``); why is not told."""

    code = "INVALID_TOKEN"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and what a record of its issue needs; ``token`` itself must never be stored or logged."""

    token: str
    token_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. ``is_system``: it was given to an organisation's system, not to a person."""

    subject: str
    token_id: str
    is_system: bool
    issued: int
    expires: int

    @property
    def expires_at(self) -> datetime:
        """When it runs out by itself."""
        return datetime.fromtimestamp(self.expires, SHANGHAI)


class TokenIssuer:
    """Makes tokens for one audience: the API of this hub."""

    def __init__(self, issuer: str, key: Ed25519PrivateKey, clock: Clock) -> None:
        self.issuer = issuer
        self.audience = issuer + "/graphql"
        self.clock = clock
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._key = OKPKey.import_key(pem)
        self.public_key = OKPKey.import_key(self._key.as_dict(private=False))
        self._kid = self._key.thumbprint()

    def issue_for_client(self, client_id: str) -> IssuedToken:
        """A token of a registered system that has authenticated."""
        return self._issue(client_id, client_id, LIFETIME)

    def issue_for_account(self, account_id: str, lifetime: timedelta = LIFETIME) -> IssuedToken:
        """A token of a person's account, for the sandbox. Raises :class:`ValueError` for a life beyond the maximum."""
        if not timedelta(0) < lifetime <= ACCOUNT_LIFETIME_MAX:
            raise ValueError(f"a token of an account lives at most {ACCOUNT_LIFETIME_MAX}")
        return self._issue(account_id, _ACCOUNTS_CLIENT, lifetime)

    def jwks(self) -> dict[str, object]:
        """The public key set for the metadata's ``jwks_uri``."""
        public = {**self.public_key.as_dict(private=False), "kid": self._kid, "use": "sig", "alg": ALGORITHM}
        return {"keys": [public]}

    def _issue(self, subject: str, client_id: str, lifetime: timedelta) -> IssuedToken:
        now = int(self.clock().timestamp())
        expires = now + int(lifetime.total_seconds())
        token_id = uuid4().hex
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "client_id": client_id,
            "iat": now,
            "exp": expires,
            "jti": token_id,
        }
        header = {"alg": ALGORITHM, "typ": _TYPE, "kid": self._kid}
        token = jwt.encode(header, claims, self._key, algorithms=[ALGORITHM])
        return IssuedToken(token, token_id, datetime.fromtimestamp(expires, SHANGHAI))


class TokenVerifier:
    """Checks tokens. One once checked is remembered by its hash until it runs out; revocation is asked elsewhere."""

    def __init__(self, issuer: str, audience: str, key: OKPKey, clock: Clock) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = (key,)
        self._clock = clock
        self._known: OrderedDict[bytes, Claims] = OrderedDict()

    @classmethod
    def of(cls, issuer: TokenIssuer) -> "TokenVerifier":
        """The verifier of an issuer's tokens."""
        return cls(issuer.issuer, issuer.audience, issuer.public_key, issuer.clock)

    def verify(self, token: str) -> Claims:
        """The claims of a token that is good at this moment. Raises :class:`InvalidTokenError`."""
        if len(token) > _TOKEN_MAX:
            raise _invalid()
        mark = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        claims = self._known.get(mark)
        if claims is None:
            claims = self._check(token)
            self._known[mark] = claims
            if len(self._known) > _CACHE_MAX:
                self._known.popitem(last=False)
        now = self._clock().timestamp()
        if now >= claims.expires or claims.issued > now + _LEEWAY_SECONDS:
            self._known.pop(mark, None)
            raise _invalid()
        return claims

    def _check(self, token: str) -> Claims:
        try:
            found = signed_payload(token, self._keys, (ALGORITHM,))
            claims = json.loads(found.payload)
        except ValueError:
            raise _invalid() from None
        if found.headers().get("typ") != _TYPE or not isinstance(claims, dict) or "cnf" in claims:
            raise _invalid()
        texts = [claims.get(name) for name in ("sub", "client_id", "jti")]
        instants = [claims.get(name) for name in ("iat", "exp")]
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            raise _invalid()
        if not all(isinstance(text, str) and text for text in texts) or not all(type(at) is int for at in instants):
            raise _invalid()
        subject, client_id, token_id = map(str, texts)
        return Claims(subject, token_id, subject == client_id, claims["iat"], claims["exp"])


def _invalid() -> InvalidTokenError:
    return InvalidTokenError("the access token cannot be used.", remedy="Get a new one from /oauth2/token.")
