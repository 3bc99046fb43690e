"""A kept row is judged anew by the very rules of a delivery; what the cleaning took away is never forgiven."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.connectors.kept_rows import KeptRow, correctable_fields, recheck
from hub.core.names import QuarantineReason as Q
from hub.core.rows import CheckedRow
from tests.done.cases_bank_clinic import consent, line, loan
from tests.quarantine.deliveries import BANK_FILE, CIVIL, FILE, LIST_FILE, TODAY, bank, clinic, kept, social, tax

LOST = "刀\ufffd"


def delivered(kind: str, row: CheckedRow) -> KeptRow:
    files: dict[str, Any] = {}
    if kind == "clinic-sftp":
        files = {"file_name": LIST_FILE.name, "business_date": LIST_FILE.business_date}
    if kind == "bank-files":
        files = {"file_name": BANK_FILE.name, "business_date": BANK_FILE.business_date, "bank_code": FILE.bank_code}
    return kept(kind, row, **files)


SOUND = {
    "tax-rest": [tax("XY"), tax("DJ"), tax("QS"), tax("QJ"), tax("XY", jyzsfzjhm="５３３１０３19850312441７")],
    "social-view": [social(), social(aac003="ÀîÃ÷", aac002="533103850312441")],
    "clinic-sftp": [clinic(), clinic(结算日期="2026/9/5"), clinic(证件号码="")],
    "civil-soap": [CIVIL["household"](), CIVIL["member"](), CIVIL["relief"](), CIVIL["event"]()],
    "bank-files": [bank(consent()), bank(line(1)), bank(loan(1, guarantors=[{"id_no": "x", "consent_id": "c"}]))],
}
DEFECTS = {
    "tax-rest": [
        tax(jyzxm=LOST), tax(jyzxm=["x"]), tax(jyzsfzjhm=5.33e17), tax(jyzsfzjhm="533103198503124418"),
        tax("QS", qsye="1,2"), tax("QS", qsye=12.5), tax("QJ", sqsbh=""), tax(xyjb="E", fbrq="2026-02-30"),
        tax(pjnd=10**20), tax(ver=None), tax(ywbh=None), tax(nsrsbh={"a": 1}),
    ],
    "social-view": [
        social(aac003=LOST), social(aac003="刀²"), social(aac030="20120230"), social(aae201=-1),
        social(aac002=None), social(aae140="999", aac030="x"), social(aac001=""),
    ],
    "clinic-sftp": [
        clinic(欠费人姓名=LOST), clinic(欠费人姓名=""), clinic(证件号码="5.33103E+17"), clinic(应付金额="-5"),
        clinic(结算日期="2026-13-01"), clinic(欠费余额="1.00"), clinic(减免标志="?"), clinic(欠费单号=""),
        clinic(机构编码="533103Y00118"),
    ],
    "civil-soap": [
        CIVIL["member"](xm=LOST), CIVIL["member"](xm="无"), CIVIL["member"](sfzjhm="533103198503124417B9XY"),
        CIVIL["member"](rhrq=""), CIVIL["household"](xzqhdm="1"), CIVIL["household"](bbh=""),
        CIVIL["relief"](yjzje="x"), CIVIL["event"](cy="<cybh>C1</cybh><yhzgx>03</yhzgx>"), CIVIL["event"](yhubh=""),
    ],
    "bank-files": [
        bank(line(1, bank_code="402739000022")), bank(line(1, line_amount_wan="11")), bank(loan(1, guarantors="x")),
        bank(loan(1, balance_fen=1.5)), bank(loan(1, five_class="9", name=LOST)), bank(consent(rev=None)),
        bank(line(1, consent_id=None)), bank({"rt": "LOAN"}),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "row"), [(kind, row) for kind, rows in SOUND.items() for row in rows])
def test_a_sound_row_is_sound_again_and_says_the_same(kind: str, row: CheckedRow) -> None:
    assert row.reasons == ()
    again = recheck(delivered(kind, row), TODAY)
    assert again.reasons == ()
    for part in ("kind", "source_key", "version", "version_rank", "value", "id_number", "name", "content", "hint"):
        assert getattr(again, part) == getattr(row, part), part
    assert (again.valid_from, again.valid_to, again.source_time) == (row.valid_from, row.valid_to, row.source_time)


@pytest.mark.parametrize(("kind", "row"), [(kind, row) for kind, rows in DEFECTS.items() for row in rows])
def test_a_bad_row_is_bad_again_for_the_same_reasons(kind: str, row: CheckedRow) -> None:
    assert row.reasons
    assert recheck(delivered(kind, row), TODAY).reasons == row.reasons


def test_a_correction_heals_its_own_defect_and_no_other() -> None:
    row = delivered("tax-rest", tax(xyjb="E", fbrq="2026-02-30"))
    assert recheck(row, TODAY, {"xyjb": "B"}).reasons == (Q.BAD_DATE,)
    healed = recheck(row, TODAY, {"xyjb": "B", "fbrq": "2026-02-28"})
    assert (healed.reasons, healed.value) == ((), {"grade_year": 2025, "tax_credit_grade": "B"})


def test_a_lost_name_is_readable_only_when_it_is_corrected() -> None:
    row = delivered("social-view", social(aac003="刀²"))  # normalising made a sound name of it: 刀2
    assert recheck(row, TODAY).reasons == (Q.TEXT_UNREADABLE,)
    assert recheck(row, TODAY, {"aae201": 3}).reasons == (Q.TEXT_UNREADABLE,)
    assert recheck(row, TODAY, {"aac003": "刀岩"}).reasons == ()


@pytest.mark.parametrize(
    ("kind", "row", "change"),
    [
        ("tax-rest", tax(xyjb="E"), {"ywbh": "2024", "xyjb": "B"}),
        ("tax-rest", tax(xyjb="E"), {"ver": 9, "xyjb": "B"}),
        ("tax-rest", tax(xyjb="E"), {"zfbz": "Y"}),
        ("tax-rest", tax(ver=None), {"ver": 1}),
        ("clinic-sftp", clinic(欠费单号=""), {"欠费单号": "Q1"}),
        ("bank-files", bank(line(1, line_amount_wan="11")), {"rev": 2, "line_amount_wan": "1"}),
        ("civil-soap", CIVIL["member"](xm="无"), {"cybh": "C9", "xm": "岩"}),
    ],
)
def test_key_and_version_are_the_sources_to_say(kind: str, row: CheckedRow, change: dict[str, Any]) -> None:
    assert Q.ROW_UNREADABLE in recheck(delivered(kind, row), TODAY, change).reasons


def test_a_row_whose_structure_was_lost_stays() -> None:
    row = delivered("bank-files", bank(loan(1, guarantors="x")))
    assert recheck(row, TODAY, {"product_code": "NHXY"}).reasons == (Q.ROW_UNREADABLE,)


def test_an_events_member_is_corrected_by_its_place() -> None:
    row = delivered("civil-soap", CIVIL["event"](cy="<cybh>C1</cybh><yhzgx>03</yhzgx>"))
    assert {"cy.1.yhzgx", "sjrq"} <= correctable_fields(row)
    assert "cy.2.yhzgx" not in correctable_fields(row)
    healed = recheck(row, TODAY, {"cy.1.yhzgx": "02"})
    assert (healed.reasons, healed.value["members"][0]["relation"]) == ((), "02")
    assert row.wire["cy"][0]["yhzgx"] == "03"


def test_a_bank_speaks_for_its_own_rows_only_also_when_they_are_judged_anew() -> None:
    row = delivered("bank-files", bank(line(1, bank_code="402739000022")))
    assert recheck(row, TODAY).reasons == (Q.UNKNOWN_CODE,)
    unknown = kept("bank-files", bank(line(1, bank_code="402739000022")), business_date=BANK_FILE.business_date)
    assert recheck(unknown, TODAY).reasons == (Q.UNKNOWN_CODE,), "with no sound row to compare with it stays refused"


@given(
    pair=st.sampled_from([(kind, row) for rows in (SOUND, DEFECTS) for kind, of in rows.items() for row in of]),
    data=st.data(),
)
def test_no_correction_breaks_the_check(pair: tuple[str, CheckedRow], data: st.DataObject) -> None:
    kind, checked = pair
    row = delivered(kind, checked)
    text = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Cn"]), max_size=20)
    fields = data.draw(
        st.dictionaries(st.sampled_from(sorted(correctable_fields(row))), st.none() | st.integers() | text)
    )
    again = recheck(row, TODAY, fields)
    if not again.reasons:
        assert (again.source_key, again.version, again.tombstone) == (row.source_key, row.version, False)
