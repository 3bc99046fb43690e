"""Errors as clients see them: always a stable code, never a value of personal data, never the inside of the hub.

Codes: ``GRAPHQL_PARSE_FAILED``, ``GRAPHQL_VALIDATION_FAILED``, ``BAD_USER_INPUT`` (variables),
``OPERATION_RESOLUTION_FAILURE`` (which operation?), ``BAD_REQUEST`` (HTTP), ``UNAUTHENTICATED`` (only with status 401)
and ``INTERNAL_SERVER_ERROR``. What the hub itself refused carries its own code as ``reason``.
"""

import logging
import re
from typing import Any

from graphql import GraphQLError, GraphQLFormattedError, GraphQLSyntaxError

from hub.core.errors import HubError, InputError, RefusedError
from hub.schema.messages import Language, text

LOG = logging.getLogger("hub.schema")

_MESSAGE_MAX = 300
_VARIABLE = re.compile(r'Variable [\'"]\$(\w+)[\'"]')
_WHICH_OPERATION = ("Must provide operation name", "Unknown operation named")
_LONG_NUMBER = re.compile(r"[0-9][0-9Xx]{5,}")
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
_SUGGESTION = re.compile(r" Did you mean .*", re.DOTALL)


def told(error: GraphQLError, language: Language, *, validated: bool) -> GraphQLFormattedError:
    """The error as it leaves. ``validated``: the document had passed validation before it happened."""
    original = error.original_error
    result: dict[str, Any] = {}
    if isinstance(original, HubError):
        result["message"] = str(original)
        code = "BAD_USER_INPUT" if isinstance(original, InputError | RefusedError) else "INTERNAL_SERVER_ERROR"
        result["extensions"] = {"code": code, "reason": original.code}
    elif error.path:
        # Something failed while a value was being shown: the text may quote the value, so it never leaves.
        result["message"] = text("INTERNAL", language)
        result["extensions"] = {"code": "INTERNAL_SERVER_ERROR"}
    else:
        result["message"] = clean(error.message)
        result["extensions"] = {"code": _code(error, validated)}
    if error.locations and len(error.locations) <= 10:
        result["locations"] = [location.formatted for location in error.locations]
    if error.path:
        result["path"] = error.path
    return result  # type: ignore[return-value]


def _code(error: GraphQLError, validated: bool) -> str:
    if isinstance(error, GraphQLSyntaxError):
        return "GRAPHQL_PARSE_FAILED"
    if code := (error.extensions or {}).get("code"):
        return str(code)
    if error.message.startswith(_WHICH_OPERATION):
        return "OPERATION_RESOLUTION_FAILURE"
    return "BAD_USER_INPUT" if validated else "GRAPHQL_VALIDATION_FAILED"


def clean(message: str) -> str:
    """The engine's own text without what it echoes: it quotes variables and literals, which may be personal data."""
    if "got invalid value" in message or "has invalid value" in message:
        name = _VARIABLE.match(message)
        which = f"Variable `${name[1]}`" if name else "A value"
        return f"{which} does not have the declared type; see the schema."
    cut = _FOREIGN.sub("…", _LONG_NUMBER.sub("…", _SUGGESTION.sub("", message)))
    return cut if len(cut) <= _MESSAGE_MAX else cut[: _MESSAGE_MAX - 1] + "…"


def log_errors(errors: list[GraphQLError]) -> None:
    """Write our own faults to the log, without the values that a traceback of a client's error could carry."""
    for error in errors:
        original = error.original_error
        if isinstance(original, HubError):
            if not isinstance(original, InputError | RefusedError):
                LOG.error("operation failed: %s", original.code)
        elif error.path:
            LOG.error(
                "operation failed at %s: %s",
                ".".join(str(step) for step in error.path),
                _where(original or error),
            )


def _where(error: BaseException) -> str:
    """Class and place of an unexpected error; never its text, which may quote a row."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    place = f" in {step.tb_frame.f_code.co_filename}:{step.tb_lineno}" if step is not None else ""
    return f"{type(error).__name__}{place}"
