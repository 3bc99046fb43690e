"""The two tables that are compared: people on the roster, and rows that do not name a person properly. Pure.

Both have the same columns. What is only ever compared for equality is held as a 64-bit hash of the text, which keeps a
million people in little memory; names and numbers are text because their likeness is measured.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa

from hub.records.linkage.locating import Place
from hub.records.linkage.naming import name_forms

NUMBER_DIGITS = 17
"""Digits of an ID number without its check character."""

_SHORT_NUMBER = 15
_LOST_ZEROS = 3

SCHEMA = pa.schema(
    [
        ("unique_id", pa.int64()), ("name", pa.string()), ("plain", pa.string()), ("folded", pa.int64()),
        ("sound", pa.int64()), ("loose", pa.int64()), ("syllables", pa.int64()), ("first_two", pa.int64()),
        ("last_two", pa.int64()), ("ends", pa.int64()), ("has_gap", pa.bool_()), ("village", pa.int64()),
        ("township", pa.int64()), ("county", pa.int64()), ("phone", pa.int64()), ("phone_is_lent", pa.bool_()),
        ("digits", pa.string()), ("number_head", pa.string()), ("number_tail", pa.string()), ("birth", pa.string()),
        ("unplaced_name", pa.int64()),
    ]
)  # fmt: skip
"""``phone``: number of the phone in the list of those that rows give, 0 for any other, null for none."""


class NameKeys(NamedTuple):
    """The forms of a name as the tables hold them."""

    name: str
    plain: str
    folded: int
    sound: int
    loose: int
    syllables: int
    first_two: int
    last_two: int
    ends: int
    has_gap: bool


@lru_cache(maxsize=32_768)
def name_keys(name: str) -> NameKeys:
    """The name with its forms; equal forms have equal hashes in one process."""
    forms = name_forms(name)
    return NameKeys._make((forms.name, forms.plain, *(hash(form) for form in forms[2:9]), forms.has_gap))


@dataclass(frozen=True, slots=True)
class Person:
    """A living adult on the roster. ``phone``: see :data:`SCHEMA`."""

    key: int
    name: str
    village_code: str
    phone: int | None
    id_number: str | None


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A row that does not name a person properly. ``id_text``: a damaged number as typed, where there is one."""

    key: int
    name: str
    place: Place
    phone: int | None
    phone_is_lent: bool
    id_text: str | None = None


def people_table(people: Iterable[Person]) -> pa.Table:
    """One line for each person."""
    return _table([_person(person) for person in people])


def rows_table(rows: Iterable[Unnamed]) -> pa.Table:
    """One line for each row."""
    return _table([_row(row) for row in rows])


def _table(records: Sequence[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*records, strict=True)) if records else [()] * len(SCHEMA)
    return pa.table([pa.array(column, kind.type) for column, kind in zip(columns, SCHEMA, strict=True)], SCHEMA)


def _person(person: Person) -> tuple[Any, ...]:
    keys = name_keys(person.name)
    village = int(person.village_code)
    number = person.id_number or ""
    known = (number[:17], number[:14], number[10:17], number[6:14]) if number else (None,) * 4
    codes = (village, village // 1000, village // 1_000_000)
    return person.key, *keys, *codes, person.phone, False, *known, hash(keys.plain)


def _row(row: Unnamed) -> tuple[Any, ...]:
    keys = name_keys(row.name)
    place = row.place
    codes = (_code(place.village), _code(place.township), _code(place.county))
    digits = readable_digits(row.id_text)
    complete = digits is not None and len(digits) == NUMBER_DIGITS
    birth = digits[6:14] if digits is not None and len(digits) >= _SHORT_NUMBER - 1 else None
    head = digits[:14] if birth is not None and digits is not None else None
    tail = digits[10:17] if complete and digits is not None else None
    # Only where the address tells less than a village is a name looked for in the whole prefecture.
    unplaced = hash(keys.plain) if place.village is None else None
    return row.key, *keys, *codes, row.phone, row.phone_is_lent, digits, head, tail, birth, unplaced


def _code(text: str | None) -> int | None:
    return None if text is None else int(text)


def readable_digits(id_text: str | None) -> str | None:
    """What can be read of a damaged number, in the places of the first 17 digits; ``None`` if too little is left.

    A 15-digit number gets its century; of 18 digits ending in ``000`` the last three were lost in a spreadsheet.
    """
    text = "".join(character for character in id_text or "" if character.isdigit() or character in "Xx")
    if any(mark in (id_text or "") for mark in "Ee."):
        return None
    match len(text):
        case 15:
            return text[:6] + "19" + text[6:]
        case 18 if text.endswith("0" * _LOST_ZEROS):
            return text[:15]
        case 16 | 17 | 18 | 19:
            return text[:NUMBER_DIGITS]
    return None
