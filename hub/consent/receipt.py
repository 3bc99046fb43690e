"""The consent receipt that a person keeps: the record word for word, how it stands, and the hub's signature over both.

It can be verified without the hub, by anybody who has the hub's public key. Structure after ISO/IEC TS 27560 (consent
receipt) and the Kantara consent receipt.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hub.consent.record import (
    RECEIPT_TYPE,
    SIGNING_KEY,
    SignedTerms,
    decode,
    encode,
    is_genuine,
    key_of,
    public_jwk,
    sign_detached,
    thumbprint,
    verify_detached,
)
from hub.core.canonical import canonical_bytes, digest
from hub.core.clock import iso
from hub.core.errors import InputError, RefusedError
from hub.store.keys import KeyService

VERSION = 1


@dataclass(frozen=True, slots=True)
class PastStep:
    """One step of a consent: what happened, when, and why where a cause is told."""

    verb: str
    at: datetime
    cause: str | None


@dataclass(frozen=True, slots=True)
class Verified:
    """What a receipt proves: the consent's terms and how it stood when it was issued.

    ``key_is_own``: the key was taken from the file itself, so that the file proves only that it is whole.
    """

    terms: dict[str, Any]
    state: str
    issued_at: str
    key_thumbprint: str
    key_is_own: bool


def make_receipt(
    keys: KeyService, record: SignedTerms, state: str, steps: list[PastStep], now: datetime
) -> dict[str, Any]:
    """The receipt as JSON. Raises :class:`RefusedError` if the stored record is not what the hub signed."""
    key = keys.signing_key(SIGNING_KEY).public_key()
    if not is_genuine(record, key):
        raise RefusedError("The stored record is not what was signed.", code="CONSENT_DAMAGED")
    body = {
        "receiptVersion": VERSION,
        "record": json.loads(record.terms),
        "recordSignature": record.jws or encode(record.signature),
        "state": state,
        "steps": [{"verb": step.verb, "at": iso(step.at), "cause": step.cause} for step in steps],
        "issuedAt": iso(now),
        "key": public_jwk(key),
    }
    return body | {"jws": sign_detached(keys, RECEIPT_TYPE, canonical_bytes(body))}


def verify_receipt(text: str, key: Ed25519PublicKey | None = None) -> Verified:
    """Verify a receipt without any database, with the hub's key or else with the one in the file.

    Raises :class:`InputError` where the text is no receipt, :class:`RefusedError` where something in it was changed.
    """
    try:
        receipt = json.loads(text)
        jws = receipt.pop("jws")
        own = key_of(receipt["key"])
        terms, signature = receipt["record"], receipt["recordSignature"]
        state, issued_at = receipt["state"], receipt["issuedAt"]
        body, record = canonical_bytes(receipt), canonical_bytes(terms)
        if receipt["receiptVersion"] != VERSION or not isinstance(jws, str) or not isinstance(signature, str):
            raise ValueError("no receipt")
        protected, separator, raw = signature.rpartition("..")
        signed = SignedTerms(record, decode(raw), protected if separator else None)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError("This file is no consent receipt.", code="RECEIPT_MALFORMED") from None
    trusted = own if key is None else key
    if not verify_detached(jws, RECEIPT_TYPE, body, trusted):
        raise RefusedError("The receipt was changed, or signed by another key.", code="RECEIPT_FALSE")
    if not is_genuine(signed, trusted):
        raise RefusedError("The record in the receipt was changed, or signed by another key.", code="RECEIPT_FALSE")
    return Verified(terms, state, issued_at, thumbprint(trusted), key is None)


def terms_digest(verified: Verified) -> str:
    """Hexadecimal SHA-256 of the terms, as the audit log has it."""
    return digest(verified.terms)
