"""Whole-file checks and single lines of clinic lists: pure, no server."""

import csv
import hashlib
import io
from datetime import date

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.connectors.formats.clinic_files import (
    COLUMNS,
    ClinicTable,
    ListName,
    Record,
    fingerprint,
    list_of_marker,
    open_list,
)
from hub.connectors.formats.clinic_rows import FORBIDDEN, clinic_row
from hub.core.identifiers import id_check_character
from hub.core.names import QuarantineReason as Q
from hub.core.names import RefusalReason
from tests.connectors.clinic_agency import CLINIC, csv_bytes, line

NAME = ListName(day="20261018", organisation=CLINIC, number="01")
TODAY = date(2026, 10, 20)


def control(data: bytes, **changes: str | None) -> bytes:
    keys: dict[str, str | None] = {
        "FILE": NAME.csv,
        "RECORDS": "1",
        "AMOUNT_TOTAL": "60.00",
        "BYTES": str(len(data)),
        "SHA256": hashlib.sha256(data).hexdigest(),
    } | changes
    return "".join(f"{key}={value}\n" for key, value in keys.items() if value is not None).encode()


def check(data: bytes, **changes: str | None) -> ClinicTable | RefusalReason:
    return open_list(NAME.csv, control(data, **changes), data)


def row(**cells: str):
    return clinic_row(Record(2, line(**cells)), NAME, TODAY)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"FILE": "ARR_533103Y00117_20261018_02.csv", "SHA256": "0"}, RefusalReason.CONTROL_MISSING),
        ({"AMOUNT_TOTAL": None, "BYTES": "1"}, RefusalReason.CONTROL_MISSING),
        ({"RECORDS": ""}, RefusalReason.CONTROL_MISSING),
        ({"BYTES": "1", "RECORDS": "9"}, RefusalReason.HASH_MISMATCH),
        ({"SHA256": "ab" * 32, "RECORDS": "9"}, RefusalReason.HASH_MISMATCH),
        ({"RECORDS": "2", "AMOUNT_TOTAL": "1.00"}, RefusalReason.COUNT_MISMATCH),
        ({"RECORDS": "one"}, RefusalReason.COUNT_MISMATCH),
        ({"AMOUNT_TOTAL": "60.01"}, RefusalReason.TOTAL_MISMATCH),
        ({"AMOUNT_TOTAL": "sixty"}, RefusalReason.TOTAL_MISMATCH),
    ],
)
def test_the_first_failing_check_refuses_the_file(changes: dict[str, str | None], reason: RefusalReason) -> None:
    assert check(csv_bytes(line()), **changes) == reason


def test_a_missing_control_file_and_a_missing_list_are_refused() -> None:
    data = csv_bytes(line())
    assert open_list(NAME.csv, None, data) == RefusalReason.CONTROL_MISSING
    assert open_list(NAME.csv, b"\xff\xfe", data) == RefusalReason.CONTROL_MISSING
    assert open_list(NAME.csv, control(data), None) == RefusalReason.HASH_MISMATCH


def test_bytes_that_are_not_gb18030_and_headers_without_a_column_are_refused() -> None:
    assert check(csv_bytes(line()) + b"\xff\xff\r\n", RECORDS="7") == RefusalReason.ENCODING_INVALID
    short = csv_bytes(line(), columns=COLUMNS[:-1])
    assert check(short, RECORDS="7") == RefusalReason.FORMAT_INVALID
    assert check(csv_bytes(line(), columns=(*COLUMNS, "证件号码"))) == RefusalReason.FORMAT_INVALID
    assert check(b"") == RefusalReason.FORMAT_INVALID


def test_line_breaks_in_cells_empty_lines_and_a_byte_order_mark_change_nothing() -> None:
    data = "\ufeff".encode("gb18030") + csv_bytes(line(现住址="遮放镇\r\n弄坎村")) + b"\r\n"
    table = check(data)
    assert isinstance(table, ClinicTable)
    assert [record.number for record in table.records()] == [2]
    assert next(iter(table.records())).cells is not None
    assert next(iter(table.records())).cells["现住址"] == "遮放镇\r\n弄坎村"


