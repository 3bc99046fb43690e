"""Rows of civil affairs that must be held back: one for each line of its document's table."""

from tests.connectors.civil_agency import element
from tests.done.agencies import DAMAGED_NUMBERS, citizen
from tests.done.outcomes import Case

CHILD = "2015-06-01"
DAY_AFTER = "2026-10-02"

ROSTER = {
    "households": [
        element("household", hubh="H1"),
        element("household", hubh="H2", zh=""),
        element("household", hubh="H3", hzt="0"),
    ],
    "members": [
        element("member", cybh="C1", mz="18", zzmm="01", cjlb="3", cjdj="2"),
        element("member", cybh="C2", xm="思月", sfzjhm=citizen(serial=10) + "32", yhzgx="10"),
        element("member", cybh="C3", xm="刀小明", sfzjhm="", csrq=CHILD, yhzgx="20"),
        element("member", cybh="C4", xm="岩旺", sfzjhm=citizen(serial=12), lhrq="2020-01-01"),
        element("member", cybh="C5", xm="岩三", sfzjhm=citizen(serial=13), swrq="2020-01-01"),
        element("member", cybh="C6", xm="岩四", sfzjhm=citizen(serial=14)),
    ],
    "relief": [element("relief", jzbh="J1", yjzje="20000.00")],
    "events": [
        element("event", sjbh="E1", cy="<cybh>C4</cybh><yhzgx>02</yhzgx>"),
        element("event", sjbh="E2", cy="<cybh>C5</cybh><yhzgx>02</yhzgx>"),
    ],
}
"""A sound roster beside them; events may name members who have left or died."""

_ROWS: list[tuple[str, str, str, dict[str, str]]] = [
    ("no version", "ROW_UNREADABLE", "household", {"bbh": ""}),
    ("no name", "ROW_UNREADABLE", "member", {"xm": "无"}),
    ("event without household", "ROW_UNREADABLE", "event", {"yhubh": ""}),
    ("orphan aid", "FORBIDDEN_RECORD", "relief", {"jzlx": "04"}),
    ("name lost", "TEXT_UNREADABLE", "member", {"xm": "刀\ufffd"}),
    ("name in private characters", "TEXT_UNREADABLE", "member", {"xm": "刀\ue4c6"}),
    ("adult without number", "ID_MISSING", "member", {"sfzjhm": "0", "csrq": "2008-10-20"}),
    ("neither number nor birth date", "ID_MISSING", "member", {"sfzjhm": ""}),
    ("unknown village", "UNKNOWN_CODE", "household", {"xzqhdm": "530103102203"}),
    ("short village", "UNKNOWN_CODE", "household", {"xzqhdm": "53310310220"}),
    ("unknown state of household", "UNKNOWN_CODE", "household", {"hzt": "2"}),
    ("unknown relation", "UNKNOWN_CODE", "member", {"yhzgx": "03"}),
    ("unknown relief", "UNKNOWN_CODE", "relief", {"jzlx": "06"}),
    ("unknown event", "UNKNOWN_CODE", "event", {"sjlx": "06"}),
    ("move to an unknown village", "UNKNOWN_CODE", "event",
     {"sjlx": "03", "xhubh": "", "cy": "", "xxzqhdm": "440103102203"}),
    ("no joining day", "BAD_DATE", "member", {"rhrq": ""}),
    ("impossible joining day", "BAD_DATE", "member", {"rhrq": "2012-02-30"}),
    ("joined after the change", "BAD_DATE", "member", {"rhrq": DAY_AFTER}),
    ("no time of change", "BAD_DATE", "household", {"gxsj": ""}),
    ("relief starts after the change", "BAD_DATE", "relief", {"ksrq": DAY_AFTER}),
    ("event after its registration", "BAD_DATE", "event", {"sjrq": "2026-10-06"}),
    ("left before joining", "DATE_INCONSISTENT", "member", {"lhrq": "2012-04-30"}),
    ("relief ends before it starts", "DATE_INCONSISTENT", "relief", {"jsrq": "2024-12-31"}),
    ("relief no number", "BAD_AMOUNT", "relief", {"yjzje": "四百"}),
    ("relief negative", "BAD_AMOUNT", "relief", {"yjzje": "-1"}),
    ("relief too high", "BAD_AMOUNT", "relief", {"yjzje": "20000.01"}),
    ("member of an unknown household", "REF_MISSING", "member", {"hubh": "H9", "sfzjhm": citizen(serial=50)}),
    ("relief for an unknown household", "REF_MISSING", "relief", {"hubh": "H9"}),
    ("event from an unknown household", "REF_MISSING", "event", {"yhubh": "H9"}),
    ("event to an unknown household", "REF_MISSING", "event", {"xhubh": "H9"}),
    ("event of an unknown member", "REF_MISSING", "event", {"cy": "<cybh>C9</cybh><yhzgx>02</yhzgx>"}),
    ("relief for a quarantined household", "REF_MISSING", "relief", {"hubh": "X9"}),
    ("two names under one number", "DUP_CONFLICT", "member", {"xm": "岩四毛", "sfzjhm": citizen(serial=14)}),
]  # fmt: skip
_FEEDS = {"household": "households", "member": "members", "relief": "relief", "event": "events"}
_KEYS = {"household": "hubh", "member": "cybh", "relief": "jzbh", "event": "sjbh"}


def civil_cases() -> list[tuple[str, Case]]:
    """Every case with the feed its row belongs to; each row has the number ``X<n>``, unique in its feed."""
    made = list(_ROWS)
    for reason, values in DAMAGED_NUMBERS.items():
        for value in values:
            old = f"<cybh>C6</cybh><ysfzjhm>{citizen(serial=14)}</ysfzjhm><xsfzjhm>{value}</xsfzjhm>"
            made.append((f"corrected number {reason}", reason, "event", {"sjlx": "05", "cy": old}))
            if reason != "ID_MISSING":
                made.append((f"member's number {reason}", reason, "member", {"sfzjhm": value}))
    cases = []
    for number, (name, reason, kind, changes) in enumerate(made, start=1):
        row = element(kind, **({_KEYS[kind]: f"X{number}"} | changes))
        cases.append((_FEEDS[kind], Case(f"{name} {number}", reason, row, f"{kind}|X{number}")))
    return [
        *cases,
        ("members", Case("same version, other content", "DUP_CONFLICT",
                         element("member", cybh="C1", yhzgx="99"), "member|C1")),
        ("members", Case("no member number", "ROW_UNREADABLE", element("member", cybh=""), None)),
    ]  # fmt: skip
