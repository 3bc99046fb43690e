"""Rows of a bank and of a clinic that must be held back: one for each line of their documents' tables."""

from typing import Any

from tests.connectors.bank_agency import BANK
from tests.connectors.clinic_agency import line as clinic_line
from tests.done.agencies import ADULT, DAMAGED_NUMBERS, MINOR_BORN, citizen
from tests.done.outcomes import Case

BUSINESS_DATE = "2026-10-19"
OTHER_ADULT = "533121196207053021"
CHILD = citizen(MINOR_BORN)


def consent_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


GOOD, OF_ANOTHER, EXPIRED, WITHDRAWN, LAST_DAY, UNKNOWN = (consent_id(number) for number in range(1, 7))


def consent(identifier: str = GOOD, **changes: Any) -> dict[str, Any]:
    sound = {
        "rt": "CONSENT", "bank_code": BANK, "rev": 1, "op": "U", "consent_id": identifier, "id_no": ADULT,
        "name": "刀岩保", "granted_on": "2025-03-01", "expires_on": "2028-02-29", "withdrawn_on": None,
    }  # fmt: skip
    return sound | changes


def line(number: int, **changes: Any) -> dict[str, Any]:
    sound = {
        "rt": "LINE", "bank_code": BANK, "rev": 1, "op": "U", "consent_id": GOOD, "id_no": ADULT, "name": "刀岩保",
        "line_no": f"SX{number:07}", "line_amount_wan": "3.5", "granted_on": "2025-03-02", "line_expiry": "2028-03-01",
    }  # fmt: skip
    return sound | changes


def loan(number: int, **changes: Any) -> dict[str, Any]:
    sound = {
        "rt": "LOAN", "bank_code": BANK, "rev": 1, "op": "U", "consent_id": GOOD, "id_no": ADULT, "name": "刀岩保",
        "contract_no": f"HT{number:07}", "receipt_no": f"JJ{number:07}", "product_code": "NHXY",
        "principal_fen": 3_000_000, "balance_fen": 1_500_000, "overdue_fen": 0, "overdue_days": 0,
        "start_date": "2025-03-05", "maturity_date": "2027-03-05", "rate_bp": 435, "five_class": "1",
        "repay_24m": "N" * 24, "settled_date": None, "writeoff_date": None, "adverse_ended_on": None,
        "notice_date": None, "guarantors": [],
    }  # fmt: skip
    return sound | changes


def bank_key(row: dict[str, Any]) -> str:
    if row["rt"] == "CONSENT":
        return f"consent|{row['consent_id']}"
    parts = ("bank_code", "line_no") if row["rt"] == "LINE" else ("bank_code", "contract_no", "receipt_no")
    return "|".join([row["rt"].lower(), *(row[part] for part in parts)])


CONSENTS = [
    consent(),
    consent(OF_ANOTHER, id_no=OTHER_ADULT, name="思月"),
    consent(EXPIRED, granted_on="2020-01-01", expires_on="2026-10-18"),
    consent(WITHDRAWN, withdrawn_on=BUSINESS_DATE),
    consent(LAST_DAY, expires_on=BUSINESS_DATE),
]

BANK_SOUND = [
    line(900, consent_id=LAST_DAY),
    line(901),
    loan(902, overdue_days=3, notice_date=BUSINESS_DATE, adverse_ended_on="2021-10-20"),
    loan(903, guarantors=[{"id_no": OTHER_ADULT, "name": "思月", "consent_id": OF_ANOTHER}]),
]
"""Sound rows beside them: the last day of a consent, the first of a conflict, told on the very day, a guarantor."""

