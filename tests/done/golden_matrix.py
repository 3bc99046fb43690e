"""docs/ACCESS-MATRIX.csv read as a person reads it, without the code that wrote it."""

import csv
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

from hub.access.parts import PARTS
from hub.core.names import Purpose, Role

GOLDEN = Path(__file__).parents[2] / "docs" / "ACCESS-MATRIX.csv"
CIRCUMSTANCES = ("basis", "heightened-notice", "area", "second-factor", "adult")
Key = tuple[str, str, str]
"""Role, purpose, part."""


@dataclass(frozen=True)
class Line:
    """What the file says of a cell."""

    decision: str
    permits: tuple[str, ...]
    needs: dict[str, tuple[str, ...]]

    def outcome(self, circumstances: frozenset[str], given: bool = False) -> str:
        """``GIVEN``, or the reason that the asker is told: docs/ACCESS.md has the order."""
        if self.decision != "OPEN":
            return self.decision
        missing = [word for word in self.needs if word not in circumstances]
        told = {
            "area": "OUT_OF_AREA", "adult": "MINOR", "basis": "CATEGORY_NOT_IN_BASIS",
            "heightened-notice": "CATEGORY_NOT_IN_BASIS", "second-factor": "STEP_UP_REQUIRED",
        }  # fmt: skip
        return next((reason for word, reason in told.items() if word in missing), "GIVEN")


@lru_cache(maxsize=1)
def golden() -> dict[Key, Line]:
    """Every cell of role x purpose x part. A ``*`` stands for what no line above names."""
    cells: dict[Key, Line] = {}
    with GOLDEN.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            needs = dict(word.split(":") for word in row["needs"].split())
            line = Line(
                row["decision"],
                tuple(row["permits"].split()),
                {word: tuple(rules.split("+")) for word, rules in needs.items()},
            )
            purposes = [purpose.value for purpose in Purpose] if row["purpose"] == "*" else [row["purpose"]]
            every = [(part.category.value, part.form.value) for part in PARTS]
            parts = every if row["category"] == "*" else [(row["category"], row["form"])]
            for purpose, (category, form) in product(purposes, parts):
                cells.setdefault((row["role"], purpose, f"{category}/{form}"), line)
    return cells


def open_cells(role: Role | str) -> set[Key]:
    """The cells that something opens to a role."""
    return {key for key, line in golden().items() if key[0] == role and line.decision == "OPEN"}
