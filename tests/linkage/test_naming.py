"""The forms of names, the reading of addresses and of damaged numbers: pure parts of linkage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.records.linkage.locating import Locator, Place
from hub.records.linkage.naming import name_forms
from hub.records.linkage.tables import readable_digits
from hub.records.people.places import VillageName

_NAMES = st.text(alphabet="刀岩罕保思月曩木果腊翁玉香阿普邓克·", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("one", "other", "form"),
    [
        ("岩 罕保", "岩罕保", "name"),
        ("岩・罕保", "岩罕保", "plain"),
        ("腊翁", "拉翁", "folded"),
        ("曩木果", "囊木果", "folded"),
        ("线小团", "限小团", "folded"),
        ("岩喊", "艾罕", "folded"),
        ("思月", "四月", "sound"),
        ("刀yun保", "刀云保", "sound"),
        ("玉香", "艺香", "loose"),
        ("李金华", "李经华", "loose"),
        ("麻干", "干麻", "syllables"),
        ("刀岩保", "刀岩团", "first_two"),
        ("刀岩保", "召岩保", "last_two"),
        ("刀岩保", "刀香保", "ends"),
    ],
)
def test_each_form_forgets_one_difference(one: str, other: str, form: str) -> None:
    first, second = name_forms(one), name_forms(other)
    assert getattr(first, form) == getattr(second, form)
    stronger = ("name", "plain", "folded", "sound", "loose")
    if form in stronger and form != "name":
        assert getattr(first, stronger[stronger.index(form) - 1]) != getattr(second, stronger[stronger.index(form) - 1])


@given(_NAMES, _NAMES)
def test_what_agrees_in_a_stronger_form_agrees_in_the_weaker_ones(one: str, other: str) -> None:
    first, second = name_forms(one), name_forms(other)
    forms = ("name", "plain", "folded", "sound", "loose", "syllables")
    agree = [getattr(first, form) == getattr(second, form) for form in forms]
    assert agree == sorted(agree)


@given(st.text(max_size=12))
def test_any_text_has_forms(text: str) -> None:
    forms = name_forms(text)
    assert "·" not in forms.plain
    assert len(forms.loose.split(" ")) == len(forms.sound.split(" "))


NAMES = [
    VillageName("533103102203", "遮放镇", "弄坎村"), VillageName("533103102204", "遮放镇", "户弄村"),
    VillageName("533103101205", "芒市镇", "回贤村"), VillageName("533122101201", "遮岛镇", "弄么村"),
    VillageName("533122101202", "遮岛镇", "弄坎寨"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("潞西市遮放镇弄坎村委会3组", Place("533103102203", "533103102", "533103")),
        ("遮放弄坎", Place("533103102203", "533103102", "533103")),
        ("遮放镇农坎村", Place("533103102203", "533103102", "533103")),
        ("户弄村2组", Place("533103102204", "533103102", "533103")),
        ("弄坎", Place()),
        ("遮放镇", Place(None, "533103102", "533103")),
        ("芒市镇回贤", Place("533103101205", "533103101", "533103")),
        ("德宏州潞西市", Place(None, None, "533103")),
        ("盈江县", Place(None, None, "533123")),
        ("芒市", Place(None, None, "533103")),
        ("缅甸木姐", Place()),
        (None, Place()),
    ],
)
def test_an_address_tells_what_it_tells(address: str | None, place: Place) -> None:
    assert Locator(NAMES).locate(address) == place


@pytest.mark.parametrize(
    ("typed", "digits"),
    [
        ("533103196207053021", "53310319620705302"),
        ("533103196207053000", "533103196207053"),
        ("533103620705302", "53310319620705302"),
        ("53310319620705302", "53310319620705302"),
        ("5.33103E+17", None),
        ("5331031962", None),
        ("533103 19620705 302x", "53310319620705302"),
        (None, None),
    ],
)
def test_what_can_be_read_of_a_damaged_number(typed: str | None, digits: str | None) -> None:
    assert readable_digits(typed) == digits
