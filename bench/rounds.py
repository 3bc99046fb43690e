"""Rounds of interleaved samples: every variant once per round, so that slow spells of the machine hit all alike."""

import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.watch import LIMIT, ForeignLoad

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
        """Medians over the clean samples; over all of them, and marked, where none was clean."""
        clean = self.clean()
        used = clean or self.samples
        rates = [sample["rate"] for sample in used]
        medians = {
            name: statistics.median(sample[name] for sample in used)
            for name in used[0]
            if name not in ("rate", "foreign")
        }
        return {
            "unit": self.unit,
            "note": self.note,
            "median": statistics.median(rates),
            "min": min(rates),
            "max": max(rates),
            **medians,
            "clean": len(clean),
            "samples": len(self.samples),
            "disturbed": not clean,
        }


async def take_rounds(
    variants: list[Variant], rounds: int, load: ForeignLoad, tell: Callable[[str], None], *, extra: int = 2
) -> None:
    """Take ``rounds`` samples of each variant, and up to ``extra`` more of those that were disturbed."""
    for number in range(rounds + extra):
        due = [v for v in variants if number < rounds or len(v.clean()) < min(rounds, 3)]
        if not due:
            return
        tell(f"round {number + 1}: {len(due)} samples")
        # Every other round goes backwards, so that no variant always follows the same one.
        for variant in due if number % 2 == 0 else due[::-1]:
            load.start()
            sample = await variant.measure()
            variant.samples.append({**sample, "foreign": load.stop()})


def ratio(results: Mapping[str, Mapping[str, Any]], one: str, other: str) -> float | None:
    """How many times the median of ``other`` the median of ``one`` is."""
    if one not in results or other not in results:
        return None
    below = results[other]["median"]
    return results[one]["median"] / below if below else None
