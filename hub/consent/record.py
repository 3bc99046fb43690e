"""The signed form of a consent's terms: canonical JSON and the hub's Ed25519 signature over it."""

from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hub.core.canonical import canonical_bytes
from hub.store.keys import KeyService

SIGNING_KEY = "consent"
"""Name of the key in the key service."""

_CONTEXT = b"hub/consent/v1\0"
"""Stands before what is signed, so that the signature fits nothing else."""


@dataclass(frozen=True, slots=True)
class SignedTerms:
    """Terms as they are stored: the exact bytes, and the signature over them."""

    terms: bytes
    signature: bytes


def sign_terms(keys: KeyService, terms: dict[str, Any]) -> SignedTerms:
    """Sign the terms as they are from now on."""
    text = canonical_bytes(terms)
    return SignedTerms(text, keys.signing_key(SIGNING_KEY).sign(_CONTEXT + text))


def is_genuine(record: SignedTerms, key: Ed25519PublicKey) -> bool:
    """Whether these very bytes were signed with the key that belongs to ``key``."""
    try:
        key.verify(record.signature, _CONTEXT + record.terms)
    except InvalidSignature:
        return False
    return True
