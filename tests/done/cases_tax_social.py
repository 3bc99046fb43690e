"""Rows of the tax bureau and of social security to be held back: one for each line of their documents' tables."""

from typing import Any

from tests.done.agencies import ADULT, DAMAGED_NUMBERS, MINOR_BORN, citizen
from tests.done.outcomes import Case

CHANGED = "2026-10-18T09:12:33.123+08:00"
DAY_AFTER_CHANGE = "2026-10-19"
USCC = "92533103MA6K123458"

_KINDS: dict[str, dict[str, Any]] = {
    "DJ": {"ywbh": "0", "nsrmc": "岩保农产品经营部", "nsrzt_dm": "03", "djrq": "2019-03-11", "zxrq": None},
    "XY": {"ywbh": "2025", "pjnd": 2025, "xyjb": "B", "fbrq": "2026-04-30"},
    "QS": {"ywbh": "Q7", "qsye": "1200.50", "qsfsrq": "2024-05-01", "ggrq": "2024-06-01", "jqrq": None},
    "QJ": {"ywbh": "20260401", "ssqq": "2026-04-01", "ssqz": "2026-06-30", "nsqj_dm": "1", "srqj_dm": "2",
           "sqsbh": "SQ-1"},
}  # fmt: skip


def tax_record(kind: str, number: int, **changes: Any) -> dict[str, Any]:
    """A sound record of a kind under a registration number of its own."""
    common = {
        "djxh": f"10253310300000{number:06}", "sjlx": kind, "ver": 1, "zfbz": "N", "gxsj": CHANGED, "jyzxm": "刀岩保",
        "jyzsfzjhm": ADULT, "nsrsbh": USCC,
    }  # fmt: skip
    return common | _KINDS[kind] | changes


def tax_key(record: dict[str, Any]) -> str:
    return "|".join(str(record[part]) for part in ("djxh", "sjlx", "ywbh"))


_TAX: list[tuple[str, str, str, dict[str, Any]]] = [
    ("name lost", "TEXT_UNREADABLE", "XY", {"jyzxm": "刀\ufffd\ufffd"}),
    ("name in private characters", "TEXT_UNREADABLE", "DJ", {"jyzxm": "刀\ue4c6"}),
    ("bad taxpayer number", "USCC_CHECK_DIGIT", "DJ", {"nsrsbh": "92533103MA6K123459"}),
    ("taxpayer number missing", "USCC_CHECK_DIGIT", "XY", {"nsrsbh": None}),
    ("minor", "MINOR_SUBJECT", "XY", {"jyzsfzjhm": citizen(MINOR_BORN)}),
    ("band without authorisation", "CONSENT_MISSING", "QJ", {"sqsbh": ""}),
    ("arrears without notice", "ADVERSE_NOTICE_MISSING", "QS", {"ggrq": None}),
    ("arrears, notice after the change", "ADVERSE_NOTICE_MISSING", "QS", {"ggrq": DAY_AFTER_CHANGE}),
    ("arrears cleared long ago", "ADVERSE_EXPIRED", "QS",
     {"qsfsrq": "2018-05-01", "ggrq": "2018-06-01", "jqrq": "2021-10-19", "qsye": "0.00"}),
    ("unknown type", "UNKNOWN_CODE", "XY", {"sjlx": "ZZ"}),
    ("unknown tombstone mark", "UNKNOWN_CODE", "XY", {"zfbz": "Q"}),
    ("unknown status", "UNKNOWN_CODE", "DJ", {"nsrzt_dm": "99"}),
    ("unknown grade", "UNKNOWN_CODE", "XY", {"xyjb": "E"}),
    ("unknown band of tax", "UNKNOWN_CODE", "QJ", {"nsqj_dm": "5"}),
    ("unknown band of income", "UNKNOWN_CODE", "QJ", {"srqj_dm": "x"}),
    ("no registration day", "BAD_DATE", "DJ", {"djrq": ""}),
    ("impossible day", "BAD_DATE", "XY", {"fbrq": "2026-02-30"}),
    ("other format", "BAD_DATE", "QS", {"qsfsrq": "20240501"}),
    ("before 1900", "BAD_DATE", "DJ", {"djrq": "1899-12-31"}),
    ("published after the change", "BAD_DATE", "XY", {"fbrq": DAY_AFTER_CHANGE}),
    ("cleared before it arose", "DATE_INCONSISTENT", "QS", {"qsye": "0.00", "jqrq": "2024-04-30"}),
    ("period ends before it starts", "DATE_INCONSISTENT", "QJ", {"ssqz": "2026-03-31"}),
    ("cancelled before registered", "DATE_INCONSISTENT", "DJ", {"zxrq": "2019-03-10", "nsrzt_dm": "07"}),
    ("separators in the amount", "BAD_AMOUNT", "QS", {"qsye": "1,200.50"}),
    ("one decimal", "BAD_AMOUNT", "QS", {"qsye": "1200.5"}),
    ("negative", "BAD_AMOUNT", "QS", {"qsye": "-1.00"}),
    ("no amount", "BAD_AMOUNT", "QS", {"qsye": None}),
    ("cleared with a balance", "AMOUNT_INCONSISTENT", "QS", {"jqrq": "2025-01-01"}),
    ("no balance but not cleared", "AMOUNT_INCONSISTENT", "QS", {"qsye": "0.00"}),
]  # fmt: skip


