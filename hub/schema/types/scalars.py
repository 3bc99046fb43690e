"""Scalars that pass through as the text the record holds, so that nobody rounds or reformats a value."""

from functools import lru_cache
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

Decimal = NewType("Decimal", str)
Date = NewType("Date", str)
DateTime = NewType("DateTime", str)
Digest = NewType("Digest", str)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _scalar(name: str, description: str) -> ScalarDefinition:
    return strawberry.scalar(name=name, description=description, serialize=str, parse_value=_text)


SCALARS: dict[object, ScalarDefinition] = {
    Decimal: _scalar("Decimal", "Exact decimal number, sent as a string so that no client rounds it."),
    Date: _scalar("Date", "A calendar day in Asia/Shanghai, ISO 8601."),
    DateTime: _scalar("DateTime", "An instant with its offset, ISO 8601."),
    Digest: _scalar("Digest", "Hexadecimal SHA-256 digest."),
}
"""For the schema's ``scalar_map``."""


@lru_cache(maxsize=1024)
def camel(name: str) -> str:
    """The GraphQL name of a Python name: ``paid_months`` becomes ``paidMonths``."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def resolve_plain(source: Any, name: str) -> Any:
    """A field of a section (plain JSON object) or of an ordinary object; nothing is fetched here."""
    if type(source) is dict:
        return source.get(camel(name))
    return getattr(source, name)
