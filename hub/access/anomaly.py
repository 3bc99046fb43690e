"""Robust statistics for alarms: how far a count lies above what is usual for this one and for the others. Pure.

Median and median absolute deviation, because the days to be found are in the data they are compared with. The spread is
never taken for smaller than that of rare events (the root of the median) nor than one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_TO_DEVIATION = 1.4826
"""Median absolute deviation -> standard deviation, for normal data."""

OWN_DAYS = 5
"""With fewer days of his own somebody is compared with the others only."""

PEERS = 3
"""With fewer others there is nobody to compare with."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a count is an alarm."""

    minimum: int
    score: float


@dataclass(frozen=True, slots=True)
class Unusual:
    """A count that is an alarm, with what was usual and the score by which it lies above it."""

    observed: int
    usual: float
    score: float


def robust_score(observed: float, usual: Sequence[float]) -> float:
    """By how many robust standard deviations ``observed`` lies above the median of ``usual``."""
    middle = median(usual)
    spread = _TO_DEVIATION * median(abs(each - middle) for each in usual)
    return (observed - middle) / max(spread, math.sqrt(max(middle, 0.0)), 1.0)


def unusual(observed: int, own: Sequence[int], peers: Sequence[int], rule: Rule) -> Unusual | None:
    """Whether a count is an alarm against its own history and against the others of the same days.

    Both must be exceeded where both are known: whoever always does much is not unusual, nor is a day on which all do.
    Where neither is known, the count itself is compared with nothing (a median of zero).
    """
    if observed < rule.minimum:
        return None
    compared = [values for values, least in ((own, OWN_DAYS), (peers, PEERS)) if len(values) >= least]
    scores = [(robust_score(observed, values), median(values)) for values in compared]
    score, usual = min(scores) if scores else (robust_score(observed, (0,)), 0.0)
    return Unusual(observed, float(usual), score) if score > rule.score else None
