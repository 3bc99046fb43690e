"""Robust scores: what is usual never alarms, what is far above both own days and others does."""

from hypothesis import given
from hypothesis import strategies as st

from hub.access.anomaly import Rule, robust_score, unusual

RULE = Rule(minimum=20, score=3.5)
counts = st.lists(st.integers(0, 200), min_size=5, max_size=60)


@given(counts)
def test_the_median_is_usual_and_more_is_never_less_unusual(own: list[int]) -> None:
    middle = sorted(own)[len(own) // 2]
    assert robust_score(middle, own) <= 3.5
    assert robust_score(middle + 10, own) > robust_score(middle, own)


@given(counts, counts, st.integers(0, 400))
def test_an_alarm_is_above_its_minimum_its_own_days_and_the_others(own: list[int], peers: list[int], seen: int) -> None:
    alarm = unusual(seen, own, peers, RULE)
    expected = seen >= 20 and min(robust_score(seen, own), robust_score(seen, peers)) > 3.5
    assert (alarm is not None) == expected
    if alarm is not None:
        assert alarm.observed == seen
        assert alarm.score > 3.5


def test_a_day_on_which_all_do_much_is_nobodys_alarm() -> None:
    assert unusual(90, [10] * 30, [88, 91, 95, 85], RULE) is None
    assert unusual(90, [10] * 30, [9, 11, 10, 12], RULE) is not None


def test_one_wild_day_among_the_own_ones_does_not_hide_the_next() -> None:
    assert unusual(90, [10] * 20 + [400], [], RULE) is not None


def test_without_anything_to_compare_with_the_minimum_decides() -> None:
    assert unusual(25, [], [], RULE) is not None
    assert unusual(19, [], [], RULE) is None
