"""From a disclosure to the object that is executed over: plain JSON objects, one pass, nothing fetched later.

The bodies of sections keep their keys, because they are the names of the GraphQL fields. A section object holds what
was granted and nothing else, so a field that somebody forgot to guard has nothing to show.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

import orjson

from hub.consent.notice import PURPOSE_WORDS
from hub.core.clock import iso
from hub.core.disclosure import Disclosure, Part, Section
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
    RELIEF_YES_NO,
    ROSTER,
    SOCIAL_INSURANCE,
    TAX_ARREARS,
    TAX_ARREARS_YES_NO,
    TAX_BAND,
    TAX_GRADE,
    TAX_REGISTRATION,
    places_of,
)
from hub.core.names import AbsenceReason, Purpose, WithheldReason
from hub.schema.resolved import resolved_values
from hub.schema.types.profile import BorrowerProfile, OwnRecord
from hub.schema.types.sections import Completeness

LIST_PLACES: dict[str, Part] = {
    "tax.registrations": TAX_REGISTRATION,
    "tax.grades": TAX_GRADE,
    "tax.arrears": TAX_ARREARS,
    "tax.bands": TAX_BAND,
    "socialInsurance.items": SOCIAL_INSURANCE,
    "clinicArrears.bands": CLINIC_BAND,
    "clinicArrears.bills": CLINIC_VALUE,
    "relief.items": RELIEF_VALUE,
    "bank.ownLines": BANK_LINE,
    "bank.ownLoans": BANK_LOAN,
    "adverse.items": ADVERSE,
    "conflicts.items": CONFLICT,
}
"""Places whose value is the list ``items`` of the section's body."""

VALUE_PLACES: dict[str, Part] = {"tax.hasArrears": TAX_ARREARS_YES_NO, "relief.inForce": RELIEF_YES_NO}
"""Places whose value is ``value`` of the section's body."""

BODY_PLACES: dict[str, Part] = {
    "household": ROSTER,
    "identity": IDENTITY,
    "bank.otherLines": BANK_LINE_TOTAL,
    "bank.otherLoans": BANK_LOAN_TOTAL,
}
"""Places whose value is the section's whole body."""

LENDER_PLACES: dict[str, Part] = {"bank.lines": BANK_LINE, "bank.loans": BANK_LOAN}
"""Places of a resident's own record that name the lender beside the items."""

_SECTIONS = (
    "household",
    "identity",
    "tax",
    "socialInsurance",
    "clinicArrears",
    "relief",
    "bank",
    "adverse",
    "conflicts",
    "resolved",
)
ASKABLE = frozenset({WithheldReason.NO_BASIS, WithheldReason.CATEGORY_NOT_IN_BASIS})
"""Reasons that a consent for the purpose asked under could lift; a purpose that does not fit it could not."""


@lru_cache(maxsize=1024)
def _places(field_ids: frozenset[str]) -> tuple[tuple[str, Part], ...]:
    """Places and parts of a selection; an operation that comes again has the same one."""
    return places_of(field_ids)


@lru_cache(maxsize=8192)
def _asked_under(field_ids: frozenset[str], prefix: str) -> tuple[Part, ...]:
    """The parts that a selection asks for under a place."""
    return tuple(dict.fromkeys(part for place, part in _places(field_ids) if place.startswith(prefix)))


