"""The regulator reads the log itself: entries as they are signed, with proofs. Nobody's data are opened here."""

from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from hub.audit.leaf import Leaf
from hub.audit.outbox import seal_request
from hub.audit.proof import Receipt
from hub.audit.receipts import find_receipt
from hub.audit.tree import LOG_ID
from hub.core.clock import iso
from hub.core.disclosure import Asker
from hub.core.errors import StoreError
from hub.core.ids import uuid7
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation
from hub.flows.readings.supervised_reading import record_supervision
from hub.store.database import DATABASE_ERRORS

POLICY = "log-reading-1"
"""Version of the rule: regulators and auditors read the whole log."""

WINDOW = 5_000
"""The most entries one page looks through; a filter that finds less goes on from there."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which entries; ``None`` means all."""

    kinds: frozenset[str] | None = None
    organisation: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, leaf: Leaf) -> bool:
        """Whether an entry is wanted; ``since`` belongs to the span, ``until`` does not."""
        at = datetime.fromtimestamp(leaf.t / 1000, UTC)
        return (
            (self.kinds is None or leaf.kind in self.kinds)
            and (self.organisation is None or leaf.organisation == self.organisation)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )


@dataclass(frozen=True, slots=True)
class LogPage:
    """Newest first. ``next_below``: go on below this number, ``None`` at the beginning of the log.

    ``proofs`` holds a receipt per entry where proofs were asked for.
    """

    entries: list[tuple[Leaf, bytes]]
    next_below: int | None
    proofs: dict[int, Receipt]


async def read_log(
    desk: ConsentDesk,
    auditor: asyncpg.Pool,
    asker: Asker,
    operation: Operation,
    *,
    wanted: LogFilter,
    below: int | None,
    first: int,
    with_proofs: bool,
) -> tuple[LogPage, Receipt]:
    """One page of the log; the reading is recorded before anything is shown.

    ``auditor`` is a pool as ``hub_auditor``. Raises :class:`RefusedError` for other roles than :data:`READERS`.
    """
    ev = uuid7()
    async with desk.recording() as conn:
        await record_supervision(
            conn,
            asker,
            operation,
            ev,
            "log:auditor:queried",
            POLICY,
            what="the log",
            facts={"asOf": iso(desk.clock()), "asked": [["audit_log", "VALUE"]]},
            sealed=seal_request(desk.keys, ev, operation.document, operation.variables),
        )
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS, stored=True)
    try:
        async with auditor.acquire() as conn:
            return await _page(conn, wanted, below, first, with_proofs), receipt
    except DATABASE_ERRORS as error:
        raise StoreError("The log cannot be read now.", remedy="Try again.") from error


async def _page(
    conn: asyncpg.Connection, wanted: LogFilter, below: int | None, first: int, with_proofs: bool
) -> LogPage:
    """Only what is in a signed head is shown."""
    signed = await conn.fetchval("SELECT coalesce(max(size), 0) FROM audit.checkpoint WHERE log_id = $1", LOG_ID)
    position = signed if below is None else min(below, signed)
    looked = 0
    found: list[tuple[Leaf, bytes]] = []
    while position > 0 and len(found) < first and looked < WINDOW:
        rows = await conn.fetch(
            "SELECT seq, entry FROM audit.entry WHERE log_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
            LOG_ID,
            position,
            500,
        )
        if not rows:
            position = 0
            break
        for row in rows:
            position, looked = row["seq"], looked + 1
            leaf = Leaf.parse(row["entry"])
            if wanted.since is not None and datetime.fromtimestamp(leaf.t / 1000, UTC) < wanted.since:
                position = 0  # entries stand in the order of time: nothing older fits
                break
            if wanted.fits(leaf):
                found.append((leaf, row["entry"]))
                if len(found) == first:
                    break
    proofs: dict[int, Receipt] = {}
    for leaf, _ in found if with_proofs else ():
        proof = await find_receipt(conn, leaf.ev)
        if proof is not None:
            proofs[leaf.seq] = proof
    return LogPage(found, position or None, proofs)
