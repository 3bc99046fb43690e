"""What every agency's row check is made of: cleaning, dropping, normal forms, reasons.

A connector opens a :class:`RowCheck` on each row as it came off the wire. From then on only documented fields exist:
forbidden and undocumented ones are gone and counted (docs/CONTRACTS.md 1.6), texts are normalised (1.4). Each checking
method returns the value for the hub or ``None``, notes the reason (1.5) where the row breaks a rule, and writes the
normal form back, so that :attr:`RowCheck.content` is the same for rows that say the same in different writing.

Everything here is pure: no clock, no input, no output.
"""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from unicodedata import normalize

import msgspec

from hub.core.canonical import INTEGER_MAX
from hub.core.clock import years_before
from hub.core.identifiers import birth_date, check_id_number, clean_id_number, is_adult
from hub.core.names import QuarantineReason
from hub.core.rows import CheckedRow, RowKind
from hub.core.text import NULL_WORDS, has_lost_characters, normalise_text

TOMBSTONE_CONTENT = b"tombstone"
"""The content of every deletion row: only its key and version matter."""

ADVERSE_YEARS = 5
"""How long adverse information may be kept after its end, in years (征信业管理条例 art. 16)."""

FIRST_DAY = date(1900, 1, 1)
"""No agency delivers an earlier day."""

EXACT_YUAN = re.compile(r"[0-9]{1,15}\.[0-9]{2}")
"""Yuan with exactly two decimals."""

YUAN = re.compile(r"[0-9]{1,15}(\.[0-9]{1,2})?")
"""Yuan with at most two decimals."""

GROUPED_YUAN = re.compile(r"([0-9]{1,3}(,[0-9]{3}){1,4}|[0-9]{1,15})(\.[0-9]{1,2})?")
"""Yuan with at most two decimals, thousands may be separated by commas."""

KEY_PART_LENGTH_MAX = 64
"""No agency's key has a longer part, in characters."""

NAME_LENGTH_MAX = 200
"""No person has a longer name, in characters; all documents are silent."""

TEXT_LENGTH_MAX = 2000
"""No other text of an agency is longer, in characters; all documents are silent."""

COUNT_MAX = 100_000
"""No number of months, days or basis points is greater: 100,000 days are more than two centuries."""

CLOCK_MARGIN = timedelta(days=1)
"""So far may an agency's clock run ahead of the hub's before its times of change are to come."""

DAYS_REMEMBERED = 16384
"""Dates are written in few ways over and over: so many readings are remembered."""

NUMBERS_REMEMBERED = 4096
"""So many ID numbers lately checked are remembered."""

UNNAMED_FIELD = "#undocumented"
"""Stands for an undocumented field whose very name might carry personal data (long, or with many digits)."""

_VERSION = re.compile(r"[0-9]{1,15}")
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LOOSE_DAY = re.compile(r"([0-9]{4})(?:-([0-9]{2})-([0-9]{2})|/([0-9]{1,2})/([0-9]{1,2}))")
_COMPACT_DAY = re.compile(r"[0-9]{8}")
_PRINTABLE_NAME = re.compile(r"(?!.*[0-9]{6})[\w\[\] .:-]{1,40}")
_KEY_PART = re.compile(r"(?![0-9]{15}$|[0-9]{17}[0-9Xx]$)[0-9A-Za-z:.+-]{1,40}")  # never what may be an ID number
_encoder = msgspec.json.Encoder(order="deterministic")
_LOST = re.compile("[\x00\ud800-\udfff]")


# -- parts of a value ----------------------------------------------------------------------------------------------


def clean_value(value: Any) -> Any:
    """One wire value in the form that can be compared and kept: text, small integer, boolean, ``None`` or a marker.

    Text is normalised; NUL and lone surrogates, which no database and no UTF-8 file can hold, become U+FFFD. Numbers
    that are not small integers become ``{"number": "<as written>"}``, so that they stay distinct from text. Objects
    and arrays in the place of a value become ``{"structure": "<kind>"}``: their inside was not documented.
    """
    match value:
        case None | bool():
            return value
        case str():
            return normalise_text(value if value.isascii() and "\0" not in value else _LOST.sub("�", value))
        case int() if abs(value) < INTEGER_MAX:
            return value
        case int() | float() | Decimal():
            return {"number": str(value)}
        case Mapping():
            return {"structure": "object"}
        case _:
            return {"structure": "array"}


