"""The signed form of a consent's terms: canonical JSON with the hub's detached JWS over it (RFC 7515, appendix F).

Records of version 1 carry a bare Ed25519 signature behind a context of their own instead; they stay verifiable.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hub.core.canonical import canonical_bytes
from hub.store.keys import KeyService

SIGNING_KEY = "consent"
"""Name of the key in the key service."""

RECORD_TYPE = "credit-consent-record"
RECEIPT_TYPE = "credit-consent-receipt"
NOTICE_TYPE = "credit-consent-notice"
AGREEMENT_TYPE = "credit-consent-agreement"
"""What a signature is for, in the ``typ`` of its header: one kind can never be taken for another."""

_FIRST_CONTEXT = b"hub/consent/v1\0"
"""Stands before what is signed in records of version 1."""


@dataclass(frozen=True, slots=True)
class SignedTerms:
    """Terms as they are stored: the exact bytes, the signature, and its JWS header (``None`` in version 1)."""

    terms: bytes
    signature: bytes
    protected: str | None = None

    @property
    def jws(self) -> str | None:
        """The detached JWS, ``None`` in version 1."""
        return None if self.protected is None else f"{self.protected}..{encode(self.signature)}"


def sign_terms(keys: KeyService, terms: dict[str, Any], kind: str = RECORD_TYPE) -> SignedTerms:
    """Sign the terms as they are from now on; or, by its ``kind``, the statement of one who agrees about a minor."""
    text = canonical_bytes(terms)
    protected, _, signature = sign_detached(keys, kind, text).split(".")
    return SignedTerms(text, decode(signature), protected)


def is_genuine(record: SignedTerms, key: Ed25519PublicKey, kind: str = RECORD_TYPE) -> bool:
    """Whether these very bytes were signed, as this kind, with the key that belongs to ``key``."""
    if record.jws is not None:
        return verify_detached(record.jws, kind, record.terms, key)
    return _verify(key, record.signature, _FIRST_CONTEXT + record.terms)


def sign_detached(keys: KeyService, kind: str, payload: bytes) -> str:
    """The detached JWS over a payload; ``kind`` is its ``typ``."""
    key = keys.signing_key(SIGNING_KEY)
    header = {"alg": "Ed25519", "kid": thumbprint(key.public_key()), "typ": kind}
    protected = encode(canonical_bytes(header))
    return f"{protected}..{encode(key.sign(f'{protected}.{encode(payload)}'.encode()))}"


def verify_detached(jws: str, kind: str, payload: bytes, key: Ed25519PublicKey) -> bool:
    """Whether a detached JWS of this kind stands over the payload. Other algorithms and kinds are never accepted."""
    try:
        protected, between, signature = jws.split(".")
        header, raw = json.loads(decode(protected)), decode(signature)
    except ValueError:
        return False
    if between or header != {"alg": "Ed25519", "kid": thumbprint(key), "typ": kind}:
        return False
    return _verify(key, raw, f"{protected}.{encode(payload)}".encode())


def public_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """The key as a JWK (RFC 8037), with its thumbprint as ``kid``."""
    return {"crv": "Ed25519", "kid": thumbprint(key), "kty": "OKP", "x": encode(_raw(key))}


def key_of(jwk: dict[str, Any]) -> Ed25519PublicKey:
    """The key behind :func:`public_jwk`. Raises :class:`ValueError` for anything else."""
    if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or not isinstance(jwk.get("x"), str):
        raise ValueError("no Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(decode(jwk["x"]))


def thumbprint(key: Ed25519PublicKey) -> str:
    """SHA-256 thumbprint (RFC 7638)."""
    return encode(hashlib.sha256(canonical_bytes({"crv": "Ed25519", "kty": "OKP", "x": encode(_raw(key))})).digest())


def encode(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes behind :func:`encode`; only the one spelling of each is taken. Raises :class:`ValueError`."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("no base64url") from error
    if encode(raw) != text:
        raise ValueError("no canonical base64url")
    return raw


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _verify(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True