class _Answer:
    """The parts of one disclosure, laid out as the schema's objects."""

    def __init__(self, disclosure: Disclosure, purpose: Purpose, field_ids: frozenset[str]) -> None:
        self.disclosure = disclosure
        self._purpose = purpose
        self._withheld = {entry.part: entry.reason for entry in disclosure.withheld}
        self._absent = {entry.part: entry.reason for entry in disclosure.absent}
        self._field_ids = field_ids
        self._places = _places(field_ids)
        self._bodies: dict[str | None, dict[Part, list[Section]]] = defaultdict(lambda: defaultdict(list))
        for section in disclosure.sections:
            self._bodies[section.adult][section.part].append(section)

    def sections_of(self, adult: str | None, places: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Section objects for one adult (``None``: household only); household sections are joined in."""
        held = dict(self._bodies.get(None, {})) | dict(self._bodies.get(adult, {}))
        result: dict[str, dict[str, Any]] = {
            name: {"completeness": self._completeness(f"{name}.")} for name in _SECTIONS
        }
        for place in places:
            head, _, name = place.partition(".")
            if place in LIST_PLACES and (found := held.get(LIST_PLACES[place])):
                result[head][name] = [item for part in found for item in orjson.loads(part.body)["items"]]
            elif place in VALUE_PLACES and (found := held.get(VALUE_PLACES[place])):
                result[head][name] = orjson.loads(found[0].body)["value"]
            elif place in LENDER_PLACES and (found := held.get(LENDER_PLACES[place])):
                result[head][name] = [{"lender": part.owner, **orjson.loads(part.body)} for part in found]
            elif place in BODY_PLACES and (found := held.get(BODY_PLACES[place])):
                body = orjson.loads(found[0].body)
                result[head].update({name: body} if name else body)
        result["resolved"].update(resolved_values(self._places, held, self.disclosure.as_of))
        return result

    def other_adults(self) -> list[dict[str, Any]] | None:
        """Adults who agreed to be shown, with what of their identity was granted."""
        if self.disclosure.subject is None:
            return None
        return [
            {
                "borrowerId": adult,
                "completeness": self._completeness("otherAdults."),
                **(orjson.loads(found[0].body) if (found := self._bodies.get(adult, {}).get(IDENTITY)) else {}),
            }
            for adult in self.disclosure.other_adults
        ]

    def _completeness(self, prefix: str) -> Completeness:
        asked = _asked_under(self._field_ids, prefix)
        return Completeness.COMPLETE if asked and all(map(self._shown, asked)) else Completeness.PARTIAL

    def _shown(self, part: Part) -> bool:
        return part not in self._withheld and self._absent.get(part) in (None, AbsenceReason.NOT_REPORTED)

    def whole(self) -> Completeness:
        """Whether everything asked for is shown."""
        return self._completeness("")

    def withheld(self) -> list[dict[str, Any]]:
        """One notice for each field asked for that is kept back, in the registry's order."""
        askable = ASKABLE if self._purpose in PURPOSE_WORDS else frozenset()
        return [
            {
                "field": place,
                "category": part.category.value,
                "form": part.form,
                "reason": reason,
                "canAskConsent": reason in askable,
            }
            for place, part in self._places
            if (reason := self._withheld.get(part)) is not None
        ]

    def absent(self) -> list[dict[str, Any]]:
        """One notice for each granted field asked for that has no value."""
        return [
            {"field": place, "category": part.category.value, "form": part.form, "reason": reason}
            for place, part in self._places
            if (reason := self._absent.get(part)) is not None and part not in self._withheld
        ]

    def as_of(self) -> str | None:
        """The instant read at, only where something was disclosed: a refusal looks the same at every instant."""
        return iso(self.disclosure.as_of) if self.disclosure.subject is not None else None


def borrower_profile(disclosure: Disclosure, purpose: Purpose, field_ids: frozenset[str]) -> BorrowerProfile:
    """The answer to an organisation."""
    answer = _Answer(disclosure, purpose, field_ids)
    places = (*LIST_PLACES, *VALUE_PLACES, *BODY_PLACES)
    return BorrowerProfile(
        **_named(answer, answer.sections_of(disclosure.subject, places)),
        borrower_id=cast(Any, disclosure.subject),
        purpose=purpose,
        other_adults=cast(Any, answer.other_adults()),
        adults_not_shown=disclosure.adults_not_shown,
    )


def own_record(disclosure: Disclosure, purpose: Purpose, field_ids: frozenset[str]) -> OwnRecord:
    """The answer to the person himself."""
    answer = _Answer(disclosure, purpose, field_ids)
    places = (*LIST_PLACES, *VALUE_PLACES, *BODY_PLACES, *LENDER_PLACES)
    return OwnRecord(
        **_named(answer, answer.sections_of(disclosure.subject, places)),
        purpose=purpose,
        adults_not_shown=disclosure.adults_not_shown,
    )


def _named(answer: _Answer, sections: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "as_of": answer.as_of(),
        "completeness": answer.whole(),
        "household": sections["household"],
        "identity": sections["identity"],
        "tax": sections["tax"],
        "social_insurance": sections["socialInsurance"],
        "clinic_arrears": sections["clinicArrears"],
        "relief": sections["relief"],
        "bank": sections["bank"],
        "adverse": sections["adverse"],
        "conflicts": sections["conflicts"],
        "resolved": sections["resolved"],
        "withheld": answer.withheld(),
        "absent": answer.absent(),
    }