def test_broken_quoting_spoils_one_line_or_does_not_fit_the_count() -> None:
    sound, spoiled = csv_bytes(line()), b'"a"b,c\r\n'
    table = check(sound + spoiled, RECORDS="2")
    assert isinstance(table, ClinicTable)
    assert [record.cells is None for record in table.records()] == [False, True]
    assert check(sound + b'"a,b\r\n' + sound[sound.index(b"\r\n") + 2 :], RECORDS="3") == RefusalReason.COUNT_MISMATCH


def test_a_balance_that_is_no_number_counts_as_nothing() -> None:
    lines = line(), line(欠费余额="约三百"), line(欠费余额="1,000.50"), line(欠费余额="")
    assert isinstance(check(csv_bytes(*lines), RECORDS="4", AMOUNT_TOTAL="1060.50"), ClinicTable)
    assert check(csv_bytes(*lines), RECORDS="4", AMOUNT_TOTAL="1360.50") == RefusalReason.TOTAL_MISMATCH


@pytest.mark.parametrize("total", ["60.00", "50.00"])
def test_a_negative_balance_may_be_summed_either_way(total: str) -> None:
    data = csv_bytes(line(), line(欠费余额="-10.00"))
    assert isinstance(check(data, RECORDS="2", AMOUNT_TOTAL=total), ClinicTable)


def test_only_markers_of_documented_names_mark_a_list() -> None:
    marker = "ARR_533103Y00117_20261018_01.ok"
    assert list_of_marker(CLINIC, "20261018", marker) == NAME
    assert list_of_marker("533103Y00118", "20261018", marker) is None
    assert list_of_marker(CLINIC, "20261019", marker) is None
    assert list_of_marker(CLINIC, "20261018", marker.replace("_01", "_1")) is None
    assert list_of_marker(CLINIC, "20261018", marker.replace(".ok", ".csv")) is None
    assert list_of_marker(CLINIC, "20260230", "ARR_533103Y00117_20260230_01.ok") is None


@given(st.one_of(st.none(), st.binary(max_size=20)), st.one_of(st.none(), st.binary(max_size=20)))
def test_the_fingerprint_tells_absent_from_empty_and_one_file_from_the_other(a: bytes | None, b: bytes | None) -> None:
    assert fingerprint(a, b) == fingerprint(a, b)
    assert (fingerprint(a, b) == fingerprint(b, a)) == (a == b)
    assert fingerprint(None, b) != fingerprint(b"", b)


@given(st.binary(max_size=300))
def test_any_bytes_with_an_honest_control_file_give_a_table_or_a_reason(data: bytes) -> None:
    header = ",".join(COLUMNS).encode("gb18030") + b"\r\n"
    table = check(header + data, RECORDS="1", AMOUNT_TOTAL="0.00")
    if isinstance(table, ClinicTable):
        for record in table.records():
            checked = clinic_row(record, NAME, TODAY)
            assert checked.content
            assert "\x00" not in checked.source_key
    else:
        assert table in RefusalReason


@given(st.permutations(COLUMNS), st.text(alphabet="刀岩,\"'\n=+-@ ", min_size=1, max_size=8))
def test_neither_the_order_of_columns_nor_extra_ones_change_a_row(order: list[str], address: str) -> None:
    one = line(现住址=f"遮放镇{address}弄坎村")
    plain = clinic_row(Record(2, one), NAME, TODAY)
    cells = one | {"科室": "妇科", "备注": "x"}
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([[*order, "科室", "备注"], [cells[c] for c in (*order, "科室", "备注")]])
    table = check(stream.getvalue().encode("gb18030"))
    assert isinstance(table, ClinicTable)
    moved = clinic_row(next(iter(table.records())), NAME, TODAY)
    assert moved.content == plain.content
    assert moved.wire == plain.wire
    assert moved.dropped == ("备注", "科室")
    assert plain.dropped == ()


# -- single lines --------------------------------------------------------------------------------------------------


