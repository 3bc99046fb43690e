"""Access tokens: short-lived signed JWTs (RFC 9068) that say who may ask, and their check.

>>> issuer = TokenIssuer("https://hub.example", keys.signing_key("tokens"), system_clock)
>>> issued = issuer.issue_for_client("bank-a")
>>> TokenVerifier.of(issuer).verify(issued.token).subject
'bank-a'
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

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
class Holder:
    """Whom a token is for.

    ``subject`` is the client itself, an account, or (with ``grant``, the id of a consent) the client's organisation's
    pseudonym of the person who gave it. ``key``: thumbprint of the key that the token is bound to (RFC 9449 section 6).
    ``factors`` and ``signed_in_at``: how a person signed in (RFC 9068 section 2.2.1).
    """

    subject: str
    client_id: str
    key: str | None = None
    grant: UUID | None = None
    details: Sequence[Mapping[str, Any]] = ()
    factors: tuple[str, ...] = ()
    signed_in_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says.

    ``is_system``: an organisation's system acts with it, not a person. ``key``: thumbprint of the key that must be
    proved with each use. ``grant``: the consent that it stands for, to whose person and purpose it is limited.
    """

    subject: str
    client_id: str
    token_id: str
    issued: int
    expires: int
    key: str | None = None
    grant: UUID | None = None
    factors: tuple[str, ...] = ()
    details: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    @property
    def is_system(self) -> bool:
        """Whether an organisation's system acts with it."""
        return self.grant is not None or self.subject == self.client_id

    @property
    def bearer(self) -> str:
        """Who acts: the id of a client, or of a person's account."""
        return self.client_id if self.is_system else self.subject

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

    def issue_for_client(self, client_id: str, key: str | None = None) -> IssuedToken:
        """A token of a registered system that has authenticated."""
        return self.issue(Holder(client_id, client_id, key))

    def issue_for_account(self, account_id: str, lifetime: timedelta = LIFETIME) -> IssuedToken:
        """A token of a person's account, for the sandbox. Raises :class:`ValueError` for a life beyond the maximum."""
        if not timedelta(0) < lifetime <= ACCOUNT_LIFETIME_MAX:
            raise ValueError(f"a token of an account lives at most {ACCOUNT_LIFETIME_MAX}")
        return self.issue(Holder(account_id, _ACCOUNTS_CLIENT), lifetime)

    def jwks(self) -> dict[str, object]:
        """The public key set for the metadata's ``jwks_uri``."""
        public = {**self.public_key.as_dict(private=False), "kid": self._kid, "use": "sig", "alg": ALGORITHM}
        return {"keys": [public]}

    def issue(self, holder: Holder, lifetime: timedelta = LIFETIME, token_id: str | None = None) -> IssuedToken:
        """Sign a token. ``token_id`` is given where it was noted before the token is made."""
        now = int(self.clock().timestamp())
        expires = now + int(lifetime.total_seconds())
        token_id = token_id or new_token_id()
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": holder.subject,
            "client_id": holder.client_id,
            "iat": now,
            "exp": expires,
            "jti": token_id,
        }
        if holder.key is not None:
            claims["cnf"] = {"jkt": holder.key}
        if holder.grant is not None:
            claims |= {"gid": str(holder.grant), "authorization_details": [dict(each) for each in holder.details]}
        if holder.signed_in_at is not None:
            claims |= {
                "auth_time": int(holder.signed_in_at.timestamp()),
                "amr": list(holder.factors),
                "acr": "aal2" if "mfa" in holder.factors else "aal1",
            }
        header = {"alg": ALGORITHM, "typ": _TYPE, "kid": self._kid}
        token = jwt.encode(header, claims, self._key, algorithms=[ALGORITHM])
        return IssuedToken(token, token_id, datetime.fromtimestamp(expires, SHANGHAI))


def new_token_id() -> str:
    """A fresh ``jti``."""
    return uuid4().hex


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

    def verify(self, token: str, key: str | None = None) -> Claims:
        """The claims of a token that is good at this moment and bound to ``key``, the thumbprint of the key that this
        request proved; ``None``: presented as a plain bearer token. Raises :class:`InvalidTokenError`.
        """
        claims = self.read(token)
        if claims.key != key:
            raise _invalid()
        return claims

    def read(self, token: str) -> Claims:
        """The claims of a token that is good at this moment, whoever presents it. Raises :class:`InvalidTokenError`."""
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
        if found.headers().get("typ") != _TYPE or not isinstance(claims, dict):
            raise _invalid()
        texts = [claims.get(name) for name in ("sub", "client_id", "jti")]
        instants = [claims.get(name) for name in ("iat", "exp")]
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            raise _invalid()
        if not all(isinstance(text, str) and text for text in texts) or not all(type(at) is int for at in instants):
            raise _invalid()
        subject, client_id, token_id = map(str, texts)
        try:
            # The hub signed this itself; what is not of its own making must still not be taken for less than it says.
            key = claims["cnf"]["jkt"] if "cnf" in claims else None
            grant = UUID(claims["gid"]) if "gid" in claims else None
            details, factors = tuple(claims.get("authorization_details", ())), tuple(claims.get("amr", ()))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _invalid() from None
        if "cnf" in claims and not (isinstance(key, str) and key):
            raise _invalid()
        return Claims(subject, client_id, token_id, claims["iat"], claims["exp"], key, grant, factors, details)


def _invalid() -> InvalidTokenError:
    return InvalidTokenError("the access token cannot be used.", remedy="Get a new one from /oauth2/token.")
