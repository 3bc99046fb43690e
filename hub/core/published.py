"""The one rule for numbers of households and people that leave as statistics.

Three parts, each of which the others need:

* The smallest areas (villages) are counted, and each count is rounded to a multiple of :data:`CELL`.
* The number of a larger area is the sum of the rounded numbers of the smallest areas in it. So an area compared with
  its parts, or two lists of villages that overlap, say no more than the smallest areas do by themselves.
* From which remainder on a count is rounded up is a secret of each smallest area, the same for all of its numbers and
  at all times. So no part is told larger than its whole, asking again says nothing new, and sums are not biased.

Every told number, every sum and every difference of told numbers is then a multiple of :data:`CELL`: no two answers
ever differ by one or two households.
"""

from collections.abc import Mapping

CELL = 3
"""Numbers of fewer households are not told: who they are may be guessed."""


def told(number: int, threshold: float) -> int:
    """A count of one smallest area as it may be told; ``threshold`` from 0 to below 1 is the area's secret."""
    whole, rest = divmod(number, CELL)
    return CELL * (whole + (rest > CELL * threshold))


def told_by_name(numbers: Mapping[str, int], threshold: float) -> dict[str, int]:
    """Counts by name as they may be told; a name of which nought is told is left out."""
    rounded = {name: told(number, threshold) for name, number in numbers.items()}
    return {name: number for name, number in rounded.items() if number}
