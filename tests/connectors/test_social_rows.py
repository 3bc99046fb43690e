"""Every case of the social-security bureau's tables, over the values that the view gives."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.connectors.formats.social_rows import COLUMNS, SocialRows, version_rank
from hub.core.identifiers import id_check_character
from hub.core.names import QuarantineReason
from hub.core.rows import CheckedRow

TODAY = date(2026, 10, 20)
CHANGED = datetime.fromisoformat("2026-10-19T02:00:00")
SOUND: dict[str, Any] = {
    "aac001": "53310000000001",
    "aac002": "533103198503124417",
    "aac003": "刀岩保",
    "aae140": "170",
    "aac031": "1",
    "aac030": "20120915",
    "aae201": Decimal("96"),
    "bae701": None,
    "aae002": Decimal("202609"),
    "aab003": " 91533103x ",
    "aae100": "1",
    "aae036": CHANGED,
}


def checked(**changes: Any) -> CheckedRow:
    return SocialRows(TODAY).check(SOUND | changes, "rows up to then")


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"aac001": " "}, ["ROW_UNREADABLE"]),
        ({"aac003": "余��"}, ["TEXT_UNREADABLE"]),
        ({"aac003": "刀\ue5e5"}, ["TEXT_UNREADABLE"]),
        ({"aac003": "ÀîÃ"}, ["TEXT_UNREADABLE"]),
        ({"aac003": "Àî明"}, ["TEXT_UNREADABLE"]),
        ({"aac003": "刀²"}, ["TEXT_UNREADABLE"]),
        ({"aac003": "阿依·刀"}, []),
        ({"aac003": None}, []),
        ({"aac002": None}, ["ID_MISSING"]),
        ({"aac002": "5.33E+17"}, ["ID_PRECISION_LOST"]),
        ({"aac002": "53310"}, ["ID_FORMAT"]),
        ({"aac002": "533103850312998"}, ["ID_FORMAT"]),
        ({"aac002": "533103198503124418"}, ["ID_CHECK_DIGIT"]),
        ({"aac002": "53310318850312441" + id_check_character("53310318850312441")}, ["ID_BIRTH_DATE"]),
        ({"aac002": "53310320150601441" + id_check_character("53310320150601441")}, ["MINOR_SUBJECT"]),
        ({"aae140": "999"}, ["UNKNOWN_CODE"]),
        ({"aac031": None}, ["UNKNOWN_CODE"]),
        ({"aae100": "2"}, ["UNKNOWN_CODE"]),
        ({"aac030": "20150230"}, ["BAD_DATE"]),
        ({"aae036": datetime.fromisoformat("2026-10-21T23:59:59")}, []),
        ({"aae036": datetime.fromisoformat("2026-10-22T00:00:00")}, ["BAD_DATE"]),
        ({"aae036": datetime.fromisoformat("9999-12-31T23:59:59")}, ["BAD_DATE"]),
        ({"aae201": Decimal(2**45)}, ["BAD_AMOUNT"]),
        ({"aac030": "2015-02-03"}, ["BAD_DATE"]),
        ({"aac030": None}, ["BAD_DATE"]),
        ({"aac030": "20261021"}, ["BAD_DATE"]),
        ({"aac030": "18991231"}, ["BAD_DATE"]),
        ({"aae002": Decimal("202613")}, ["BAD_DATE"]),
        ({"aae002": Decimal("0")}, ["BAD_DATE"]),
        ({"aae201": Decimal("-1")}, ["BAD_AMOUNT"]),
        ({"bae701": Decimal("NaN")}, ["BAD_AMOUNT"]),
        ({"aac002": "", "aac031": "9"}, ["ID_MISSING", "UNKNOWN_CODE"]),
    ],
)
def test_bad_input_gets_the_documented_reasons(changes: dict[str, Any], reasons: list[str]) -> None:
    assert [reason.name for reason in checked(**changes).reasons] == reasons


def test_what_is_kept() -> None:
    row = checked()
    assert row.source_key == "53310000000001|170"
    assert row.version == "2026-10-19T02:00:00+08:00"
    assert row.valid_from == date(2012, 9, 15)
    assert (row.valid_to, row.adverse) == (None, False)
    assert (row.value["paid_months"], row.value["arrears_months"]) == (96, 0)
    assert (row.value["latest_period"], row.value["employer_uscc"]) == ("2026-09", "91533103x")


def test_damaged_names_are_repaired_and_compared_as_repaired() -> None:
    repaired = checked(aac003="ÀîÃ÷")
    assert (repaired.name, repaired.repaired, repaired.reasons) == ("李明", ("aac003",), ())
    assert repaired.content == checked(aac003="李明").content


def test_old_numbers_are_upgraded_and_compared_as_upgraded() -> None:
    old = checked(aac002="533121620705302")
    assert (old.id_number, old.reasons) == ("533121196207053021", ())
    assert old.content == checked(aac002="533121196207053021").content


def test_a_withdrawn_row_needs_only_key_and_version() -> None:
    row = checked(aae100="0", aac002=None, aac003="ÀîÃ÷", aac030="x", aae140="999")
    assert (row.tombstone, row.reasons, row.content, row.repaired, row.wire) == (True, (), b"tombstone", (), {})


def test_a_withdrawn_row_without_key_is_unreadable() -> None:
    row = checked(aae100="0", aae140="")
    assert row.reasons == (QuarantineReason.ROW_UNREADABLE,)
    assert row.source_key == "v_ac_insured 2026-10-19T02:00:00+08:00 53310000000001#1"


@given(st.datetimes(min_value=datetime.fromisoformat("1900-01-01")), st.datetimes())
def test_versions_are_ordered_by_time(first: datetime, second: datetime) -> None:
    assert (version_rank(first) < version_rank(second)) == (first < second)


@given(
    st.dictionaries(
        st.sampled_from([column for column in COLUMNS if column != "aae036"]),
        st.none() | st.text(max_size=20) | st.decimals(min_value=-9999, max_value=999999, places=0),
    )
)
def test_no_row_breaks_the_check(changes: dict[str, Any]) -> None:
    row = checked(**changes)
    assert row.source_key
    assert not set(row.wire) - set(COLUMNS)