_BANK: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("name lost", "TEXT_UNREADABLE", line, {"name": "刀\ufffd"}),
    ("minor", "MINOR_SUBJECT", line, {"id_no": CHILD}),
    ("line without consent", "CONSENT_MISSING", line, {"consent_id": None}),
    ("loan without consent", "CONSENT_MISSING", loan, {"consent_id": ""}),
    ("consent unknown", "CONSENT_INVALID", line, {"consent_id": UNKNOWN}),
    ("consent of another person", "CONSENT_INVALID", loan, {"consent_id": OF_ANOTHER}),
    ("consent expired", "CONSENT_INVALID", line, {"consent_id": EXPIRED}),
    ("consent withdrawn on the day", "CONSENT_INVALID", loan, {"consent_id": WITHDRAWN}),
    ("ended long ago", "ADVERSE_EXPIRED", loan,
     {"five_class": "5", "notice_date": "2015-01-01", "adverse_ended_on": "2021-10-19"}),
    ("overdue without notice", "ADVERSE_NOTICE_MISSING", loan, {"overdue_days": 1}),
    ("class 3 without notice", "ADVERSE_NOTICE_MISSING", loan, {"five_class": "3"}),
    ("written off without notice", "ADVERSE_NOTICE_MISSING", loan, {"writeoff_date": "2026-01-01"}),
    ("late payment without notice", "ADVERSE_NOTICE_MISSING", loan, {"repay_24m": "N" * 23 + "1"}),
    ("told after the day", "ADVERSE_NOTICE_MISSING", loan, {"overdue_days": 1, "notice_date": "2026-10-20"}),
    ("unknown operation", "UNKNOWN_CODE", line, {"op": "X"}),
    ("unknown product", "UNKNOWN_CODE", loan, {"product_code": "ABCD"}),
    ("unknown class", "UNKNOWN_CODE", loan, {"five_class": "6"}),
    ("unknown repayment", "UNKNOWN_CODE", loan, {"repay_24m": "N" * 23 + "Y"}),
    ("short repayment", "UNKNOWN_CODE", loan, {"repay_24m": "N" * 23}),
    ("no maturity", "BAD_DATE", loan, {"maturity_date": None}),
    ("impossible day", "BAD_DATE", line, {"granted_on": "2025-02-30"}),
    ("starts in the future", "BAD_DATE", loan, {"start_date": "2026-10-21"}),
    ("matures before it starts", "DATE_INCONSISTENT", loan, {"maturity_date": "2025-03-04"}),
    ("settled before it starts", "DATE_INCONSISTENT", loan, {"settled_date": "2025-03-04", "balance_fen": 0}),
    ("expires before it is granted", "DATE_INCONSISTENT", line, {"line_expiry": "2025-03-01"}),
    ("above ten", "BAD_AMOUNT", line, {"line_amount_wan": "10.0001"}),
    ("nothing", "BAD_AMOUNT", line, {"line_amount_wan": "0"}),
    ("fen as text", "BAD_AMOUNT", loan, {"principal_fen": "3000000"}),
    ("negative fen", "BAD_AMOUNT", loan, {"balance_fen": -1}),
    ("half fen", "BAD_AMOUNT", loan, {"overdue_fen": 0.5}),
    ("balance above principal", "AMOUNT_INCONSISTENT", loan, {"balance_fen": 3_000_001}),
    ("settled with a balance", "AMOUNT_INCONSISTENT", loan, {"settled_date": "2026-03-05"}),
]  # fmt: skip


def bank_cases() -> list[Case]:
    """Every case with its line of the file."""
    rows = [(name, reason, make(number, **changes)) for number, (name, reason, make, changes) in enumerate(_BANK, 1)]
    for reason, values in DAMAGED_NUMBERS.items():
        for value in values:
            rows.append((f"borrower {reason} {len(rows)}", reason, line(100 + len(rows), id_no=value)))
    rows.append(("no revision", "ROW_UNREADABLE", line(200, rev=None)))
    rows.append(("same revision, other content", "DUP_CONFLICT", line(901, line_amount_wan="4")))
    rows.append(("minor's consent", "MINOR_SUBJECT", consent(consent_id(20), id_no=CHILD)))
    rows.append(
        ("consent expires before granted", "DATE_INCONSISTENT", consent(consent_id(21), expires_on="2025-02-28"))
    )
    return [
        *(Case(name, reason, row, bank_key(row)) for name, reason, row in rows),
        Case("unknown type", "UNKNOWN_CODE", line(201, rt="GIFT"), None),
        Case("no type", "ROW_UNREADABLE", line(202, rt=None), None),
        Case("no key", "ROW_UNREADABLE", line(203, line_no=None), None),
        Case("not an object", "ROW_UNREADABLE", b'["LINE"]', None),
        Case("not JSON", "ROW_UNREADABLE", b'{"rt": "LINE", ', None),
    ]


CLINIC_DAY = "20261018"
DECIDED = {"恶意拖欠决定书号": "J1", "告知日期": "2026-10-18"}

