"""Choosing one statement among several: by the written order alone, whatever order they come in."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.names import Attribute, ChoiceReason, Confidence, Verification
from hub.core.text import normalise_name
from hub.records.folding.precedence import precedence
from hub.records.folding.resolution import Statement, age_days, resolve, told_apart

DAY = date(2026, 10, 20)
NOW = datetime(2026, 10, 20, tzinfo=UTC)


def said(
    kind: str, value: str, *, of: Attribute = Attribute.NAME, days: int | None = 10, source: str = ""
) -> Statement:
    at = None if days is None else NOW - timedelta(days=days)
    return Statement(of, kind, value, 1, source or kind, at)


@st.composite
def statements(draw: st.DrawFn) -> list[Statement]:
    attribute = draw(st.sampled_from(Attribute))
    rule = precedence().newest[attribute]
    values = list(rule.values) or ["刀岩保", "刀岩宝", "刀 岩保", "Dao•Yan", "Dao·Yan"]
    days = st.integers(0, 2000) | st.none()
    return [
        said(draw(st.sampled_from(sorted(rule.kinds))), draw(st.sampled_from(values)), of=attribute, days=draw(days),
             source=draw(st.sampled_from(["a", "b", "c"])))
        for _ in range(draw(st.integers(1, 6)))
    ]  # fmt: skip


@given(statements(), st.randoms(use_true_random=False))
def test_the_order_of_telling_decides_only_what_no_criterion_decides(told: list[Statement], random: Random) -> None:
    first = resolve(told, DAY)
    random.shuffle(told)
    second = resolve(told, DAY)
    assert first is not None
    assert second is not None
    if ChoiceReason.FIRST_LISTED not in {first.reason, second.reason}:
        assert normalise_name(first.chosen.value) == normalise_name(second.chosen.value)
        assert (first.reason, first.confidence) == (second.reason, second.confidence)


@given(statements())
def test_nothing_that_goes_first_in_law_loses_to_what_comes_after(told: list[Statement]) -> None:
    found = resolve(told, DAY)
    assert found is not None
    rank = {kind.name: kind.rank for kind in found.rule.kinds.values()}
    level = {kind.name: list(Verification).index(kind.verification) for kind in found.rule.kinds.values()}
    assert rank[found.chosen.kind] == min(rank[each.kind] for each in told)
    equal = [each for each in told if rank[each.kind] == rank[found.chosen.kind]]
    if "VERIFICATION" in found.rule.order:
        assert level[found.chosen.kind] == min(level[each.kind] for each in equal)
        equal = [each for each in equal if level[each.kind] == level[found.chosen.kind]]
    if "RECENCY" in found.rule.order:
        dates = [each.at for each in equal if each.at is not None]
        assert found.chosen.at == (max(dates) if dates else None)
    assert {id(found.chosen), *(id(other.statement) for other in found.others)} <= {id(each) for each in told}


@given(statements(), statements())
def test_what_is_not_handed_in_cannot_be_told_from_the_result(told: list[Statement], hidden: list[Statement]) -> None:
    """The same granted statements give the same result: there is nowhere else that it could come from."""
    assert resolve(list(told), DAY) == resolve(list(told), DAY)
    found = resolve(told, DAY)
    assert found is not None
    outside = {each.value for each in hidden} - {each.value for each in told}
    assert not outside & {found.chosen.value, *(other.statement.value for other in found.others)}


@pytest.mark.parametrize(
    ("told", "value", "reason", "confidence"),
    [
        ([said("roster", "刀岩保")], "刀岩保", "ONLY_STATEMENT", "HIGH"),
        ([said("clinic", "刀岩宝")], "刀岩宝", "ONLY_STATEMENT", "LOW"),
        ([said("tax", "刀岩宝"), said("roster", "刀岩保", days=4000)], "刀岩保", "LEGAL", "MEDIUM"),
        ([said("tax", "刀岩宝", days=1), said("bank", "刀岩保", days=90)], "刀岩保", "VERIFICATION", "LOW"),
        ([said("bank", "刀岩宝", days=9), said("social", "刀岩保", days=3)], "刀岩保", "RECENCY", "LOW"),
        ([said("bank", "刀岩宝"), said("social", "刀岩保")], "刀岩宝", "FIRST_LISTED", "LOW"),
        ([said("bank", "刀 岩宝"), said("social", "刀岩宝")], "刀 岩宝", "ALL_AGREE", "HIGH"),
        ([said("social", "刀岩保", days=None), said("bank", "刀岩宝", days=900)], "刀岩宝", "RECENCY", "LOW"),
    ],
)
def test_names(told: list[Statement], value: str, reason: str, confidence: str) -> None:
    found = resolve(told, DAY)
    assert found is not None
    assert (found.chosen.value, found.reason, found.confidence) == (value, reason, confidence)


def work(kind: str, value: str, days: int = 10, source: str = "social") -> Statement:
    return said(kind, value, of=Attribute.EMPLOYMENT, days=days, source=source)


def test_an_employee_who_trades_beside_is_contradicted_by_nobody() -> None:
    found = resolve([work("operator", "SELF_EMPLOYED", source="tax"), work("employee", "EMPLOYEE")], DAY)
    assert found is not None
    assert (found.chosen.value, found.confidence) == ("EMPLOYEE", Confidence.HIGH)
    assert [(other.statement.value, other.contradicts) for other in found.others] == [("SELF_EMPLOYED", False)]


def test_nobody_is_insured_as_employee_and_as_resident() -> None:
    found = resolve([work("resident", "NOT_EMPLOYEE"), work("employee", "EMPLOYEE")], DAY)
    assert found is not None
    assert (found.chosen.value, found.confidence, found.others[0].contradicts) == ("EMPLOYEE", "MEDIUM", True)


def test_age_and_staleness_are_those_of_the_day_of_reading() -> None:
    statement = work("employee", "EMPLOYEE", days=400)
    for later, stale, confidence in ((0, False, "HIGH"), (1, True, "MEDIUM")):
        day = DAY + timedelta(days=later)
        found = resolve([statement], day)
        assert found is not None
        assert (age_days(statement, day), found.is_stale, found.confidence) == (400 + later, stale, confidence)


def test_one_line_for_each_source_kind_and_value() -> None:
    told = [said("roster", "刀岩保"), said("tax", "刀岩宝", days=9), said("tax", "刀岩宝", days=2), said("tax", "刀保")]
    found = resolve(told, DAY)
    assert found is not None
    assert len(found.others) == 3
    assert [(o.statement.value, age_days(o.statement, DAY)) for o in told_apart(found.others)] == [
        ("刀岩宝", 2),
        ("刀保", 10),
    ]


def test_nothing_said_is_nothing_chosen() -> None:
    assert resolve([], DAY) is None