def test_a_sound_line_becomes_a_fact() -> None:
    fact = row(应付金额="1,234.50", 已付金额="234.5", 欠费余额="1,000.00", 结算日期="2026/9/5", 约定还款日="2026-12-31")
    assert fact.reasons == ()
    assert (fact.source_key, fact.version, fact.version_rank) == (f"{CLINIC}|Q1", "20261018_01", 20261018001)
    assert (fact.id_number, fact.name, fact.hint) == ("533103198503124417", "刀岩保", None)
    assert fact.valid_from == date(2026, 9, 5)
    assert fact.valid_to is None
    assert fact.source_time is not None
    assert fact.source_time.isoformat() == "2026-10-18T00:00:00+08:00"
    assert fact.value == {
        "amount_due": "1234.50",
        "amount_paid": "234.50",
        "arrears_balance": "1000.00",
        "bill_date": "2026-09-05",
        "due_date": "2026-12-31",
        "repay_plan_until": None,
        "malicious_decision_no": None,
        "notice_date": None,
        "settled_date": None,
    }


@pytest.mark.parametrize(
    ("cells", "reasons"),
    [
        ({"证件号码": "5.33123E+17"}, (Q.ID_PRECISION_LOST,)),
        ({"证件号码": "53310319850312441"}, (Q.ID_FORMAT,)),
        ({"证件号码": "533103198503124418"}, (Q.ID_CHECK_DIGIT,)),
        ({"证件号码": "533103201506010010"}, (Q.ID_CHECK_DIGIT,)),
        ({"减免标志": "Y"}, (Q.UNKNOWN_CODE,)),
        ({"结算日期": ""}, (Q.BAD_DATE,)),
        ({"结算日期": "2026-10-19"}, (Q.BAD_DATE,)),
        ({"结算日期": "20260905"}, (Q.BAD_DATE,)),
        ({"延期协议到期日": "2027-02-29"}, (Q.BAD_DATE,)),
        ({"结清日期": "2026-10-19", "欠费余额": "0", "已付金额": "100"}, (Q.BAD_DATE,)),
        ({"约定还款日": "2026-09-04"}, (Q.DATE_INCONSISTENT,)),
        ({"结清日期": "2026-09-04", "欠费余额": "0", "已付金额": "100"}, (Q.DATE_INCONSISTENT,)),
        ({"应付金额": ""}, (Q.BAD_AMOUNT,)),
        ({"应付金额": "=100"}, (Q.BAD_AMOUNT,)),
        ({"应付金额": "1000000.01", "已付金额": "0"}, (Q.BAD_AMOUNT,)),
        ({"已付金额": "-40.00"}, (Q.BAD_AMOUNT,)),
        ({"已付金额": "12,34.00"}, (Q.BAD_AMOUNT,)),
        ({"已付金额": "41.00"}, (Q.AMOUNT_INCONSISTENT,)),
        ({"结清日期": "2026-10-01"}, (Q.AMOUNT_INCONSISTENT,)),
        ({"恶意拖欠决定书号": "D1"}, (Q.ADVERSE_NOTICE_MISSING,)),
        ({"恶意拖欠决定书号": "D1", "告知日期": "2026-10-19"}, (Q.ADVERSE_NOTICE_MISSING,)),
        ({"恶意拖欠决定书号": "D1", "告知日期": "soon"}, (Q.BAD_DATE,)),
        ({"告知日期": "soon"}, (Q.BAD_DATE,)),
        ({"欠费人姓名": "刀\ue000保"}, (Q.TEXT_UNREADABLE,)),
        ({"欠费人姓名": "刀\ufffd保"}, (Q.TEXT_UNREADABLE,)),
        ({"欠费人姓名": "ÀîÃ÷"}, (Q.TEXT_UNREADABLE,)),
        ({"欠费人姓名": "无"}, (Q.ROW_UNREADABLE,)),
        ({"证件号码": "x", "减免标志": "Y", "已付金额": "-"}, (Q.ID_FORMAT, Q.UNKNOWN_CODE, Q.BAD_AMOUNT)),
    ],
)
def test_bad_lines_get_all_their_reasons_in_precedence(cells: dict[str, str], reasons: tuple[Q, ...]) -> None:
    assert row(**cells).reasons == reasons


def test_a_bill_of_a_minor_is_held_back() -> None:
    first17 = "53310320100101001"
    assert row(证件号码=first17 + id_check_character(first17)).reasons == (Q.MINOR_SUBJECT,)


