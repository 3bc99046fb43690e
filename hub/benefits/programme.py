"""A benefit programme: whose it is, what it asks of a record, for which period one answer holds.

Written as a TOML file, stored as canonical JSON, never changed: another condition is another version. Nobody who asks
chooses a threshold; what is asked was approved by a second person before anybody was asked about.
"""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

from hub.benefits.condition import WORDS_MAX, check_condition, is_words, leaves_of
from hub.core.canonical import canonical_bytes
from hub.core.errors import InputError
from hub.core.names import Category, Form

ELIGIBILITY = f"{Category.ELIGIBILITY}/{Form.YES_NO}"
"""The part that leaves: a yes, a no, or that nothing can be said."""

DAYS_MAX = 1100
"""The longest life of a version, in days: about three years."""

ID = re.compile(r"[a-z0-9][a-z0-9-]{1,39}")
"""The form of a programme's id."""

NAMED = re.compile(rf"{ID.pattern}(@[1-9][0-9]{{0,8}})?")
"""How a request for consent names a programme: by its id, or with the version (``id@version``)."""

_ORGANISATION = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_KEYS = {"id", "organisation", "name_zh", "name_en", "reference", "period", "max_age_days", "begins_on", "ends_on"}
_CONTEXT = b"hub/programme-approval/v1\0"


class Period(StrEnum):
    """The calendar span for which one answer about a person holds."""

    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"


class Answer(StrEnum):
    """What a provider is told. CANNOT_SAY hangs on the sources, or on a household that could not be folded,
    never on a value.
    """

    YES = "YES"
    NO = "NO"
    CANNOT_SAY = "CANNOT_SAY"


@dataclass(frozen=True, slots=True)
class Programme:
    """A version of a programme, or one on its way to become one. ``condition`` is checked.

    ``max_age_days``: how old the last good delivery of a source that it reads may be. ``ends_on``: the first day on
    which it may not be asked any more. ``reference``: the document by which the programme exists.
    """

    programme_id: str
    organisation: str
    name_zh: str
    name_en: str
    reference: str
    period: Period
    max_age_days: int
    begins_on: date
    ends_on: date
    condition: dict[str, Any]

    @property
    def reads(self) -> tuple[str, ...]:
        """The parts of a record that the condition reads."""
        return tuple(dict.fromkeys(leaf["part"] for leaf in leaves_of(self.condition)))

    @property
    def terms(self) -> str:
        """The whole as canonical JSON: what is stored, hashed and approved."""
        return canonical_bytes(
            {
                "beginsOn": self.begins_on.isoformat(),
                "condition": self.condition,
                "endsOn": self.ends_on.isoformat(),
                "id": self.programme_id,
                "maxAgeDays": self.max_age_days,
                "nameEn": self.name_en,
                "nameZh": self.name_zh,
                "organisation": self.organisation,
                "period": self.period.value,
                "reads": list(self.reads),
                "reference": self.reference,
            }
        ).decode()

    @property
    def digest(self) -> bytes:
        """SHA-256 of the terms."""
        return hashlib.sha256(self.terms.encode()).digest()


@dataclass(frozen=True, slots=True)
class Overlap:
    """Another version of the same organisation that reads some of the same sections: both together may tell more than
    each alone (A and not B). ``other``: ``programme@version``.
    """

    other: str
    parts: tuple[str, ...]


def proposal(digest: bytes, account_id: str) -> bytes:
    """The bytes that the first person signs: that he proposes these terms."""
    return _CONTEXT + canonical_bytes({"account": account_id, "act": "PROPOSE", "digest": digest.hex()})


def statement(digest: bytes, account_id: str, accepted: tuple[str, ...]) -> bytes:
    """The bytes that the second person signs: the terms, and the overlaps that he accepts."""
    return _CONTEXT + canonical_bytes({"accepts": sorted(accepted), "account": account_id, "digest": digest.hex()})


def shared_parts(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, ...]:
    """The sections of which both conditions read something, if they are not the same condition.

    Two programmes that ask the very same tell nothing more than one.
    """
    if one == other:
        return ()
    both = {leaf["part"] for leaf in leaves_of(one)} & {leaf["part"] for leaf in leaves_of(other)}
    return tuple(sorted(both))


def read_programme(path: Path) -> Programme:
    """The programme in a TOML file. Raises :class:`InputError`."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise InputError(f"no programme can be read from {path}.", remedy="Give a TOML file.") from None
    return programme_of(found)


def programme_of(found: dict[str, Any]) -> Programme:
    """The programme that a parsed file describes. Raises :class:`InputError`."""
    head = found.get("programme")
    if set(found) != {"programme", "condition"} or not isinstance(head, dict) or set(head) != _KEYS:
        raise _bad(f"it has the tables programme ({', '.join(sorted(_KEYS))}) and condition")
    for key, form in (("id", ID), ("organisation", _ORGANISATION)):
        if not isinstance(head[key], str) or not form.fullmatch(head[key]):
            raise _bad(f"`{key}` has not its form")
    for key in ("name_zh", "name_en", "reference"):
        if not is_words(head[key]):
            raise _bad(f"`{key}` is a text of 1 to {WORDS_MAX} characters")
    if head["period"] not in set(Period):
        raise _bad(f"`period` is one of {', '.join(Period)}")
    age, begins, ends = head["max_age_days"], head["begins_on"], head["ends_on"]
    if type(age) is not int or not 1 <= age <= 366:
        raise _bad("`max_age_days` is 1 to 366")
    if type(begins) is not date or type(ends) is not date or not 0 < (ends - begins).days <= DAYS_MAX:
        raise _bad(f"`begins_on` lies before `ends_on`, {DAYS_MAX} days at most")
    return Programme(
        head["id"],
        head["organisation"],
        head["name_zh"],
        head["name_en"],
        head["reference"],
        Period(head["period"]),
        age,
        begins,
        ends,
        check_condition(found["condition"]),
    )


def _bad(what: str) -> InputError:
    return InputError(
        f"the programme is not in order: {what}.", remedy="See docs/BENEFITS.md.", code="PROGRAMME_MALFORMED"
    )
