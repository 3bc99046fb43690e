"""Single rows of civil affairs: pure, no server."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.connectors.agencies.civil import WSDL
from hub.connectors.check import UnreadableKeys
from hub.connectors.formats.civil_rows import EVENTS, FORBIDDEN, HOUSEHOLDS, MEMBERS, RELIEF, Feed, civil_row
from hub.connectors.transport.soap import parse
from hub.core.errors import SourceError
from hub.core.identifiers import id_check_character
from hub.core.names import QuarantineReason as Q
from hub.core.rows import CheckedRow
from tests.connectors.civil_agency import element

TODAY = date(2026, 10, 20)
ID = "533103198503124417"
OTHER_ID = "533121196207053021"


def check(text: str, feed: Feed) -> CheckedRow:
    row = parse(f'<a xmlns="urn:dh-mz:credit:1">{text}</a>'.encode(), "test")[0]
    return civil_row(row, feed, origin="page 1", unreadable=UnreadableKeys(feed.name), today=TODAY)


def household(**texts: str) -> CheckedRow:
    return check(element("household", **texts), HOUSEHOLDS)


def member(**texts: str) -> CheckedRow:
    return check(element("member", **texts), MEMBERS)


def relief(**texts: str) -> CheckedRow:
    return check(element("relief", **texts), RELIEF)


def event(**texts: str) -> CheckedRow:
    return check(element("event", **texts), EVENTS)


def test_the_fields_of_each_feed_are_those_of_the_published_description() -> None:
    tree = etree.parse(str(WSDL))
    for feed, name in [(HOUSEHOLDS, "Household"), (MEMBERS, "Member"), (RELIEF, "Relief"), (EVENTS, "Event")]:
        found = tree.findall(f".//{{*}}complexType[@name='{name}']//{{*}}element")
        assert feed.fields == {e.get("name") for e in found} - FORBIDDEN - {"cy"}
    assert Path(WSDL).name == "civil_affairs.wsdl"


# -- households ----------------------------------------------------------------------------------------------------


def test_a_sound_household() -> None:
    row = household()
    assert row.reasons == ()
    assert (row.source_key, row.version, row.version_rank, row.household_no) == ("household|H1", "1", 1, "H1")
    assert row.value == {
        "household_no": "H1",
        "village_code": "533103102203",
        "township_name": "遮放镇",
        "village_name": "弄坎村",
        "group_no": "03",
        "phone": "13800000000",
        "status": "ACTIVE",
        "changed_at": "2026-10-01T02:00:00+08:00",
    }
    empty = household(zh="", lxdh="不详", hzt="0").value
    assert (empty["group_no"], empty["phone"], empty["status"]) == (None, None, "CANCELLED")


@pytest.mark.parametrize(
    ("texts", "reasons"),
    [
        ({"xzqhdm": "530103102203"}, (Q.UNKNOWN_CODE,)),
        ({"xzqhdm": "53310310220"}, (Q.UNKNOWN_CODE,)),
        ({"xzqhdm": ""}, (Q.UNKNOWN_CODE,)),
        ({"hzt": "2"}, (Q.UNKNOWN_CODE,)),
        ({"hzt": ""}, (Q.UNKNOWN_CODE,)),
        ({"scbz": "9"}, (Q.UNKNOWN_CODE,)),
        ({"gxsj": "2026-02-30T02:00:00+08:00"}, (Q.BAD_DATE,)),
        ({"gxsj": "2026-10-01 02:00:00"}, (Q.BAD_DATE,)),
        ({"gxsj": "9999-12-31T23:59:59-12:00"}, (Q.BAD_DATE,)),
        ({"gxsj": ""}, (Q.BAD_DATE,)),
        ({"cmc": "<b>弄坎村</b>"}, (Q.ROW_UNREADABLE,)),
    ],
)
def test_bad_households(texts: dict[str, str], reasons: tuple[Q, ...]) -> None:
    assert household(**texts).reasons == reasons


def test_a_repeated_element_is_not_the_documented_structure() -> None:
    text = element("household").replace("</household>", "<xzmc>芒市镇</xzmc></household>")
    assert check(text, HOUSEHOLDS).reasons == (Q.ROW_UNREADABLE,)


# -- members -------------------------------------------------------------------------------------------------------


def test_a_sound_member() -> None:
    row = member(yhzgx="52", lhrq="2026-09-30", swrq="2026-10-01")
    assert row.reasons == ()
    assert (row.household_no, row.name, row.id_number) == ("H1", "刀岩保", ID)
    assert row.value == {
        "member_no": "C1",
        "household_no": "H1",
        "name": "刀岩保",
        "id_number": ID,
        "birth_date": "1985-03-12",
        "relation": "52",
        "joined_on": "2012-05-01",
        "left_on": "2026-09-30",
        "died_on": "2026-10-01",
        "changed_at": "2026-10-01T02:00:00+08:00",
    }


@pytest.mark.parametrize(
    ("texts", "reasons"),
    [
        ({"sfzjhm": ""}, (Q.ID_MISSING,)),
        ({"sfzjhm": "", "csrq": "2008-10-20"}, (Q.ID_MISSING,)),
        ({"sfzjhm": "", "csrq": "2008-10-21"}, ()),
        ({"sfzjhm": "", "csrq": "20081021"}, (Q.BAD_DATE,)),
        ({"sfzjhm": "", "csrq": "2026-10-02"}, (Q.BAD_DATE,)),
        ({"sfzjhm": "5.33103198503E+17"}, (Q.ID_PRECISION_LOST,)),
        ({"sfzjhm": "5.33103198503124E+17"}, (Q.ID_PRECISION_LOST,)),
        ({"sfzjhm": "533103198503124000"}, (Q.ID_PRECISION_LOST,)),
        ({"sfzjhm": "5331031985031244"}, (Q.ID_FORMAT,)),
        ({"sfzjhm": "533103198503124418"}, (Q.ID_CHECK_DIGIT,)),
        ({"sfzjhm": "53310319850312441843"}, (Q.ID_CHECK_DIGIT,)),
        ({"yhzgx": "13"}, (Q.UNKNOWN_CODE,)),
        ({"yhzgx": "2"}, (Q.UNKNOWN_CODE,)),
        ({"yhzgx": "98"}, (Q.UNKNOWN_CODE,)),
        ({"rhrq": ""}, (Q.BAD_DATE,)),
        ({"rhrq": "2026-10-02"}, (Q.BAD_DATE,)),
        ({"lhrq": "2026/09/30"}, (Q.BAD_DATE,)),
        ({"swrq": "2026-10-02"}, (Q.BAD_DATE,)),
        ({"lhrq": "2012-04-30"}, (Q.DATE_INCONSISTENT,)),
        ({"xm": "刀\ue000保"}, (Q.TEXT_UNREADABLE,)),
        ({"xm": "ÀîÃ÷"}, (Q.TEXT_UNREADABLE,)),
        ({"xm": ""}, (Q.ROW_UNREADABLE,)),
        ({"hubh": "-"}, (Q.ROW_UNREADABLE,)),
        ({"sfzjhm": "x", "yhzgx": "x", "rhrq": "x"}, (Q.ID_FORMAT, Q.UNKNOWN_CODE, Q.BAD_DATE)),
    ],
)
def test_bad_members(texts: dict[str, str], reasons: tuple[Q, ...]) -> None:
    assert member(**texts).reasons == reasons


def test_an_id_number_with_an_impossible_birth_date() -> None:
    first17 = "53310319850230441"
    assert member(sfzjhm=first17 + id_check_character(first17)).reasons == (Q.ID_BIRTH_DATE,)


@given(st.sampled_from("1234567"), st.sampled_from("1234"))
def test_disability_class_and_grade_leave_no_trace(disability_class: str, grade: str) -> None:
    plain, cut = member(), member(sfzjhm=f" {ID}{disability_class}{grade}")
    assert cut.dropped == ("sfzjhm_tail",)
    assert (cut.content, cut.wire, cut.value, cut.reasons) == (plain.content, plain.wire, plain.value, ())


def test_a_reissued_certificate_number_is_damaged_but_its_tail_is_cut_too() -> None:
    row = member(sfzjhm=f"{ID}43B1")
    assert row.reasons == (Q.ID_FORMAT,)
    assert row.dropped == ("sfzjhm_tail",)
    assert "43B1" not in str(row)


def test_forbidden_and_unknown_elements_are_dropped_and_counted() -> None:
    text = element("member").replace(
        "</member>", "<mz>18</mz><zzmm/><cjlb>4</cjlb><cjdj>3</cjdj><xl>canary</xl></member>"
    )
    row = check(text, MEMBERS)
    assert set(row.dropped) == {"mz", "zzmm", "cjlb", "cjdj", "xl"}
    assert "canary" not in str(row)
    assert row.content == member().content


# -- relief --------------------------------------------------------------------------------------------------------


def test_sound_relief() -> None:
    row = relief(jzlx="05", jsrq="2030-01-01")
    assert row.reasons == ()
    assert (row.valid_from, row.valid_to, row.adverse) == (date(2025, 1, 1), date(2030, 1, 1), False)
    assert row.value == {"relief_type": "OTHER", "relief_household_size": 4, "monthly_amount": "420.50"}
    assert relief(bzrs="").value["relief_household_size"] is None


@pytest.mark.parametrize(
    ("texts", "reasons"),
    [
        ({"jzlx": "06"}, (Q.UNKNOWN_CODE,)),
        ({"jzlx": ""}, (Q.UNKNOWN_CODE,)),
        ({"ksrq": ""}, (Q.BAD_DATE,)),
        ({"ksrq": "2026-10-02"}, (Q.BAD_DATE,)),
        ({"jsrq": "never"}, (Q.BAD_DATE,)),
        ({"jsrq": "2024-12-31"}, (Q.DATE_INCONSISTENT,)),
        ({"yjzje": ""}, (Q.BAD_AMOUNT,)),
        ({"yjzje": "-1"}, (Q.BAD_AMOUNT,)),
        ({"yjzje": "1,000"}, (Q.BAD_AMOUNT,)),
        ({"yjzje": "20000.01"}, (Q.BAD_AMOUNT,)),
        ({"yjzje": "1.005"}, (Q.BAD_AMOUNT,)),
        ({"bzrs": "four"}, (Q.BAD_AMOUNT,)),
        ({"hubh": ""}, (Q.ROW_UNREADABLE,)),
    ],
)
def test_bad_relief(texts: dict[str, str], reasons: tuple[Q, ...]) -> None:
    assert relief(**texts).reasons == reasons


def test_of_orphan_aid_nothing_leaves_the_connector_but_what_recognises_it() -> None:
    row = relief(jzlx="04", yjzje="canary")
    assert row.reasons == (Q.FORBIDDEN_RECORD, Q.BAD_AMOUNT)
    assert (row.wire, row.value, row.household_no, row.valid_from) == ({}, {}, None, None)
    assert row.source_key == "relief|J1"


# -- events --------------------------------------------------------------------------------------------------------


def test_a_split_and_a_merge() -> None:
    for event_type in ("01", "02"):
        row = event(sjlx=event_type)
        assert row.reasons == ()
        assert row.value == {
            "event_no": "E1",
            "event_type": event_type,
            "effective_on": "2026-10-03",
            "registered_at": "2026-10-05T09:00:00+08:00",
            "from_household": "H1",
            "to_household": "H2",
            "to_village_code": None,
            "to_group_no": None,
            "members": [{"member_no": "C1", "relation": "02", "old_id_number": None, "new_id_number": None}],
        }


def test_a_move() -> None:
    row = event(sjlx="03", xhubh="", xxzqhdm="533103102204", xzh="04", cy="")
    assert row.reasons == ()
    assert (row.value["to_village_code"], row.value["to_group_no"], row.value["members"]) == ("533103102204", "04", [])


def test_a_corrected_id_number() -> None:
    cy = f"<cybh>C1</cybh><ysfzjhm>533121620705302</ysfzjhm><xsfzjhm>{OTHER_ID}43</xsfzjhm>"
    row = event(sjlx="05", yhubh="", xhubh="", cy=cy)
    assert row.reasons == ()
    assert row.value["members"] == [
        {"member_no": "C1", "relation": None, "old_id_number": OTHER_ID, "new_id_number": OTHER_ID}
    ]
    assert row.dropped == ("sfzjhm_tail",)
    assert OTHER_ID + "43" not in str(row)


@pytest.mark.parametrize(
    ("texts", "reasons"),
    [
        ({"sjlx": "06"}, (Q.UNKNOWN_CODE,)),
        ({"cy": "<cybh>C1</cybh><yhzgx>xx</yhzgx>"}, (Q.UNKNOWN_CODE,)),
        ({"cy": "<yhzgx>02</yhzgx>"}, (Q.ROW_UNREADABLE,)),
        ({"xhubh": ""}, (Q.ROW_UNREADABLE,)),
        ({"sjrq": "2026-02-30"}, (Q.BAD_DATE,)),
        ({"sjrq": "2026-10-06"}, (Q.BAD_DATE,)),
        ({"sjlx": "03", "xxzqhdm": ""}, (Q.UNKNOWN_CODE,)),
        ({"sjlx": "03", "xxzqhdm": "530103102203"}, (Q.UNKNOWN_CODE,)),
        ({"sjlx": "04", "cy": ""}, (Q.ROW_UNREADABLE,)),
        ({"sjlx": "04", "cy": "<cybh>C1</cybh></cy><cy><cybh>C2</cybh>"}, (Q.ROW_UNREADABLE,)),
        ({"sjlx": "05", "cy": f"<cybh>C1</cybh><xsfzjhm>{ID}</xsfzjhm>"}, (Q.ID_MISSING,)),
        (
            {"sjlx": "05", "cy": f"<cybh>C1</cybh><ysfzjhm>{ID[:-1]}8</ysfzjhm><xsfzjhm>{ID}</xsfzjhm>"},
            (Q.ID_CHECK_DIGIT,),
        ),
        ({"djsj": "soon", "sjrq": "2099-01-01"}, (Q.BAD_DATE,)),
    ],
)
def test_bad_events(texts: dict[str, str], reasons: tuple[Q, ...]) -> None:
    assert event(**texts).reasons == reasons


# -- keys, versions, tombstones ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "feed", "key"),
    [
        (element("household", scbz="1", xzqhdm="x", gxsj=""), HOUSEHOLDS, "household|H1"),
        (element("member", scbz="1", sfzjhm="x", rhrq=""), MEMBERS, "member|C1"),
        (element("relief", scbz="1", jzlx="04"), RELIEF, "relief|J1"),
        (element("event", cxbz="1", sjlx="x", cy=""), EVENTS, "event|E1"),
    ],
)
def test_a_deletion_needs_only_key_and_version(text: str, feed: Feed, key: str) -> None:
    row = check(text, feed)
    assert row.tombstone
    assert (row.source_key, row.version, row.reasons, row.content) == (key, "1", (), b"tombstone")
    assert row.value == {}


def test_a_row_without_version_keeps_its_key() -> None:
    for version in ("", "v2", "-1", "1.0"):
        row = household(bbh=version)
        assert row.reasons == (Q.ROW_UNREADABLE,)
        assert (row.source_key, row.version) == ("household|H1", "")


def test_rows_without_key_are_told_apart_and_recognised_again() -> None:
    rows = [check(element("member", cybh="", xm=name), MEMBERS) for name in ("刀岩保", "思月", "刀岩保")]
    assert all(row.reasons == (Q.ROW_UNREADABLE,) for row in rows)
    assert rows[0].content == rows[2].content != rows[1].content
    assert "刀岩保" not in rows[0].source_key
    assert rows[0].dropped == ()


def test_versions_are_numbers() -> None:
    assert household(bbh="0012").version == "12"
    assert household(bbh="12").version_rank == 12


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12))
def test_no_text_breaks_a_row(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("\ufffe", "").replace("\uffff", "")
    row = member(xm=escaped, hubh=escaped, sfzjhm=escaped, yhzgx=escaped, rhrq=escaped, bbh="1")
    assert row.source_key == "member|C1"
    assert Q.BAD_DATE in row.reasons
    assert row.content


# -- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>',
        b"<a>&undeclared;</a>",
        b"\xef\xbb\xbf<a>\xff</a>",
        b"<a>" * 300 + b"</a>" * 300,
        b"<a",
        b"",
    ],
)
def test_answers_that_are_not_plain_xml_are_refused(answer: bytes) -> None:
    with pytest.raises(SourceError, match=r"mz\.example"):
        parse(answer, "mz.example")


def test_the_packaged_description_is_the_published_one() -> None:
    assert etree.parse(str(WSDL)).getroot().get("targetNamespace") == "urn:dh-mz:credit:1"
