"""Detached signatures of export files: compact JWS with an unencoded payload (RFC 7515 appendix F, RFC 7797).

Nothing is negotiable: one algorithm, one header shape, keys from the bank's key set only. The check is our own because
the payload is a large binary file and every member of the header is prescribed.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_SIGNATURE_FILE_BYTES = 16 * 1024
"""A signature file is a few hundred bytes long."""

_DETACHED = re.compile(rb"(?P<protected>[A-Za-z0-9_-]+={0,2})\.\.(?P<signature>[A-Za-z0-9_-]+={0,2})")
_MEMBERS = frozenset({"alg", "b64", "crit", "kid", "fn", "bd"})

KeySet = Mapping[str, Sequence[Ed25519PublicKey]]
"""Signing keys by key id."""


class Verdict(Enum):
    """What a signature file is worth."""

    GOOD = auto()
    UNKNOWN_KEY = auto()
    BAD = auto()


@dataclass(frozen=True, slots=True)
class Expected:
    """What the protected header must say about the file."""

    name: str
    business_date: str


def read_key_set(document: Any) -> KeySet | None:
    """The Ed25519 signing keys of a JSON Web Key Set; others are left out. ``None`` if it is no key set."""
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        return None
    keys: dict[str, list[Ed25519PublicKey]] = {}
    for member in members:
        match member:
            case {"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": str() as kid, "x": str() as x}:
                raw = _decoded(x.encode("ascii", "replace"))
                if raw is not None and len(raw) == 32 and member.get("alg", "EdDSA") in ("EdDSA", "Ed25519"):
                    keys.setdefault(kid, []).append(Ed25519PublicKey.from_public_bytes(raw))
    return keys


def verify_detached(signature_file: bytes, payload: bytes, keys: KeySet, expected: Expected) -> Verdict:
    """Judge a signature file over ``payload`` (the file's bytes as sent).

    ``UNKNOWN_KEY`` only if everything else in the header is as prescribed: then the key set may be out of date.
    """
    parts = _DETACHED.fullmatch(signature_file.strip())
    header = None if parts is None else _header(parts["protected"])
    if parts is None or header is None or not _is_prescribed(header, expected):
        return Verdict.BAD
    signature = _decoded(parts["signature"])
    if signature is None:
        return Verdict.BAD
    candidates = keys.get(header["kid"], ())
    if not candidates:
        return Verdict.UNKNOWN_KEY
    signed = parts["protected"] + b"." + payload
    return Verdict.GOOD if any(_verifies(key, signature, signed) for key in candidates) else Verdict.BAD


def _is_prescribed(header: Mapping[str, Any], expected: Expected) -> bool:
    return (
        header.keys() == _MEMBERS
        and header["alg"] == "EdDSA"
        and header["b64"] is False
        and header["crit"] == ["b64"]
        and isinstance(header["kid"], str)
        and header["fn"] == expected.name
        and header["bd"] == expected.business_date
    )


def _header(protected: bytes) -> dict[str, Any] | None:
    raw = _decoded(protected)
    if raw is None:
        return None
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A member that stands twice could be read in two ways (RFC 7515 section 4)."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member")
    return members


def _decoded(text: bytes) -> bytes | None:
    """Base64url, with or without padding; ``None`` if it is not."""
    bare = text.rstrip(b"=")
    try:
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


def _verifies(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True
