"""Rich authorization requests (RFC 9396): one closed type, ``credit_data_consent``.

::

    [{"type": "credit_data_consent", "purpose": "LOAN_APPLICATION",
      "parts": [{"category": "tax.grade", "form": "VALUE"}],
      "application_ref": "A-17", "days": 30, "uses": 3, "officer": "officer-07", "programme": "fast-admission",
      "subject": {"id_number": "...", "name": "..."}}]

``purpose`` and ``parts`` are needed, the rest is as in the mutation ``requestConsent``. Without ``subject`` whoever
signs in is asked. Number and name are kept as keyed hashes only; what is said of a wrong request repeats no value.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

from authlib.oauth2.rfc6749.errors import OAuth2Error

from hub.benefits.programme import NAMED
from hub.core.disclosure import Part, SubjectByNumber
from hub.core.identifiers import check_id_number, clean_id_number
from hub.core.names import Category, Form, Purpose
from hub.core.text import normalise_text

TYPE = "credit_data_consent"
_NEEDED = frozenset({"type", "purpose", "parts"})
_MEMBERS = _NEEDED | {"application_ref", "days", "uses", "officer", "subject", "programme"}
_TEXT_MAX = 8192
_PARTS_MAX = 64
_REFERENCE = re.compile(r"[A-Za-z0-9._/-]{1,64}")
_OFFICER = re.compile(r"[A-Za-z0-9._@-]{1,64}")


class InvalidDetailsError(OAuth2Error):  # type: ignore[misc]
    """``invalid_authorization_details`` (RFC 9396 section 5)."""

    error = "invalid_authorization_details"


@dataclass(frozen=True, slots=True)
class ConsentWanted:
    """What a client asks for. ``subject`` is ``None`` where whoever signs in is asked."""

    purpose: Purpose
    parts: tuple[Part, ...]
    application_ref: str | None
    days: int | None
    uses: int | None
    officer: str | None
    subject: SubjectByNumber | None
    programme: str | None = None

    @property
    def subject_or_nobody(self) -> SubjectByNumber:
        """The subject, or one that nobody is: the request then waits for the person who opens it."""
        return self.subject or SubjectByNumber(uuid4().hex, uuid4().hex)


def read_details(text: str, today: date) -> ConsentWanted:
    """Read the parameter ``authorization_details``. Raises :class:`InvalidDetailsError`; values are never repeated."""
    asked = _the_one(text)
    if not _NEEDED <= set(asked) <= _MEMBERS or asked["type"] != TYPE:
        raise _refused(f"it must be of type {TYPE}, with purpose and parts and no member of another name")
    if asked["purpose"] not in list(Purpose):
        raise _refused("purpose is not known")
    for name, shape in (("application_ref", _REFERENCE), ("officer", _OFFICER), ("programme", NAMED)):
        value = asked.get(name)
        if value is not None and not (isinstance(value, str) and shape.fullmatch(value)):
            raise _refused(f"{name} is not well formed")
    for name in ("days", "uses"):
        if name in asked and (type(asked[name]) is not int or asked[name] < 1):
            raise _refused(f"{name} is not a whole number above 0")
    return ConsentWanted(
        Purpose(asked["purpose"]),
        _parts(asked["parts"]),
        asked.get("application_ref"),
        asked.get("days"),
        asked.get("uses"),
        asked.get("officer"),
        _subject(asked["subject"], today) if "subject" in asked else None,
        asked.get("programme"),
    )


def granted_details(
    purpose: str, parts: Iterable[str], reference: str | None, programme: str | None
) -> tuple[dict[str, Any], ...]:
    """What was granted, as tokens and answers carry it: never the person."""
    granted: dict[str, Any] = {
        "type": TYPE,
        "purpose": purpose,
        "parts": [dict(zip(("category", "form"), key.split("/"), strict=True)) for key in parts],
    }
    optional = {"application_ref": reference, "programme": programme}
    return (granted | {name: value for name, value in optional.items() if value is not None},)


def narrowed_details(text: str, granted: dict[str, Any], today: date) -> dict[str, Any]:
    """What a token request asks for of what was granted (RFC 9396 section 6.1): the same with as many parts, or fewer.

    Raises :class:`InvalidDetailsError` for anything that was not granted.
    """
    wanted = read_details(text, today)
    if wanted.purpose.value != granted["purpose"]:
        raise _refused("the consent is for another purpose")
    if wanted.application_ref not in (None, granted.get("application_ref")):
        raise _refused("the consent is for another application")
    programme = granted.get("programme")
    if wanted.programme not in (None, programme, programme and programme.partition("@")[0]):
        raise _refused("the consent is for another programme, or another version of it")
    if (wanted.subject, wanted.days, wanted.uses, wanted.officer) != (None,) * 4:
        raise _refused("only parts can be narrowed")
    parts = [{"category": part.category.value, "form": part.form.value} for part in wanted.parts]
    if any(part not in granted["parts"] for part in parts):
        raise _refused("a part was not granted")
    return granted | {"parts": [part for part in granted["parts"] if part in parts]}


def keys_of(details: dict[str, Any]) -> list[str]:
    """The parts of one authorization detail by their keys, as the database has them."""
    return [f"{part['category']}/{part['form']}" for part in details["parts"]]


def _the_one(text: str) -> dict[str, Any]:
    if len(text) > _TEXT_MAX:
        raise _refused("it is too long")
    try:
        details = json.loads(text, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError):
        raise _refused("it is no JSON, or names a member twice") from None
    if not isinstance(details, list) or len(details) != 1 or not isinstance(details[0], dict):
        raise _refused("it must be a list of exactly one object")
    return details[0]


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a member is repeated")
    return read


def _parts(value: Any) -> tuple[Part, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _PARTS_MAX:
        raise _refused(f"parts must be a list of 1 to {_PARTS_MAX}")
    parts = []
    for each in value:
        if not isinstance(each, dict) or set(each) != {"category", "form"}:
            raise _refused("a part has a category and a form and nothing else")
        if each["category"] not in list(Category) or each["form"] not in list(Form):
            raise _refused("a category or a form is not known")
        parts.append(Part(Category(each["category"]), Form(each["form"])))
    return tuple(dict.fromkeys(parts))


def _subject(value: Any, today: date) -> SubjectByNumber:
    if not isinstance(value, dict) or set(value) != {"id_number", "name"}:
        raise _refused("subject has an id_number and a name and nothing else")
    if not all(isinstance(each, str) and len(each) <= 200 for each in value.values()):
        raise _refused("subject is made of two texts")
    cleaned, name = clean_id_number(value["id_number"]), normalise_text(value["name"])
    number = check_id_number(cleaned, today) if cleaned else None
    if not isinstance(number, str) or name is None:
        raise _refused("subject has no valid ID number, or no name")
    return SubjectByNumber(number, name)


def _refused(why: str) -> InvalidDetailsError:
    return InvalidDetailsError(f"authorization_details cannot be used: {why}.")
