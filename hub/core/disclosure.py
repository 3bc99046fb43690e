"""One act of giving data out: what is asked, and what leaves.

The unit that is authorised, recorded, audited and explained is a *part*: one category in one form. GraphQL fields are
mapped to parts (hub/core/fields.py); the database function decides each part before any value is read and returns the
granted sections only.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from hub.core.names import AbsenceReason, Category, Form, Purpose, WithheldReason


class Part(NamedTuple):
    """One category in one form: the grain of every decision."""

    category: Category
    form: Form


@dataclass(frozen=True, slots=True)
class UnspentProof:
    """A proof of possession that is good but for having been used before; whoever answers the request uses it up.

    ``digest`` stands for it (32 bytes) and is remembered until ``until``.
    """

    digest: bytes
    until: datetime


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as the verified token says. The role and the organisation are looked up in the database.

    ``grant`` is the consent that the token stands for: with it only that person and purpose can be asked about.
    """

    client_id: str
    token_id: str
    actor: str
    grant: UUID | None = None
    proof: UnspentProof | None = None


@dataclass(frozen=True, slots=True)
class SubjectByNumber:
    """A person named by ID number and name, as a bank names a borrower."""

    id_number: str
    name: str


@dataclass(frozen=True, slots=True)
class SubjectByPseudonym:
    """A person named by the id that this organisation was given before."""

    pseudonym: str


@dataclass(frozen=True, slots=True)
class SubjectSelf:
    """The resident who asks, named by his account."""

    person_id: UUID


Subject = SubjectByNumber | SubjectByPseudonym | SubjectSelf


@dataclass(frozen=True, slots=True)
class DisclosureRequest:
    """What one operation asks about one person. ``operation`` is the normalised GraphQL document.

    ``parts`` are asked about the person named. ``others`` asks who else of the household agreed to be shown, and of
    them for ``identity/VALUE`` alone; without it no other adult's data or consent is touched.
    """

    asker: Asker
    purpose: Purpose
    subject: Subject
    parts: tuple[Part, ...]
    operation: str
    variables: dict[str, Any]
    idempotency_key: str | None = None
    others: bool = False


@dataclass(frozen=True, slots=True)
class WithheldPart:
    """A part that is null because it is kept back; the same whether or not a value exists."""

    part: Part
    reason: WithheldReason


@dataclass(frozen=True, slots=True)
class AbsentPart:
    """A granted part that has no value, and why."""

    part: Part
    reason: AbsenceReason


@dataclass(frozen=True, slots=True)
class Section:
    """Granted, ready-made JSON text. ``adult`` is the pseudonym of the person it is about, ``None`` for the household.

    ``owner`` is the organisation whose contracts it shows (banks), else empty. A part in form TOTAL arrives summed over
    all lenders but the asker.
    """

    adult: str | None
    part: Part
    owner: str
    body: str


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What leaves the hub for one request, together with the audit event that recorded it.

    ``subject`` is the asker's pseudonym for the person, ``None`` where nothing may be said (unknown, wrong name, no
    basis, other area: all look the same). ``other_adults`` are members who granted the asker their identity for this
    purpose, if the request asked for others; ``adults_not_shown`` counts the rest (``None`` where the household may
    not be seen).
    """

    event: UUID
    as_of: datetime
    subject: str | None
    other_adults: tuple[str, ...]
    adults_not_shown: int | None
    sections: tuple[Section, ...]
    withheld: tuple[WithheldPart, ...]
    absent: tuple[AbsentPart, ...]
    basis_id: UUID | None
