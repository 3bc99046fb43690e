"""Public keys of clients: which are accepted, and how a signature by one of them is checked (FAPI 2.0, section 5.4)."""

import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from hub.core.errors import InputError

ALGORITHMS = ("ES256", "PS256", "Ed25519", "EdDSA")
"""Accepted signatures. ``Ed25519`` is the name of RFC 9864, ``EdDSA`` the older one of RFC 8037."""

RSA_BITS_MIN = 2048
KEYS_MAX = 5
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

PublicKey = ECKey | RSAKey | OKPKey


def read_jwks(document: Mapping[str, Any]) -> tuple[PublicKey, ...]:
    """The keys of a JWK set. Raises :class:`InputError` for a set that a client may not be registered with."""
    entries = document.get("keys")
    if not isinstance(entries, list) or not 1 <= len(entries) <= KEYS_MAX:
        raise _refused(f"it must hold 1 to {KEYS_MAX} keys")
    if any(not isinstance(entry, dict) or _PRIVATE & set(entry) for entry in entries):
        raise _refused("it must hold public keys only")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            keys = KeySet.import_key_set({"keys": entries}).keys
    except (JoseError, ValueError, TypeError, KeyError):
        raise _refused("a key in it cannot be read") from None
    return tuple(_accepted(key) for key in keys)


def _accepted(key: Any) -> PublicKey:
    raw = key.public_key if isinstance(key, ECKey | RSAKey | OKPKey) else None
    match raw:
        case ec.EllipticCurvePublicKey() if raw.curve.name == "secp256r1":
            return key  # type: ignore[no-any-return]
        case rsa.RSAPublicKey() if raw.key_size >= RSA_BITS_MIN:
            return key  # type: ignore[no-any-return]
        case ed25519.Ed25519PublicKey():
            return key  # type: ignore[no-any-return]
    raise _refused(f"a key in it is not P-256, Ed25519 or RSA of at least {RSA_BITS_MIN} bits")


def _refused(why: str) -> InputError:
    return InputError(
        f"the client's key set cannot be used: {why}.",
        remedy="Give a JWK set (RFC 7517) with public keys for ES256, PS256 or Ed25519.",
        code="CLIENT_KEYS",
    )


class Signatures(jws.JWSRegistry):
    """What a signature's header may be: as long as one with an RSA key in it; members that we do not know count as
    absent, but for ``crit`` (RFC 7515 section 4.1.11).
    """

    max_header_length = 4096

    def __init__(self, algorithms: tuple[str, ...]) -> None:
        super().__init__(algorithms=algorithms, strict_check_header=False)


@lru_cache
def signatures(*algorithms: str) -> Signatures:
    """The registry for these algorithms and no other."""
    return Signatures(algorithms)


def signed_payload(
    text: str, keys: tuple[PublicKey, ...], algorithms: tuple[str, ...] = ALGORITHMS
) -> jws.CompactSignature:
    """The signature object of a compact JWS that one of ``keys`` made. Raises :class:`ValueError` otherwise.

    Keys named inside the text (``jwk``, ``jku``, ``x5u``) are never used; ``kid`` only chooses among the known ones.
    """
    try:
        kid = jws.extract_compact(text.encode()).headers().get("kid")
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError("not a compact JWS") from None
    named = [key for key in keys if kid is not None and key.kid == kid]
    for key in named or keys:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)
                return jws.deserialize_compact(text, key, registry=signatures(*algorithms))
        except (JoseError, ValueError, TypeError, RecursionError):
            continue
    raise ValueError("no known key made this signature")
