"""Resolvers that disclose: a borrower's profile to an organisation, the own record to a resident."""

import re
import unicodedata
from typing import Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from hub.core.clock import day_of
from hub.core.disclosure import DisclosureRequest, SubjectByNumber, SubjectByPseudonym, SubjectSelf
from hub.core.errors import RefusedError
from hub.core.fields import asks_others, named_parts_of, parts_of
from hub.core.identifiers import check_id_number, clean_id_number
from hub.core.names import Purpose
from hub.core.text import normalise_text
from hub.schema.answer import borrower_profile, own_record
from hub.schema.context import Info, OperationContext
from hub.schema.messages import has_text, text
from hub.schema.types.problems import InvalidInput, NotAllowed, invalid
from hub.schema.types.profile import BorrowerKey, BorrowerProfile, BorrowerProfileInput, OwnRecord

OFFICER = re.compile(r"[A-Za-z0-9._@-]{1,64}")
KEY = re.compile(r"[A-Za-z0-9._:-]{1,64}")
PSEUDONYM = re.compile(r"[0-9a-f]{32}")
Problem = tuple[tuple[str, ...], str]


async def resolve_borrower_profile(
    info: Info,
    input: BorrowerProfileInput,  # noqa: A002 - the argument's name in the schema
) -> BorrowerProfile | InvalidInput | NotAllowed:
    """One disclosure for the whole operation. What is refused here depends on the input alone, never on the record."""
    context, asked = info.context, input
    problems = acting_problems(context, asked.officer, asked.idempotency_key)
    subject = subject_of(asked.borrower, context)
    if isinstance(subject, tuple):
        problems.append(subject)
    fields = field_ids(info, "BorrowerProfile")
    parts, others = named_parts_of(fields), asks_others(fields)
    if not parts and not others:
        problems.append(((), "NOTHING_ASKED"))
    if problems or isinstance(subject, tuple):
        return invalid(context.language, *problems)
    request = DisclosureRequest(
        asker=context.bearer.asker(asked.officer),
        purpose=asked.purpose,
        subject=subject,
        parts=parts,
        operation=context.operation.text,
        variables=context.variables,
        idempotency_key=asked.idempotency_key,
        others=others,
    )
    try:
        disclosure, receipt = await context.ports.disclosing.disclose(request)
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    context.receipt = receipt
    return borrower_profile(disclosure, asked.purpose, fields)


async def resolve_own_record(info: Info, ward: strawberry.ID | None = None) -> OwnRecord | InvalidInput | NotAllowed:
    """The record of the person whose account asks, or of a ward; an account without a person has none.

    Who is no ward is told like one of whom nothing is open: by the gate, which looks at guardianship itself.
    """
    context = info.context
    person = context.bearer.person_id
    if person is None:
        return NotAllowed(code="NOT_ALLOWED", message=text("NOT_ALLOWED", context.language), remedy=None)
    if ward is not None:
        try:
            person = UUID(ward)
        except ValueError:
            return invalid(context.language, (("ward",), "ID_MALFORMED"))
    fields = field_ids(info, "OwnRecord")
    parts = parts_of(fields)
    if not parts:
        return invalid(context.language, ((), "NOTHING_ASKED"))
    request = DisclosureRequest(
        asker=context.bearer.asker(),
        purpose=Purpose.SELF_ACCESS,
        subject=SubjectSelf(person),
        parts=parts,
        operation=context.operation.text,
        variables=context.variables,
    )
    try:
        disclosure, receipt = await context.ports.disclosing.disclose(request)
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    context.receipt = receipt
    return own_record(disclosure, Purpose.SELF_ACCESS, fields)


def acting_problems(context: OperationContext, officer: str | None, key: str | None) -> list[Problem]:
    """What is wrong with the parts of an input that say on whose behalf it comes and which retry it is."""
    problems: list[Problem] = []
    if context.bearer.is_system and officer is None:
        problems.append((("input", "officer"), "OFFICER_MISSING"))
    elif officer is not None and not context.bearer.is_system:
        problems.append((("input", "officer"), "OFFICER_NOT_YOURS"))
    elif officer is not None and not OFFICER.fullmatch(officer):
        problems.append((("input", "officer"), "OFFICER_MALFORMED"))
    if key is not None and not KEY.fullmatch(key):
        problems.append((("input", "idempotencyKey"), "KEY_MALFORMED"))
    return problems


def subject_of(key: BorrowerKey, context: OperationContext) -> SubjectByNumber | SubjectByPseudonym | Problem:
    """The borrower named by the key, or what is wrong with it: its form only, nothing is looked up."""
    if key.identity is UNSET or key.identity is None:
        pseudonym = str(key.borrower_id)
        if PSEUDONYM.fullmatch(pseudonym):
            return SubjectByPseudonym(pseudonym)
        return ("input", "borrower", "borrowerId"), "ID_MALFORMED"
    cleaned = clean_id_number(key.identity.id_number)
    number = check_id_number(cleaned, day_of(context.ports.clock())) if cleaned else None
    if not isinstance(number, str):
        return ("input", "borrower", "identity", "idNumber"), "ID_NUMBER_INVALID"
    name = normalise_text(key.identity.name)
    if name is None:
        return ("input", "borrower", "identity", "name"), "NAME_MISSING"
    return SubjectByNumber(number, name)


def not_allowed(context: OperationContext, refusal: RefusedError) -> NotAllowed:
    """A refusal of a flow as an answer, in the caller's language where the code has a text of its own."""
    if refusal.code == "PROOF_USED":
        context.challenge = "invalid_dpop_proof"
    known = has_text(refusal.code)
    return NotAllowed(
        code=refusal.code,
        message=text(refusal.code, context.language) if known else refusal.message,
        remedy=refusal.remedy or None,
    )


def field_ids(info: Info, type_name: str) -> frozenset[str]:
    """Ids of the fields that this operation will visit below the present root field, for an answer of this type."""
    raw: Any = info._raw_info
    selection = info.context.ports.selections.of(type_name, raw.field_nodes, raw.fragments)
    return selection.field_ids(raw.variable_values)


def plain(value: Any) -> Any:
    """A JSON value as it is recorded: NFC text, no floats (canonical JSON has no form for them)."""
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case bool() | None:
            return value
        case int() if abs(value) < 2**53:
            return value
        case _:
            return repr(value)
