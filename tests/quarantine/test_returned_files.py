"""Rows go back to their agency as it would write them itself, and no spreadsheet takes one for a formula."""

import csv
import io
import json
from decimal import Decimal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.connectors.formats.civil_rows import MEMBERS
from hub.connectors.formats.clinic_files import COLUMNS
from hub.connectors.formats.social_rows import COLUMNS as SOCIAL_COLUMNS
from hub.connectors.returned_files import _cell, is_returnable, returned_file
from hub.connectors.transport.soap import parse
from tests.connectors import test_bank_rows
from tests.connectors.test_civil_rows import check
from tests.done.cases_bank_clinic import line
from tests.quarantine.deliveries import CIVIL, FILE, bank, clinic, kept, social, tax


def test_tax_records_come_back_in_the_envelopes_words_with_numbers_as_sent() -> None:
    rows = [kept("tax-rest", tax(xyjb="E")), kept("tax-rest", tax("QS", 2, qsye=12.5))]
    records = json.loads(returned_file("tax-rest", rows), parse_float=Decimal)["records"]
    assert [record["sjlx"] for record in records] == ["XY", "QS"]
    assert (records[0]["xyjb"], records[0]["ver"], records[1]["qsye"]) == ("E", 1, Decimal("12.5"))


def test_bank_rows_come_back_as_lines() -> None:
    row = bank(line(1, line_amount_wan="11", account_no="CANARY"))
    content = returned_file("bank-files", [kept("bank-files", row), kept("bank-files", bank({"rt": "LOAN"}))])
    lines = [json.loads(text) for text in content.decode().splitlines()]
    assert [text["rt"] for text in lines] == ["LINE", "LOAN"]
    assert b"CANARY" not in content
    assert bank(lines[0]).reasons == row.reasons


def test_clinic_lines_come_back_with_the_documented_header_and_no_formula() -> None:
    rows = [
        clinic(欠费人姓名="=cmd|'/c calc'!A1", 应付金额="-5", 现住址="@x", 联系电话="+86 1", 恶意拖欠决定书号="\t=1"),
        clinic(欠费单号="Q,2", 证件号码="", 结算日期="x", 诊断="CANARY"),
    ]
    content = returned_file("clinic-sftp", [kept("clinic-sftp", row) for row in rows])
    text = content.decode("gb18030")
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    assert header == list(COLUMNS)
    assert text.endswith("\r\n")
    assert len(lines) == 2
    assert lines[1][header.index("欠费单号")] == "Q,2"
    assert "CANARY" not in text
    cells = [cell for line in lines for cell in line if cell]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r"))]
    assert lines[0][header.index("应付金额")] == "-5", "a number says what was sent"


@given(st.text("=＝+＋-－@＠﹣\ufeff\u3000\n\t\r 0159.,x刀", max_size=6))
def test_a_cell_that_a_spreadsheet_could_run_is_marked(text: str) -> None:
    cell = _cell(text)
    assert cell.removeprefix("'") == text.removeprefix("'")
    narrow = normalize("NFKC", cell).strip().lstrip("\ufeff").strip()
    assert not narrow.startswith(("=", "@"))
    assert not cell.startswith(("\t", "\r", "\n"))
    assert not narrow.startswith(("+", "-")) or cell[1].isdigit()


@pytest.mark.parametrize("number", ["-12.50", "+5", "-1,234.50", "0", "13800000000"])
def test_a_plain_number_comes_back_as_it_was_sent(number: str) -> None:
    assert _cell(number) == number


def test_social_rows_come_back_with_the_columns_of_the_view() -> None:
    content = returned_file("social-view", [kept("social-view", social(aae140="999"))]).decode()
    header, row = csv.reader(io.StringIO(content, newline=""))
    assert header == list(SOCIAL_COLUMNS)
    told = dict(zip(header, row, strict=True))
    assert (told["aac030"], told["aae036"], told["aae140"]) == ("20120915", "2026-10-19 02:00:00", "999")


def test_civil_rows_come_back_as_elements_of_the_agencys_namespace() -> None:
    rows = [CIVIL["member"](xm="无", sfzjhm="533103198503124417B9"), CIVIL["event"](sjlx="06")]
    content = returned_file("civil-soap", [kept("civil-soap", row) for row in rows])
    root = parse(content, "test")
    assert [etree.QName(child).localname for child in root] == ["member", "event"]
    assert {etree.QName(child).namespace for child in root.iter()} == {"urn:dh-mz:credit:1"}
    assert b"417B9" not in content
    again = check(etree.tostring(root[0]).decode(), MEMBERS)
    assert (again.source_key, again.reasons) == (rows[0].source_key, rows[0].reasons)


def test_a_row_of_which_only_the_place_is_known_cannot_be_returned() -> None:
    unreadable = test_bank_rows.bank_row("{", 7, FILE)
    assert not is_returnable(kept("bank-files", unreadable))
    assert returned_file("bank-files", [kept("bank-files", unreadable)]) == b""
