"""JSON as agencies send it, one damaged text included."""

import json
from decimal import Decimal
from typing import Any

import msgspec

_strict = msgspec.json.Decoder(float_hook=Decimal)


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text; numbers with a point or exponent are :class:`~decimal.Decimal`.

    Half surrogate pairs, which are no text, come through as they are: docs/CONTRACTS.md 1.4 reads them as U+FFFD, so
    that the damage concerns one row and not all that came with it. Raises :class:`ValueError` if it is no JSON.
    """
    try:
        return _strict.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError:
        return _with_half_pairs(text)


def _with_half_pairs(text: str | bytes) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_number(word: str) -> Any:
    raise ValueError("NaN and Infinity are no JSON")
