"""Every case of the tax bureau's table "what the receiver must do with bad input", and what is kept."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.connectors.formats.tax_rows import DOCUMENTED, FORBIDDEN, TaxRows
from hub.core.clock import iso
from hub.core.identifiers import id_check_character
from hub.core.names import Category, QuarantineReason
from hub.core.rows import CheckedRow

TODAY = date(2026, 10, 20)
PERSON = "533103198503124417"
COMMON: dict[str, Any] = {
    "djxh": "10253310300000000017",
    "ver": 3,
    "gxsj": "2026-10-18T09:01:00.000+08:00",
    "zfbz": "N",
    "jyzxm": "刀岩保",
    "jyzsfzjhm": PERSON,
    "nsrsbh": "92533103MA6K123458",
}
SOUND: dict[str, dict[str, Any]] = {
    "DJ": {"ywbh": "0", "nsrmc": "岩保农产品经营部", "nsrzt_dm": "07", "djrq": "2019-03-11", "zxrq": "2026-10-18"},
    "XY": {"ywbh": "2025", "pjnd": 2025, "xyjb": "B", "fbrq": "2026-04-30"},
    "QS": {"ywbh": "Q7", "qsye": "120.00", "qsfsrq": "2026-02-15", "ggrq": "2026-03-01", "jqrq": None},
    "QJ": {
        "ywbh": "20260401",
        "ssqq": "2026-04-01",
        "ssqz": "2026-12-31",
        "nsqj_dm": "2",
        "srqj_dm": "0",
        "sqsbh": "SQ202600001",
    },
}


def checked(kind: str, **changes: Any) -> CheckedRow:
    record = COMMON | {"sjlx": kind} | SOUND[kind] | changes
    return TaxRows(TODAY).check({name: value for name, value in record.items() if value != "absent"}, 1)


def number_of(first17: str) -> str:
    return first17 + id_check_character(first17)


@pytest.mark.parametrize(
    ("kind", "changes", "reasons"),
    [
        ("XY", {"ver": "absent"}, ["ROW_UNREADABLE"]),
        ("XY", {"ver": "3"}, ["ROW_UNREADABLE"]),
        ("XY", {"jyzxm": ["x"]}, ["ROW_UNREADABLE"]),
        ("XY", {"jyzxm": "余�"}, ["TEXT_UNREADABLE"]),
        ("XY", {"jyzsfzjhm": None}, ["ID_MISSING"]),
        ("XY", {"jyzsfzjhm": ""}, ["ID_MISSING"]),
        ("XY", {"jyzsfzjhm": "无"}, ["ID_MISSING"]),
        ("XY", {"jyzsfzjhm": "5.33103E17"}, ["ID_PRECISION_LOST"]),
        ("XY", {"jyzsfzjhm": "53310319850312"}, ["ID_FORMAT"]),
        ("XY", {"jyzsfzjhm": "533103198503124418"}, ["ID_CHECK_DIGIT"]),
        ("XY", {"jyzsfzjhm": number_of("53310318990312441")}, ["ID_BIRTH_DATE"]),
        ("XY", {"nsrsbh": "92533103MA6K123459"}, ["USCC_CHECK_DIGIT"]),
        ("XY", {"nsrsbh": None}, ["USCC_CHECK_DIGIT"]),
        ("XY", {"nsrsbh": "533121620705302"}, ["USCC_CHECK_DIGIT"]),
        ("XY", {"jyzsfzjhm": number_of("53310320150601441")}, ["MINOR_SUBJECT"]),
        ("QJ", {"sqsbh": None}, ["CONSENT_MISSING"]),
        ("QS", {"ggrq": None}, ["ADVERSE_NOTICE_MISSING"]),
        ("QS", {"ggrq": "2026-10-19"}, ["ADVERSE_NOTICE_MISSING"]),
        ("QS", {"qsfsrq": "2019-01-01", "jqrq": "2021-10-19", "qsye": "0.00"}, ["ADVERSE_EXPIRED"]),
        ("DJ", {"nsrzt_dm": "06"}, ["UNKNOWN_CODE"]),
        ("DJ", {"nsrzt_dm": 3}, ["UNKNOWN_CODE"]),
        ("XY", {"xyjb": "E"}, ["UNKNOWN_CODE"]),
        ("XY", {"zfbz": "X"}, ["UNKNOWN_CODE"]),
        ("QJ", {"nsqj_dm": "5"}, ["UNKNOWN_CODE"]),
        ("QJ", {"srqj_dm": None}, ["UNKNOWN_CODE"]),
        ("XY", {"sjlx": "ZZ"}, ["UNKNOWN_CODE"]),
        ("XY", {"gxsj": None}, ["BAD_DATE"]),
        ("XY", {"gxsj": "2026-10-18T09:01:00.000"}, ["BAD_DATE"]),
        ("XY", {"gxsj": "2026-10-21T23:59:59.999+08:00"}, []),
        ("XY", {"gxsj": "2026-10-22T00:00:00.000+08:00"}, ["BAD_DATE"]),
        ("QJ", {"ssqz": "9999-12-31"}, []),
        ("XY", {"pjnd": "2025"}, ["BAD_DATE"]),
        ("XY", {"pjnd": 2027}, ["BAD_DATE"]),
        ("XY", {"fbrq": None}, ["BAD_DATE"]),
        ("XY", {"fbrq": "2026-10-19"}, ["BAD_DATE"]),
        ("DJ", {"djrq": None, "zxrq": None}, ["BAD_DATE"]),
        ("DJ", {"djrq": "1899-12-31"}, ["BAD_DATE"]),
        ("QS", {"qsfsrq": "20260215"}, ["BAD_DATE"]),
        ("QJ", {"ssqq": "2026-10-19"}, ["BAD_DATE"]),
        ("QJ", {"ssqz": None}, ["BAD_DATE"]),
        ("QS", {"qsfsrq": "2026-02-15", "jqrq": "2026-02-14", "qsye": "0.00"}, ["DATE_INCONSISTENT"]),
        ("QJ", {"ssqz": "2026-03-31"}, ["DATE_INCONSISTENT"]),
        ("DJ", {"zxrq": "2019-03-10"}, ["DATE_INCONSISTENT"]),
        ("QS", {"qsye": None}, ["BAD_AMOUNT"]),
        ("QS", {"qsye": "1,200.00"}, ["BAD_AMOUNT"]),
        ("QS", {"qsye": "-5.00"}, ["BAD_AMOUNT"]),
        ("QS", {"qsye": 120.5}, ["BAD_AMOUNT"]),
        ("QS", {"jqrq": "2026-05-01"}, ["AMOUNT_INCONSISTENT"]),
        ("QS", {"qsye": "0.00"}, ["AMOUNT_INCONSISTENT"]),
        ("QJ", {"sqsbh": "", "nsqj_dm": "9", "ssqz": "x"}, ["CONSENT_MISSING", "UNKNOWN_CODE", "BAD_DATE"]),
    ],
)
def test_bad_input_gets_the_documented_reasons(kind: str, changes: dict[str, Any], reasons: list[str]) -> None:
    row = checked(kind, **changes)
    assert [reason.name for reason in row.reasons] == reasons
    assert row.source_key == f"10253310300000000017|{changes.get('sjlx', kind)}|{SOUND[kind]['ywbh']}"


@pytest.mark.parametrize("kind", SOUND)
def test_sound_records_pass(kind: str) -> None:
    row = checked(kind)
    assert row.reasons == ()
    assert (row.id_number, row.name, row.version, row.version_rank) == (PERSON, "刀岩保", "3", 3)
    assert row.source_time is not None
    assert iso(row.source_time) == "2026-10-18T09:01:00+08:00"


def test_what_is_kept_of_each_record_type() -> None:
    registration, arrears, band = checked("DJ"), checked("QS"), checked("QJ")
    assert registration.value["taxpayer_status"] == "CANCELLED"
    assert (registration.valid_from, registration.valid_to) == (date(2019, 3, 11), date(2026, 10, 18))
    assert arrears.value == {"arrears_no": "Q7", "arrears_amount": "120.00", "notice_date": "2026-03-01"}
    assert (arrears.adverse, arrears.valid_from, arrears.valid_to) == (True, date(2026, 2, 15), None)
    assert (band.adverse, band.valid_from, band.valid_to) == (False, date(2026, 4, 1), date(2026, 12, 31))


@pytest.mark.parametrize("number", ["５３３１０３１９８５０３１２４４１７", " '533103 19850312 4417 ", PERSON])
def test_numbers_as_county_offices_type_them(number: str) -> None:
    row = checked("XY", jyzsfzjhm=number, nsrsbh=number)
    assert row.reasons == ()
    assert row.id_number == PERSON
    assert row.content == checked("XY", jyzsfzjhm=PERSON, nsrsbh=PERSON).content


def test_a_lower_case_x_does_not_matter() -> None:
    number = next(n for n in (number_of(f"53310319850312{i:03}") for i in range(100)) if n.endswith("X"))
    row = checked("XY", jyzsfzjhm=number.lower(), nsrsbh=number.lower())
    assert (row.reasons, row.id_number) == ((), number)


def test_records_of_organisations_belong_to_nobody() -> None:
    for code in ("91533103MA6K12345", "93533103MA6K12345", "N2533103MA6K12345"):
        sound = next(code + c for c in "0123456789ABCDEFGHJKLMNPQRTUWXY" if not _uscc_refused(code + c))
        row = checked("DJ", nsrsbh=sound.lower(), jyzxm=None, jyzsfzjhm=None)
        assert row.reasons == ()
        assert row.id_number is None
        assert row.category is Category.TAX_REGISTRATION
        assert checked("DJ", nsrsbh=sound).id_number is None


def _uscc_refused(code: str) -> bool:
    return bool(checked("DJ", nsrsbh=code, jyzxm=None, jyzsfzjhm=None).reasons)


def test_a_tombstone_needs_only_key_and_version() -> None:
    row = checked("QS", zfbz="Y", jyzsfzjhm="rubbish", qsye="x", gxsj=None, mz="18")
    assert (row.tombstone, row.reasons, row.content, row.wire) == (True, (), b"tombstone", {})
    assert row.dropped == ("mz",)


def test_a_tombstone_without_version_is_unreadable() -> None:
    row = checked("QS", zfbz="Y", ver=None)
    assert not row.tombstone
    assert QuarantineReason.ROW_UNREADABLE in row.reasons


def test_forbidden_and_unknown_fields_are_counted_and_gone() -> None:
    row = checked("XY", mz="", sjnse=1834.2, neu="canary-neu")
    assert row.dropped == ("mz", "neu", "sjnse")
    assert row.content == checked("XY").content
    for text in ("1834.2", "canary-neu"):
        assert text not in repr(row)


def test_no_value_has_three_writings() -> None:
    contents = {checked("QS", jqrq=value).content for value in (None, "", "absent")}
    assert len(contents) == 1


def test_a_record_without_key_keeps_no_forbidden_field() -> None:
    row = checked("XY", djxh=None, mz="canary-mz")
    assert row.reasons == (QuarantineReason.ROW_UNREADABLE,)
    assert row.dropped == ()
    assert "canary-mz" not in repr(row)
    assert "#" in row.source_key


@given(
    st.dictionaries(
        st.sampled_from(sorted(DOCUMENTED | FORBIDDEN)) | st.text(max_size=4),
        st.none() | st.text(max_size=20) | st.integers() | st.floats() | st.lists(st.text(max_size=3), max_size=2),
    )
)
def test_no_record_breaks_the_check(changes: dict[str, Any]) -> None:
    rows = TaxRows(TODAY)
    for kind, fields in SOUND.items():
        row = rows.check(COMMON | {"sjlx": kind} | fields | changes, 1)
        assert row.source_key
        assert not set(row.wire) - DOCUMENTED
        assert list(row.reasons) == sorted(set(row.reasons))