@pytest.mark.parametrize(("settled", "expired"), [("2021-10-19", True), ("2021-10-20", False)])
def test_a_decision_settled_more_than_five_years_ago_is_expired(settled: str, expired: bool) -> None:
    fact = row(
        恶意拖欠决定书号="D1",
        告知日期="2020-01-01",
        结算日期="2019-01-01",
        结清日期=settled,
        已付金额="100",
        欠费余额="0",
    )
    assert fact.adverse
    assert fact.reasons == ((Q.ADVERSE_EXPIRED,) if expired else ())


@pytest.mark.parametrize("mark", ["1", "是", "√"])
def test_a_bill_waived_for_hardship_is_suppressed(mark: str) -> None:
    assert row(减免标志=mark).suppressed
    assert not row(减免标志="否").suppressed


@pytest.mark.parametrize("empty", ["", "0", "无", " - ", "不详"])
def test_a_line_without_id_number_brings_what_can_link_it(empty: str) -> None:
    fact = row(证件号码=empty, 联系电话="13800000000")
    assert fact.reasons == ()
    assert fact.id_number is None
    assert fact.hint is not None
    assert (fact.hint.name, fact.hint.address, fact.hint.phone) == ("刀岩保", "遮放镇弄坎村", "13800000000")


def test_a_damaged_id_number_is_not_a_missing_one() -> None:
    assert row(证件号码="53310319850312441").hint is None


@pytest.mark.parametrize("cells", [{"机构编码": "533103Y00118"}, {"欠费单号": ""}, {"欠费单号": "Q" * 31}])
def test_a_line_whose_key_cannot_be_read_is_named_after_its_place(cells: dict[str, str]) -> None:
    unreadable = clinic_row(Record(5, line(**cells) | {"诊断": "骨折"}), NAME, TODAY)
    assert unreadable.reasons == (Q.ROW_UNREADABLE,)
    assert unreadable.source_key == unreadable.origin == f"{NAME.csv}#5"
    assert unreadable.dropped == ()
    assert "骨折" not in str(unreadable)


def test_of_a_line_that_cannot_be_cut_into_cells_nothing_is_kept() -> None:
    data = csv_bytes(line()) + "533103Y00117,Q2,思月,骨折\r\n".encode("gb18030")
    table = check(data, RECORDS="2")
    assert isinstance(table, ClinicTable)
    unreadable = clinic_row(list(table.records())[1], NAME, TODAY)
    assert (unreadable.source_key, unreadable.wire) == (f"{NAME.csv}#3", {})
    assert "骨折" not in str(unreadable)


def test_an_empty_name_leaves_the_key_readable_and_the_dropped_columns_counted() -> None:
    unreadable = clinic_row(Record(2, line(欠费人姓名="") | {"科室": ""}), NAME, TODAY)
    assert unreadable.source_key == f"{CLINIC}|Q1"
    assert unreadable.reasons == (Q.ROW_UNREADABLE,)
    assert unreadable.dropped == ("科室",)


def test_forbidden_columns_are_dropped_and_counted_even_if_empty() -> None:
    cells = line() | dict.fromkeys(FORBIDDEN, "canary") | {"民族": ""}
    fact = clinic_row(Record(2, cells), NAME, TODAY)
    assert set(fact.dropped) == FORBIDDEN
    assert "canary" not in str(fact)
    assert fact.content == row().content


@given(st.text(alphabet=st.characters(codec="gb18030"), max_size=12))
def test_no_text_breaks_a_line(text: str) -> None:
    cells = dict.fromkeys(COLUMNS, text) | {"机构编码": CLINIC, "欠费单号": "Q1"}
    checked = clinic_row(Record(2, cells), NAME, TODAY)
    assert checked.source_key == f"{CLINIC}|Q1"
    assert Q.BAD_AMOUNT in checked.reasons or text.strip().replace(",", "").replace(".", "").isdigit()
    assert checked.content
    orjson.dumps(checked.wire)


@pytest.mark.parametrize("rest", [b"," * 400_000, b'"\n",' * 100_000 + b'"'])
def test_a_record_that_does_not_end_refuses_the_file(rest: bytes) -> None:
    data = csv_bytes(line()) + rest
    assert check(data) is RefusalReason.FORMAT_INVALID
