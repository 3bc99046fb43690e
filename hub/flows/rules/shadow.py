"""A share of the recorded decisions is run again through Cedar, off the request's path: the gate decides by a compiled
table, and this is how it shows if table, gate and rules ever part.

What is looked at is the signed log, not memory: so a gate that was changed, a table that was tampered with, and a
record that does not follow from the rules it names are found alike. A difference is an entry of the log, a metric, a
warning of ``/readyz``, and stays until somebody acknowledges it with a reason (``hub access shadow --acknowledge``).
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg
import structlog

from hub.audit.leaf import Leaf
from hub.audit.open_entry import open_entry
from hub.audit.outbox import append
from hub.audit.receipts import Receipts
from hub.audit.tree import LOG_ID
from hub.core.clock import Clock, system_clock
from hub.core.errors import HubError, RefusedError
from hub.flows.rules.approve_rules import rules_entry
from hub.flows.rules.explain_decision import explain_entry
from hub.flows.rules.recorded_decision import ANSWERS
from hub.store.database import DATABASE_ERRORS, Database, DbRole
from hub.store.keys import KeyService

SECONDS = 5.0
"""Between two looks at the log."""

MOST = 50
"""The most decisions of one look: under load the share falls, but nothing falls behind."""

_CANNOT = frozenset({"CIRCUMSTANCES_NOT_RECORDED", "NOT_A_DECISION", "DETAIL_DESTROYED"})
"""Codes of entries that cannot be judged: too old, no decision about a record, or erased."""

STALLED_SECONDS = 300.0
"""Without a whole look for so long, nobody watches the gate."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that is not what the rules of its digest say. ``parts``: those that differ; none where its entry
    speaks of what these rules do not have.
    """

    entry: int
    digest: str
    parts: tuple[str, ...]


class Shadow:
    """Looks at the log every few seconds. ``auditor`` is a pool as hub_auditor; ``share`` of the entries is drawn, and
    those of them that are decisions are run again. A restart leaves nothing out.
    """

    def __init__(
        self,
        database: Database,
        auditor: asyncpg.Pool,
        keys: KeyService,
        receipts: Receipts,
        *,
        share: float,
        clock: Clock = system_clock,
    ) -> None:
        self._database = database
        self._auditor = auditor
        self._keys = keys
        self._receipts = receipts
        self._share = share
        self._clock = clock
        self._chance = random.SystemRandom()
        self._looked_at = time.monotonic()

    @property
    def is_stalled(self) -> bool:
        """Whether this process should look and has not been able to for some minutes."""
        return self._share > 0 and time.monotonic() - self._looked_at > STALLED_SECONDS

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for the length of a block; failures are logged and tried again."""
        self._looked_at = time.monotonic()
        task = asyncio.create_task(self._run()) if self._share > 0 else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SECONDS)
            try:
                await self.look()
            except Exception as error:
                # Whatever it was, somebody must go on looking; is_stalled tells if it does not pass.
                _log.warning("shadow.failed", error=type(error).__name__)

    async def look(self) -> list[Difference]:
        """Judge what came since the last look, and record what differs. Processes that look at once share the work."""
        found = await self._look()
        self._looked_at = time.monotonic()
        for difference in found:
            _log.error("shadow.differs", entry=difference.entry, parts=difference.parts)
        return found

    async def _look(self) -> list[Difference]:
        record = await self._database.connect(DbRole.INGEST)
        try:
            async with record.transaction():
                since = await record.fetchval("SELECT seq FROM access.shadow FOR UPDATE SKIP LOCKED")
                if since is None:
                    return []
                async with self._auditor.acquire() as auditor:
                    end, chosen = await self._choose(auditor, since)
                    found = [difference for leaf in chosen if (difference := await self._judge(auditor, leaf))]
                if end == since:
                    return []
                await record.execute(
                    """UPDATE access.shadow SET seq = $1, checked = checked + $2, differed = differed + $3,
                       unacknowledged = unacknowledged + $3, checked_at = clock_timestamp()""",
                    end,
                    len(chosen),
                    len(found),
                )
                for difference in found:
                    facts = {
                        "entry": difference.entry,
                        "digest": difference.digest,
                        "parts": list(difference.parts),
                    }
                    await append(record, rules_entry("rules:hub:differed", "hub", facts))
        finally:
            await record.close()
        return found

    async def _choose(self, auditor: asyncpg.Connection, since: int) -> tuple[int, list[Leaf]]:
        """The last signed entry, and the decisions drawn from those after ``since``."""
        signed = await auditor.fetchval("SELECT max(size) FROM audit.checkpoint WHERE log_id = $1", LOG_ID) or 0
        new = range(since + 1, signed)
        expected = len(new) * self._share
        number = int(expected) + (self._chance.random() < expected % 1)
        drawn = self._chance.sample(new, min(number, MOST))
        rows = await auditor.fetch(
            "SELECT entry FROM audit.entry WHERE log_id = $1 AND seq = ANY ($2) ORDER BY seq", LOG_ID, drawn
        )
        leaves = (Leaf.parse(row["entry"]) for row in rows)
        return max(since, signed - 1), [leaf for leaf in leaves if leaf.what in ANSWERS]

    async def _judge(self, auditor: asyncpg.Connection, leaf: Leaf) -> Difference | None:
        try:
            explanation = await explain_entry(auditor, await open_entry(auditor, self._keys, leaf.ev), self._clock())
        except RefusedError as refusal:
            if refusal.code in _CANNOT:
                return None
            raise
        except (HubError, *DATABASE_ERRORS):
            raise
        except Exception as error:
            # It speaks of a role, purpose or part that these rules do not have, so it cannot follow from them.
            _log.error("shadow.unreadable", entry=leaf.seq, error=type(error).__name__)
            return Difference(leaf.seq, leaf.policy, ())
        if explanation.follows:
            return None
        parts = tuple(part.part for part in explanation.parts if not part.follows)
        return Difference(leaf.seq, leaf.policy, parts)


async def acknowledge(record: asyncpg.Connection, receipts: Receipts, operator: str, reason: str) -> int:
    """End the alarm; the number of differences that it was about. ``record`` is a connection as hub_ingest."""
    async with record.transaction():
        number: int = await record.fetchval("SELECT unacknowledged FROM access.shadow FOR UPDATE")
        if number:
            await record.execute("UPDATE access.shadow SET unacknowledged = 0")
            entry = rules_entry("rules:operator:acknowledged", operator, {"differences": number, "reason": reason})
            await append(record, entry)
            await receipts.ready()
    if number:
        await receipts.wait(entry.ev, 10.0)
    return number