def split_fields(
    row: Mapping[str, Any], documented: Collection[str], forbidden: Collection[str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The documented fields of a row, cleaned, without those of no value; and the names of the removed ones, sorted.

    A removed name is counted once per row even if the field was empty. ``forbidden`` wins over ``documented``.
    """
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in row.items():
        if name not in documented or name in forbidden:
            dropped.append(name if name in forbidden or _PRINTABLE_NAME.fullmatch(name) else UNNAMED_FIELD)
        elif value.__class__ is str and value.isprintable():  # what clean_value does for ordinary text
            text = (value if value.isascii() else normalize("NFKC", value)).strip()
            if text not in NULL_WORDS:
                kept[name] = text
        elif value is not None:
            cleaned = clean_value(value)
            if cleaned is not None:
                kept[name] = cleaned
    return kept, tuple(sorted(set(dropped))) if dropped else ()


def content_bytes(fields: Mapping[str, Any]) -> bytes:
    """The one encoding of cleaned fields: JSON in UTF-8, names sorted, no white space.

    :func:`clean_value` lets nothing through that could be written in two ways, so the fast encoder gives the bytes of
    :mod:`hub.core.canonical` (kept equal by a property test); its checks would be a third of the cost of a row.
    """
    return _encoder.encode(fields)


@lru_cache(DAYS_REMEMBERED)
def parse_day(text: str) -> date | None:
    """``YYYY-MM-DD``, a real day."""
    return _real_day(text) if _ISO_DAY.fullmatch(text) else None


@lru_cache(DAYS_REMEMBERED)
def parse_loose_day(text: str) -> date | None:
    """``YYYY-MM-DD`` or ``YYYY/M/D``, a real day."""
    parts = _LOOSE_DAY.fullmatch(text)
    if parts is None:
        return None
    year, month, day = (part for part in parts.groups() if part is not None)
    return _real_day(f"{year}-{month:0>2}-{day:0>2}")


@lru_cache(DAYS_REMEMBERED)
def parse_compact_day(text: str) -> date | None:
    """``YYYYMMDD``, a real day."""
    return _real_day(f"{text[:4]}-{text[4:6]}-{text[6:]}") if _COMPACT_DAY.fullmatch(text) else None


@lru_cache(DAYS_REMEMBERED)
def iso_day(day: date | None) -> str | None:
    """A day as ISO text, ``None`` for none."""
    return None if day is None else day.isoformat()


def _real_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@lru_cache(NUMBERS_REMEMBERED)
def _number_and_fault(value: str, today: date) -> tuple[str | None, str | QuarantineReason | None]:
    """An ID number as cleaned, and what its check makes of it; a person's rows often follow one another."""
    cleaned = clean_id_number(value)
    return cleaned, None if cleaned is None else check_id_number(cleaned, today)


def parse_yuan(text: str, shape: re.Pattern[str] = EXACT_YUAN) -> Decimal | None:
    """An amount written in the documented shape, never negative; ``None`` if it is not."""
    whole, point, cents = text.partition(".")
    if point and len(cents) == 2 and len(whole) <= 15 and text.isascii() and whole.isdigit() and cents.isdigit():
        return Decimal(text)  # allowed by every shape
    return Decimal(text.replace(",", "")) if shape.fullmatch(text) else None


def yuan_text(amount: Decimal) -> str:
    """Yuan with exactly two decimals, without separators: the form in which the hub holds amounts."""
    return f"{amount:.2f}"


def is_expired(ended: date, today: date) -> bool:
    """Whether adverse information that ended on ``ended`` lies more than five years back (docs/CONTRACTS.md 1.5)."""
    return ended < years_before(today, ADVERSE_YEARS)


def in_precedence(reasons: Collection[QuarantineReason]) -> tuple[QuarantineReason, ...]:
    """The reasons, each once, the one that wins first."""
    return tuple(sorted(set(reasons)))


def may_be_key(text: str, today: date) -> bool:
    """Whether a text may be part of a source key, which reports, lists and logs repeat as it is.

    No part holds what separates the parts, nor anything unprintable. The sound 18-character ID number of an adult may
    not stand there. A number of 15 digits may: without a check character it cannot be told from a serial number.
    """
    if len(text) > KEY_PART_LENGTH_MAX or "|" in text or not text.isprintable():
        return False
    return len(text) != 18 or not _is_adults_number(text, today)


def _is_adults_number(text: str, today: date) -> bool:
    return _number_and_fault(text, today)[1] == text.upper() and is_adult(birth_date(text), today)


# -- one row -------------------------------------------------------------------------------------------------------


class RowCheck:
    """The check of one row.

    ``fields`` are the documented fields that have a value, by wire name, in normal form as far as they were checked.
    ``today`` is the day of receipt in Asia/Shanghai.
    """

    def __init__(
        self, row: Mapping[str, Any], *, documented: Collection[str], forbidden: Collection[str], today: date
    ) -> None:
        self.today = today
        self.fields, self.dropped = split_fields(row, documented, forbidden)
        self._reasons: set[QuarantineReason] = set()

    def add(self, reason: QuarantineReason) -> None:
        """Note a reason."""
        self._reasons.add(reason)

    @property
    def reasons(self) -> tuple[QuarantineReason, ...]:
        """All reasons noted so far, the one that wins first."""
        return in_precedence(self._reasons) if self._reasons else ()

    @property
    def content(self) -> bytes:
        """The canonical form of the row, for "is it the same as before". Ask after all checks."""
        return content_bytes(self.fields)

    @property
    def wire(self) -> dict[str, Any]:
        """The row in wire names, for quarantine. Ask after all checks; it is not a copy."""
        return self.fields

    def given(self, name: str) -> bool:
        """Whether the field has a value, sound or not."""
        return name in self.fields

    def text(self, name: str) -> str | None:
        """A text field; one of another type or of no measure breaks the structure of the row (``ROW_UNREADABLE``)."""
        return self._text(name, TEXT_LENGTH_MAX)

    def _text(self, name: str, length_max: int) -> str | None:
        value = self.fields.get(name)
        if value is None or (isinstance(value, str) and len(value) <= length_max):
            return value
        self.add(QuarantineReason.ROW_UNREADABLE)
        return None

    def key_part(self, name: str) -> str | None:
        """A part of the source key or a reference (:func:`may_be_key`), or ``None``: the row is then unreadable."""
        value = self.fields.get(name)
        return value if isinstance(value, str) and may_be_key(value, self.today) else None

    def short_text(self, name: str) -> str | None:
        """A text as short as a part of a key, whatever it holds; ``None`` for anything else."""
        value = self.fields.get(name)
        return value if isinstance(value, str) and len(value) <= KEY_PART_LENGTH_MAX else None

    def name(self, name: str) -> str | None:
        """A person's name, as :meth:`text`; ``TEXT_UNREADABLE`` if characters of it are lost."""
        text = self._text(name, NAME_LENGTH_MAX)
        if text is not None and has_lost_characters(text):
            self.add(QuarantineReason.TEXT_UNREADABLE)
        return text

    def id_number(self, name: str, *, mandatory: bool = True) -> str | None:
        """The 18-character ID number of a field, or ``None`` with the reason noted (``ID_MISSING`` if mandatory)."""
        value = self.fields.get(name)
        if isinstance(value, dict):
            value = value.get("number", "?")  # a spreadsheet's number is judged by how it is written
        cleaned, result = (None, None) if value is None else _number_and_fault(str(value), self.today)
        if cleaned is None:
            self.fields.pop(name, None)
            if mandatory:
                self.add(QuarantineReason.ID_MISSING)
            return None
        if isinstance(result, QuarantineReason):
            self.fields[name] = cleaned
            self.add(result)
            return None
        self.fields[name] = result
        return result

    def adult(self, id_number: str | None) -> None:
        """Note ``MINOR_SUBJECT`` if the person is under 18 on the day of receipt."""
        if id_number is not None and not is_adult(birth_date(id_number), self.today):
            self.add(QuarantineReason.MINOR_SUBJECT)

    def code(self, name: str, codes: Collection[str], *, mandatory: bool = True) -> str | None:
        """A code of a closed list; ``UNKNOWN_CODE`` if it is another one, or missing though mandatory."""
        value = self.fields.get(name)
        if isinstance(value, str) and value in codes:
            return value
        if value is not None or mandatory:
            self.add(QuarantineReason.UNKNOWN_CODE)
        return None

    def day(
        self,
        name: str,
        *,
        mandatory: bool = False,
        latest: date | None = None,
        parse: Callable[[str], date | None] = parse_day,
        late: QuarantineReason = QuarantineReason.BAD_DATE,
    ) -> date | None:
        """A date; ``BAD_DATE`` if malformed, impossible, before 1900, or missing though mandatory.

        A day after ``latest`` gives ``late``. The returned day is sound in itself but may be late.
        """
        value = self.fields.get(name)
        if value is None:
            if mandatory:
                self.add(QuarantineReason.BAD_DATE)
            return None
        parsed = parse(value) if isinstance(value, str) else None
        if parsed is None or parsed < FIRST_DAY:
            self.add(QuarantineReason.BAD_DATE)
            return None
        if parse is not parse_day:
            self.fields[name] = iso_day(parsed)
        if latest is not None and parsed > latest:
            self.add(late)
        return parsed

    def changed_on(self, day: date) -> None:
        """Note ``BAD_DATE`` if the row says that it was changed on a day to come, by more than :data:`CLOCK_MARGIN`."""
        if day > self.today + CLOCK_MARGIN:
            self.add(QuarantineReason.BAD_DATE)

    def in_order(self, earlier: date | None, later: date | None) -> None:
        """Note ``DATE_INCONSISTENT`` if both are known and ``later`` lies before ``earlier``."""
        if earlier is not None and later is not None and later < earlier:
            self.add(QuarantineReason.DATE_INCONSISTENT)

    def adverse_end(self, ended: date | None) -> None:
        """Note ``ADVERSE_EXPIRED`` if the end of adverse information lies more than five years back."""
        if ended is not None and is_expired(ended, self.today):
            self.add(QuarantineReason.ADVERSE_EXPIRED)

    def adverse_notice(
        self, name: str, *, latest: date | None, parse: Callable[[str], date | None] = parse_day
    ) -> date | None:
        """The day the person was told; ``ADVERSE_NOTICE_MISSING`` if there is none or it is after ``latest``."""
        if not self.given(name):
            self.add(QuarantineReason.ADVERSE_NOTICE_MISSING)
            return None
        return self.day(name, latest=latest, parse=parse, late=QuarantineReason.ADVERSE_NOTICE_MISSING)

    def yuan(self, name: str, *, shape: re.Pattern[str] = EXACT_YUAN, maximum: Decimal | None = None) -> Decimal | None:
        """A mandatory amount in yuan; ``BAD_AMOUNT`` if missing, in another shape, negative or above ``maximum``."""
        value = self.fields.get(name)
        amount = parse_yuan(value, shape) if isinstance(value, str) else None
        if amount is None or not isinstance(value, str):
            self.add(QuarantineReason.BAD_AMOUNT)
            return None
        self.fields[name] = str(amount) if value[-3:-2] == "." else yuan_text(amount)
        if maximum is not None and amount > maximum:
            self.add(QuarantineReason.BAD_AMOUNT)
            return None
        return amount

    def count(self, name: str, *, default: int | None = None, maximum: int = COUNT_MAX) -> int | None:
        """A JSON integer from 0 to ``maximum``; ``BAD_AMOUNT`` if it is anything else, or missing without a default."""
        value = self.fields.get(name, default)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= maximum:
            return value
        self.add(QuarantineReason.BAD_AMOUNT)
        return None

    def version_number(self, name: str, *, as_text: bool = False) -> int | None:
        """A version: an integer from 1 (``as_text``: its decimal text); ``None`` otherwise (the row is unreadable)."""
        value = self.fields.get(name)
        if as_text:
            value = int(value) if isinstance(value, str) and _VERSION.fullmatch(value) else None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        return None


def unreadable_row(
    *, key: str, origin: str, content: bytes, kind: RowKind = RowKind.FACT, wire: Mapping[str, Any] | None = None
) -> CheckedRow:
    """A row whose key cannot be read: no version, nothing counted as dropped.

    ``content`` must tell one unreadable row from another. ``wire`` may hold documented fields only: a text that does
    not parse may hide forbidden ones, so nothing of it is kept but its place.
    """
    return CheckedRow(
        kind=kind,
        source_key=key,
        version="",
        version_rank=0,
        origin=origin,
        content=content,
        wire=dict(wire or {}),
        reasons=(QuarantineReason.ROW_UNREADABLE,),
    )


class UnreadableKeys:
    """Keys for unreadable rows of feeds without files, where a position means nothing on the next day.

    A row is named after what can be read of it (time of change, parts of its key: nothing personal) and a running
    number that tells apart different rows of the same name; the same row delivered again gets the same key.
    """

    def __init__(self, feed: str) -> None:
        self._feed = feed
        self._seen: dict[str, list[bytes]] = {}

    def key(self, parts: Collection[str | None], content: bytes) -> str:
        """``<feed> <readable parts>#<number>``."""
        name = " ".join([self._feed, *(part for part in parts if part and _KEY_PART.fullmatch(part))])
        known = self._seen.setdefault(name, [])
        if content not in known:
            known.append(content)
        return f"{name}#{known.index(content) + 1}"
