"""Proof of possession (RFC 9449): each request is signed with the key that its token is bound to.

What is checked here needs no database: form, signature, method, address, freshness by the server's own nonce, the
token's hash. That a proof was not used before is asked in a call that is made anyway (auth.use_proof, access.disclose).

The address is compared with the hub's public one: what a proxy says of the original request is never believed. Keys are
remembered by the bytes of the proof's header, proofs never.
"""

import hashlib
import hmac
import json
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwa import JWSAlgModel
from joserfc.util import urlsafe_b64decode

from hub.auth.jwks import ALGORITHMS, PublicKey, read_jwks, signatures
from hub.core.clock import SHANGHAI, Clock
from hub.core.errors import InputError, RefusedError
from hub.store.keys import KeyService

AGE_MAX_SECONDS = 60
"""How old a proof may be; longer than a slow network needs, since its nonce says anyway when it was made."""

AHEAD_MAX_SECONDS = 15
"""How far ahead the clock of a client may be."""

NONCE_SECONDS = 150
"""A nonce is good for one to two of these periods."""

_PROOF_MAX = 4096
_ID_MAX = 256
_TYPE = "dpop+jwt"
_PORTS = {"http": 80, "https": 443}
_KEY_TYPES = {"ES256": "EC", "PS256": "RSA", "Ed25519": "OKP", "EdDSA": "OKP"}


class InvalidProofError(RefusedError):
    """The proof cannot be used (``invalid_dpop_proof``)."""

    code = "INVALID_DPOP_PROOF"


