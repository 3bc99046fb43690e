"""Compilation of the rules into a table, by asking Cedar about every cell.

A *cell* is role x purpose x part. In each cell the five circumstances (basis covers, heightened notice, area, second
factor, adult) may be true or false: 32 cases. The table says of a cell that it is closed, or which circumstances must
be true. It is exact, not an approximation: a cell whose 32 answers are not "all needed circumstances are true" is
refused. Cells that no permit fits are closed in all cases, because permits have no conditions (hub/access/rules.py).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import product

from hub.access.legal_mode import LegalMode
from hub.access.parts import PARTS, part_key
from hub.access.rules import MODE_FOLDER, Answer, Question, RuleSet
from hub.core.disclosure import Part
from hub.core.errors import SettingsError
from hub.core.names import Purpose, Role, WithheldReason

_BATCH = 4096


class Need(StrEnum):
    """A circumstance that must be true; the word is the attribute in the rules' context."""

    BASIS = "basisCovers"
    HEIGHTENED_NOTICE = "heightenedNotice"
    AREA = "inArea"
    SECOND_FACTOR = "secondFactor"
    ADULT = "adult"


CIRCUMSTANCES: tuple[frozenset[Need], ...] = tuple(
    frozenset(need for need, true in zip(Need, case, strict=True) if true)
    for case in product((True, False), repeat=len(Need))
)
"""All 32 cases; the first has everything."""


Key = tuple[Role, Purpose, Part]
"""Which cell."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What the rules say for one role, purpose and part.

    Open: ``needs`` must all be true. Closed: ``closed`` is the reason that is told. ``permits`` open the cell;
    ``demands`` has, for each need, the forbids that close it where nothing but that need is missing; ``barred_by``
    the forbids that keep a closed cell closed in all circumstances.
    """

    role: Role
    purpose: Purpose
    part: Part
    needs: frozenset[Need]
    closed: WithheldReason | None
    permits: tuple[str, ...] = ()
    demands: tuple[tuple[Need, tuple[str, ...]], ...] = ()
    barred_by: tuple[str, ...] = ()

    @property
    def rule_ids(self) -> tuple[str, ...]:
        """Every rule that decides somewhere in the cell."""
        demanding = (name for _, names in self.demands for name in names)
        return tuple(sorted({*self.permits, *demanding, *self.barred_by}))

    def allows(self, circumstances: frozenset[Need]) -> bool:
        """Whether the part may be given in these circumstances."""
        return self.closed is None and self.needs <= circumstances


@dataclass(frozen=True, slots=True)
class Decisions:
    """The compiled table and the digest of the rules that it stands for."""

    digest: bytes
    cells: tuple[Cell, ...]

    def by_key(self) -> dict["Key", Cell]:
        """Role, purpose and part -> cell."""
        return {(cell.role, cell.purpose, cell.part): cell for cell in self.cells}


def question(role: Role, purpose: Purpose, part: Part, circumstances: frozenset[Need]) -> Question:
    """The question that stands behind one case of one cell."""
    return Question(role, purpose, part_key(part), json.dumps({need.value: need in circumstances for need in Need}))


def compile_rules(rules: RuleSet) -> Decisions:
    """Ask Cedar about every cell and write down what it needs. Raises :class:`SettingsError` if a cell is not exact."""
    keys = list(product(Role, Purpose, PARTS))
    best = _ask(rules, [question(*key, CIRCUMSTANCES[0]) for key in keys])
    spoken = [key for key, answer in zip(keys, best, strict=True) if answer.allowed or answer.rule_ids]
    cases = _ask(rules, [question(*key, case) for key in spoken for case in CIRCUMSTANCES])
    answers = {key: cases[at : at + len(CIRCUMSTANCES)] for key, at in zip(spoken, _steps(), strict=False)}
    drafts = [_cell(key, answers.get(key)) for key in keys]
    elsewhere = {(cell.role, cell.part) for cell in drafts if cell.closed is None}
    cells = tuple(
        cell
        if cell.closed is None or (cell.role, cell.part) not in elsewhere
        else replace(cell, closed=WithheldReason.PURPOSE_MISMATCH)
        for cell in drafts
    )
    _check_every_rule_decides(rules, cells)
    return Decisions(rules.digest, cells)


def compiled(mode: LegalMode = LegalMode.LICENSED_BUREAU) -> Decisions:
    """The table of the rules in the repository for a legal mode; made once per process."""
    return _compiled(mode)


@lru_cache(maxsize=len(LegalMode))
def _compiled(mode: LegalMode) -> Decisions:
    return compile_rules(RuleSet.load(mode=mode))


def _steps() -> Iterator[int]:
    at = 0
    while True:
        yield at
        at += len(CIRCUMSTANCES)


def _ask(rules: RuleSet, questions: list[Question]) -> list[Answer]:
    found: list[Answer] = []
    for at in range(0, len(questions), _BATCH):
        found.extend(rules.ask(questions[at : at + _BATCH]))
    return found


def _cell(key: Key, answers: list[Answer] | None) -> Cell:
    """One row of the table from the 32 answers, or a closed one if there are none or all say no."""
    role, purpose, part = key
    if answers is None:
        return Cell(role, purpose, part, frozenset(), WithheldReason.NEVER_DISCLOSED)
    answer_in = dict(zip(CIRCUMSTANCES, answers, strict=True))
    allowed = {case for case, answer in answer_in.items() if answer.allowed}
    if not allowed:
        barring = answer_in[CIRCUMSTANCES[0]].rule_ids
        return Cell(role, purpose, part, frozenset(), WithheldReason.NEVER_DISCLOSED, barred_by=barring)
    needs = frozenset(need for need in Need if all(need in case for case in allowed))
    if allowed != {case for case in CIRCUMSTANCES if needs <= case}:
        raise SettingsError(
            f"The access rules for {role}, {purpose}, {part_key(part)} are not a plain list of needed circumstances.",
            remedy="A forbid may only demand circumstances that make an answer safer, one at a time.",
            code="RULES",
        )
    everything = CIRCUMSTANCES[0]
    demands = tuple((need, answer_in[everything - {need}].rule_ids) for need in Need if need in needs)
    return Cell(role, purpose, part, needs, None, answer_in[everything].rule_ids, demands)


def _check_every_rule_decides(rules: RuleSet, cells: tuple[Cell, ...]) -> None:
    """A rule that decides nothing is a mistake: a typing error in a name looks exactly like that.

    A legal mode may take everything from a permit, so beside rules of a mode only those themselves must decide.
    """
    deciding = {name for cell in cells for name in cell.rule_ids}
    of_mode = [rule for rule in rules.rules if rule.file.startswith(MODE_FOLDER)]
    idle = sorted(rule.rule_id for rule in of_mode or rules.rules if rule.rule_id not in deciding)
    if idle:
        raise SettingsError(
            f"Access rule `{idle[0]}` decides nothing.",
            remedy="Mend its names in hub/access/policies or delete it.",
            code="RULES",
        )
