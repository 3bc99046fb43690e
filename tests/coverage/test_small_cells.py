"""No number of fewer than three households is told, nor one from which such a number could be subtracted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.errors import InputError
from hub.records.coverage import CELL_MIN, AreaCoverage, AreaLevel, check_area, without_small_cells

SMALL = st.integers(0, 8)


@st.composite
def lines(draw: st.DrawFn) -> AreaCoverage:
    total = draw(SMALL)
    part = st.integers(0, total)
    counts = st.dictionaries(st.sampled_from(["roster", "social.insurance", "LINK"]), part)
    adults = draw(SMALL)
    return AreaCoverage(
        "533103102203", 1, total, draw(part), draw(part), draw(part), draw(part), adults,
        draw(st.integers(0, adults)), draw(counts), draw(counts), draw(counts), draw(counts),
    )  # fmt: skip


@given(lines())
def test_no_small_number_is_told_and_no_rest_of_one(line: AreaCoverage) -> None:
    told = without_small_cells(line)
    assert told.area == line.area
    maps = (told.missing, told.stale, told.unverified, told.reported)
    numbers = [told.complete, told.fresh, told.verified, told.covered, *(n for counts in maps for n in counts.values())]
    shown = [number for number in numbers if number is not None]
    if line.households is not None and 0 < line.households < CELL_MIN:
        assert (told.households, shown, told.adults) == (None, [], None)
        assert not any(maps)
        return
    assert told.households == line.households
    for number in shown:
        for part in (number, (line.households or 0) - number):
            assert part == 0 or part >= CELL_MIN
    if told.adults_missing is not None:
        assert all(
            part == 0 or part >= CELL_MIN for part in (told.adults_missing, (line.adults or 0) - told.adults_missing)
        )


@given(lines())
def test_what_is_large_enough_is_told_as_it_is(line: AreaCoverage) -> None:
    told = without_small_cells(line)
    for name in ("complete", "fresh", "verified", "covered"):
        number, shown = getattr(line, name), getattr(told, name)
        assert shown in {None, number}
        if (
            line.households is not None
            and line.households >= 2 * CELL_MIN
            and CELL_MIN <= number <= line.households - CELL_MIN
        ):
            assert shown == number


@pytest.mark.parametrize(
    ("area", "level", "expected"),
    [
        (None, None, ("5331", AreaLevel.COUNTY)),
        ("533103", None, ("533103", AreaLevel.TOWNSHIP)),
        ("533103102", AreaLevel.VILLAGE, ("533103102", AreaLevel.VILLAGE)),
        ("533103102203", None, ("533103102203", AreaLevel.VILLAGE)),
        (None, AreaLevel.PREFECTURE, ("5331", AreaLevel.PREFECTURE)),
    ],
)
def test_an_area_is_shown_one_level_below_it(
    area: str | None, level: AreaLevel | None, expected: tuple[str, AreaLevel]
) -> None:
    assert check_area(area, level) == expected


@pytest.mark.parametrize(
    ("area", "level"),
    [("", None), ("53", None), ("440103", None), ("533199", None), ("5331031", None), ("53310x", None),
     ("５３３１", None), ("533103\n", None), ("533103102", AreaLevel.COUNTY)],
)  # fmt: skip
def test_what_is_no_area_is_refused(area: str, level: AreaLevel | None) -> None:
    with pytest.raises(InputError):
        check_area(area, level)
