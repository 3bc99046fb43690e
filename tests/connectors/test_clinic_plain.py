"""A row that is written as nearly all are is checked by a short way, and comes out as by the long one."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.connectors.formats import clinic_plain
from hub.connectors.formats.clinic_files import COLUMNS, ListName, Record
from hub.connectors.formats.clinic_plain import ListRows
from hub.connectors.formats.clinic_rows import clinic_row
from hub.core.names import QuarantineReason
from tests.connectors.clinic_agency import CLINIC, line

NAME = ListName("20261018", CLINIC, "01")
TODAY = date(2026, 10, 20)
HEADER = (*COLUMNS, "诊断", "备注")

ODD = ["", " ", "无", "-", "0", "\u3000", "\xa0", "\x00", "\ufffd", "\ue000", "x", "·", "１２", "=1+1", "\ud800"]
CELLS = {
    "机构编码": [CLINIC, CLINIC + " ", "533103Y00118"],
    "欠费单号": ["Q1", "Q2 ", "九" * 31, "ｑ３", "Q|1", "Q｜1", "533103198503124417"],
    "欠费人姓名": ["刀岩保", " 刀岩保", "岩·保", "刀岩保\ufffd", "µµ", "刀a", "\u00d2\u00bb", "腊\u3000图", "刀" * 201],
    "证件号码": [
        "533103198503124417",
        "'533103198503124417",
        "533103198503124418",
        "533103850312441",
        "53310320150312441X",
    ],
    "现住址": ["遮放镇弄坎村", "遮放镇 弄坎村3组", "不详", "村" * 2001],
    "联系电话": ["13800000000", "=1+1", "无"],
    "应付金额": ["100.00", "1,100.00", "100", "100.0", "007.50", "-1", "1000000.01", "一百"],
    "已付金额": ["40.00", "0", "0.00", "1,000.00", "7.50"],
    "欠费余额": ["60.00", "60", "0.00", "100.00", "0"],
    "结算日期": ["2026-09-01", "2026/9/1", "2026-10-19", "1899-12-31", "2026-02-30", "45912"],
    "约定还款日": ["2026-12-01", "2026-08-01", "2027/1/31", "soon"],
    "延期协议到期日": ["2027-01-01", "2027-13-01"],
    "恶意拖欠决定书号": ["决〔2026〕1号"],
    "告知日期": ["2026-08-01", "2026-10-19", "x"],
    "减免标志": ["0", "1", "否", "√", "2", "是的"],
    "结清日期": ["2026-10-01", "2026-08-31", "2026-10-19", "2020-01-01"],
    "诊断": ["骨折"],
    "备注": ["某"],
}
rows = st.fixed_dictionaries({name: st.sampled_from([line().get(name, ""), *CELLS[name], *ODD]) for name in HEADER})
plain_rows = st.fixed_dictionaries({name: st.sampled_from([line().get(name, ""), CELLS[name][0]]) for name in HEADER})


@given(st.lists(rows | plain_rows, min_size=1, max_size=4))
def test_both_ways_make_the_same_of_any_row(many: list[dict[str, str]]) -> None:
    checked = ListRows(HEADER, NAME, TODAY)
    for number, cells in enumerate(many, start=2):
        record = Record(number, cells)
        assert checked.check(record) == clinic_row(record, NAME, TODAY)
        assert checked.check(record) == clinic_row(record, NAME, TODAY), "and once more, from what is remembered"


def test_a_list_of_a_day_to_come_is_refused_row_by_row() -> None:
    record = Record(2, line())
    for days, reasons in ((0, ()), (1, ()), (2, (QuarantineReason.BAD_DATE,))):
        today = NAME.business_date - timedelta(days=days)
        assert ListRows(tuple(line()), NAME, today).check(record) == clinic_row(record, NAME, today)
        assert clinic_row(record, NAME, today).reasons == reasons


def test_an_ordinary_row_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def long_way(*_: object) -> None:
        raise AssertionError("the row is plain")

    monkeypatch.setattr(clinic_plain, "clinic_row", long_way)
    row = ListRows(tuple(line()), NAME, TODAY).check(Record(2, line()))
    assert row.reasons == ()


def test_a_record_that_cannot_be_cut_is_unreadable() -> None:
    record = Record(2, None)
    assert ListRows(HEADER, NAME, TODAY).check(record) == clinic_row(record, NAME, TODAY)
