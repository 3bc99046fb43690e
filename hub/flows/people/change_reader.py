"""Of which counties and categories a person's own database login may see the state (row-level security)."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.core.errors import InputError
from hub.core.names import Category
from hub.flows.rules.approve_rules import RECEIPT_SECONDS, ApprovalDesk, rules_entry


@dataclass(frozen=True, slots=True)
class Reader:
    """A login and what it sees, until when."""

    login: str
    counties: tuple[str, ...]
    categories: tuple[Category, ...]
    until: datetime


async def register_reader(desk: ApprovalDesk, reader: Reader) -> Receipt:
    """Register a login, or change what it sees. The login itself is made on the server, as a member of ``hub_viewer``.

    Raises :class:`InputError` for a login, county or category that cannot be, or an end that has passed.
    """
    if reader.until <= desk.at:
        raise InputError("the end has passed already.", remedy="Give a later one.", code="READER")
    try:
        async with desk.conn.transaction():
            await desk.conn.execute(
                """INSERT INTO access.reader (login, counties, categories, until) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (login) DO UPDATE SET counties = excluded.counties,
                       categories = excluded.categories, until = excluded.until""",
                reader.login,
                list(reader.counties),
                [category.value for category in reader.categories],
                reader.until,
            )
            entry = rules_entry(
                "reader:operator:changed",
                desk.actor,
                {
                    "login": reader.login,
                    "status": "REGISTERED",
                    "counties": list(reader.counties),
                    "categories": [category.value for category in reader.categories],
                    "until": reader.until.isoformat(),
                },
            )
            await append(desk.conn, entry)
            await desk.receipts.ready()
    except (asyncpg.CheckViolationError, asyncpg.StringDataRightTruncationError):
        raise InputError(
            "a login is a plain lower-case name, with at least one county and one category.", code="READER"
        ) from None
    return await desk.receipts.wait(entry.ev, RECEIPT_SECONDS)


async def remove_reader(desk: ApprovalDesk, login: str) -> Receipt:
    """Let a login see nothing any more. Raises :class:`InputError` if it is not registered."""
    async with desk.conn.transaction():
        gone = await desk.conn.fetchval("DELETE FROM access.reader WHERE login = $1 RETURNING true", login)
        if not gone:
            raise InputError("this login is not registered.", code="READER")
        entry = rules_entry("reader:operator:changed", desk.actor, {"login": login, "status": "REMOVED"})
        await append(desk.conn, entry)
        await desk.receipts.ready()
    return await desk.receipts.wait(entry.ev, RECEIPT_SECONDS)
