"""How a refusal by a database function reads: its SQLSTATE, of the hub's own class HB, becomes an error with a code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import asyncpg

from hub.core.errors import HubError


@contextmanager
def refusing(refusals: Mapping[str, HubError]) -> Iterator[None]:
    """Raise a fresh copy of the error of the SQLSTATE that a database function refused with; others pass."""
    try:
        yield
    except asyncpg.PostgresError as error:
        known = refusals.get(error.sqlstate or "")
        if known is None:
            raise
        raise type(known)(known.message, remedy=known.remedy, code=known.code) from None