class NonceNeededError(RefusedError):
    """The proof lacks a fresh nonce of this server (``use_dpop_nonce``); the answer carries one."""

    code = "USE_DPOP_NONCE"


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that is good but for having been used before.

    ``key`` is the thumbprint of its key (RFC 7638). ``digest`` stands for the proof; it is remembered until ``until``.
    """

    key: str
    digest: bytes
    until: datetime


class Nonces:
    """The server's nonces: a keyed hash of the period, so that every process knows them and none is stored."""

    def __init__(self, keys: KeyService, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._period = -1
        self._good: tuple[str, ...] = ()

    def current(self) -> str:
        """The nonce to give out now."""
        return self._now()[0]

    def accepts(self, nonce: str) -> bool:
        """Whether this is the nonce of this period or the last."""
        given = nonce.encode("utf-8", "replace")
        return any(hmac.compare_digest(given, good.encode()) for good in self._now())

    def _now(self) -> tuple[str, ...]:
        period = int(self._clock().timestamp()) // NONCE_SECONDS
        if period != self._period:
            marks = [mark for each in (period, period - 1) for mark in self._keys.indexes("dpop-nonce", str(each))]
            self._good = tuple(urlsafe_b64encode(mark).decode() for mark in marks)
            self._period = period
        return self._good


class ProofChecker:
    """Checks proofs made for addresses of this hub."""

    def __init__(self, public_url: str, nonces: Nonces, clock: Clock) -> None:
        self._address = _address(public_url)
        self._nonces = nonces
        self._clock = clock

    def check(self, proofs: Sequence[str], *, method: str, path: str, token: str | None = None) -> Proof:
        """The proof among the ``DPoP`` headers of a request; ``token`` is the access token that came with it.

        Raises :class:`InvalidProofError`, or :class:`NonceNeededError` where only the nonce is missing or stale.
        """
        if len(proofs) != 1 or not 0 < len(proofs[0]) <= _PROOF_MAX:
            raise _invalid("there must be exactly one DPoP header")
        try:
            signer, claims = _signed_claims(proofs[0])
        except (ValueError, InputError, JoseError, TypeError, RecursionError):
            raise _invalid("it is no JWT signed with the public key in its own header") from None
        now = self._clock()
        self._check_claims(claims, method, path, token, now.timestamp())
        digest = hashlib.sha256(f"{signer.thumbprint}.{claims['jti']}".encode("utf-8", "surrogatepass")).digest()
        until = now + timedelta(seconds=AGE_MAX_SECONDS + 2 * AHEAD_MAX_SECONDS)
        return Proof(signer.thumbprint, digest, until.astimezone(SHANGHAI))

    def _check_claims(self, claims: dict[str, object], method: str, path: str, token: str | None, now: float) -> None:
        issued, proof_id, nonce = claims.get("iat"), claims.get("jti"), claims.get("nonce")
        if not isinstance(proof_id, str) or not 0 < len(proof_id) <= _ID_MAX:
            raise _invalid("it has no usable jti")
        if claims.get("htm") != method:
            raise _invalid("htm is another method")
        htu = claims.get("htu")
        try:
            address = _address(htu) if isinstance(htu, str) else None
        except ValueError:
            address = None
        if address != (*self._address[:3], self._address[3] + path):
            raise _invalid("htu is another address")
        if token is not None:
            wanted = urlsafe_b64encode(hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()).rstrip(b"=")
            if claims.get("ath") != wanted.decode():
                raise _invalid("ath belongs to another token")
        if not isinstance(issued, int | float) or isinstance(issued, bool):
            raise _invalid("iat is no instant")
        if not now - AGE_MAX_SECONDS <= issued <= now + AHEAD_MAX_SECONDS:
            raise _invalid("iat is too far from now")
        if not isinstance(nonce, str) or not self._nonces.accepts(nonce):
            raise NonceNeededError("the proof needs the nonce of this answer.", remedy="Repeat it with the nonce.")


class _Signer(NamedTuple):
    """The key in a proof's header, the library's algorithm that it is for, and its thumbprint."""

    key: PublicKey
    algorithm: JWSAlgModel
    thumbprint: str


@lru_cache(maxsize=4096)
def _signer_of(head: bytes) -> _Signer:
    """Read a proof's header; everything that the library looks at in it is looked at here, once.

    Raises :class:`ValueError`, :class:`InputError` or :class:`JoseError`.
    """
    header = json.loads(urlsafe_b64decode(head))
    if not isinstance(header, dict) or header.get("typ") != _TYPE or "crit" in header or not header.get("b64", True):
        raise ValueError("not the header of a proof")
    name, jwk = header.get("alg"), header.get("jwk")
    if name not in ALGORITHMS or not isinstance(jwk, dict):
        raise ValueError("no algorithm and key of ours")
    (key,) = read_jwks({"keys": [{member: value for member, value in jwk.items() if member != "alg"}]})
    if key.key_type != _KEY_TYPES[name]:
        raise ValueError("the key is not for this algorithm")
    registry = signatures(name)
    registry.check_header(header)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # EdDSA is the older name of Ed25519
        algorithm = registry.get_alg(name)
    algorithm.check_key(key)
    key.check_use("sig")
    key.check_key_op("verify")
    return _Signer(key, algorithm, key.thumbprint())


def _signed_claims(proof: str) -> tuple[_Signer, dict[str, object]]:
    """Who signed a proof, and what. Of a header that was seen before only the signature is left to check."""
    head, payload, signature = proof.encode().split(b".")
    signer = _signer_of(head)
    if not signer.algorithm.verify(head + b"." + payload, urlsafe_b64decode(signature), signer.key):
        raise ValueError("not signed with this key")
    claims = json.loads(urlsafe_b64decode(payload))
    if not isinstance(claims, dict):
        raise ValueError("claims are an object")
    return signer, claims


@lru_cache(maxsize=256)
def _address(url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and path as RFC 3986 section 6.2 compares them; query and fragment do not count."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or not parts.hostname:
        raise ValueError("no address of a server")
    scheme = parts.scheme.lower()
    return scheme, parts.hostname.lower(), parts.port or _PORTS.get(scheme), parts.path


def _invalid(why: str) -> InvalidProofError:
    return InvalidProofError(f"the DPoP proof cannot be used: {why}.", remedy="Make a new proof for each request.")
