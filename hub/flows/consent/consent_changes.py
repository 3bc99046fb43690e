"""An organisation's system pulls what changed in its own consents, in order and without a gap."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hub.consent import store
from hub.consent.record import decode, encode
from hub.core.disclosure import Asker
from hub.core.errors import InputError
from hub.flows.consent.consent_change import ConsentDesk

PAGE_MAX = 100
_BEGIN = ("0", UUID(int=0))


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """``changes``: what the organisation was told, oldest first. ``cursor``: continue here, now or later."""

    changes: list[dict[str, Any]]
    cursor: str
    has_more: bool


async def consent_changes(desk: ConsentDesk, asker: Asker, cursor: str | None, first: int) -> ChangesPage:
    """One page after a cursor. Raises :class:`InputError` for what is no cursor, ASKER_REFUSED for who is no system."""
    after = _BEGIN if cursor is None else _read(cursor)
    async with desk.reading() as conn:
        rows = await store.deliveries_of(conn, asker, after, first + 1)
    shown = rows[:first]
    changes = [json.loads(body) for _, _, body in shown]
    last = (shown[-1][0], shown[-1][1]) if shown else after
    return ChangesPage(changes, encode(f"{last[0]}.{last[1]}".encode()), len(rows) > first)


def _read(cursor: str) -> tuple[str, UUID]:
    try:
        transaction, _, delivery = decode(cursor).decode("ascii").partition(".")
        if not (transaction.isdigit() and len(transaction) < 19):
            raise ValueError("no number")
        return transaction, UUID(delivery)
    except ValueError:
        raise InputError("This is no cursor of an earlier page.", code="CURSOR_MALFORMED") from None
