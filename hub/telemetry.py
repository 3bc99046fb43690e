"""Logs: structlog through the standard library, on standard error, with personal data and secrets struck out.

Nothing personal should be handed to a logger in the first place. The redaction here is the net beneath that rule: it
works on the finished line, so it also sees what libraries log and what stands in exceptions.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

SECRET_KEYS = frozenset(
    {
        "address",
        "authorization",
        "client_assertion",
        "cookie",
        "document",
        "dpop",
        "id_number",
        "name_zh",
        "password",
        "person_name",
        "phone",
        "secret",
        "token",
        "variables",
    }
)
"""Event keys whose value never reaches a log, whatever it is."""

_STRUCK = "[redacted]"
_PATTERNS = (
    # Citizen ID numbers (15, 18), disability certificates (20), bank accounts (16-19): any long run of digits.
    re.compile(r"\d(?:[ -]?\d){14,}[Xx]?"),
    # Mobile phones: 11 digits from 13 to 19, with or without the country code.
    re.compile(r"(?<!\d)(?:\+?86[ -]?)?1[3-9]\d(?:[ -]?\d){8}(?!\d)"),
    # Signed and encrypted tokens (RFC 7515, RFC 7516), and credentials of HTTP and of URLs.
    re.compile(r"eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*"),
    re.compile(r"(?i)\b(?:bearer|dpop|basic)\s+[\w.~+/=-]{8,}"),
    re.compile(r"(?<=://)[^\s/@\"']+:[^\s/@\"']+(?=@)"),
)


def redact(text: str) -> str:
    """``text`` with every run that looks like an ID number, account, phone, token or password struck out."""
    for pattern in _PATTERNS:
        text = pattern.sub(_STRUCK, text)
    return text


def _strike_keys(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        if key.lower() in SECRET_KEYS:
            event[key] = _STRUCK
    return event


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Renders a record and strikes out on the finished line."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def configure(level: str = "info", style: str = "auto", stream: TextIO | None = None) -> None:
    """Set up logging for this process; may be called again.

    ``level``: debug, info, warning or error. ``style``: json, text, or auto (text on a terminal, else json).
    """
    output = stream if stream is not None else sys.stderr
    as_text = style == "text" or (style == "auto" and output.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=False),
        structlog.processors.StackInfoRenderer(),
        _strike_keys,
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
        if as_text
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        _RedactingFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These libraries log addresses and headers at INFO, or tokens at DEBUG.
    for noisy in ("authlib", "httpx", "httpcore", "asyncssh", "zeep", "urllib3", "alembic", "splink"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
