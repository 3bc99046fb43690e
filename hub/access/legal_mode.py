"""As what the hub works before the law, and which rules, bases and retention differ then: data in legal_modes.toml.

The mode is a setting (``HUB_LEGAL_MODE``). Its own Cedar rules are compiled together with all others, and its bases are
part of the rules (``access.mode_basis``), so the matrix, the digest and the approvals are those of the mode.
"""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from hub.core.errors import SettingsError

_TABLE = Path(__file__).parent / "legal_modes.toml"


class LegalMode(StrEnum):
    """The three standings that the law knows."""

    LICENSED_BUREAU = "LICENSED_BUREAU"
    PUBLIC_PLATFORM = "PUBLIC_PLATFORM"
    FINANCIAL_DATABASE = "FINANCIAL_DATABASE"


@dataclass(frozen=True, slots=True)
class ModeFacts:
    """A mode in words, with the articles it rests on."""

    mode: LegalMode
    label: str
    meaning: str
    law: str


@dataclass(frozen=True, slots=True)
class BasisRule:
    """In which modes a kind of basis may be relied on."""

    kind: str
    modes: frozenset[LegalMode]
    law: str


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How long something is kept in which modes.

    ``kept`` names what the hub destroys itself after ``months`` (migration ``retention``); without it another part sees
    to it, as ``rule`` says.
    """

    what: str
    modes: frozenset[LegalMode]
    law: str
    rule: str
    kept: str | None = None
    months: int | None = None


@dataclass(frozen=True, slots=True)
class LegalModes:
    """The whole table."""

    modes: tuple[ModeFacts, ...]
    bases: tuple[BasisRule, ...]
    retention: tuple[RetentionRule, ...]


@lru_cache(maxsize=1)
def legal_modes() -> LegalModes:
    """The table, checked. Raises :class:`SettingsError` where it is incomplete."""
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    try:
        found = LegalModes(
            tuple(ModeFacts(LegalMode(row["name"]), row["label"], row["meaning"], row["law"]) for row in table["mode"]),
            tuple(BasisRule(row["kind"], _modes(row), row["law"]) for row in table["basis"]),
            tuple(_retention(row) for row in table["retention"]),
        )
    except (KeyError, ValueError) as error:
        raise SettingsError(f"hub/access/legal_modes.toml is not in order: {error}.", code="RULES") from None
    if {facts.mode for facts in found.modes} != set(LegalMode):
        raise SettingsError("hub/access/legal_modes.toml does not tell of every mode.", code="RULES")
    return found


def kept_in(mode: LegalMode) -> tuple[RetentionRule, ...]:
    """What the hub itself destroys in a mode when its time is over."""
    return tuple(rule for rule in legal_modes().retention if mode in rule.modes and rule.kept is not None)


def _retention(row: dict[str, Any]) -> RetentionRule:
    return RetentionRule(row["what"], _modes(row), row["law"], row["rule"], row.get("kept"), row.get("months"))


def bases_of(mode: LegalMode) -> tuple[str, ...]:
    """The kinds of basis that may be relied on in a mode, in alphabetical order."""
    return tuple(sorted(basis.kind for basis in legal_modes().bases if mode in basis.modes))


def _modes(row: dict[str, Any]) -> frozenset[LegalMode]:
    return frozenset(LegalMode(name) for name in row["modes"])
