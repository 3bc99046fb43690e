"""The who-sees-what matrix for people: docs/ACCESS-MATRIX.csv, printed by ``python -m hub.access.matrix``.

One line per role and part, one column per purpose. An empty cell is closed; otherwise it names what must be true.
A change of any rule shows as a change of this file, which people review.
"""

import csv
import io
from itertools import product

from hub.access.compile import Cell, Decisions, Need, compiled
from hub.access.parts import PARTS
from hub.core.names import Purpose, Role

_WORDS = {
    Need.BASIS: "basis",
    Need.HEIGHTENED_NOTICE: "heightened notice",
    Need.AREA: "area",
    Need.SECOND_FACTOR: "second factor",
    Need.ADULT: "adult",
}


def as_csv(decisions: Decisions) -> str:
    """The whole matrix as CSV text with a header line."""
    cells = {(cell.role, cell.purpose, cell.part): cell for cell in decisions.cells}
    purposes = [
        purpose
        for purpose in Purpose
        if any(cell.closed is None for (_, at, _), cell in cells.items() if at is purpose)
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["role", "category", "form", *(purpose.value for purpose in purposes), "rules"])
    for role, part in product(Role, PARTS):
        line = [cells[role, purpose, part] for purpose in purposes]
        rules = sorted({name for cell in line if cell.closed is None for name in cell.rule_ids})
        writer.writerow(
            [role.value, part.category.value, part.form.value, *(_words(cell) for cell in line), " ".join(rules)]
        )
    unnamed = [purpose.value for purpose in Purpose if purpose not in purposes]
    out.write(f"# Purposes that open nothing to anybody: {', '.join(unnamed)}.\n")
    return out.getvalue()


def _words(cell: Cell) -> str:
    if cell.closed is not None:
        return ""
    return " + ".join(_WORDS[need] for need in Need if need in cell.needs) or "always"


def current() -> str:
    """The matrix of the rules as they stand in the code: the text of docs/ACCESS-MATRIX.csv."""
    return as_csv(compiled())


if __name__ == "__main__":
    print(current(), end="")
