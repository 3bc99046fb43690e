"""What the receiver measures of the rows that a source delivers, while it receives them."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from hub.records.intake.judge import JudgedRow

AGES = (
    ("hour", timedelta(hours=1)),
    ("day", timedelta(days=1)),
    ("week", timedelta(days=7)),
    ("month", timedelta(days=31)),
)
"""Upper bounds of the time from the source's own time of a row to its being recorded here; more is ``older``."""

OLDER = "older"


class Measures:
    """Counts over the new rows of one source in one run: values filled in, and age when they were recorded."""

    def __init__(self) -> None:
        self.fields = 0
        """Values that the rows could carry."""
        self.filled = 0
        """Values that they do carry."""
        self.ages: Counter[str] = Counter()
        """Rows by the name of their age; rows without a time of their own are in none."""

    def add(self, rows: Iterable[JudgedRow], now: datetime) -> None:
        """Count the rows that were merged in one step. Tombstones and rows held back say nothing."""
        for judged in rows:
            row = judged.row
            if judged.reasons or row.tombstone:
                continue
            self.fields += len(row.value)
            self.filled += len(row.value) - list(row.value.values()).count(None)
            if row.source_time is not None:
                self.ages[_age(now - row.source_time)] += 1


def _age(passed: timedelta) -> str:
    return next((name for name, bound in AGES if passed <= bound), OLDER)