def tax_cases() -> list[Case]:
    """Every case with its record, each under a number of its own."""
    cases = []
    for number, (name, reason, kind, changes) in enumerate(_TAX, start=1):
        record = tax_record(kind, number, **changes)
        cases.append(Case(name, reason, record, tax_key(record)))
    for reason, values in DAMAGED_NUMBERS.items():
        for value in values:
            record = tax_record("XY", 100 + len(cases), jyzsfzjhm=value)
            cases.append(Case(f"operator {reason} {len(cases)}", reason, record, tax_key(record)))
    no_version = tax_record("XY", 200, ver=None)
    return [
        *cases,
        Case("no version", "ROW_UNREADABLE", no_version, tax_key(no_version)),
        Case("no business number", "ROW_UNREADABLE", tax_record("XY", 201, ywbh=None), None),
        Case("not an object", "ROW_UNREADABLE", "刀岩保", None),
        Case("same version, other content", "DUP_CONFLICT", tax_record("XY", 202, xyjb="C"),
             tax_key(tax_record("XY", 202))),
    ]  # fmt: skip


TAX_SOUND = [
    tax_record("XY", 202),
    tax_record("QS", 300, qsfsrq="2018-05-01", ggrq="2018-06-01", jqrq="2021-10-20", qsye="0.00"),
    tax_record("QJ", 301, ssqz="2026-12-31"),
    tax_record("DJ", 302, nsrsbh="91533103MA6K12345B", jyzxm=None, jyzsfzjhm=None, mz="18", sjnse=12.5),
]
"""Sound records beside them: first of a conflict, five years to the day, a period still running, an organisation."""


def social_row(number: int, **changes: Any) -> dict[str, Any]:
    """A sound row of the view under a personal number of its own."""
    sound = {
        "aac001": f"5331{number:010}", "aac002": ADULT, "aac003": "刀岩保", "aae140": "170", "aac031": "1",
        "aac030": "20120915", "aae201": 96, "bae701": 0, "aae002": 202609, "aab003": None, "aae100": "1",
        "aae036": "2026-10-19 02:00:00",
    }  # fmt: skip
    return sound | changes


_SOCIAL: list[tuple[str, str, dict[str, Any]]] = [
    ("no readable key", "ROW_UNREADABLE", {"aae140": "无"}),
    ("name lost", "TEXT_UNREADABLE", {"aac003": "余\ufffd\ufffd"}),
    ("name in private characters", "TEXT_UNREADABLE", {"aac003": "余\ue4c6"}),
    ("mojibake beyond repair", "TEXT_UNREADABLE", {"aac003": "ÀîÃ"}),
    ("school child", "MINOR_SUBJECT", {"aac002": citizen(MINOR_BORN), "aae140": "390"}),
    ("unknown insurance", "UNKNOWN_CODE", {"aae140": "999"}),
    ("unknown status", "UNKNOWN_CODE", {"aac031": "7"}),
    ("no first day", "BAD_DATE", {"aac030": None}),
    ("impossible first day", "BAD_DATE", {"aac030": "20150230"}),
    ("first day in the future", "BAD_DATE", {"aac030": "20261021"}),
    ("impossible month", "BAD_DATE", {"aae002": 202613}),
    ("negative months paid", "BAD_AMOUNT", {"aae201": -1}),
    ("negative months in arrears", "BAD_AMOUNT", {"bae701": -3}),
]


def social_cases() -> list[Case]:
    """Every case with its row, each under a number of its own."""
    cases = []
    for number, (name, reason, changes) in enumerate(_SOCIAL, start=1):
        row = social_row(number, **changes)
        key = None if reason == "ROW_UNREADABLE" else f"{row['aac001']}|{row['aae140']}"
        cases.append(Case(name, reason, row, key))
    for reason, values in DAMAGED_NUMBERS.items():
        for value in values:
            row = social_row(100 + len(cases), aac002=value)
            cases.append(Case(f"person {reason} {len(cases)}", reason, row, f"{row['aac001']}|170"))
    return cases
