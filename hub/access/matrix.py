"""The who-sees-what matrix: every cell of role x purpose x category x form, with what must be true and by which rules.

``docs/ACCESS-MATRIX.csv`` is the golden copy that people review: a change of any rule shows as a change of its lines.
It is condensed and still exact. A line with ``*`` stands for everything that no line above it names: first the open
cells one by one, then the parts that other purposes open to the role (``PURPOSE_MISMATCH``), then the rest of the role.

An open cell is open where all circumstances of ``needs`` hold; so its 32 cases (basis, heightened notice, area, second
factor, adult: each true or false) follow from one line, and :func:`as_cases` writes every one of them out.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from hub.access.compile import CIRCUMSTANCES, Cell, Decisions, Need, compiled
from hub.access.parts import part_key
from hub.core.names import Purpose, Role, WithheldReason

ANY = "*"
"""Stands for everything that no line above names."""

HEADER = ("role", "purpose", "category", "form", "decision", "permits", "needs")
OPEN = "OPEN"

WORDS = {
    Need.BASIS: "basis",
    Need.HEIGHTENED_NOTICE: "heightened-notice",
    Need.AREA: "area",
    Need.SECOND_FACTOR: "second-factor",
    Need.ADULT: "adult",
}
"""How a circumstance is written in the matrix."""


def as_csv(decisions: Decisions) -> str:
    """The whole matrix, condensed, as CSV text with a header line."""
    return _csv(HEADER, _lines(decisions))


def _lines(decisions: Decisions) -> Iterator[tuple[str, ...]]:
    for role in Role:
        own = [cell for cell in decisions.cells if cell.role is role]
        yield from (_line(cell) for cell in own if cell.closed is None)
        # All purposes that are closed for a part tell the same reason: the part is open for another one, or for none.
        mismatched = dict.fromkeys(cell.part for cell in own if cell.closed is WithheldReason.PURPOSE_MISMATCH)
        for part in mismatched:
            yield (role, ANY, part.category, part.form, WithheldReason.PURPOSE_MISMATCH, "", "")
        for cell in own:
            if cell.barred_by and cell.closed is WithheldReason.NEVER_DISCLOSED:
                yield _line(cell)
        yield (role, ANY, ANY, ANY, WithheldReason.NEVER_DISCLOSED, "", "")


def _line(cell: Cell) -> tuple[str, ...]:
    needs = " ".join(f"{WORDS[need]}:{'+'.join(names)}" for need, names in cell.demands)
    decision = cell.closed or OPEN
    permits = " ".join(cell.permits) or " ".join(cell.barred_by)
    return (cell.role, cell.purpose, cell.part.category, cell.part.form, decision, permits, needs)


def as_cases(decisions: Decisions, *, role: Role | None = None, purpose: Purpose | None = None) -> Iterator[str]:
    """CSV lines of every case of every cell, circumstances as 1 and 0; the first line is the header.

    ``rules`` names the permits of a case that is allowed, and else every forbid that one missing circumstance calls up.
    """
    yield _csv((*HEADER[:4], *WORDS.values(), "decision", "rules"), ()).rstrip("\n")
    for cell in decisions.cells:
        if role in (None, cell.role) and purpose in (None, cell.purpose):
            yield _csv(None, (_case(cell, case) for case in CIRCUMSTANCES)).rstrip("\n")


def _case(cell: Cell, case: frozenset[Need]) -> tuple[str, ...]:
    flags = tuple("1" if need in case else "0" for need in Need)
    if cell.allows(case):
        decision, rules = "ALLOW", cell.permits
    else:
        missing = {name for need, names in cell.demands if need not in case for name in names}
        decision, rules = cell.closed or "DENY", tuple(sorted(missing)) or cell.barred_by
    return (cell.role, cell.purpose, cell.part.category, cell.part.form, *flags, decision, " ".join(rules))


def as_json(decisions: Decisions) -> str:
    """The open cells as JSON, with the digest of the rules; all others are closed."""
    cells = [
        {
            "role": cell.role,
            "purpose": cell.purpose,
            "part": part_key(cell.part),
            "permits": cell.permits,
            "needs": {WORDS[need]: names for need, names in cell.demands},
        }
        for cell in decisions.cells
        if cell.closed is None
    ]
    return json.dumps({"digest": decisions.digest.hex(), "open": cells}, indent=1)


def _csv(header: tuple[str, ...] | None, lines: Iterable[tuple[str, ...]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header is not None:
        writer.writerow(header)
    writer.writerows(lines)
    return out.getvalue()


def current() -> str:
    """The matrix of the rules as they stand in the code: the text of docs/ACCESS-MATRIX.csv."""
    return as_csv(compiled())


if __name__ == "__main__":
    print(current(), end="")
