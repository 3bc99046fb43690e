"""Every case of the bank's table "what the receiver must do with bad input", and what is kept."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.connectors.formats.bank_rows import DOCUMENTED, FORBIDDEN, BankFile, bank_row
from hub.core.identifiers import id_check_character
from hub.core.names import Category
from hub.core.rows import CheckedRow, Guarantor, RowKind

FILE = BankFile("F.jsonl.gz", "402739000011", date(2026, 10, 19), date(2026, 10, 20))
PERSON = "533103198503124417"
CONSENT_ID = "7d0c5f0e-8a57-4c9e-9d0e-5b8a1f6f2c11"
COMMON: dict[str, Any] = {
    "bank_code": "402739000011",
    "rev": 2,
    "op": "U",
    "consent_id": CONSENT_ID,
    "id_no": PERSON,
    "name": "刀岩保",
}
SOUND: dict[str, dict[str, Any]] = {
    "CONSENT": {"granted_on": "2025-03-01", "expires_on": "2028-02-29", "withdrawn_on": None},
    "LINE": {
        "line_no": "SX1",
        "line_amount_wan": "3.5",
        "granted_on": "2025-03-02",
        "line_expiry": "2028-03-01",
    },
    "LOAN": {
        "contract_no": "HT1",
        "receipt_no": "JJ1",
        "product_code": "NHXY",
        "principal_fen": 3000000,
        "balance_fen": 1500000,
        "overdue_fen": 0,
        "overdue_days": 0,
        "start_date": "2025-03-05",
        "maturity_date": "2027-03-05",
        "rate_bp": 435,
        "five_class": "1",
        "repay_24m": "******NNNNNNNNNNNNNNNNNN",
        "settled_date": None,
        "writeoff_date": None,
        "adverse_ended_on": None,
        "notice_date": None,
        "guarantors": [],
    },
}
KEYS = {"CONSENT": f"consent|{CONSENT_ID}", "LINE": "line|402739000011|SX1", "LOAN": "loan|402739000011|HT1|JJ1"}
NOTICE = {"notice_date": "2026-10-01"}


def checked(kind: str, **changes: Any) -> CheckedRow:
    row = COMMON | {"rt": kind} | SOUND[kind] | changes
    return bank_row(json.dumps({name: value for name, value in row.items() if value != "absent"}), 7, FILE)


@pytest.mark.parametrize(
    "line", ["", "[]", '"x"', "5", "{", '{"rt": "LOAN",', '{"rt": NaN}', "\ufeff{}", "[" * 100_000]
)
def test_a_line_that_is_no_object_is_unreadable_and_nothing_of_it_is_kept(line: str) -> None:
    row = bank_row(line, 7, FILE)
    assert [reason.name for reason in row.reasons] == ["ROW_UNREADABLE"]
    assert (row.source_key, row.origin, row.wire, row.dropped) == ("F.jsonl.gz#7", "F.jsonl.gz line 7", {}, ())
    assert row.content != bank_row(line + " x", 7, FILE).content


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("LOAN", "rt"),
        ("LOAN", "bank_code"),
        ("LOAN", "contract_no"),
        ("LOAN", "receipt_no"),
        ("LINE", "line_no"),
        ("CONSENT", "consent_id"),
    ],
)
@pytest.mark.parametrize("value", ["absent", None, "", 5])
def test_a_row_without_key_is_named_after_its_place(kind: str, part: str, value: object) -> None:
    row = checked(kind, **{part: value, "phone": "canary-phone"})
    assert [reason.name for reason in row.reasons] == ["ROW_UNREADABLE"]
    assert (row.source_key, row.dropped) == ("F.jsonl.gz#7", ())
    assert "canary-phone" not in repr(row)


@pytest.mark.parametrize("rev", ["absent", None, "2", 0, -1, 1.5, True, 2**60])
def test_a_row_without_version_is_unreadable_under_its_own_key(rev: object) -> None:
    row = checked("LOAN", rev=rev, op="D")
    assert row.reasons[0].name == "ROW_UNREADABLE"
    assert (row.source_key, row.tombstone) == (KEYS["LOAN"], False)


@pytest.mark.parametrize(
    ("kind", "changes", "reasons"),
    [
        ("LOAN", {"guarantors": "x"}, ["ROW_UNREADABLE"]),
        ("LOAN", {"name": "刀\ue000"}, ["TEXT_UNREADABLE"]),
        ("LOAN", {"id_no": None}, ["ID_MISSING"]),
        ("CONSENT", {"id_no": "0"}, ["ID_MISSING"]),
        ("LINE", {"id_no": "533103198503124000"}, ["ID_PRECISION_LOST"]),
        ("LINE", {"id_no": "53310319850312441"}, ["ID_FORMAT"]),
        ("LINE", {"id_no": "533103198503124418"}, ["ID_CHECK_DIGIT"]),
        ("LINE", {"id_no": "53310320990312441" + id_check_character("53310320990312441")}, ["ID_BIRTH_DATE"]),
        ("CONSENT", {"id_no": "53310320150601441" + id_check_character("53310320150601441")}, ["MINOR_SUBJECT"]),
        ("LINE", {"consent_id": None}, ["CONSENT_MISSING"]),
        ("LOAN", {"consent_id": "absent"}, ["CONSENT_MISSING"]),
        ("LOAN", {"five_class": "3", "adverse_ended_on": "2021-10-19"} | NOTICE, ["ADVERSE_EXPIRED"]),
        ("LOAN", {"overdue_days": 1}, ["ADVERSE_NOTICE_MISSING"]),
        ("LOAN", {"five_class": "4"}, ["ADVERSE_NOTICE_MISSING"]),
        ("LOAN", {"writeoff_date": "2026-01-01"}, ["ADVERSE_NOTICE_MISSING"]),
        ("LOAN", {"repay_24m": "N" * 23 + "B"}, ["ADVERSE_NOTICE_MISSING"]),
        ("LOAN", {"repay_24m": "N" * 23 + "7", "notice_date": "2026-10-20"}, ["ADVERSE_NOTICE_MISSING"]),
        ("LOAN", {"op": "X"}, ["UNKNOWN_CODE"]),
        ("LOAN", {"op": None}, ["UNKNOWN_CODE"]),
        ("LOAN", {"product_code": "ABCD"}, ["UNKNOWN_CODE"]),
        ("LOAN", {"five_class": "6"}, ["UNKNOWN_CODE"]),
        ("LOAN", {"five_class": 1}, ["UNKNOWN_CODE"]),
        ("LOAN", {"repay_24m": "N" * 23}, ["UNKNOWN_CODE"]),
        ("LOAN", {"repay_24m": "N" * 23 + "X"}, ["UNKNOWN_CODE"]),
        ("CONSENT", {"bank_code": "402739000012"}, ["UNKNOWN_CODE"]),
        ("CONSENT", {"granted_on": None}, ["BAD_DATE"]),
        ("CONSENT", {"granted_on": "2026-10-21"}, ["BAD_DATE"]),
        ("CONSENT", {"withdrawn_on": "2026-10-21"}, ["BAD_DATE"]),
        ("LINE", {"line_expiry": "2028-02-30"}, ["BAD_DATE"]),
        ("LOAN", {"notice_date": "2026/10/01"}, ["BAD_DATE"]),
        ("LOAN", {"settled_date": "2026-10-21", "balance_fen": 0}, ["BAD_DATE"]),
        ("CONSENT", {"expires_on": "2025-02-28"}, ["DATE_INCONSISTENT"]),
        ("LINE", {"line_expiry": "2025-03-01"}, ["DATE_INCONSISTENT"]),
        ("LOAN", {"maturity_date": "2025-03-04"}, ["DATE_INCONSISTENT"]),
        ("LOAN", {"settled_date": "2025-03-04", "balance_fen": 0}, ["DATE_INCONSISTENT"]),
        ("LINE", {"line_amount_wan": "10.0001"}, ["BAD_AMOUNT"]),
        ("LINE", {"line_amount_wan": "0"}, ["BAD_AMOUNT"]),
        ("LINE", {"line_amount_wan": "3.50000"}, ["BAD_AMOUNT"]),
        ("LINE", {"line_amount_wan": 3.5}, ["BAD_AMOUNT"]),
        ("LOAN", {"principal_fen": "3000000"}, ["BAD_AMOUNT"]),
        ("LOAN", {"overdue_fen": -1}, ["BAD_AMOUNT"]),
        ("LOAN", {"overdue_days": None}, ["BAD_AMOUNT"]),
        ("LOAN", {"rate_bp": 4.35}, ["BAD_AMOUNT"]),
        ("LOAN", {"balance_fen": 3000001}, ["AMOUNT_INCONSISTENT"]),
        ("LOAN", {"settled_date": "2026-10-01"}, ["AMOUNT_INCONSISTENT"]),
        ("LINE", {"consent_id": None, "line_amount_wan": "30000"}, ["CONSENT_MISSING", "BAD_AMOUNT"]),
    ],
)
def test_bad_input_gets_the_documented_reasons(kind: str, changes: dict[str, Any], reasons: list[str]) -> None:
    row = checked(kind, **changes)
    assert [reason.name for reason in row.reasons] == reasons
    assert row.source_key == KEYS[kind]


@pytest.mark.parametrize("kind", SOUND)
def test_sound_rows_pass(kind: str) -> None:
    row = checked(kind)
    assert (row.reasons, row.source_key, row.version, row.version_rank) == ((), KEYS[kind], "2", 2)
    assert (row.id_number, row.name, row.consent_id) == (PERSON, "刀岩保", CONSENT_ID)
    assert row.kind is (RowKind.CONSENT if kind == "CONSENT" else RowKind.FACT)


def test_an_unknown_row_type_has_no_key_of_its_own() -> None:
    row = checked("LOAN", rt="CARD", account_no="canary")
    assert [reason.name for reason in row.reasons] == ["UNKNOWN_CODE"]
    assert (row.source_key, row.category, row.dropped) == ("F.jsonl.gz#7", None, ())
    assert [reason.name for reason in checked("LOAN", rt="CARD", op="D").reasons] == ["UNKNOWN_CODE"]


def test_adverse_rows_with_notice_are_sound_until_five_years_after_their_end() -> None:
    row = checked("LOAN", overdue_days=3, adverse_ended_on="2021-10-20", **NOTICE)
    assert (row.reasons, row.adverse) == ((), True)
    assert (row.value["adverse_ended_on"], row.value["notice_date"]) == ("2021-10-20", "2026-10-01")
    assert not checked("LOAN", repay_24m="*#NMZCG" + "N" * 17).adverse
    assert checked("LOAN", adverse_ended_on="2010-01-01").reasons == ()


def test_what_is_kept_of_a_line_and_a_loan() -> None:
    line, loan = checked("LINE", line_amount_wan="10"), checked("LOAN", rate_bp=5)
    assert line.category is Category.BANK_LINE
    assert line.value == {"line_no": "SX1", "line_amount": "100000.00", "consent_id": CONSENT_ID}
    assert (line.valid_from, line.valid_to) == (date(2025, 3, 2), date(2028, 3, 1))
    assert (loan.category, loan.valid_from, loan.valid_to) == (Category.BANK_LOAN, date(2025, 3, 5), None)
    assert (loan.value["rate_nominal"], loan.value["balance"], loan.value["guarantor_count"]) == ("0.05", "15000.00", 0)


def test_deletions_need_only_key_and_version() -> None:
    for kind, key in KEYS.items():
        row = checked(kind, op="D", id_no=None, granted_on=None, five_class="9", phone="x")
        assert (row.tombstone, row.reasons, row.source_key, row.content) == (True, (), key, b"tombstone")
        assert (row.dropped, row.wire) == (("phone",), {})


def test_guarantors_are_delivered_compared_and_cleaned() -> None:
    guarantors = [
        {"id_no": "533121620705302", "name": "思月", "consent_id": CONSENT_ID, "phone": "canary-phone"},
        {"id_no": "rubbish", "name": "canary-name", "consent_id": None},
        5,
    ]
    row = checked("LOAN", guarantors=guarantors)
    assert row.guarantors == (
        Guarantor("533121196207053021", CONSENT_ID),
        Guarantor("RUBBISH", None),
        Guarantor(None, None),
    )
    assert (row.reasons, row.dropped, row.value["guarantor_count"]) == ((), ("phone",), 3)
    assert "canary-phone" not in repr(row)
    assert row.content != checked("LOAN", guarantors=guarantors[:1]).content
    assert row.content == checked("LOAN", guarantors=guarantors).content
    assert "canary-name" not in repr(row.wire)


def test_forbidden_and_unknown_fields_are_counted_and_gone() -> None:
    row = checked("LINE", **{name: f"canary-{name}" for name in FORBIDDEN}, neu="canary-neu")
    assert row.dropped == ("account_no", "ethnic", "health_status", "neu", "phone")
    assert "canary" not in repr(row)
    assert row.content == checked("LINE").content


@given(
    st.dictionaries(
        st.sampled_from(sorted(DOCUMENTED | FORBIDDEN | {"guarantors"})) | st.text(max_size=4),
        st.none() | st.text(max_size=20) | st.integers() | st.lists(st.dictionaries(st.text(), st.text()), max_size=2),
    )
)
def test_no_row_breaks_the_check(changes: dict[str, Any]) -> None:
    for kind, fields in SOUND.items():
        row = bank_row(json.dumps(COMMON | {"rt": kind} | fields | changes), 7, FILE)
        assert row.source_key
        assert not set(row.wire) - DOCUMENTED - {"guarantors"}
        assert list(row.reasons) == sorted(set(row.reasons))


@given(st.text())
def test_no_line_breaks_the_check(line: str) -> None:
    assert bank_row(line, 1, FILE).reasons
