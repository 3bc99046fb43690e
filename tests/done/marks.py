"""Sections in which every value is a mark: a value found anywhere tells which section it came from."""

import base64
import binascii
import re
import secrets
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from graphql import GraphQLObjectType, get_named_type

from hub.core.disclosure import Part
from hub.core.fields import (
    ADVERSE,
    BANK_LINE,
    BANK_LINE_TOTAL,
    BANK_LOAN,
    BANK_LOAN_TOTAL,
    CLINIC_BAND,
    CLINIC_VALUE,
    CONFLICT,
    IDENTITY,
    RELIEF_VALUE,
    ROSTER,
    SOCIAL_INSURANCE,
    TAX_ARREARS,
    TAX_BAND,
    TAX_GRADE,
    TAX_REGISTRATION,
)
from hub.core.names import Form
from hub.records.folding.precedence import precedence
from hub.records.folding.statements import CARRIED
from hub.schema.schema import build_schema

Place = tuple[UUID | None, str, str]
"""Person (``None``: the household), part and owner of a section."""

ITEM_TYPES = {
    TAX_REGISTRATION: "TaxRegistration",
    TAX_GRADE: "TaxGrade",
    TAX_ARREARS: "TaxArrears",
    TAX_BAND: "TaxBand",
    SOCIAL_INSURANCE: "SocialInsurance",
    CLINIC_VALUE: "ClinicArrearsBill",
    CLINIC_BAND: "ClinicArrearsBand",
    RELIEF_VALUE: "Relief",
    BANK_LINE: "CreditLine",
    BANK_LOAN: "Loan",
    ADVERSE: "AdverseItem",
    CONFLICT: "SourceConflict",
}
BODY_TYPES = {ROSTER: "HouseholdSection", IDENTITY: "IdentitySection"}


class Marks:
    """Makes marks and recognises them: texts of a random word and a number, and whole numbers of nine digits."""

    def __init__(self) -> None:
        self._word = "".join(secrets.choice("bcdfghjklmnpqrstvwxz") for _ in range(12))
        self._next = secrets.randbelow(50_000_000) + 800_000_000
        self._places: dict[str, Place] = {}
        self._shape = re.compile(rf"{self._word}[0-9]{{9}}|(?<![0-9A-Za-z])8[0-9]{{8}}(?![0-9A-Za-z])")

    def number(self, place: Place) -> int:
        """A number that stands nowhere else."""
        self._next += 1
        self._places[str(self._next)] = place
        return self._next

    def text(self, place: Place) -> str:
        """A text that stands nowhere else."""
        mark = f"{self._word}{self.number(place)}"
        self._places[mark] = place
        return mark

    def body(self, part: Part, place: Place) -> dict[str, Any]:
        """The body of a section, as the fold writes it, with a mark in every value that is not yes or no."""
        if part == BANK_LINE_TOTAL:
            return {"amount": f"{self.number(place)}.31"}
        if part == BANK_LOAN_TOTAL:
            return {"balance": f"{self.number(place)}.31", "loans": self.number(place), "worstClass": "3"}
        if part.form is Form.YES_NO:
            return {"value": True}
        if part in BODY_TYPES:
            return self._object(BODY_TYPES[part], place) | self._statements(part, place)
        item = self._object(ITEM_TYPES[part], place)
        item["provenance"] = self._object("Provenance", place)
        return {"items": [item]} | self._statements(part, place)

    def _statements(self, part: Part, place: Place) -> dict[str, Any]:
        """Something stated about every attribute that the section can speak of, by its kind of source."""
        rules = precedence().newest
        told = [
            [attribute.value, kind.name, self.text(place), rules[attribute].version, 0]
            for attribute in sorted(CARRIED.get(part, ()))
            for kind in rules[attribute].kinds.values()
            if part.category in kind.categories
        ]
        origin = {"source": self.text(place), "recordedAt": "2026-10-01T00:00:00+08:00"}
        return {"statements": told, "origins": [origin]} if told else {}

    def _object(self, type_name: str, place: Place) -> dict[str, Any]:
        declared = build_schema().graphql.type_map[type_name]
        assert isinstance(declared, GraphQLObjectType)
        made: dict[str, Any] = {}
        for name, field in declared.fields.items():
            match get_named_type(field.type).name:
                case "Int":
                    made[name] = self.number(place)
                case "Boolean":
                    made[name] = True
                case "Provenance" | "Completeness":
                    continue
                case _:
                    made[name] = self.text(place)
        return made

    def found(self, *texts: str | bytes) -> set[Place]:
        """The sections whose values stand in the texts, plainly, in Base64, in hexadecimal or in escaped JSON."""
        places: set[Place] = set()
        for text in texts:
            for plain in _readings(text if isinstance(text, str) else text.decode("utf-8", "replace")):
                places |= {self._places[mark] for mark in self._shape.findall(plain) if mark in self._places}
        return places

    def all(self) -> set[Place]:
        """Every section that holds a mark."""
        return set(self._places.values())


def _readings(text: str) -> Iterable[str]:
    yield text
    for packed in re.findall(r"[A-Za-z0-9+/_-]{24,}={0,2}", text):
        try:
            yield base64.urlsafe_b64decode(packed.replace("+", "-").replace("/", "_") + "==").decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            continue
    for packed in re.findall(r"(?:[0-9a-f]{2}){12,}", text):
        yield bytes.fromhex(packed).decode("utf-8", "replace")
