"""Rounds of interleaved samples: every variant once per round, so that slow spells of the machine hit all alike."""

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bench.watch import LIMIT, ForeignLoad

ENOUGH = 3
"""Clean samples that are needed to look at them alone."""

Measure = Callable[[], Awaitable[dict[str, float]]]
"""Takes one sample; gives ``rate`` (per second) and whatever else was measured."""


@dataclass
class Variant:
    """One thing that is measured, and its samples."""

    name: str
    unit: str
    measure: Measure
    note: str = ""
    samples: list[dict[str, float]] = field(default_factory=list)

    def clean(self) -> list[dict[str, float]]:
        """Samples during which nobody else was busy."""
        return [sample for sample in self.samples if sample["foreign"] <= LIMIT]

    def summary(self) -> dict[str, Any]:
        """Medians over the clean samples; over all of them, and marked, where too few were clean."""
        clean = self.clean()
        enough = len(clean) >= min(ENOUGH, len(self.samples))
        used = clean if enough else self.samples
        medians = {
            name: statistics.median(sample[name] for sample in used)
            for name in used[0]
            if name not in ("rate", "foreign", "round")
        }
        rates = [sample["rate"] for sample in used]
        return {
            "unit": self.unit,
            "note": self.note,
            "median": statistics.median(rates),
            "min": min(rates),
            "max": max(rates),
            **medians,
            "clean": len(clean),
            "samples": len(self.samples),
            "disturbed": not enough,
        }


async def take_rounds(
    variants: list[Variant],
    rounds: int,
    load: ForeignLoad,
    tell: Callable[[str], None],
    *,
    extra: int = 2,
    extra_until: float = float("inf"),
) -> None:
    """Take ``rounds`` samples of each variant, and up to ``extra`` more of those that were disturbed.

    No further round begins after ``extra_until`` on the monotonic clock.
    """
    for number in range(rounds + extra):
        if number >= rounds and time.monotonic() > extra_until:
            return
        due = [v for v in variants if number < rounds or len(v.clean()) < min(rounds, ENOUGH)]
        if not due:
            return
        tell(f"round {number + 1}: {len(due)} samples")
        # Every other round goes backwards, so that no variant always follows the same one.
        for variant in due if number % 2 == 0 else due[::-1]:
            load.start()
            sample = await variant.measure()
            variant.samples.append({**sample, "foreign": load.stop(), "round": number})


def ratio(one: Variant, other: Variant, value: str = "rate") -> float | None:
    """How many times ``other`` is contained in ``one``: the median over the rounds, each compared within itself.

    Rounds in which both samples were clean if there are enough of them, else all: a busy spell then slows both.
    """
    pairs = [(mine, theirs) for mine in one.samples for theirs in other.samples if mine["round"] == theirs["round"]]
    clean = [pair for pair in pairs if max(sample["foreign"] for sample in pair) <= LIMIT]
    used = clean if len(clean) >= min(ENOUGH, len(pairs)) else pairs
    ratios = [mine[value] / theirs[value] for mine, theirs in used if theirs[value]]
    return statistics.median(ratios) if ratios else None
