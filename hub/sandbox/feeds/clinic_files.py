"""The files of the clinics: CSV in GB 18030, control file, completion marker (clinic interface, sections 1 to 4)."""

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation

from hub.core.names import QuarantineReason, RefusalReason
from hub.sandbox.people import Person

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


@dataclass(frozen=True, slots=True)
class Clinic:
    """A township clinic: its code, the order of its columns, and what it exports although it must not."""

    code: str
    order: tuple[str, ...]
    forbidden: tuple[str, ...]


@dataclass(slots=True)
class ClinicLine:
    """One line of a list, with the fate it must have (``reason`` is ``None`` for a valid one)."""

    values: dict[str, str]
    reason: QuarantineReason | None = None
    link: str = "ID"
    cells_cut: bool = False
    person: Person | None = None

    @property
    def item(self) -> str:
        """Number of the item within its clinic."""
        return self.values["欠费单号"]


@dataclass(slots=True)
class ClinicFile:
    """One list of one clinic and day. ``refusal``: the whole-file damage that it is written with."""

    clinic: Clinic
    day: date
    number: int
    lines: list[ClinicLine] = field(default_factory=list)
    refusal: RefusalReason | None = None
    complete: bool = True

    @property
    def name(self) -> str:
        """File name without the ending."""
        return f"ARR_{self.clinic.code}_{self.day:%Y%m%d}_{self.number:02d}"

    @property
    def folder(self) -> str:
        """Folder below ``/outbox``."""
        return f"{self.clinic.code}/{self.day:%Y%m%d}"


def _csv_bytes(file: ClinicFile) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    order = file.clinic.order
    if file.refusal is RefusalReason.FORMAT_INVALID:
        order = tuple(column for column in order if column != "减免标志")
    writer.writerow(order)
    for line in file.lines:
        cells = [line.values.get(column, "") for column in order]
        writer.writerow(cells[:-2] if line.cells_cut else cells)
    content = text.getvalue().encode("gb18030")
    return content + b"\xff\xff,\r\n" if file.refusal is RefusalReason.ENCODING_INVALID else content


def _total(file: ClinicFile) -> Decimal:
    total = Decimal(0)
    for line in file.lines:
        try:
            total += Decimal(line.values["欠费余额"].replace(",", ""))
        except InvalidOperation:
            continue  # a balance that is not a number counts as zero
    return total


def written(file: ClinicFile) -> Iterator[tuple[str, bytes]]:
    """The paths below ``/outbox`` and bytes of one list, the completion marker last."""
    content = _csv_bytes(file)
    path = f"{file.folder}/{file.name}"
    count = len(file.lines) + (1 if file.refusal is RefusalReason.COUNT_MISMATCH else 0)
    total = _total(file) + (1 if file.refusal is RefusalReason.TOTAL_MISMATCH else 0)
    control = (
        f"FILE={file.name}.csv\r\nRECORDS={count}\r\nAMOUNT_TOTAL={total:.2f}\r\n"
        f"BYTES={len(content)}\r\nSHA256={hashlib.sha256(content).hexdigest()}\r\n"
    )
    if file.refusal is RefusalReason.HASH_MISMATCH:
        content = content[: len(content) * 2 // 3]
    yield f"{path}.csv", content
    if file.refusal is not RefusalReason.CONTROL_MISSING:
        yield f"{path}.ctl", control.encode("ascii")
    if file.complete:
        yield f"{path}.ok", b""
