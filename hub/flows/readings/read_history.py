"""A resident reads who looked at his data, or a guardian who looked at a ward's.

The reading is itself an entry of that list, made before it is shown. A guardian is not told what a minor did himself:
his refusals and withdrawals, his own readings, his sign-ins (未成年人网络保护条例 art. 34; 个人信息保护法 art. 6).
Nor does he see that there is something: his list is numbered, counted and paged as if it held nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg

from hub.audit.history import Access, list_own_accesses
from hub.audit.proof import Receipt
from hub.core.disclosure import Asker
from hub.core.errors import StoreError
from hub.core.ids import uuid7
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation
from hub.flows.readings.own_reading import record_own_reading, record_ward_reading
from hub.store.database import DATABASE_ERRORS
from hub.store.keys import KeyService

POLICY = "access-history-1"
"""Version of the rule: a person reads his own list and nobody else's."""

_OWN_ACTS = frozenset({"resident", "person"})
"""Who acts in the events that are a minor's own."""

_WHOLE = 2**31 - 1
"""As the length of a page: the whole list. That of a minor is short, since lenders are shown nothing of one."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Newest first. ``total`` is the length of the whole list; ``names``: organisation id -> Chinese, English name."""

    accesses: list[Access]
    total: int
    names: dict[str, tuple[str, str]]


async def read_history(
    desk: ConsentDesk,
    asker: Asker,
    operation: Operation,
    *,
    before: int | None,
    first: int,
    ward: UUID | None = None,
) -> tuple[HistoryPage, Receipt]:
    """One page of the list of accesses to the person behind the account, or to a ward of his, under every id of it.

    ``before``: continue below this number of an earlier page. Raises :class:`RefusedError` for an account without a
    person, or somebody who is no ward of his; :class:`~hub.core.errors.AuditError` if the list has a gap or the reading
    cannot be recorded.
    """
    ev = uuid7()
    async with desk.recording() as conn:
        if ward is None:
            person = await record_own_reading(desk, conn, asker, operation, ev, "history:resident:queried", POLICY)
        else:
            await record_ward_reading(desk, conn, asker, operation, ev, "history:guardian:queried", POLICY, ward)
            person = ward
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    try:
        async with desk.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            persons = await conn.fetchval("SELECT auth.known_as($1)", person)
            read = list_own_accesses if ward is None else _list_ward_accesses
            accesses, total = await read(conn, desk.keys, persons, before=before, limit=first)
            rows = await conn.fetch(
                "SELECT * FROM auth.organisation_names($1)", sorted({access.organisation for access in accesses})
            )
    except DATABASE_ERRORS as error:
        raise StoreError("The list of accesses cannot be read now.", remedy="Try again.") from error
    names = {row["organisation_id"]: (row["name_zh"], row["name_en"]) for row in rows}
    return HistoryPage(accesses, total, names), receipt


async def _list_ward_accesses(
    conn: asyncpg.Connection, keys: KeyService, persons: Sequence[UUID], *, before: int | None, limit: int
) -> tuple[list[Access], int]:
    """A page of what a guardian is shown, and how much that is; numbered without what he is not shown."""
    everything, _ = await list_own_accesses(conn, keys, persons, before=None, limit=_WHOLE)
    shown = [access for access in everything if access.event.split(":")[1] not in _OWN_ACTS]
    total = len(shown)
    newest = 0 if before is None else max(0, total + 1 - before)
    return [replace(access, n=total - i) for i, access in enumerate(shown)][newest : newest + limit], total


def opened_categories(entry: Access) -> list[str]:
    """Categories that were opened to the asker. What was in them at the time is not told: a section that the law has
    taken away since (征信业管理条例 art. 16) must leave no trace in the list.
    """
    own, shared = entry.own or {}, entry.shared or {}
    if own.get("named") and "withheld" in shared:
        kept_back = {tuple(part[:2]) for part in shared["withheld"]}
        opened = [] if entry.decision == "deny" else [p for p in shared["asked"] if tuple(p) not in kept_back]
    else:
        opened = own.get("sections", [])
    return list(dict.fromkeys(str(part[0]) for part in opened))
