"""Choosing one value among statements by a written precedence (docs/PRECEDENCE.md). Pure.

Only what is handed in counts: a reader's value is made of the statements in the sections granted to him, a challenge of
all statements that anybody but a steward could see. Nothing here knows of grants.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from hub.core.clock import day_of
from hub.core.names import Attribute, ChoiceReason, Confidence, Criterion, Verification
from hub.core.text import normalise_name
from hub.records.folding.precedence import Rule, precedence

_LEVELS = {level: place for place, level in enumerate(Verification)}
_BASE = {Verification.REGISTER: 2, Verification.VERIFIED: 1, Verification.STATED: 0}
_CONFIDENCE = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)


@dataclass(frozen=True, slots=True)
class Statement:
    """What one row of a source states about one attribute.

    ``version`` is that of the rule by which it was written; ``at`` the instant by which it is recent or old, as its
    kind says; ``place`` leads the caller back to the row.
    """

    attribute: Attribute
    kind: str
    value: str
    version: int
    source: str
    at: datetime | None
    place: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """A statement that says something else than the chosen one, and what it lost by."""

    statement: Statement
    reason: ChoiceReason
    contradicts: bool
    is_stale: bool


@dataclass(frozen=True, slots=True)
class Resolution:
    """The chosen statement, why it was chosen, how far it can be relied on, and what lost."""

    chosen: Statement
    rule: Rule
    reason: ChoiceReason
    confidence: Confidence
    is_stale: bool
    others: tuple[Lost, ...]


def resolve(statements: Sequence[Statement], day: date) -> Resolution | None:
    """The value of one attribute on ``day``; ``None`` without statements.

    All statements are of one attribute. Equal ones keep the order in which they were given, so the caller's order
    decides what no criterion decides.
    """
    if not statements:
        return None
    attribute = statements[0].attribute
    rule = precedence().versions[attribute, max(statement.version for statement in statements)]
    known = [statement for statement in statements if statement.kind in rule.kinds]
    if not known:
        return None
    keys = [_key(statement, rule) for statement in known]
    first = min(range(len(known)), key=lambda place: keys[place])
    chosen, best = known[first], keys[first]
    others: list[Lost] = []
    agreeing: set[str] = set()
    for statement, key in zip(known, keys, strict=True):
        if is_same(chosen, statement):
            agreeing.add(statement.source)
        else:
            lost_by = _lost_by(rule, best, key)
            contradicts = rule.contradict(chosen.kind, statement.kind)
            others.append(Lost(statement, lost_by, contradicts, is_stale(statement, rule, day)))
    stale = is_stale(chosen, rule, day)
    level = _BASE[rule.kinds[chosen.kind].verification] + (len(agreeing) > 1)
    level -= any(other.contradicts for other in others) + stale
    return Resolution(
        chosen=chosen,
        rule=rule,
        reason=_reason(others, len(known)),
        confidence=_CONFIDENCE[min(max(level, 0), 2)],
        is_stale=stale,
        others=tuple(others),
    )


def is_same(one: Statement, other: Statement) -> bool:
    """Whether two statements say the same; of names, without spaces and with one kind of middle dot."""
    if one.value == other.value:
        return True
    return one.attribute is Attribute.NAME and normalise_name(one.value) == normalise_name(other.value)


def is_stale(statement: Statement, rule: Rule, day: date) -> bool:
    """Whether a statement is older on ``day`` than its kind may be."""
    limit = rule.kinds[statement.kind].stale_after
    age = age_days(statement, day)
    return limit is not None and age is not None and age > limit


def age_days(statement: Statement, day: date) -> int | None:
    """Days since the date by which the statement is recent; ``None`` if it has none, negative if it lies ahead."""
    return None if statement.at is None else (day - day_of(statement.at)).days


def _key(statement: Statement, rule: Rule) -> tuple[float, ...]:
    """Smaller goes first. A statement without its date comes after all that have one."""
    kind = rule.kinds[statement.kind]
    at = statement.at
    places = {
        Criterion.LEGAL: float(kind.rank),
        Criterion.VERIFICATION: float(_LEVELS[kind.verification]),
        Criterion.RECENCY: float("inf") if at is None else -at.timestamp(),
    }
    return tuple(places[criterion] for criterion in rule.order)


def _lost_by(rule: Rule, best: tuple[float, ...], key: tuple[float, ...]) -> ChoiceReason:
    for criterion, winner, loser in zip(rule.order, best, key, strict=True):
        if winner < loser:
            return ChoiceReason(criterion.value)
    return ChoiceReason.FIRST_LISTED


def _reason(others: Sequence[Lost], told: int) -> ChoiceReason:
    """What decided: the weakest criterion that was needed against any statement that says something else."""
    if not others:
        return ChoiceReason.ALL_AGREE if told > 1 else ChoiceReason.ONLY_STATEMENT
    ranked = list(ChoiceReason)
    return max((other.reason for other in others), key=ranked.index)


def told_apart(others: Sequence[Lost]) -> list[Lost]:
    """One line for each source, kind and value, the most recent; in the order in which they were given."""
    best: dict[tuple[str, str, str], Lost] = {}
    for lost in others:
        told = lost.statement
        key = (told.source, told.kind, told.value)
        held = best.get(key)
        if held is None or (told.at is not None and (held.statement.at is None or told.at > held.statement.at)):
            best[key] = lost
    return list(best.values())
