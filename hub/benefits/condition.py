"""What a programme asks of a record: a closed language of comparisons, and / or / not, and three truth values. Pure.

A condition is JSON. A *leaf* compares one field of one section with a constant; ``all``, ``any`` and ``not`` join
conditions. What the record does not tell is neither met nor failed (``None``), by the strong logic of Kleene. The
database evaluates the same text (``benefit.holds``); a test holds the two together.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from hub.core.errors import InputError

WORDS_MAX = 120
"""Characters of a text that people read."""

LEAVES_MAX = 12
"""Comparisons of one programme: a longer condition tells a household apart from all others."""

DEPTH_MAX = 4

_CODE = re.compile(r"[a-z][a-z0-9-]{1,39}\Z")
_VALUE = re.compile(r"[A-Za-z0-9_.+<>-]{1,32}\Z")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?\Z")
_LEAF_KEYS = frozenset({"code", "part", "field", "over", "test", "value", "missing", "zh", "en"})


class Kind(StrEnum):
    """What a field holds."""

    YES_NO = "YES_NO"
    CODE = "CODE"
    NUMBER = "NUMBER"


class Comparison(StrEnum):
    """How a value is compared with the constant."""

    EQUALS = "EQUALS"
    ONE_OF = "ONE_OF"
    AT_LEAST = "AT_LEAST"
    AT_MOST = "AT_MOST"


class Over(StrEnum):
    """Which items of a list must pass: some, every one; or their number is compared."""

    SOME = "SOME"
    EVERY = "EVERY"
    NUMBER = "NUMBER"


class Missing(StrEnum):
    """What counts where the record tells nothing."""

    UNKNOWN = "UNKNOWN"
    MET = "MET"
    NOT_MET = "NOT_MET"


@dataclass(frozen=True, slots=True)
class Readable:
    """A field that a programme may read. ``listed``: it stands in the items of a list."""

    kind: Kind
    listed: bool = False


COUNT = ""
"""The field of a leaf that counts items."""

READABLE: dict[tuple[str, str], Readable] = {
    ("identity/VALUE", "ageBand"): Readable(Kind.CODE),
    ("roster/VALUE", "size"): Readable(Kind.NUMBER),
    ("roster/VALUE", "minors"): Readable(Kind.NUMBER),
    ("tax.registration/VALUE", "taxpayerStatus"): Readable(Kind.CODE, listed=True),
    ("tax.grade/VALUE", "grade"): Readable(Kind.CODE, listed=True),
    ("tax.arrears/YES_NO", "value"): Readable(Kind.YES_NO),
    ("tax.band/BAND", "taxPaidBand"): Readable(Kind.CODE, listed=True),
    ("tax.band/BAND", "declaredIncomeBand"): Readable(Kind.CODE, listed=True),
    ("social.insurance/VALUE", "insuranceType"): Readable(Kind.CODE, listed=True),
    ("social.insurance/VALUE", "enrolStatus"): Readable(Kind.CODE, listed=True),
    ("social.insurance/VALUE", "paidMonths"): Readable(Kind.NUMBER, listed=True),
    ("social.insurance/VALUE", "arrearsMonths"): Readable(Kind.NUMBER, listed=True),
    ("civil.relief/YES_NO", "value"): Readable(Kind.YES_NO),
    ("bank.loan/TOTAL", "loans"): Readable(Kind.NUMBER),
    ("bank.loan/TOTAL", "worstClass"): Readable(Kind.CODE),
    ("adverse/VALUE", COUNT): Readable(Kind.NUMBER, listed=True),
}
"""Part and field -> what it holds. Not here: amounts of money, names, contracts, everything of a clinic, what relief it
is, and the free texts of sources. What is not here no programme can be about.
"""


def leaves_of(condition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The comparisons of a condition, in the order in which they were written."""
    for key in ("all", "any"):
        for below in condition.get(key, ()):
            yield from leaves_of(below)
    if "not" in condition:
        yield from leaves_of(condition["not"])
    if "code" in condition:
        yield condition


def check_condition(condition: Any) -> dict[str, Any]:
    """The condition with every default filled in, as it is stored. Raises :class:`InputError` naming the comparison."""
    checked = _checked(condition, 1)
    leaves = list(leaves_of(checked))
    if not 1 <= len(leaves) <= LEAVES_MAX:
        raise _bad(f"a programme has 1 to {LEAVES_MAX} comparisons")
    codes = [leaf["code"] for leaf in leaves]
    if len(set(codes)) < len(codes):
        raise _bad("two comparisons have the same code")
    return checked


def holds(condition: Mapping[str, Any], bodies: Mapping[str, Any]) -> bool | None:
    """Whether a record meets a checked condition; ``None`` where it does not tell. ``bodies``: part -> body."""
    if "all" in condition:
        found = [holds(below, bodies) for below in condition["all"]]
        return False if False in found else None if None in found else True
    if "any" in condition:
        found = [holds(below, bodies) for below in condition["any"]]
        return True if True in found else None if None in found else False
    if "not" in condition:
        inner = holds(condition["not"], bodies)
        return None if inner is None else not inner
    return leaf_holds(condition, bodies.get(condition["part"]))


