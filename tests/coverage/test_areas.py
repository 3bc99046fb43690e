"""Which areas may be asked about, and at which level they are shown."""

import pytest

from hub.core.errors import InputError
from hub.records.folding.coverage import AreaLevel, check_area


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
