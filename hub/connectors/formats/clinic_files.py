"""The daily arrears lists of clinics as files: their names, control files, whole-file checks and records.

Everything here is pure: bytes in, a :class:`ClinicTable` or a :class:`~hub.core.names.RefusalReason` out. What a record
means is the business of hub/connectors/agencies/clinic.py. Format: docs/CONTRACTS.md, clinic arrears, sections 1-4.
"""

import codecs
import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice

from hub.connectors.check import FIRST_DAY
from hub.core.names import RefusalReason
from hub.core.text import normalise_text

COLUMNS = (
    "机构编码",
    "欠费单号",
    "欠费人姓名",
    "证件号码",
    "现住址",
    "联系电话",
    "应付金额",
    "已付金额",
    "欠费余额",
    "结算日期",
    "约定还款日",
    "延期协议到期日",
    "恶意拖欠决定书号",
    "告知日期",
    "减免标志",
    "结清日期",
)
"""The documented columns, in the order of the agency's document. Clinics write them in any order."""

BALANCE = "欠费余额"
"""The column over which ``AMOUNT_TOTAL`` is summed."""

MAX_LIST_BYTES = 32 * 1024 * 1024
"""No list of one clinic and day is larger; a larger file is refused without being parsed."""

KEPT_BYTES = 4 * 1024 * 1024
"""A list of this size stays cut up in memory while it is used; a larger one is cut up once more."""

MAX_RECORD_LENGTH = 256 * 1024
"""No record is nearly as long, in characters; one that does not end spoils the file."""

MAX_CONTROL_BYTES = 64 * 1024
"""No control file is larger; what is longer is no control file."""

ORGANISATION = re.compile(r"[0-9A-Za-z]{12}")
DAY = re.compile(r"[0-9]{8}")
_MARKER = re.compile(r"ARR_([0-9A-Za-z]{12})_([0-9]{8})_([0-9]{2})\.ok")
_CONTROL_KEYS = ("FILE", "RECORDS", "AMOUNT_TOTAL", "BYTES", "SHA256")
_NUMBER = re.compile(r"-?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]{1,2})?")
_COUNT = re.compile(r"[0-9]{1,18}")
_BLOCK = 1024 * 1024
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, order=True)
class ListName:
    """Which list of which clinic; sorts by day, then clinic, then number."""

    day: str
    organisation: str
    number: str

    @property
    def stem(self) -> str:
        """The common name of the three files, without extension."""
        return f"ARR_{self.organisation}_{self.day}_{self.number}"

    @property
    def csv(self) -> str:
        """The name by which the list is remembered and reported."""
        return f"{self.stem}.csv"

    @property
    def business_date(self) -> date:
        """The day the list speaks for."""
        return date(int(self.day[:4]), int(self.day[4:6]), int(self.day[6:]))

    @property
    def version(self) -> str:
        """The version of every item in the list."""
        return f"{self.day}_{self.number}"

    @property
    def rank(self) -> int:
        """Orders versions: a later day wins, then the greater number."""
        return int(self.day) * 1000 + int(self.number)


def list_of_marker(organisation: str, day: str, file_name: str) -> ListName | None:
    """The list that a directory entry marks as complete, or ``None`` if it is no such marker.

    A marker whose name disagrees with the folders above it, or whose day or number does not exist, marks nothing: the
    agency's document has no such file. Nor does one of a day on which no agency can have delivered anything.
    """
    match = _MARKER.fullmatch(file_name)
    if match is None or match[1] != organisation or match[2] != day or match[3] == "00":
        return None
    name = ListName(day=day, organisation=organisation, number=match[3])
    try:
        return name if name.business_date >= FIRST_DAY else None
    except ValueError:
        return None


@dataclass(slots=True)
class Record:
    """One CSV record; ``number`` counts from the header, which is 1.

    ``cells`` maps column names to cells as written; it is ``None`` where the record cannot be cut into the header's
    columns, so that nobody can say which cell is which (a diagnosis may be among them).
    """

    number: int
    cells: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class ClinicTable:
    """A list that passed all whole-file checks."""

    header: tuple[str, ...]
    data: bytes
    kept: tuple[list[str] | None, ...] | None = None

    def records(self) -> Iterator[Record]:
        """The records in the order of the file, cut out one after the other."""
        lines = iter(self.kept) if self.kept is not None else islice(_csv_records(self.data), 1, None)
        return (_record(number, self.header, cells) for number, cells in enumerate(lines, start=2))


def fingerprint(control: bytes | None, data: bytes | None) -> str:
    """Tells whether the bytes of a refused list have changed since it was refused."""
    state = hashlib.sha256()
    for part in (control, data):
        state.update(b"absent" if part is None else len(part).to_bytes(8, "big") + part)
    return state.hexdigest()


