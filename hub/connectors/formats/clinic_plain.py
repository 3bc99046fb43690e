"""The rows of an arrears list that are written as nearly all are.

Dates, amounts, codes, names and addresses repeat from row to row, so each way of writing is read once for a whole list.
A row in which every cell is plain and sound, and in which the cells agree, is made here; any other is left to
:func:`~hub.connectors.formats.clinic_rows.clinic_row`, which alone knows the reasons. Both make the same of a plain row
(kept equal by a property test).
"""

from datetime import date
from decimal import Decimal
from typing import Any
from unicodedata import normalize

from hub.connectors.check import (
    CLOCK_MARGIN,
    FIRST_DAY,
    GROUPED_YUAN,
    NAME_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    content_bytes,
    iso_day,
    may_be_key,
    parse_loose_day,
    parse_yuan,
    split_fields,
    yuan_text,
)
from hub.connectors.formats.clinic_files import ListName, Record
from hub.connectors.formats.clinic_rows import (
    DOCUMENTED,
    FORBIDDEN,
    MAX_AMOUNT,
    MAX_NUMBER_LENGTH,
    WAIVED,
    WAIVER_CODES,
    clinic_row,
    of_list,
)
from hub.core.identifiers import birth_date, check_id_number, is_adult
from hub.core.names import Category
from hub.core.rows import CheckedRow, PlaceHint, RowKind
from hub.core.text import NULL_WORDS


class _NotPlainError(Exception):
    """A cell that only the full check can judge."""


class ListRows:
    """Checks the records of one list; ``today`` is the day of receipt in Asia/Shanghai."""

    def __init__(self, header: tuple[str, ...], name: ListName, today: date) -> None:
        self._name = name
        self._today = today
        self._latest = today + CLOCK_MARGIN
        self._common = of_list(name)
        self._dropped = split_fields(dict.fromkeys(header, ""), DOCUMENTED, FORBIDDEN)[1]
        self._texts, self._names, self._days, self._amounts = _Texts(), _Names(), _Days(), _Amounts()

    def check(self, record: Record) -> CheckedRow:
        """The checked row of one record."""
        if record.cells is not None:
            try:
                return self._plain(record.number, record.cells)
            except _NotPlainError:
                pass
        return clinic_row(record, self._name, self._today)

    def _plain(self, record: int, cells: dict[str, str]) -> CheckedRow:
        days, common = self._days, self._common
        number, debtor = _plain_text(cells["欠费单号"]), self._names[cells["欠费人姓名"]]
        person = self._person(cells["证件号码"])
        address, phone = self._texts[cells["现住址"]], _plain_text(cells["联系电话"])
        due_yuan, due = self._amounts[cells["应付金额"]]
        paid_yuan, paid = self._amounts[cells["已付金额"]]
        balance_yuan, balance = self._amounts[cells["欠费余额"]]
        billed, repay_by, plan_until = days[cells["结算日期"]], days[cells["约定还款日"]], days[cells["延期协议到期日"]]
        noticed, settled = days[cells["告知日期"]], days[cells["结清日期"]]
        waiver = self._texts[cells["减免标志"]]
        if (
            self._texts[cells["机构编码"]] != self._name.organisation
            or number is None
            or len(number) > MAX_NUMBER_LENGTH
            or not may_be_key(number, self._today)
            or self._texts[cells["恶意拖欠决定书号"]] is not None
            or due_yuan != paid_yuan + balance_yuan
            or billed is None
            or billed > common.day
            or common.day > self._latest
            or (repay_by is not None and repay_by < billed)
            or (settled is not None and not (billed <= settled <= common.day and not balance_yuan))
            or (waiver is not None and waiver not in WAIVER_CODES)
        ):
            raise _NotPlainError
        value = {
            "amount_due": due,
            "amount_paid": paid,
            "arrears_balance": balance,
            "bill_date": iso_day(billed),
            "due_date": iso_day(repay_by),
            "repay_plan_until": iso_day(plan_until),
            "malicious_decision_no": None,
            "notice_date": iso_day(noticed),
            "settled_date": iso_day(settled),
        }
        fields = _given_fields(value, person, address, phone, waiver)
        fields |= {
            "机构编码": self._name.organisation,
            "欠费单号": number,
            "欠费人姓名": debtor,
            "应付金额": due,
            "已付金额": paid,
            "欠费余额": balance,
            "结算日期": value["bill_date"],
        }
        return CheckedRow(
            kind=RowKind.FACT,
            source_key=f"{self._name.organisation}|{number}",
            version=common.version,
            version_rank=common.rank,
            origin=f"{common.csv}#{record}",
            content=content_bytes(fields),
            wire=fields,
            category=Category.CLINIC_ARREARS,
            value=value,
            id_number=person,
            name=debtor,
            valid_from=billed,
            valid_to=settled,
            suppressed=waiver in WAIVED,
            source_time=common.source_time,
            hint=PlaceHint(debtor, address, phone) if person is None else None,
            dropped=self._dropped,
        )

    def _person(self, cell: str) -> str | None:
        """The ID number of an adult, ``None`` for an empty cell."""
        if not cell:
            return None
        if len(cell) != 18 or check_id_number(cell, self._today) != cell:
            raise _NotPlainError
        if not is_adult(birth_date(cell), self._today):
            raise _NotPlainError
        return cell


# -- cells, each way of writing read once --------------------------------------------------------------------------


def _plain_text(cell: str) -> str | None:
    if not cell.isprintable():
        raise _NotPlainError
    text = (cell if cell.isascii() else normalize("NFKC", cell)).strip()
    if len(text) > TEXT_LENGTH_MAX:
        raise _NotPlainError
    return None if text in NULL_WORDS else text


class _Texts(dict[str, str | None]):
    def __missing__(self, cell: str) -> str | None:
        text = self[cell] = _plain_text(cell)
        return text


class _Names(dict[str, str]):
    """Names of nothing but characters beyond Latin-1, as they came but for white space around them."""

    def __missing__(self, cell: str) -> str:
        text = _plain_text(cell)
        if (
            text is None
            or len(text) > NAME_LENGTH_MAX
            or text != cell.strip()
            or min(text) <= "\xff"
            or "\ufffd" in text
        ):
            raise _NotPlainError
        self[cell] = text
        return text


class _Days(dict[str, date | None]):
    def __missing__(self, cell: str) -> date | None:
        text = _plain_text(cell)
        day = None if text is None else parse_loose_day(text)
        if text is not None and (day is None or day < FIRST_DAY):
            raise _NotPlainError
        self[cell] = day
        return day


class _Amounts(dict[str, tuple[Decimal, str]]):
    """An amount, and how the hub writes it."""

    def __missing__(self, cell: str) -> tuple[Decimal, str]:
        text = _plain_text(cell)
        amount = None if text is None else parse_yuan(text, GROUPED_YUAN)
        if amount is None or amount > MAX_AMOUNT:
            raise _NotPlainError
        found = self[cell] = amount, yuan_text(amount)
        return found


def _given_fields(
    value: dict[str, Any], person: str | None, address: str | None, phone: str | None, waiver: str | None
) -> dict[str, Any]:
    """The fields that may be empty, by wire name, as far as they are given."""
    given = {
        "证件号码": person,
        "现住址": address,
        "联系电话": phone,
        "约定还款日": value["due_date"],
        "延期协议到期日": value["repay_plan_until"],
        "告知日期": value["notice_date"],
        "减免标志": waiver,
        "结清日期": value["settled_date"],
    }
    return {name: text for name, text in given.items() if text is not None}
