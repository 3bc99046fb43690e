"""The pure parts of the row check, mostly over generated input."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.connectors.check import (
    EXACT_YUAN,
    GROUPED_YUAN,
    UNNAMED_FIELD,
    YUAN,
    RowCheck,
    UnreadableKeys,
    clean_value,
    content_bytes,
    in_precedence,
    is_expired,
    may_be_key,
    parse_compact_day,
    parse_day,
    parse_loose_day,
    parse_yuan,
    split_fields,
    unreadable_row,
    yuan_text,
)
from hub.connectors.json_text import read_json
from hub.core.canonical import canonical_bytes
from hub.core.identifiers import id_check_character
from hub.core.names import QuarantineReason

TODAY = date(2026, 10, 20)
SOUND_NUMBER = "533103198503124417"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def opened(**fields: object) -> RowCheck:
    return RowCheck(fields, documented=set(fields), forbidden=(), today=TODAY)


@given(st.dictionaries(st.sampled_from("abcdefgh"), json_values))
def test_any_row_splits_into_documented_content_and_counted_names(row: dict[str, object]) -> None:
    kept, dropped = split_fields(row, {"a", "b", "c"}, {"c", "d"})
    assert set(kept) <= {"a", "b"}
    assert set(dropped) == set(row) - {"a", "b"}
    assert content_bytes(kept) == canonical_bytes(kept)


@given(st.dictionaries(st.sampled_from("abc"), st.text() | st.sampled_from(["\u2028\x7f\x1f", '😀"\\/']), max_size=3))
def test_the_content_is_canonical_json_for_any_text(fields: dict[str, str]) -> None:
    kept, _ = split_fields(fields, {"a", "b", "c"}, ())
    assert content_bytes(kept) == canonical_bytes(kept)
    assert content_bytes(kept) == content_bytes(dict(reversed(kept.items())))


@given(json_values)
def test_cleaning_is_idempotent_on_text_and_never_keeps_the_inside_of_a_structure(value: object) -> None:
    cleaned = clean_value(value)
    if isinstance(cleaned, str):
        assert clean_value(cleaned) == cleaned
        assert "\0" not in cleaned
        cleaned.encode()
    if isinstance(value, dict | list):
        assert cleaned == {"structure": "object" if isinstance(value, dict) else "array"}


@given(st.lists(st.sampled_from(QuarantineReason)))
def test_the_first_reason_of_the_list_wins(reasons: list[QuarantineReason]) -> None:
    ordered = in_precedence(reasons)
    assert set(ordered) == set(reasons)
    assert [int(reason) for reason in ordered] == sorted({int(reason) for reason in reasons})


@given(st.dates(min_value=date(1900, 1, 1)))
def test_every_real_day_is_read_in_each_documented_writing(day: date) -> None:
    assert parse_day(day.isoformat()) == day
    assert parse_compact_day(day.strftime("%Y%m%d")) == day
    assert parse_loose_day(f"{day.year}/{day.month}/{day.day}") == day
    assert parse_loose_day(day.isoformat()) == day


@pytest.mark.parametrize(
    "text", ["2026-02-30", "20260101", "2026-W01-1", "2026-1-5", "0000-01-01", "２０２６-01-01", ""]
)
def test_other_writings_are_no_iso_day(text: str) -> None:
    assert parse_day(text) is None


@given(st.text())
def test_no_text_breaks_the_day_readers(text: str) -> None:
    for parse in (parse_day, parse_compact_day, parse_loose_day):
        assert parse(text) is None or isinstance(parse(text), date)


@given(st.decimals(min_value=0, max_value=Decimal(10**15), places=2))
def test_amounts_keep_their_value_in_every_shape(amount: Decimal) -> None:
    plain = f"{amount:.2f}"
    for shape in (EXACT_YUAN, YUAN, GROUPED_YUAN):
        parsed = parse_yuan(plain, shape)
        assert parsed == amount or len(plain) > 18
    if len(plain) <= 15:
        assert parse_yuan(f"{amount:,.2f}", GROUPED_YUAN) == amount


@pytest.mark.parametrize("text", ["-1.00", "1.5", "1", "1,000.00", "1e3", "NaN", ".50", "1.005", "", "١.00"])
def test_an_exact_amount_has_digits_and_two_decimals(text: str) -> None:
    check = opened(amount=text)
    assert check.yuan("amount") is None
    assert check.reasons == (QuarantineReason.BAD_AMOUNT,)


def test_amounts_above_the_maximum_are_refused_and_written_in_normal_form() -> None:
    check = opened(amount="1,234,567.5")
    assert check.yuan("amount", shape=GROUPED_YUAN, maximum=Decimal(1_000_000)) is None
    assert check.reasons == (QuarantineReason.BAD_AMOUNT,)
    assert check.fields["amount"] == "1234567.50"
    assert yuan_text(Decimal("007")) == "7.00"


@pytest.mark.parametrize(
    ("typed", "reasons"),
    [
        (SOUND_NUMBER, ()),
        (f" '{SOUND_NUMBER[:6]} {SOUND_NUMBER[6:]}　", ()),
        (SOUND_NUMBER.translate(str.maketrans("0123456789", "０１２３４５６７８９")), ()),
        (533103198503124417, ()),
        ("无", (QuarantineReason.ID_MISSING,)),
        ("0", (QuarantineReason.ID_MISSING,)),
        (None, (QuarantineReason.ID_MISSING,)),
        ("5.33103E+17", (QuarantineReason.ID_PRECISION_LOST,)),
        (5.33103198503124e17, (QuarantineReason.ID_PRECISION_LOST,)),
        ("533103198503124000", (QuarantineReason.ID_PRECISION_LOST,)),
        ("53310319850312441", (QuarantineReason.ID_FORMAT,)),
        ({"number": "1"}, (QuarantineReason.ID_FORMAT,)),
        ("533103198503124418", (QuarantineReason.ID_CHECK_DIGIT,)),
        ("53310318850312441" + id_check_character("53310318850312441"), (QuarantineReason.ID_BIRTH_DATE,)),
    ],
)
def test_id_numbers_as_they_are_typed(typed: object, reasons: tuple[QuarantineReason, ...]) -> None:
    check = opened(number=typed)
    found = check.id_number("number")
    assert check.reasons == reasons
    assert found == (None if reasons else SOUND_NUMBER)


def test_rows_that_say_the_same_in_other_writing_have_the_same_content() -> None:
    first = opened(number="533121620705302", amount="12.5", day="2026/3/1", note=None)
    second = opened(number=" 533121196207053021", amount="12.50", day="2026-03-01", note=" -- ")
    for check in (first, second):
        check.id_number("number")
        check.yuan("amount", shape=YUAN)
        check.day("day", parse=parse_loose_day)
    assert first.content == second.content
    assert first.wire == second.wire


def test_a_number_and_its_text_are_not_the_same() -> None:
    assert opened(amount=Decimal("3.5")).content != opened(amount="3.5").content


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2060, 1, 1)), st.integers(-400, 400))
def test_adverse_information_lives_five_years_after_its_end(ended: date, shift: int) -> None:
    if (ended.month, ended.day) == (2, 29):
        ended = ended.replace(day=28)
    anniversary = ended.replace(year=ended.year + 5)
    assert is_expired(ended, date.fromordinal(anniversary.toordinal() + shift)) == (shift > 0)


def test_the_fifth_anniversary_itself_is_not_expired() -> None:
    assert not is_expired(date(2021, 10, 20), date(2026, 10, 20))
    assert is_expired(date(2021, 10, 19), date(2026, 10, 20))
    assert not is_expired(date(2020, 2, 29), date(2025, 2, 28))
    assert is_expired(date(2020, 2, 29), date(2025, 3, 1))


def test_the_eighteenth_birthday_ends_minority() -> None:
    born = "53310320081020001"
    number = born + id_check_character(born)
    on_the_day, day_before = opened(), RowCheck({}, documented=(), forbidden=(), today=date(2026, 10, 19))
    on_the_day.adult(number)
    day_before.adult(number)
    assert on_the_day.reasons == ()
    assert day_before.reasons == (QuarantineReason.MINOR_SUBJECT,)


def test_a_notice_is_needed_and_not_later_than_the_business_day() -> None:
    for notice, reasons in [
        (None, (QuarantineReason.ADVERSE_NOTICE_MISSING,)),
        ("2026-10-21", (QuarantineReason.ADVERSE_NOTICE_MISSING,)),
        ("2026-13-01", (QuarantineReason.BAD_DATE,)),
        ("2026-10-20", ()),
    ]:
        check = opened(notice=notice)
        check.adverse_notice("notice", latest=TODAY)
        assert check.reasons == reasons


def test_names_with_lost_characters_are_unreadable() -> None:
    for name in ("余��", "刀\ue000", "刀\0岩", "刀\ud800岩"):
        check = opened(name=name)
        check.name("name")
        assert check.reasons == (QuarantineReason.TEXT_UNREADABLE,)


def test_a_text_of_another_type_breaks_the_structure() -> None:
    check = opened(name=5)
    assert check.text("name") is None
    assert check.reasons == (QuarantineReason.ROW_UNREADABLE,)


@pytest.mark.parametrize(
    ("value", "version"), [(1, 1), (True, None), (0, None), ("1", None), (2**60, None), (1.0, None)]
)
def test_a_version_is_an_integer_from_one(value: object, version: int | None) -> None:
    assert opened(ver=value).version_number("ver") == version


@pytest.mark.parametrize(("value", "version"), [("12", 12), ("0", None), ("-1", None), ("1.0", None), (12, None)])
def test_a_version_in_xml_is_its_decimal_text(value: object, version: int | None) -> None:
    assert opened(ver=value).version_number("ver", as_text=True) == version


def test_field_names_that_may_carry_personal_data_are_not_repeated() -> None:
    row = {"备注": "x", SOUND_NUMBER: "x", "n" * 50: "x", "a\nb": "x"}
    assert split_fields(row, (), ()) == ({}, (UNNAMED_FIELD, "备注"))


@pytest.mark.parametrize(
    "part", ["k" * 65, "A|B", "A｜B", "A\nB", "A\x1b[2J", "A\u202eB", SOUND_NUMBER, "53310319850312402x", 5]
)
def test_what_lists_and_logs_cannot_repeat_is_no_part_of_a_key(part: object) -> None:
    assert opened(key=part).key_part("key") is None


@given(st.lists(st.text(max_size=70), min_size=2, max_size=3))
def test_keys_of_other_parts_are_other_keys(parts: list[str]) -> None:
    sound = [part for part in parts if may_be_key(part, TODAY)]
    assert "|".join(sound).split("|") == (sound or [""])
    assert all(part.isprintable() for part in sound)


@pytest.mark.parametrize("part", ["k" * 64, "Q2026 00012", "陇把〔2026〕3号", "533103850312441", "533103202610180018"])
def test_opaque_numbers_are_parts_of_keys(part: str) -> None:
    assert opened(key=part).key_part("key") == part


@pytest.mark.parametrize(("value", "sound"), [(0, True), (100_000, True), (100_001, False), (2**45, False)])
def test_a_count_has_a_maximum(value: int, sound: bool) -> None:
    check = opened(months=value)
    assert (check.count("months") == value) is sound
    assert check.reasons == (() if sound else (QuarantineReason.BAD_AMOUNT,))


def test_texts_and_names_have_a_measure() -> None:
    check = opened(name="刀" * 200, text="x" * 2000)
    assert (check.name("name"), check.text("text"), check.reasons) == ("刀" * 200, "x" * 2000, ())
    check = opened(name="刀" * 201, text="x" * 2001)
    assert (check.name("name"), check.text("text")) == (None, None)
    assert check.reasons == (QuarantineReason.ROW_UNREADABLE,)


def test_half_a_pair_damages_one_text_and_not_the_page() -> None:
    page = read_json(b'{"records":[{"name":"\\ud800","amount":1.50},{"name":"\xe5\x88\x80"}]}')
    assert page["records"][0]["amount"] == Decimal("1.50")
    damaged, sound = (opened(**record) for record in page["records"])
    assert (damaged.name("name"), damaged.reasons) == ("\ufffd", (QuarantineReason.TEXT_UNREADABLE,))
    assert (sound.name("name"), sound.reasons) == ("刀", ())
    for rubbish in (b"<html>", b'{"a": NaN}', b"[" * 100_000, b"\xff\xfe", b'"\\ud800'):
        with pytest.raises(ValueError, match=r"."):
            read_json(rubbish)


def test_unreadable_rows_are_named_alike_wherever_they_stand() -> None:
    first, second = UnreadableKeys("feed"), UnreadableKeys("feed")
    assert first.key(("2026-10-01", None, "A1"), b"x") == "feed 2026-10-01 A1#1"
    assert first.key(("2026-10-01", None, "A1"), b"y") == "feed 2026-10-01 A1#2"
    assert second.key(("2026-10-01", None, "A1"), b"x") == first.key(("2026-10-01", None, "A1"), b"x")
    assert first.key((SOUND_NUMBER, "刀"), b"z") == "feed#1"


def test_an_unreadable_row_counts_nothing_and_keeps_only_documented_fields() -> None:
    row = unreadable_row(key="f#3", origin="f line 3", content=b"c", wire={"a": "1"})
    assert row.reasons == (QuarantineReason.ROW_UNREADABLE,)
    assert (row.source_key, row.version, row.version_rank, row.dropped) == ("f#3", "", 0, ())
    assert row.wire == {"a": "1"}