def leaf_holds(leaf: Mapping[str, Any], body: Mapping[str, Any] | None) -> bool | None:
    """Whether one comparison is met by the body of its section (``None``: there is no such section)."""
    found = _compared(leaf, body)
    if found is None and leaf["missing"] != Missing.UNKNOWN:
        return bool(leaf["missing"] == Missing.MET)
    return found


def _compared(leaf: Mapping[str, Any], body: Mapping[str, Any] | None) -> bool | None:
    items = (body or {}).get("items") or []
    match leaf["over"]:
        case Over.NUMBER:
            return _meets(leaf, len(items))
        case None:
            return _meets(leaf, (body or {}).get(leaf["field"]))
    found = [_meets(leaf, item.get(leaf["field"])) for item in items]
    decisive: bool = leaf["over"] == Over.SOME
    if decisive in found:
        return decisive
    return None if None in found or not found else not decisive


def _meets(leaf: Mapping[str, Any], value: Any) -> bool | None:
    if value is None:
        return None
    match leaf["test"]:
        case Comparison.EQUALS:
            return _same(value, leaf["value"])
        case Comparison.ONE_OF:
            return any(_same(value, one) for one in leaf["value"])
    if isinstance(value, bool) or not _NUMBER.match(str(value)):
        return None
    number, limit = Decimal(str(value)), Decimal(leaf["value"])
    return number <= limit if leaf["test"] == Comparison.AT_MOST else number >= limit


def _same(value: Any, wanted: Any) -> bool:
    """Equality of JSON, in which a number is no truth value."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def is_words(text: Any) -> bool:
    """Whether it is a short plain text of one line, in normal form."""
    return (
        isinstance(text, str)
        and 1 <= len(text.strip()) <= WORDS_MAX
        and text.isprintable()
        and unicodedata.is_normalized("NFC", text)
    )


def _checked(condition: Any, depth: int) -> dict[str, Any]:
    if not isinstance(condition, dict) or depth > DEPTH_MAX:
        raise _bad(f"it is a table of all, any, not or a comparison, at most {DEPTH_MAX} deep")
    for key in ("all", "any"):
        if key in condition:
            below = condition[key]
            if len(condition) != 1 or not isinstance(below, list) or not below:
                raise _bad(f"`{key}` stands alone and holds a list of conditions")
            return {key: [_checked(one, depth + 1) for one in below]}
    if "not" in condition:
        if len(condition) != 1:
            raise _bad("`not` stands alone and holds one condition")
        return {"not": _checked(condition["not"], depth + 1)}
    return _checked_leaf(condition)


def _checked_leaf(leaf: dict[str, Any]) -> dict[str, Any]:
    code = leaf.get("code")
    if not isinstance(code, str) or not _CODE.match(code):
        raise _bad("a comparison has a code of small letters, digits and hyphens")
    if unknown := set(leaf) - _LEAF_KEYS:
        raise _bad(f"`{code}` has the unknown key {min(unknown)[:20]}")
    part, field = leaf.get("part"), leaf.get("field", COUNT)
    readable = READABLE.get((part, field)) if isinstance(part, str) and isinstance(field, str) else None
    if readable is None:
        raise _bad(f"`{code}` names no field that a programme may read")
    over, test = leaf.get("over"), leaf.get("test")
    counts = field == COUNT
    allowed: tuple[str | None, ...] = (
        (Over.NUMBER,) if counts else (Over.SOME, Over.EVERY) if readable.listed else (None,)
    )
    if over not in allowed:
        raise _bad(f"`{code}` needs `over` {', '.join(str(one) for one in allowed if one) or 'left out'}")
    if test not in set(Comparison) or (test in (Comparison.AT_LEAST, Comparison.AT_MOST)) != (
        readable.kind is Kind.NUMBER
    ):
        raise _bad(f"`{code}` compares a {readable.kind} field by a test that does not fit it")
    missing = leaf.get("missing", Missing.UNKNOWN)
    if missing not in set(Missing):
        raise _bad(f"`{code}`: `missing` is one of {', '.join(Missing)}")
    return {
        "code": code,
        "part": part,
        "field": field,
        "over": over,
        "test": test,
        "value": _constant(code, readable.kind, test, leaf.get("value")),
        "missing": missing,
        "zh": _words(code, leaf.get("zh")),
        "en": _words(code, leaf.get("en")),
    }


def _constant(code: str, kind: Kind, test: str, value: Any) -> Any:
    if test == Comparison.ONE_OF:
        if not isinstance(value, list) or not 1 <= len(value) <= LEAVES_MAX:
            raise _bad(f"`{code}`: ONE_OF takes a list of values")
        return [_constant(code, kind, Comparison.EQUALS, one) for one in value]
    fits = {
        Kind.YES_NO: isinstance(value, bool),
        Kind.CODE: isinstance(value, str) and _VALUE.match(value) is not None,
        Kind.NUMBER: isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9,
    }
    if not fits[kind]:
        raise _bad(f"`{code}`: the constant is no {kind} value")
    return value


def _words(code: str, words: Any) -> str:
    if not is_words(words):
        raise _bad(f"`{code}` says in zh and in en what it asks for, in at most {WORDS_MAX} characters")
    return str(words)


def _bad(what: str) -> InputError:
    return InputError(
        f"the programme's condition is not in order: {what}.",
        remedy="See docs/BENEFITS.md.",
        code="PROGRAMME_CONDITION",
    )
