"""The daily arrears lists of clinics as files: their names, control files, whole-file checks and records.

Everything here is pure: bytes in, a :class:`ClinicTable` or a :class:`~hub.core.names.RefusalReason` out. What a record
means is the business of hub/connectors/agencies/clinic.py. Format: docs/CONTRACTS.md, clinic arrears, sections 1-4.
"""

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

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

MAX_LIST_BYTES = 64 * 1024 * 1024
"""No list of one clinic and day is larger; a larger file is refused without being parsed."""

MAX_CONTROL_BYTES = 64 * 1024
"""No control file is larger; what is longer is no control file."""

ORGANISATION = re.compile(r"[0-9A-Za-z]{12}")
DAY = re.compile(r"[0-9]{8}")
_MARKER = re.compile(r"ARR_([0-9A-Za-z]{12})_([0-9]{8})_([0-9]{2})\.ok")
_CONTROL_KEYS = ("FILE", "RECORDS", "AMOUNT_TOTAL", "BYTES", "SHA256")
_NUMBER = re.compile(r"-?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]{1,2})?")
_COUNT = re.compile(r"[0-9]{1,18}")


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
    agency's document has no such file.
    """
    match = _MARKER.fullmatch(file_name)
    if match is None or match[1] != organisation or match[2] != day or match[3] == "00":
        return None
    name = ListName(day=day, organisation=organisation, number=match[3])
    try:
        name.business_date  # noqa: B018  the property raises for a day that does not exist
    except ValueError:
        return None
    return name


@dataclass(frozen=True, slots=True)
class Record:
    """One CSV record; ``number`` counts from the header, which is 1.

    ``cells`` maps column names to cells as written; it is ``None`` where the record cannot be cut into the header's
    columns, so that nobody can say which cell is which (a diagnosis may be among them).
    """

    number: int
    cells: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class ClinicTable:
    """The records of a list that passed all whole-file checks, in the order of the file."""

    records: tuple[Record, ...]


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
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return RefusalReason.ENCODING_INVALID
    lines = list(_csv_records(text.removeprefix("\ufeff")))
    header = _header(lines[0]) if lines and lines[0] is not None else None
    if header is None:
        return RefusalReason.FORMAT_INVALID
    body = lines[1:]
    if _count(keys["RECORDS"]) != len(body):
        return RefusalReason.COUNT_MISMATCH
    if _amount(keys["AMOUNT_TOTAL"]) not in _totals(header, body):
        return RefusalReason.TOTAL_MISMATCH
    return ClinicTable(tuple(_record(number, header, cells) for number, cells in enumerate(body, start=2)))


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


def _csv_records(text: str) -> Iterator[list[str] | None]:
    """Every record, ``None`` for one whose quoting is broken; empty lines are no records.

    After broken quoting the reader goes on at the next line. If that swallowed lines, the count does not fit.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None
            continue
        if cells:
            yield cells


def _header(cells: list[str]) -> list[str] | None:
    """The column names, or ``None`` if a documented one is missing or stands twice, so that no name says which."""
    names = ["".join(c for c in normalise_text(cell) or "" if unicodedata.category(c) != "Cc") for cell in cells]
    return names if all(names.count(column) == 1 for column in COLUMNS) else None


def _totals(header: list[str], body: list[list[str] | None]) -> set[Decimal]:
    """The sums that the agency may mean by ``AMOUNT_TOTAL``.

    Its document counts a balance that is no number as 0. It leaves open whether a negative balance is a number, and
    what the balance of a line with too few or too many cells is. Damage in transit is found by the hash before; so any
    sum that fits a reading of the document passes, and no file is refused for the hub's reading of it.
    """
    position = header.index(BALANCE)
    whole = signed = positional = positional_signed = Decimal(0)
    for cells in body:
        if cells is None or position >= len(cells):
            continue
        balance = _amount(cells[position])
        if balance is None:
            continue
        positional_signed += balance
        positional += max(balance, Decimal(0))
        if len(cells) == len(header):
            signed += balance
            whole += max(balance, Decimal(0))
    return {whole, signed, positional, positional_signed}


def _record(number: int, header: list[str], cells: list[str] | None) -> Record:
    if cells is None or len(cells) != len(header):
        return Record(number, None)
    return Record(number, dict(zip(header, cells, strict=True)))