_CLINIC: list[tuple[str, str, dict[str, str]]] = [
    ("name lost", "TEXT_UNREADABLE", {"欠费人姓名": "刀\ue4c6"}),
    ("mojibake", "TEXT_UNREADABLE", {"欠费人姓名": "Àî明"}),
    ("minor", "MINOR_SUBJECT", {"证件号码": CHILD}),
    ("decided, settled long ago", "ADVERSE_EXPIRED",
     DECIDED | {"结算日期": "2020-01-01", "结清日期": "2021-10-19", "已付金额": "100", "欠费余额": "0"}),
    ("decided, not told", "ADVERSE_NOTICE_MISSING", DECIDED | {"告知日期": ""}),
    ("decided, told after the day", "ADVERSE_NOTICE_MISSING", DECIDED | {"告知日期": "2026-10-19"}),
    ("unknown waiver", "UNKNOWN_CODE", {"减免标志": "2"}),
    ("no bill day", "BAD_DATE", {"结算日期": ""}),
    ("impossible bill day", "BAD_DATE", {"结算日期": "2026/2/30"}),
    ("bill day after the file", "BAD_DATE", {"结算日期": "2026-10-19"}),
    ("settled after the file", "BAD_DATE", {"结清日期": "2026-10-19", "已付金额": "100", "欠费余额": "0"}),
    ("plan in no format", "BAD_DATE", {"延期协议到期日": "明年"}),
    ("settled before billed", "DATE_INCONSISTENT", {"结清日期": "2026-09-04", "已付金额": "100", "欠费余额": "0"}),
    ("due before billed", "DATE_INCONSISTENT", {"约定还款日": "2026/9/4"}),
    ("no amount", "BAD_AMOUNT", {"应付金额": ""}),
    ("no number", "BAD_AMOUNT", {"已付金额": "四十"}),
    ("negative", "BAD_AMOUNT", {"应付金额": "-100", "已付金额": "-160"}),
    ("above a million", "BAD_AMOUNT", {"应付金额": "1,000,060.00", "已付金额": "1,000,000.00"}),
    ("sum wrong", "AMOUNT_INCONSISTENT", {"已付金额": "41.00"}),
    ("settled with a balance", "AMOUNT_INCONSISTENT", {"结清日期": "2026-10-01"}),
    ("nobody of that name", "ID_MISSING_UNLINKED", {"证件号码": "", "欠费人姓名": "无人识"}),
    ("no such village", "ID_MISSING_UNLINKED", {"证件号码": "无", "现住址": "勐戛镇"}),
]  # fmt: skip

CLINIC_SOUND = [
    clinic_line(欠费单号="S1"),
    clinic_line(欠费单号="S2", 减免标志="√"),
    clinic_line(欠费单号="S3", 结算日期="2020/1/1", 结清日期="2021/10/20", 已付金额="100", 欠费余额="0", **DECIDED),
    clinic_line(欠费单号="S4", 应付金额="1,234.50", 已付金额="0", 欠费余额="1,234.50"),
]
"""Sound lines beside them: the first of a conflict, waived, five years to the day, separators."""


def clinic_cases(file_name: str) -> list[Case]:
    """Every case with its line; cases without a key of their own are named after file and record."""
    cases = [
        Case(name, reason, clinic_line(欠费单号=f"Q{number}", **changes), f"533103Y00117|Q{number}")
        for number, (name, reason, changes) in enumerate(_CLINIC, start=1)
    ]
    for reason, values in DAMAGED_NUMBERS.items():
        for value in values if reason != "ID_MISSING" else ():
            number = f"N{len(cases)}"
            row = clinic_line(欠费单号=number, 证件号码=value)
            cases.append(Case(f"debtor {reason} {number}", reason, row, f"533103Y00117|{number}"))
    cases.append(Case("same key twice", "DUP_CONFLICT", clinic_line(欠费单号="S1", 减免标志="是"), "533103Y00117|S1"))
    cases.append(Case("no name", "ROW_UNREADABLE", clinic_line(欠费单号="U1", 欠费人姓名="无"), "533103Y00117|U1"))
    first = 2 + len(CLINIC_SOUND) + len(cases)
    return [
        *cases,
        Case("other clinic", "ROW_UNREADABLE", clinic_line(机构编码="533103Y00118"), f"{file_name}#{first}"),
        Case("no bill number", "ROW_UNREADABLE", clinic_line(欠费单号=""), f"{file_name}#{first + 1}"),
    ]