def open_list(name: str, control: bytes | None, data: bytes | None) -> ClinicTable | RefusalReason:
    """The records of a list, or why the whole file is refused: the first check that fails, in the documented order.

    ``control`` and ``data`` are ``None`` where the file does not exist. ``data`` may be cut at one byte more than
    :data:`MAX_LIST_BYTES`.
    """
    keys = _control_keys(control)
    if keys is None or keys["FILE"] != name:
        return RefusalReason.CONTROL_MISSING
    if data is None:
        return RefusalReason.HASH_MISMATCH
    if len(data) > MAX_LIST_BYTES:
        return RefusalReason.FORMAT_INVALID
    if _count(keys["BYTES"]) != len(data) or keys["SHA256"] != hashlib.sha256(data).hexdigest():
        return RefusalReason.HASH_MISMATCH
    if not _is_gb18030(data):
        return RefusalReason.ENCODING_INVALID
    try:
        lines = _csv_records(data)
        cells = next(lines, None)
        header = None if cells is None else _header(cells)
        if header is None:
            return RefusalReason.FORMAT_INVALID
        sums = _Sums(header)
        kept: list[list[str] | None] | None = [] if len(data) <= KEPT_BYTES else None
        for cells in lines:
            sums.add(cells)
            if kept is not None:
                kept.append(cells)
    except _EndlessRecordError:
        return RefusalReason.FORMAT_INVALID
    if _count(keys["RECORDS"]) != sums.records:
        return RefusalReason.COUNT_MISMATCH
    if _amount(keys["AMOUNT_TOTAL"]) not in sums.totals:
        return RefusalReason.TOTAL_MISMATCH
    return ClinicTable(header, data, None if kept is None else tuple(kept))


def _control_keys(control: bytes | None) -> dict[str, str] | None:
    if control is None or len(control) > MAX_CONTROL_BYTES:
        return None
    try:
        lines = control.decode("ascii").splitlines()
    except UnicodeDecodeError:
        return None
    pairs = (line.partition("=") for line in lines if "=" in line)
    keys = {key.strip(): value.strip() for key, _, value in pairs}
    return keys if all(keys.get(key) for key in _CONTROL_KEYS) else None


def _count(text: str) -> int | None:
    return int(text) if _COUNT.fullmatch(text) else None


def _amount(text: str | None) -> Decimal | None:
    normalised = normalise_text(text)
    if normalised is None or not _NUMBER.fullmatch(normalised):
        return None
    return Decimal(normalised.replace(",", ""))


def _is_gb18030(data: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("gb18030")()
    try:
        for start in range(0, len(data), _BLOCK):
            decoder.decode(data[start : start + _BLOCK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


class _EndlessRecordError(Exception):
    """A record is longer than any bill: broken quoting, or a file of commas."""


class _Lines:
    """The lines of a list with their line ends, decoded as they are asked for."""

    def __init__(self, data: bytes) -> None:
        self._text = io.TextIOWrapper(io.BytesIO(data), encoding="gb18030", newline="")
        self._is_first = True
        self.length = 0
        """Characters given out since it was last set to 0, at most :data:`MAX_RECORD_LENGTH`."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_RECORD_LENGTH + 1)
        if not line:
            raise StopIteration
        if self._is_first:
            self._is_first = False
            line = line.removeprefix("\ufeff")
        self.length += len(line)
        if self.length > MAX_RECORD_LENGTH:
            raise _EndlessRecordError
        return line


def _csv_records(data: bytes) -> Iterator[list[str] | None]:
    """Every record, ``None`` for one whose quoting is broken; empty lines are no records.

    After broken quoting the reader goes on at the next line. If that swallowed lines, the count does not fit. Raises
    :class:`_EndlessRecordError` where a record does not end.
    """
    lines = _Lines(data)
    reader = csv.reader(lines, strict=True)
    while True:
        lines.length = 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None
            continue
        if cells:
            yield cells


def _header(cells: list[str]) -> tuple[str, ...] | None:
    """The column names, or ``None`` if a documented one is missing or stands twice, so that no name says which."""
    names = tuple("".join(c for c in normalise_text(cell) or "" if unicodedata.category(c) != "Cc") for cell in cells)
    return names if all(names.count(column) == 1 for column in COLUMNS) else None


class _Sums:
    """Counts the records, and adds up what the agency may mean by ``AMOUNT_TOTAL``.

    Its document counts a balance that is no number as 0. It leaves open whether a negative balance is a number, and
    what the balance of a line with too few or too many cells is. Damage in transit is found by the hash before; so any
    sum that fits a reading of the document passes, and no file is refused for the hub's reading of it.
    """

    def __init__(self, header: Sequence[str]) -> None:
        self.records = 0
        self._width = len(header)
        self._position = header.index(BALANCE)
        self._of_whole, self._of_others = Decimal(0), Decimal(0)
        self._below_zero, self._below_zero_in_others = Decimal(0), Decimal(0)

    def add(self, cells: list[str] | None) -> None:
        """Take in one record."""
        self.records += 1
        if cells is None or self._position >= len(cells):
            return
        balance = _amount(cells[self._position])
        if balance is None:
            return
        if len(cells) == self._width:
            self._of_whole += balance
            self._below_zero += min(balance, _ZERO)
        else:
            self._of_others += balance
            self._below_zero_in_others += min(balance, _ZERO)

    @property
    def totals(self) -> set[Decimal]:
        """With and without what is negative, with and without lines of a wrong number of cells."""
        whole, every = self._of_whole, self._of_whole + self._of_others
        return {
            whole,
            whole - self._below_zero,
            every,
            every - self._below_zero - self._below_zero_in_others,
        }


def _record(number: int, header: Sequence[str], cells: list[str] | None) -> Record:
    if cells is None or len(cells) != len(header):
        return Record(number, None)
    return Record(number, dict(zip(header, cells, strict=True)))
