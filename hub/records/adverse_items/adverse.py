"""Adverse items: their legal regime, their end, and what a person and a competent body added to them. Pure.

The regimes are data (``adverse_regimes.toml``). An item is one key of one source; its versions share regime, statement
and repair. What has run out is shown nowhere from that day on, whether or not a job has removed it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from hub.core.clock import years_after
from hub.core.errors import SettingsError
from hub.core.names import AdverseRegime, Category
from hub.store.keys import KeyService

FILE = Path(__file__).with_name("adverse_regimes.toml")

YEARS_AT_MOST = 5
"""No regime keeps an item longer after its end (征信业管理条例 art. 16)."""

MARKS_YEARS = 3
"""How long it is kept where a purge took something (migration 0020; 网络数据安全管理条例 art. 12)."""

_TEXT_KEYS = frozenset({"label", "meaning", "law", "clock"})
_KEYS = _TEXT_KEYS | {"regime", "categories", "in_force", "years", "repaired_by"}


@dataclass(frozen=True, slots=True)
class Regime:
    """One legal regime. ``repaired_by`` is empty where the law knows no repair."""

    name: AdverseRegime
    label: str
    meaning: str
    categories: tuple[Category, ...]
    law: str
    in_force: date
    years: int
    clock: str
    repaired_by: str


@dataclass(frozen=True, slots=True)
class Regimes:
    """All regimes of one version of the table."""

    version: int
    by_category: Mapping[Category, Regime]


@dataclass(frozen=True, slots=True)
class AdverseNote:
    """What was added to an adverse item: the person's own statement, and whether a competent body repaired it.

    ``item_id`` names the item to the person himself; it is a keyed hash and says nothing.
    """

    item_id: str
    statement: str | None = None
    stated_on: date | None = None
    is_repaired: bool = False


class Stated(Protocol):
    """A row or fact that may be an adverse item."""

    @property
    def category(self) -> Category | None: ...
    @property
    def adverse(self) -> bool: ...
    @property
    def valid_to(self) -> date | None: ...
    @property
    def value(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class StatedItem:
    """What decides how long an adverse item is held."""

    category: Category
    adverse: bool
    valid_to: date | None
    value: Mapping[str, Any]


@lru_cache(maxsize=1)
def regimes() -> Regimes:
    """The regimes of this program; read once per process. Raises :class:`SettingsError`."""
    return read_regimes(FILE.read_text(encoding="utf-8"))


def read_regimes(text: str) -> Regimes:
    """The regimes in a text of the form of ``adverse_regimes.toml``.

    Raises :class:`SettingsError` naming the first thing that is not in order: nothing is kept by half a rule.
    """
    try:
        table = tomllib.loads(text)
        found = [_regime(entry) for entry in table["regime"]]
        version = table["version"]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise _broken(f"it cannot be read: {error}") from None
    if set(table) != {"version", "regime"} or type(version) is not int or version < 1:
        raise _broken("it holds a `version` from 1 and [[regime]] tables, nothing else")
    by_category = {category: regime for regime in found for category in regime.categories}
    if len(by_category) != sum(len(regime.categories) for regime in found):
        raise _broken("a category stands under one regime")
    if {regime.name for regime in found} != set(AdverseRegime) or len(found) != len(AdverseRegime):
        raise _broken(f"it needs each of {', '.join(AdverseRegime)} once")
    return Regimes(version, by_category)


def _regime(entry: dict[str, Any]) -> Regime:
    if set(entry) != _KEYS or not all(entry[key] for key in _TEXT_KEYS):
        raise ValueError(f"a regime has {', '.join(sorted(_KEYS))}")
    if type(entry["years"]) is not int or not 1 <= entry["years"] <= YEARS_AT_MOST:
        raise ValueError(f"years from 1 to {YEARS_AT_MOST}")
    return Regime(
        name=AdverseRegime(entry["regime"]),
        label=entry["label"],
        meaning=entry["meaning"],
        categories=tuple(Category(category) for category in entry["categories"]),
        law=entry["law"],
        in_force=entry["in_force"],
        years=entry["years"],
        clock=entry["clock"],
        repaired_by=entry["repaired_by"],
    )


def _broken(what: str) -> SettingsError:
    return SettingsError(
        f"the table of adverse regimes ({FILE.name}) is not in order: {what}.",
        remedy="Restore the file of this version of the hub.",
        code="ADVERSE_REGIMES",
    )


def regime_of(category: Category) -> Regime:
    """The regime of the adverse items of a category. Raises :class:`LookupError` for a category that has none."""
    return regimes().by_category[category]


def ended_on(stated: Stated) -> date | None:
    """When the adverse behaviour ended, as its source says; ``None`` while it lasts, or if the row is not adverse.

    A write-off does not end it (bank interface, section 3).
    """
    if not stated.adverse:
        return None
    if stated.category is Category.BANK_LOAN:
        ended = stated.value.get("adverse_ended_on")
        return date.fromisoformat(ended) if ended else None
    return stated.valid_to


def last_day(stated: Stated) -> date | None:
    """The last day on which an adverse item may be held and shown; ``None`` where nothing ends it."""
    ended = ended_on(stated)
    if ended is None or stated.category is None:
        return None
    return years_after(ended, regime_of(stated.category).years)


def is_over(stated: Stated, day: date) -> bool:
    """Whether an adverse item may not be held or shown any more on a day."""
    last = last_day(stated)
    return last is not None and last < day


def item_id(keys: KeyService, source: str, source_key: str) -> str:
    """The id by which an item is named to its person: a keyed hash under the first key, which no rotation changes."""
    return keys.indexes("adverse-item", f"{source}\n{source_key}")[-1][1:17].hex()


def purge_marks(keys: KeyService, household_id: UUID, category: Category) -> list[bytes]:
    """By what it is known that a purge took something of this category from a member of this household: a keyed hash,
    under every key held, newest first.
    """
    return keys.indexes("adverse-mark", f"{household_id}\n{category.value}")


def as_markdown() -> str:
    """The text of docs/ADVERSE-REGIMES.md."""
    known = regimes()
    lines = [
        "# Regimes of adverse items",
        "",
        f"Version {known.version}. Written by `make generated` from "
        f"`hub/records/adverse_items/adverse_regimes.toml`; change it",
        "there. How items are shown, repaired and purged: `ADVERSE.md`.",
        "",
    ]
    for regime in dict.fromkeys(known.by_category.values()):
        lines += [
            f"## `{regime.name}` {regime.label}",
            "",
            regime.meaning,
            "",
            f"* categories: {', '.join(f'`{category}`' for category in regime.categories)}",
            f"* law: {regime.law}",
            f"* in force since: {regime.in_force.isoformat()}",
            f"* clock: {regime.clock}",
            f"* kept and shown: {regime.years} years after that day, which is included",
            f"* repaired by: {regime.repaired_by or 'nobody'}",
            "",
        ]
    return "\n".join(lines)
