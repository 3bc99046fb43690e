"""One line of a clinic's arrears list, checked and in the hub's words.

Pure translation of docs/CONTRACTS.md, clinic arrears, sections 4, 5 and 7. ``value`` of the fact: ``amount_due``,
``amount_paid``, ``arrears_balance`` (yuan, text with two decimals), ``bill_date``, ``due_date``, ``repay_plan_until``,
``malicious_decision_no``, ``notice_date``, ``settled_date`` (ISO days, ``None`` where empty). Address and phone leave
here only as the :class:`~hub.core.rows.PlaceHint` of a row without ID number.
"""

from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from hub.connectors.check import GROUPED_YUAN, RowCheck, iso_day, parse_loose_day, unreadable_row
from hub.connectors.formats.clinic_files import COLUMNS, ListName, Record
from hub.core.clock import midnight
from hub.core.names import Category, QuarantineReason
from hub.core.rows import CheckedRow, PlaceHint, RowKind
from hub.core.text import is_mojibake

FORBIDDEN = frozenset({"科室", "诊断", "病历号", "药品明细", "与患者关系", "民族"})
"""Columns that some clinics still export and the hub must never hold (条例 art. 14)."""

MAX_AMOUNT = Decimal(1_000_000)
"""No single amount of a bill is larger, in yuan."""

DOCUMENTED = frozenset(COLUMNS)
"""All other columns."""

MAX_NUMBER_LENGTH = 30
"""Longest number of a bill, in characters."""

WAIVED = frozenset({"1", "是", "√"})
"""Codes of ``减免标志`` for a bill that is waived."""

WAIVER_CODES = WAIVED | {"0", "否"}


class OfList(NamedTuple):
    """What all rows of one list have in common."""

    csv: str
    version: str
    rank: int
    day: date
    source_time: datetime


@lru_cache(64)
def of_list(name: ListName) -> OfList:
    """What the rows of a list have in common."""
    return OfList(name.csv, name.version, name.rank, name.business_date, midnight(name.business_date))


def clinic_row(record: Record, name: ListName, today: date) -> CheckedRow:
    """The checked row of one record. ``today`` is the day of receipt in Asia/Shanghai."""
    common = of_list(name)
    origin = f"{common.csv}#{record.number}"
    if record.cells is None:
        # Which cell is which cannot be told, so a diagnosis may be among them: nothing of the line is kept.
        return unreadable_row(key=origin, origin=origin, content=origin.encode())
    check = RowCheck(record.cells, documented=DOCUMENTED, forbidden=FORBIDDEN, today=today)
    number = check.key_part("欠费单号")
    if check.key_part("机构编码") != name.organisation or number is None or len(number) > MAX_NUMBER_LENGTH:
        return unreadable_row(key=origin, origin=origin, content=check.content, wire=check.wire)
    return _arrears(check, f"{name.organisation}|{number}", origin, common, record.cells["欠费人姓名"])


def _arrears(check: RowCheck, key: str, origin: str, common: OfList, raw_debtor: str) -> CheckedRow:
    file_day = common.day
    check.changed_on(file_day)
    debtor = check.name("欠费人姓名")
    if debtor is None:
        check.add(QuarantineReason.ROW_UNREADABLE)
    elif is_mojibake(raw_debtor.replace("\u00a0", " ")):
        check.add(QuarantineReason.TEXT_UNREADABLE)
    id_number = check.id_number("证件号码", mandatory=False)
    check.adult(id_number)
    has_id = check.given("证件号码")
    due, paid, balance = _amounts(check)
    billed = check.day("结算日期", mandatory=True, latest=file_day, parse=parse_loose_day)
    repay_by = check.day("约定还款日", parse=parse_loose_day)
    plan_until = check.day("延期协议到期日", parse=parse_loose_day)
    settled = check.day("结清日期", latest=file_day, parse=parse_loose_day)
    check.in_order(billed, settled)
    check.in_order(billed, repay_by)
    if settled is not None and balance:
        check.add(QuarantineReason.AMOUNT_INCONSISTENT)
    decision = check.text("恶意拖欠决定书号")
    if decision is not None:
        noticed = check.adverse_notice("告知日期", latest=file_day, parse=parse_loose_day)
        check.adverse_end(settled)
    else:
        noticed = check.day("告知日期", parse=parse_loose_day)
    waiver = check.code("减免标志", WAIVER_CODES, mandatory=False)
    return CheckedRow(
        kind=RowKind.FACT,
        source_key=key,
        version=common.version,
        version_rank=common.rank,
        origin=origin,
        content=check.content,
        wire=check.wire,
        reasons=check.reasons,
        category=Category.CLINIC_ARREARS,
        value={
            "amount_due": None if due is None else check.fields["应付金额"],
            "amount_paid": None if paid is None else check.fields["已付金额"],
            "arrears_balance": None if balance is None else check.fields["欠费余额"],
            "bill_date": iso_day(billed),
            "due_date": iso_day(repay_by),
            "repay_plan_until": iso_day(plan_until),
            "malicious_decision_no": decision,
            "notice_date": iso_day(noticed),
            "settled_date": iso_day(settled),
        },
        id_number=id_number,
        name=debtor,
        valid_from=billed,
        valid_to=settled,
        adverse=decision is not None,
        suppressed=waiver in WAIVED,
        source_time=common.source_time,
        hint=None if has_id or debtor is None else PlaceHint(debtor, check.text("现住址"), check.text("联系电话")),
        dropped=check.dropped,
    )


def _amounts(check: RowCheck) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """What was due, what was paid, what is left; the first must be the sum of the others."""
    due = check.yuan("应付金额", shape=GROUPED_YUAN, maximum=MAX_AMOUNT)
    paid = check.yuan("已付金额", shape=GROUPED_YUAN, maximum=MAX_AMOUNT)
    balance = check.yuan("欠费余额", shape=GROUPED_YUAN, maximum=MAX_AMOUNT)
    if due is not None and paid is not None and balance is not None and due != paid + balance:
        check.add(QuarantineReason.AMOUNT_INCONSISTENT)
    return due, paid, balance
