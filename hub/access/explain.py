"""Why a part was given or withheld: a recorded decision put before Cedar again, with the rules of its time or today's.

Pure. The gate decides by a compiled table; here the rules themselves are asked, so this is also the check that the gate
did what the rules say (hub/flows/rules/shadow.py). A decision has two halves. Some requests end before any rule is
looked at
(the asker may not ask, nobody fits the number, the day's limit is reached, a basis is used up): ``cause`` says which.
All others follow from the rules, the basis and the circumstances recorded with the decision.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hub.access.compile import Need, question
from hub.access.parts import PART_FACTS, part_key, part_of
from hub.access.rules import Answer, RuleSet
from hub.core.names import Purpose, Role


class Outcome(StrEnum):
    """What became of a part."""

    GIVEN = "GIVEN"
    WITHHELD = "WITHHELD"


@dataclass(frozen=True, slots=True)
class BasisFacts:
    """What a basis covers. ``stands``: whether nobody has withdrawn, suspended, revoked or replaced it since."""

    parts: frozenset[str]
    heightened: bool
    effective_from: datetime
    expires_at: datetime
    stands: bool

    def covered_at(self, at: datetime) -> bool:
        """Whether an instant lies in its time."""
        return self.effective_from <= at < self.expires_at


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision as the audit log holds it. ``circumstances`` are those of the person named, without the basis's."""

    role: Role
    purpose: Purpose
    at: datetime
    cause: str | None
    asked: tuple[str, ...]
    withheld: Mapping[str, str]
    is_shown: bool
    circumstances: frozenset[Need]
    basis: BasisFacts | None

    def outcome(self, part: str) -> Outcome:
        """Whether the part was open to the asker; whether there was anything in it is another matter."""
        return Outcome.WITHHELD if part in self.withheld or not self.is_shown else Outcome.GIVEN

    def circumstances_of(self, part: str, at: datetime | None = None) -> frozenset[Need]:
        """All circumstances of one part when it was decided; with ``at``, what is left of the basis then."""
        basis = self.basis
        if basis is None or not basis.covered_at(self.at if at is None else at) or not (at is None or basis.stands):
            return self.circumstances
        return self.circumstances | {need for need, true in _of_basis(basis, part) if true}


def _of_basis(basis: BasisFacts, part: str) -> Iterable[tuple[Need, bool]]:
    return (Need.BASIS, part in basis.parts), (Need.HEIGHTENED_NOTICE, basis.heightened)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a set of rules says of one part. ``rule_ids``: the permits if allowed, else the forbids; none where no
    permit fits. ``missing``: which circumstances, added to what there was, would have opened it.
    """

    allowed: bool
    rule_ids: tuple[str, ...]
    missing: frozenset[Need]


@dataclass(frozen=True, slots=True)
class PartExplained:
    """One part of a decision. ``told`` is the reason that the asker got; ``cause`` what ended the request before any
    rule was looked at. ``follows``: whether the outcome is what the rules of the time say.
    """

    part: str
    outcome: Outcome
    told: str | None
    cause: str | None
    then: Verdict | None
    now: Verdict | None
    follows: bool


BY_BASIS = frozenset({"NO_BASIS", "NO_LIVE_LOAN"})
"""Causes after which the rules still decide, as if there were no basis."""

_JOINT = frozenset(part_key(facts.part) for facts in PART_FACTS if facts.household)
"""Parts about the whole household: another adult who takes his consent back stops them for all. Whose consent that was
is recorded nowhere, and the answer is that of a consent that never named them; so it is taken as it is told.
"""

_STOPPED = "CATEGORY_NOT_IN_BASIS"


def explain(
    decided: Decided, rules_then: RuleSet | None, rules_now: RuleSet | None, at_present: datetime, parts: Iterable[str]
) -> tuple[PartExplained, ...]:
    """Explain the given parts of a decision. Without the rules of the time only the outcome and the cause are known;
    ``rules_now`` are asked with the same circumstances and what is left of the basis at ``at_present``.
    """
    wanted = tuple(parts)
    then = {} if rules_then is None else _verdicts(rules_then, decided, wanted, None)
    now = {} if rules_now is None else _verdicts(rules_now, decided, wanted, at_present)
    explained = []
    for part in wanted:
        outcome, verdict = decided.outcome(part), then.get(part)
        is_stopped = part in _JOINT and decided.withheld.get(part) == _STOPPED
        by_rules = (decided.cause is None or decided.cause in BY_BASIS) and not is_stopped
        follows = verdict is not None and (
            verdict.allowed if outcome is Outcome.GIVEN else not by_rules or not verdict.allowed
        )
        explained.append(
            PartExplained(
                part=part,
                outcome=outcome,
                told=decided.withheld.get(part),
                cause=decided.cause if outcome is Outcome.WITHHELD else None,
                then=verdict,
                now=now.get(part),
                follows=follows,
            )
        )
    return tuple(explained)


def _verdicts(rules: RuleSet, decided: Decided, parts: tuple[str, ...], at: datetime | None) -> dict[str, Verdict]:
    """Ask about each part in its circumstances, and about each circumstance that was missing."""
    cases = [(part, decided.circumstances_of(part, at)) for part in parts]
    answers = _ask(rules, decided, cases)
    refused = [(part, case) for (part, case), answer in zip(cases, answers, strict=True) if not answer.allowed]
    fullest = [(part, frozenset(Need)) for part, _ in refused]
    can_open = [
        part for (part, _), answer in zip(fullest, _ask(rules, decided, fullest), strict=True) if answer.allowed
    ]
    fuller = [(part, frozenset(Need) - {need}) for part in can_open for need in Need]
    needed: dict[str, set[Need]] = {part: set() for part in can_open}
    for (part, case), answer in zip(fuller, _ask(rules, decided, fuller), strict=True):
        if not answer.allowed:
            needed[part] |= frozenset(Need) - case
    return {
        part: Verdict(answer.allowed, answer.rule_ids, frozenset(needed.get(part, set())) - case)
        for (part, case), answer in zip(cases, answers, strict=True)
    }


def _ask(rules: RuleSet, decided: Decided, cases: list[tuple[str, frozenset[Need]]]) -> list[Answer]:
    if not cases:
        return []
    return rules.ask([question(decided.role, decided.purpose, part_of(part), case) for part, case in cases])


def known_parts(parts: Iterable[str]) -> tuple[str, ...]:
    """Those that are parts of a record still; what is not, no rule speaks of."""
    found = []
    for part in parts:
        try:
            found.append(part_key(part_of(part)))
        except ValueError:
            continue
    return tuple(found)
