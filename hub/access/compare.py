"""Whose view changes between two sets of rules, cell by cell and in words. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hub.access.compile import Cell, Decisions, Key, Need
from hub.access.matrix import WORDS
from hub.access.parts import part_key
from hub.core.names import WithheldReason


class Effect(StrEnum):
    """What a change does to whoever asks."""

    OPENED = "OPENED"
    CLOSED = "CLOSED"
    EASED = "EASED"
    TIGHTENED = "TIGHTENED"
    EXCHANGED = "EXCHANGED"
    REASON = "REASON"
    RULES = "RULES"


_WIDER = frozenset({Effect.OPENED, Effect.EASED, Effect.EXCHANGED})
_VIEW = frozenset(Effect) - {Effect.REASON, Effect.RULES}


@dataclass(frozen=True, slots=True)
class Change:
    """One cell that is not what it was; ``None`` where one of the two sets does not know the part."""

    key: Key
    old: Cell | None
    new: Cell | None
    effect: Effect

    @property
    def widens(self) -> bool:
        """Whether somebody may see something that he could not see before."""
        return self.effect in _WIDER

    @property
    def changes_view(self) -> bool:
        """Whether more or less is seen, rather than only the reason or the rule behind it."""
        return self.effect in _VIEW

    def as_json(self) -> dict[str, Any]:
        """For machines: the cell, the effect, and both sides."""
        role, purpose, part = self.key
        return {
            "role": role,
            "purpose": purpose,
            "part": part_key(part),
            "effect": self.effect,
            "old": _side(self.old),
            "new": _side(self.new),
        }

    def in_words(self) -> str:
        """One sentence: the cell, what happens to it, and by which rules or circumstances."""
        role, purpose, part = self.key
        cell = f"{role} for {purpose}: {part_key(part)}"
        old, new = _needs(self.old), _needs(self.new)
        match self.effect:
            case Effect.OPENED:
                return f"{cell} opens, where there is: {_list(new)} (by {_rules(self.new)})."
            case Effect.CLOSED:
                return f"{cell} closes (was open by {_rules(self.old)})."
            case Effect.EASED:
                return f"{cell} needs no longer: {_list(old - new)}."
            case Effect.TIGHTENED:
                return f"{cell} needs besides: {_list(new - old)}."
            case Effect.EXCHANGED:
                return f"{cell} needs {_list(new - old)} instead of {_list(old - new)}."
            case Effect.REASON:
                return f"{cell} stays closed; the reason told is {_reason(self.new)} instead of {_reason(self.old)}."
            case Effect.RULES:
                return f"{cell} is as before, but by {_rules(self.new)} instead of {_rules(self.old)}."


def compare(old: Decisions, new: Decisions) -> tuple[Change, ...]:
    """Every cell that changed, in the order of the newer table, then what only the older one knows."""
    before, after = old.by_key(), new.by_key()
    changes = (
        _change(key, before.get(key), after.get(key)) for key in [*after, *(key for key in before if key not in after)]
    )
    return tuple(change for change in changes if change is not None)


def in_words(changes: Iterable[Change]) -> list[str]:
    """Sentences for people: first what anybody sees more of, then what is seen less of, then the rest in sums."""
    listed = sorted(changes, key=lambda change: (not change.widens, not change.changes_view))
    if not listed:
        return ["Nobody's view changes."]
    wider = sum(change.widens for change in listed)
    narrower = sum(change.changes_view and not change.widens for change in listed)
    rest = len(listed) - wider - narrower
    head = f"{wider} cells show more, {narrower} show less, {rest} change only in reason or rule."
    return [head, *(change.in_words() for change in listed if change.changes_view), *_sums(listed)]


def _sums(changes: Iterable[Change]) -> list[str]:
    """One line for each role and kind of change that lets nobody see more or less."""
    sums: dict[str, int] = {}
    for change in changes:
        if change.changes_view:
            continue
        role = change.key[0]
        if change.effect is Effect.REASON:
            what = f"{role}: {{}} closed cells tell {_reason(change.new)} instead of {_reason(change.old)}."
        else:
            what = f"{role}: {{}} cells are open by {_rules(change.new)} instead of {_rules(change.old)}."
        sums[what] = sums.get(what, 0) + 1
    return [what.format(number) for what, number in sums.items()]


def _change(key: Key, old: Cell | None, new: Cell | None) -> Change | None:
    effect = _effect(old, new)
    return None if effect is None else Change(key, old, new, effect)


def changed_bases(old: Iterable[str] | None, new: Iterable[str] | None) -> list[dict[str, str]]:
    """Kinds of basis that may be relied on from now on, or no longer."""
    before, after = set(old or ()), set(new or ())
    return [{"basis": kind, "change": "opened" if kind in after else "closed"} for kind in sorted(before ^ after)]


def _effect(old: Cell | None, new: Cell | None) -> Effect | None:
    was_open, is_open = old is not None and old.closed is None, new is not None and new.closed is None
    if was_open != is_open:
        return Effect.OPENED if is_open else Effect.CLOSED
    if not is_open:
        return None if _reason(old) == _reason(new) else Effect.REASON
    more, less = _needs(new) - _needs(old), _needs(old) - _needs(new)
    if more or less:
        return Effect.EXCHANGED if more and less else Effect.TIGHTENED if more else Effect.EASED
    return None if _rules(old) == _rules(new) else Effect.RULES


def _needs(cell: Cell | None) -> frozenset[Need]:
    return frozenset() if cell is None else cell.needs


def _reason(cell: Cell | None) -> WithheldReason | None:
    return WithheldReason.NEVER_DISCLOSED if cell is None else cell.closed


def _rules(cell: Cell | None) -> str:
    return ", ".join(() if cell is None else cell.rule_ids)


def _list(needs: Iterable[Need]) -> str:
    return ", ".join(WORDS[need] for need in Need if need in set(needs)) or "nothing"


def _side(cell: Cell | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    if cell.closed is not None:
        return {"closed": cell.closed}
    return {"permits": cell.permits, "needs": {WORDS[need]: names for need, names in cell.demands}}
