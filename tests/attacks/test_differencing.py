"""Attack 51: no numbers that are told can be subtracted, or compared, until one or two households are left."""

from dataclasses import fields
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.published import CELL, told
from hub.records.folding.coverage import AreaCoverage, AreaLevel, as_told, summed

VILLAGES = ("533103102203", "533103102204", "533103103201", "533124101201")
THRESHOLDS = st.floats(0, 1, exclude_max=True)


@st.composite
def lines(draw: st.DrawFn, area: str) -> AreaCoverage:
    """A village's exact numbers; parts are never larger than their whole."""
    households, adults = draw(st.integers(0, 8)), draw(st.integers(0, 12))
    part = st.integers(0, households)
    covered, *others = sorted(draw(st.tuples(part, part, part, part)))
    names = st.dictionaries(st.sampled_from(["roster", "social.insurance", "LINK"]), part)
    return AreaCoverage(
        area, 1, households, *others, covered, adults, draw(st.integers(0, adults)),
        draw(names), draw(names), draw(names), draw(names),
    )  # fmt: skip


worlds = st.tuples(*(lines(area) for area in VILLAGES))
secrets = st.tuples(*(THRESHOLDS for _ in VILLAGES))
areas = st.sets(st.sampled_from(VILLAGES))
"""Of which villages one reader's lists are made: his own, whatever they overlap with."""


def answers(world: tuple[AreaCoverage, ...], thresholds: tuple[float, ...], of: set[str]) -> dict[str, AreaCoverage]:
    """Every answer that somebody who reads these villages can get, by area of any level."""
    rounded = [
        as_told(village, threshold) for village, threshold in zip(world, thresholds, strict=True) if village.area in of
    ]
    return {line.area: line for level in AreaLevel for line in summed(rounded, level)}


def numbers(line: AreaCoverage) -> list[int]:
    found: list[int] = []
    for each in fields(line):
        value = getattr(line, each.name)
        if each.name not in {"area", "rule_version"}:
            found.extend(value.values() if isinstance(value, dict) else [value])
    return found


@settings(max_examples=30)
@given(worlds, worlds, secrets, areas, areas)
def test_attack_51_no_difference_of_told_numbers_is_one_or_two(
    now: tuple[AreaCoverage, ...], later: tuple[AreaCoverage, ...], thresholds: tuple[float, ...], mine: set[str],
    yours: set[str],
) -> None:  # fmt: skip
    """Of any two answers: of area and part, of two readers whose villages overlap, of two days."""
    seen = [
        number
        for world in (now, later)
        for readers in (mine, yours, set(VILLAGES))
        for line in answers(world, thresholds, readers).values()
        for number in numbers(line)
    ]
    assert not [b - a for a, b in pairwise(sorted(set(seen))) if 0 < b - a < CELL]
    assert all(number % CELL == 0 for number in seen), "so that no sum of some differs from a sum of others by less"


@settings(max_examples=40)
@given(worlds, secrets, areas)
def test_attack_51_an_area_says_no_more_than_its_villages(
    world: tuple[AreaCoverage, ...], thresholds: tuple[float, ...], mine: set[str]
) -> None:
    """Every larger line can be made from the village lines alone, so that to compare them gives nothing."""
    found = answers(world, thresholds, mine)
    villages = [line for area, line in found.items() if len(area) == AreaLevel.VILLAGE]
    for level in AreaLevel:
        assert summed(villages, level) == [line for area, line in sorted(found.items()) if len(area) == level]


@settings(max_examples=50)
@given(worlds, secrets)
def test_attack_51_a_part_is_never_told_larger_than_its_whole(
    world: tuple[AreaCoverage, ...], thresholds: tuple[float, ...]
) -> None:
    """Else two numbers that do not fit would tell how each was rounded."""
    for line in answers(world, thresholds, set(VILLAGES)).values():
        assert line.covered <= min(line.complete, line.fresh, line.verified)
        assert max(line.complete, line.fresh, line.verified) <= line.households
        assert line.adults_missing <= line.adults
        for counts in (line.missing, line.stale, line.unverified, line.reported):
            assert all(0 < number <= line.households for number in counts.values())


@pytest.mark.parametrize("number", range(0, 4 * CELL, CELL))
def test_attack_51_three_numbers_may_stand_behind_whatever_is_told(number: int) -> None:
    behind = {exact for exact in range(5 * CELL) for step in range(10) if told(exact, step / 10) == number}
    assert behind == set(range(max(0, number - CELL + 1), number + CELL))


@pytest.mark.parametrize("number", range(3 * CELL + 1))
def test_what_is_told_is_near_and_on_average_right(number: int) -> None:
    steps = 3_000
    all_told = [told(number, step / steps) for step in range(steps)]
    assert {abs(each - number) < CELL for each in all_told} == {True}
    assert sum(all_told) / steps == pytest.approx(number, abs=2 * CELL / steps)
