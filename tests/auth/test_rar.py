"""Rich authorization requests: the one closed type, and everything that is not it."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.auth.rar import InvalidDetailsError, granted_details, read_details

TODAY = date(2026, 10, 20)
NUMBER = "533103198001010014"
GOOD: dict[str, Any] = {
    "type": "credit_data_consent", "purpose": "LOAN_APPLICATION", "parts": [{"category": "tax.grade", "form": "VALUE"}],
}  # fmt: skip


def read(**changes: Any) -> Any:
    return read_details(json.dumps([GOOD | changes]), TODAY)


def test_the_least_and_the_most() -> None:
    least = read()
    assert (least.days, least.uses, least.officer, least.subject) == (None, None, None, None)
    most = read(
        application_ref="A-17", days=7, uses=2, officer="officer-07", subject={"id_number": NUMBER, "name": "岩 罕"}
    )
    assert (most.application_ref, most.days, most.uses, most.officer) == ("A-17", 7, 2, "officer-07")
    assert (most.subject.id_number, most.subject.name) == (NUMBER, "岩 罕")


def test_nobody_is_somebody_else_each_time() -> None:
    one = read()
    assert one.subject_or_nobody != one.subject_or_nobody


PART = GOOD["parts"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "other"}, {"purpose": "MARKETING"}, {"purpose": None}, {"purpose": ["LOAN_APPLICATION"]},
        {"parts": []}, {"parts": {}}, {"parts": [PART] * 65}, {"parts": ["tax.grade/VALUE"]},
        {"parts": [PART | {"category": "tax.amount"}]}, {"parts": [PART | {"form": "RAW"}]},
        {"parts": [PART | {"more": 1}]}, {"parts": [{"category": "tax.grade"}]},
        {"locations": ["https://hub.example"]}, {"actions": ["read"]}, {"application_ref": "a b"},
        {"application_ref": 7}, {"days": 0}, {"days": "7"}, {"days": True}, {"days": 1.5}, {"uses": -1},
        {"officer": "张 三"}, {"subject": {"id_number": NUMBER}}, {"subject": {"id_number": NUMBER, "name": " "}},
        {"subject": {"id_number": NUMBER[:-1] + "9", "name": "x"}}, {"subject": {"id_number": 7, "name": "x"}},
        {"subject": {"id_number": NUMBER, "name": "x", "phone": "1"}}, {"subject": None},
        {"programme": "Care"}, {"programme": "care@0"}, {"programme": "care@1@2"}, {"programme": 7},
    ],
    ids=str,
)  # fmt: skip
def test_one_thing_wrong(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidDetailsError) as refusal:
        read(**changes)
    assert NUMBER[:-1] not in refusal.value.description


@pytest.mark.parametrize(
    "text",
    ["", "x", "{}", "[]", "[7]", json.dumps(GOOD), json.dumps([GOOD, GOOD]), '[{"type": "a", "type": "b"}]',
     "[" * 5000, json.dumps([GOOD]) + " " * 9000, "NaN"],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_texts_that_are_no_list_of_one(text: str) -> None:
    with pytest.raises(InvalidDetailsError):
        read_details(text, TODAY)


@given(text=st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_no_text_breaks_the_reading(text: str) -> None:
    with pytest.raises(InvalidDetailsError):
        read_details(text, TODAY)


def test_what_was_granted_never_names_the_person() -> None:
    (granted,) = granted_details("LOAN_APPLICATION", ["tax.grade/VALUE"], "A-17", None)
    assert granted == GOOD | {"application_ref": "A-17"}
    (granted,) = granted_details("LOAN_APPLICATION", ["tax.grade/VALUE"], None, "care@3")
    assert granted == GOOD | {"programme": "care@3"}
