"""What resolvers that change something share: run it once, and turn a flow's refusals into answers."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

from hub.core.errors import InputError, RefusedError
from hub.flows.consent.consent_change import Operation
from hub.schema.borrower import KEY, Problem, not_allowed
from hub.schema.context import OperationContext
from hub.schema.messages import has_text, text
from hub.schema.once import Facts, KeyRefusedError, once
from hub.schema.types.problems import FieldError, InvalidInput, NotAllowed, NotFound, invalid

_HIDDEN = frozenset(
    {
        "REQUEST_NOT_OPEN",
        "REQUEST_UNKNOWN",
        "CONSENT_NOT_IN_FORCE",
        "BASIS_UNKNOWN",
        "CAPTURE_UNKNOWN",
        "EVIDENCE_UNKNOWN",
        "DECISION_UNKNOWN",
        "ELIGIBILITY_REVIEW_UNKNOWN",
    }
)
"""Refusals that must look like the absence of the thing."""

Made = TypeVar("Made")


async def changed(
    context: OperationContext, key: str, change: Callable[[], Awaitable[Facts | None]], show: Callable[[Facts], Made]
) -> Made | InvalidInput | NotFound | NotAllowed:
    """Run a change once and turn its refusals into answers."""
    try:
        facts = await once(context, key, change)
    except KeyRefusedError as refusal:
        return invalid(context.language, (("input", "idempotencyKey"), refusal.code))
    except InputError as error:
        message = text(error.code, context.language) if has_text(error.code) else str(error)
        answer = invalid(context.language)
        answer.fields = [FieldError(path=["input"], code=error.code, message=message)]
        return answer
    except RefusedError as refusal:
        return refused(context, refusal)
    if facts is None:
        raise AssertionError("a change gives facts or raises")
    return show(facts)


def refused(context: OperationContext, refusal: RefusedError) -> NotFound | NotAllowed:
    """A refusal of a flow as an answer; what must look absent looks absent."""
    if refusal.code in _HIDDEN:
        return NotFound(code=refusal.code, message=text(refusal.code, context.language))
    return not_allowed(context, refusal)


def operation_of(context: OperationContext) -> Operation:
    """The operation as it was sent."""
    return Operation(context.operation.text, context.variables)


def key_problems(key: str, name: str, found: UUID | None) -> list[Problem]:
    """What is wrong with an idempotency key, and with the id in the input's field ``name``."""
    problems: list[Problem] = []
    if not KEY.fullmatch(key):
        problems.append((("input", "idempotencyKey"), "KEY_MALFORMED"))
    if found is None:
        problems.append((("input", name), "ID_MALFORMED"))
    return problems


def uuid_of(value: str) -> UUID | None:
    """The id behind its one written form."""
    try:
        found = UUID(value)
    except ValueError:
        return None
    return found if str(found) == value else None


def ward_of(value: str | None, *path: str) -> tuple[UUID | None, list[Problem]]:
    """The ward that an argument names, ``None`` where it names nobody, and what is wrong with it."""
    found = None if value is None else uuid_of(value)
    return found, [] if value is None or found is not None else [((*path, "ward"), "ID_MALFORMED")]


def id_of(value: Any) -> Any:
    """An id as the schema shows it."""
    return str(value)
