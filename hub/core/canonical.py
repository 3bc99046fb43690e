"""Canonical JSON: RFC 8785 restricted to what the hub signs, hashes and compares.

Allowed are objects with ASCII keys, arrays, NFC strings, integers below 2**53, booleans and null. Amounts and dates are
strings; floats are refused, so that the plain encoder of the standard library gives the same bytes as RFC 8785 does
(kept equal by a property test against the ``rfc8785`` package).
"""

import hashlib
import json
import unicodedata
from typing import Any

INTEGER_MAX = 2**53
"""Integers must be smaller in size, so that every JSON reader keeps them exact."""


def canonical_bytes(value: Any) -> bytes:
    """The one encoding of ``value``. Raises :class:`TypeError` or :class:`ValueError` outside the allowed kinds."""
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Any) -> str:
    """Hexadecimal SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def text_digest(text: str) -> str:
    """Hexadecimal SHA-256 of a text in UTF-8, as ``sha256sum`` gives it: what the log says of an address or a name."""
    return hashlib.sha256(text.encode()).hexdigest()


def _check(value: Any) -> None:
    match value:
        case None | bool():
            return
        case str():
            if not unicodedata.is_normalized("NFC", value):
                raise ValueError("text in canonical JSON must be NFC")
            value.encode()  # a lone surrogate has no UTF-8 form
        case int():
            if abs(value) >= INTEGER_MAX:
                raise ValueError("an integer in canonical JSON must be smaller than 2**53")
        case dict():
            for key, item in value.items():
                if not isinstance(key, str) or not key.isascii():
                    raise TypeError("a key in canonical JSON must be ASCII text")
                _check(item)
        case list() | tuple():
            for item in value:
                _check(item)
        case _:
            raise TypeError(f"canonical JSON has no form for {type(value).__name__}")
