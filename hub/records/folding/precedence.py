"""Precedence: by which written rule one statement is chosen where several sources can state a value.

The rules are data (``precedence.toml``): per attribute an order of criteria, the kinds of statements with their legal
rank, verification level and limit of age, what contradicts what, and what opens a challenge to the source. Every
version that was ever in force stays in the file, because sections and past answers name a rule by id and version.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

from hub.core.canonical import canonical_bytes
from hub.core.errors import SettingsError
from hub.core.names import Attribute, Category, ChallengeCause, Criterion, Verification

FILE = Path(__file__).with_name("precedence.toml")

DATED = ("SOURCE_TIME", "VALID_FROM", "VALID_TO")
"""Which date of its provenance says how recent a statement is."""

_TEXT_KEYS = frozenset({"label", "meaning", "policy", "law"})
_RULE_KEYS = _TEXT_KEYS | {"attribute", "version", "order", "contradiction", "challenge", "values", "note", "statement"}
_KIND_KEYS = frozenset(["kind", "rank", "categories", "verification", "dated", "reason"])


@dataclass(frozen=True, slots=True)
class StatementKind:
    """One kind of statement of a rule. ``rank``: 1 goes first in law. ``stale_after``: days, ``None`` is never."""

    name: str
    rank: int
    categories: frozenset[Category]
    verification: Verification
    dated: str
    stale_after: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One version of the rule of one attribute; ``digest`` is SHA-256 over its canonical text."""

    attribute: Attribute
    version: int
    label: str
    meaning: str
    policy: str
    law: str
    note: str
    order: tuple[Criterion, ...]
    values: tuple[str, ...]
    challenge: frozenset[ChallengeCause]
    kinds: Mapping[str, StatementKind]
    contradicting: frozenset[frozenset[str]]
    body: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of the rule as it stands in the database."""
        return hashlib.sha256(self.body.encode()).digest()

    def contradict(self, one: str, other: str) -> bool:
        """Whether statements of these kinds, if they differ, cannot both be true."""
        return frozenset((one, other)) in self.contradicting


@dataclass(frozen=True, slots=True)
class Precedence:
    """All rules: the newest of each attribute, and every version that was ever in force."""

    answer_days: int
    newest: Mapping[Attribute, Rule]
    versions: Mapping[tuple[Attribute, int], Rule]


@lru_cache(maxsize=1)
def precedence() -> Precedence:
    """The rules of this program; read once per process. Raises :class:`SettingsError`."""
    return read_precedence(FILE.read_text(encoding="utf-8"))


def read_precedence(text: str) -> Precedence:
    """The rules in a text of the form of ``precedence.toml``.

    Raises :class:`SettingsError` naming the first thing that is not in order: nothing is folded by half a rule.
    """
    try:
        table = tomllib.loads(text)
        if set(table) != {"answer_days", "rule"}:
            raise _broken("the file holds `answer_days` and [[rule]] tables, nothing else")
        rules = [_rule(entry) for entry in table["rule"]]
        answer_days = table["answer_days"]
    except tomllib.TOMLDecodeError as error:
        raise _broken(f"the file cannot be read: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(f"a key is missing or has a value that is not known: {error}") from None
    if type(answer_days) is not int or answer_days < 1:
        raise _broken("`answer_days` is a number of days")
    versions = {(rule.attribute, rule.version): rule for rule in rules}
    newest: dict[Attribute, Rule] = {}
    for attribute in Attribute:
        own = sorted(rule.version for rule in rules if rule.attribute is attribute)
        if own != list(range(1, len(own) + 1)) or not own:
            raise _broken(f"`{attribute}` needs its versions 1, 2, 3 and so on, each once")
        newest[attribute] = versions[attribute, own[-1]]
    return Precedence(answer_days, newest, versions)


def _rule(entry: dict[str, Any]) -> Rule:
    name = f"{entry['attribute']} version {entry['version']}"
    if set(entry) != _RULE_KEYS:
        raise _broken(f"rule {name} differs in the keys {', '.join(sorted(set(entry) ^ _RULE_KEYS))}")
    kinds = [_kind(name, kind) for kind in entry["statement"]]
    by_name = {kind.name: kind for kind in kinds}
    order = tuple(Criterion(word) for word in entry["order"])
    if not kinds or len(by_name) != len(kinds):
        raise _broken(f"rule {name} needs statements, each kind once")
    if not order or len(set(order)) != len(order):
        raise _broken(f"rule {name} needs an order of criteria, each once")
    if type(entry["version"]) is not int or not all(entry[key] for key in _TEXT_KEYS):
        raise _broken(f"rule {name} lacks its version, label, meaning, policy or law")
    return Rule(
        attribute=Attribute(entry["attribute"]),
        version=entry["version"],
        label=entry["label"],
        meaning=entry["meaning"],
        policy=entry["policy"],
        law=entry["law"],
        note=entry["note"],
        order=order,
        values=tuple(entry["values"]),
        challenge=frozenset(ChallengeCause(word) for word in entry["challenge"]),
        kinds=by_name,
        contradicting=_contradicting(name, entry["contradiction"], by_name),
        body=canonical_bytes(entry).decode(),
    )


def _kind(rule: str, entry: dict[str, Any]) -> StatementKind:
    if set(entry) - {"stale_after"} != _KIND_KEYS or not entry["reason"]:
        raise _broken(f"a statement of rule {rule} has other keys than {', '.join(sorted(_KIND_KEYS))}")
    stale_after = entry.get("stale_after")
    if type(entry["rank"]) is not int or entry["rank"] < 1 or entry["dated"] not in DATED:
        raise _broken(
            f"statement `{entry['kind']}` of rule {rule} needs a rank from 1 and a date of {', '.join(DATED)}"
        )
    if stale_after is not None and (type(stale_after) is not int or stale_after < 1):
        raise _broken(f"statement `{entry['kind']}` of rule {rule} is out of date after a number of days")
    return StatementKind(
        name=entry["kind"],
        rank=entry["rank"],
        categories=frozenset(Category(name) for name in entry["categories"]),
        verification=Verification(entry["verification"]),
        dated=entry["dated"],
        stale_after=stale_after,
        reason=entry["reason"],
    )


def _contradicting(rule: str, given: Any, kinds: Mapping[str, StatementKind]) -> frozenset[frozenset[str]]:
    if given == "NONE":
        return frozenset()
    if given == "ANY":
        return frozenset(map(frozenset, combinations(kinds, 2))) | frozenset(frozenset((kind,)) for kind in kinds)
    pairs = frozenset(frozenset(pair) for pair in given)
    if not pairs or any(len(pair) > 2 or not pair <= set(kinds) for pair in pairs):
        raise _broken(f"the contradictions of rule {rule} are ANY, NONE or pairs of its kinds")
    return pairs


def _broken(what: str) -> SettingsError:
    return SettingsError(
        f"The precedence rules are not in order: {what}.",
        remedy="Mend hub/records/folding/precedence.toml; nothing is folded before it can be read.",
        code="PRECEDENCE",
    )


def as_markdown() -> str:
    """The text of docs/PRECEDENCE.md."""
    known = precedence()
    lines = [
        "# Precedence between sources",
        "",
        "Written by `make generated` from `hub/records/folding/precedence.toml`; change it there. Facts stay as "
        "received and",
        "conflicts are shown; where a reader needs one value, `resolved` of the API names it by these rules, made only",
        "of what was granted, with the statements that lost beside it. How confidence is counted and how challenges",
        "go: `CHALLENGES.md`.",
        "",
    ]
    for rule in known.versions.values():
        pairs = sorted(" / ".join(sorted(pair)) for pair in rule.contradicting)
        lines += [
            f"## `{rule.attribute}` {rule.label}, version {rule.version}",
            "",
            f"{rule.meaning} {rule.note}".strip(),
            "",
            f"* policy: {rule.policy}",
            f"* law: {rule.law}",
            f"* order: {', then '.join(rule.order)}",
            f"* values: {', '.join(f'`{value}`' for value in rule.values) or 'as stated'}",
            f"* contradict each other where they differ: {', '.join(pairs) or 'none'}",
            f"* opens a challenge: {', '.join(sorted(rule.challenge)) or 'never'}",
            f"* digest: `{rule.digest.hex()}`",
            "",
            "| statement | rank | of | verification | dated by | out of date after | reason |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| `{kind.name}` | {kind.rank} | {', '.join(sorted(kind.categories))} | {kind.verification} "
            f"| {kind.dated} | {f'{kind.stale_after} days' if kind.stale_after else 'never'} | {kind.reason} |"
            for kind in rule.kinds.values()
        ]
        lines.append("")
    return "\n".join(lines)
