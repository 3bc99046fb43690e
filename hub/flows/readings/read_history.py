"""A resident reads who looked at his data, or a guardian who looked at a ward's.

The reading is itself an entry of that list, made before it is shown. A guardian is not told what a minor did himself:
his refusals and withdrawals, his own readings, his sign-ins (未成年人网络保护条例 art. 34; 个人信息保护法 art. 6).
"""

from dataclasses import dataclass
from uuid import UUID

from hub.audit.history import Access, list_own_accesses
from hub.audit.proof import Receipt
from hub.core.disclosure import Asker
from hub.core.errors import StoreError
from hub.core.ids import uuid7
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation
from hub.flows.readings.own_reading import record_own_reading, record_ward_reading
from hub.store.database import DATABASE_ERRORS

POLICY = "access-history-1"
"""Version of the rule: a person reads his own list and nobody else's."""

_OWN_ACTS = frozenset({"resident", "person"})
"""Who acts in the events that are a minor's own."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Newest first. ``total`` is the length of the whole list; ``names``: organisation id -> Chinese, English name.

    ``oldest``: the number of the last entry that was read, whether shown or not; ``None`` where there was none.
    """

    accesses: list[Access]
    total: int
    oldest: int | None
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
            accesses, total = await list_own_accesses(conn, desk.keys, persons, before=before, limit=first)
            oldest = accesses[-1].n if accesses else None
            if ward is not None:
                accesses = [access for access in accesses if access.event.split(":")[1] not in _OWN_ACTS]
            rows = await conn.fetch(
                "SELECT * FROM auth.organisation_names($1)", sorted({access.organisation for access in accesses})
            )
    except DATABASE_ERRORS as error:
        raise StoreError("The list of accesses cannot be read now.", remedy="Try again.") from error
    names = {row["organisation_id"]: (row["name_zh"], row["name_en"]) for row in rows}
    return HistoryPage(accesses, total, oldest, names), receipt


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
