"""The two tables that are compared: people on the roster, and rows that do not name a person properly. Pure.

Both have the same columns. What is only ever compared for equality is held as a 64-bit hash of the text, which keeps a
million people in little memory; names and numbers are text because their likeness is measured. Names are put into their
forms once each, however many people bear them, and everything else is done for whole columns.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from hub.records.linkage.locating import Place
from hub.records.linkage.naming import name_forms

NUMBER_DIGITS = 17
"""Digits of an ID number without its check character."""

_SHORT_NUMBER = 15
_LOST_ZEROS = 3

_NAME = [
    ("name", pa.string()), ("plain", pa.string()), ("folded", pa.int64()), ("sound", pa.int64()), ("loose", pa.int64()),
    ("syllables", pa.int64()), ("first_two", pa.int64()), ("last_two", pa.int64()), ("ends", pa.int64()),
    ("has_gap", pa.bool_()), ("whole_name", pa.int64()),
]  # fmt: skip

SCHEMA = pa.schema(
    [
        ("unique_id", pa.int64()), *_NAME[:-1], ("village", pa.int64()), ("township", pa.int64()),
        ("county", pa.int64()), ("phone", pa.int64()), ("phone_is_lent", pa.bool_()), ("digits", pa.string()),
        ("number_head", pa.string()), ("number_tail", pa.string()), ("birth", pa.string()),
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
    whole_name: int


def name_keys(name: str) -> NameKeys:
    """The name with its forms; equal forms have equal hashes in one process."""
    forms = name_forms(name)
    hashed = (hash(form) for form in forms[2:9])
    return NameKeys._make((forms.name, forms.plain, *hashed, forms.has_gap, hash(forms.plain)))


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


@dataclass(slots=True)
class People:
    """Gathers people for their table; about forty bytes each until the table is made."""

    _names: dict[str, int] = field(default_factory=dict)
    _villages: dict[str, int] = field(default_factory=dict)
    _name_of: "array[int]" = field(default_factory=lambda: array("i"))
    _village_of: "array[int]" = field(default_factory=lambda: array("i"))
    _phones: "array[int]" = field(default_factory=lambda: array("q"))
    _numbers: list[bytes] = field(default_factory=list)

    def add(self, name: str, village_code: str, phone: int | None, id_number: str | None) -> None:
        """One more person, whose key is the count of those before."""
        self._name_of.append(self._names.setdefault(name, len(self._names)))
        self._village_of.append(self._villages.setdefault(village_code, len(self._villages)))
        self._phones.append(-1 if phone is None else phone)
        self._numbers.append(b"" if id_number is None else id_number.encode())

    def table(self, keys: Sequence[int] | None = None) -> pa.Table:
        """The table; ``keys`` are given where people are not numbered from 0."""
        names = _columns([name_keys(name) for name in self._names], _NAME)
        borne = {column: values.take(_integers(self._name_of)) for column, values in names.items()}
        village = pa.array([int(code) for code in self._villages], pa.int64()).take(_integers(self._village_of))
        phone = pa.Array.from_buffers(pa.int64(), len(self._phones), [None, pa.py_buffer(self._phones)])
        number = pa.array(self._numbers, pa.binary()).cast(pa.string())
        number = pc.if_else(pc.equal(pc.binary_length(number), 18), number, pa.scalar(None, pa.string()))
        count = len(self._numbers)
        made = borne | {
            "unique_id": pa.array(range(count) if keys is None else keys, pa.int64()),
            "village": village,
            "township": pc.divide(village, 1000),
            "county": pc.divide(village, 1_000_000),
            "phone": pc.if_else(pc.less(phone, 0), pa.scalar(None, pa.int64()), phone),
            "phone_is_lent": pa.repeat(pa.scalar(False), count),
            "digits": pc.utf8_slice_codeunits(number, 0, NUMBER_DIGITS),
            "number_head": pc.utf8_slice_codeunits(number, 0, 14),
            "number_tail": pc.utf8_slice_codeunits(number, 10, NUMBER_DIGITS),
            "birth": pc.utf8_slice_codeunits(number, 6, 14),
            "unplaced_name": borne["whole_name"],
        }
        return pa.table([made[column] for column in SCHEMA.names], SCHEMA)


def people_table(people: Iterable[Person]) -> pa.Table:
    """One line for each person."""
    gathered, keys = People(), []
    for person in people:
        gathered.add(person.name, person.village_code, person.phone, person.id_number)
        keys.append(person.key)
    return gathered.table(keys)


def rows_table(rows: Iterable[Unnamed]) -> pa.Table:
    """One line for each row."""
    columns = _columns([_row(row) for row in rows], [(kind.name, kind.type) for kind in SCHEMA])
    return pa.table(list(columns.values()), SCHEMA)


def _columns(records: Sequence[tuple[Any, ...]], kinds: Sequence[tuple[str, pa.DataType]]) -> dict[str, pa.Array]:
    columns = list(zip(*records, strict=True)) if records else [()] * len(kinds)
    return {name: pa.array(column, kind) for column, (name, kind) in zip(columns, kinds, strict=True)}


def _integers(values: "array[int]") -> pa.Array:
    return pa.Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(values)])


def _row(row: Unnamed) -> tuple[Any, ...]:
    *forms, whole_name = name_keys(row.name)
    place = row.place
    codes = (_code(place.village), _code(place.township), _code(place.county))
    digits = readable_digits(row.id_text)
    complete = digits is not None and len(digits) == NUMBER_DIGITS
    birth = digits[6:14] if digits is not None and len(digits) >= _SHORT_NUMBER - 1 else None
    head = digits[:14] if birth is not None and digits is not None else None
    tail = digits[10:NUMBER_DIGITS] if complete and digits is not None else None
    # Only where the address tells less than a village is a name looked for in the whole prefecture.
    unplaced = whole_name if place.village is None else None
    return row.key, *forms, *codes, row.phone, row.phone_is_lent, digits, head, tail, birth, unplaced


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
