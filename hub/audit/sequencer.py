"""The sequencer: takes what waits in the outbox and makes it entries of the signed log, one batch at a time.

Only one process leads: a database lock and a file lock elect it, an epoch in the head row makes a deposed leader fail.
A batch goes through named steps (:class:`Step`); the order is what makes a crash at any point harmless:

    one transaction: take rows under the lock of the head, write entries, details, tiles, head   -> COMMIT
    sign the new head (Ed25519 gives the same bytes again after a crash)                          -> SIGNED
    write it to the guard file outside the database, fsync                                        -> GUARDED
    give out receipts, publish the checkpoint                                                     -> RELEASED

Never sign what is not durable, never two roots for one size, never a receipt before the guard.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import asyncpg

from hub.audit.batch import BatchMaker, rehearsal_row, write_batch
from hub.audit.edge import Edge, check_extends, open_log, take_edge
from hub.audit.guard import DISK, Guard
from hub.audit.note import Checkpoint, Signer
from hub.audit.proof import Receipt, SignedBatch
from hub.audit.tree import LOG_ID
from hub.core.clock import Clock, system_clock
from hub.core.errors import AuditError, HubError
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

DEFAULT_ORIGIN = "credit-hub.example/audit"
"""The log's name in checkpoints, unless the installation sets its own."""

PENDING_CHANNEL = "audit_pending"
"""Notified by a process that waits for a receipt and does not lead. A payload asks for a rehearsal: 32 hex digits."""

SIGNED_CHANNEL = "audit_signed"
"""Notified by the leader after each signed head; the payload is its size, or the payload that asked for a rehearsal."""

SIGNING_KEY = "audit-log"
"""Name of the key that signs the log's heads."""

BATCH_LIMIT = 500
"""The most entries in one batch."""

_LEADER_LOCK = 0x0A0D17
_POLL_SECONDS = 0.25
_REMEMBERED = 10_000
_ASKED = re.compile(r"[0-9a-f]{32}")
_ASKED_MAX = 1000
_SESSION = (
    "SET synchronous_commit = on; SET lock_timeout = '3s'; SET statement_timeout = '30s';"
    " SET idle_in_transaction_session_timeout = '60s'"
)


class Step(StrEnum):
    """The points of a batch at which a test may let the process die."""

    WRITTEN = "before commit"
    COMMITTED = "after commit before signing"
    SIGNED = "after signing before the guard"
    GUARDED = "after the guard before the reply"
    RELEASED = "after the reply"


class Sequencer:
    """Leads the log when it can; receipts for its own process are given without the database."""

    def __init__(
        self,
        database: Database,
        keys: KeyService,
        guard_file: Path,
        *,
        origin: str = DEFAULT_ORIGIN,
        clock: Clock = system_clock,
        clock_limit_seconds: float = 10.0,
        at_step: Callable[[Step], None] | None = None,
    ) -> None:
        self.failure: AuditError | None = None
        """Why nothing can be recorded at present; ``None`` while all is well or another process leads."""
        self.leading = False
        self._database = database
        self._keys = keys
        self._guard = Guard(guard_file)
        self._origin = origin
        self._clock = clock
        self._clock_limit_ms = int(clock_limit_seconds * 1000)
        self._at_step = at_step or (lambda _: None)
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._stopping = False
        self._waiting: dict[UUID, asyncio.Future[Receipt | None]] = {}
        self._recent: OrderedDict[UUID, tuple[SignedBatch, int]] = OrderedDict()
        self._rehearsals: set[asyncio.Future[bool]] = set()
        self._asked: list[str] = []
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="audit-guard")
        self._clock_zero: tuple[int, float] | None = None
        self._publishing: asyncio.Task[None] | None = None

    # Use ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Lead whenever possible, until :meth:`stop`. Passing faults are retried.

        Raises :class:`AuditError` when the log must not go on (guard, key, damage, clock); every later wait for a
        receipt then fails with the same sentence.
        """
        pause = 0.0
        try:
            while not self._stopping:
                try:
                    await self._lead_once()
                    pause = 0.0
                except (HubError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    self._fail(_as_audit_error(error))
                    if isinstance(error, AuditError) and error.code != DISK:
                        raise
                    pause = min(2.0, pause * 2 or 0.1)
                if not self._stopping:
                    await asyncio.sleep(pause or _POLL_SECONDS)
        finally:
            self._set_leading(False)
            self._disk.shutdown(wait=True)

    def notify(self) -> None:
        """Say that a row waits in the outbox; costs nothing."""
        self._wake.set()

    def stop(self) -> None:
        """End :meth:`run` after the batch in hand."""
        self._stopping = True
        self._wake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Sequencer"]:
        """Run in the background for the length of a block, which begins when this process leads or follows another.

        Raises :class:`AuditError` if nothing can be recorded.
        """
        task = asyncio.create_task(self.run())
        try:
            await self._changed.wait()
            if self.failure is not None:
                raise self.failure
            yield self
        finally:
            self.stop()
            with suppress(AuditError):
                await task

    async def receipt(self, event: UUID, seconds: float) -> Receipt | None:
        """The receipt of an event that this process records; ``None`` if it did not come in time.

        Raises :class:`AuditError` if recording failed meanwhile.
        """
        found = self._recent.get(event)
        if found is not None:
            return found[0].receipt(found[1])
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Receipt | None] = loop.create_future()
        self._waiting[event] = future
        self._wake.set()
        timer = loop.call_later(seconds, _give_up, future)
        try:
            return await future
        finally:
            timer.cancel()
            if self._waiting.get(event) is future:
                del self._waiting[event]

    async def rehearse(self, seconds: float) -> bool:
        """Whether this process could record at this moment: it goes through all of a batch, of which nothing stays.

        ``False`` if it does not lead, or not in time. Raises :class:`AuditError` if it cannot record.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        self._rehearsals.add(future)
        self._wake.set()
        timer = loop.call_later(seconds, _settle, [future], False)
        try:
            return await future
        finally:
            timer.cancel()
            self._rehearsals.discard(future)

    # Leading ------------------------------------------------------------------------------------------------------

    async def _lead_once(self) -> None:
        conn = await self._database.connect(DbRole.SEQUENCER)
        publisher: asyncpg.Connection | None = None
        try:
            await conn.execute(_SESSION)
            elected = await conn.fetchval("SELECT pg_try_advisory_lock($1, $2)", _LEADER_LOCK, LOG_ID)
            if not elected or not self._guard.lock():
                self.failure = None
                self._changed.set()
                return
            publisher = await self._database.connect(DbRole.SEQUENCER)
            await publisher.execute("SET synchronous_commit = off; SET lock_timeout = '3s'")
            signer = Signer(self._origin, self._keys.signing_key(SIGNING_KEY))
            edge = await self._begin(conn, publisher, signer)
            await publisher.add_listener(PENDING_CHANNEL, lambda _, __, ___, payload: self._called(str(payload)))
            self.failure = None
            self._set_leading(True)
            await self._serve(conn, publisher, signer, edge)
        finally:
            self._set_leading(False)
            if self._publishing is not None:
                await asyncio.wait([self._publishing])
                self._publishing = None
            self._guard.unlock()
            for connection in (publisher, conn):
                if connection is not None:
                    await _close(connection)

    async def _begin(self, conn: asyncpg.Connection, publisher: asyncpg.Connection, signer: Signer) -> Edge:
        """Check the stored log against the guard, then sign its head again: the bytes are the same as before."""
        async with conn.transaction():
            await open_log(conn, self._origin, str(signer.verifier))
            edge = await take_edge(conn)
            await check_extends(conn, edge, self._guard.read(signer.verifier))
        note = self._sign(signer, edge)
        await self._write_guard(note)
        await _publish(publisher, edge.frontier.size, edge.root, note)
        return edge

    async def _serve(self, conn: asyncpg.Connection, publisher: asyncpg.Connection, signer: Signer, edge: Edge) -> None:
        maker = BatchMaker(self._keys, self._origin)
        while not self._stopping:
            self._wake.clear()
            rehearsals, asked, self._asked = list(self._rehearsals), self._asked, []
            made = await self._batch(conn, publisher, signer, edge, maker)
            if rehearsals or asked:
                if not made:  # a batch that went well proves more than a rehearsal
                    await self._rehearse(conn, signer, edge, maker)
                _settle(rehearsals, True)
                for payload in asked:
                    await conn.execute("SELECT pg_notify($1, $2)", SIGNED_CHANNEL, payload)
            if made < BATCH_LIMIT and not self._wake.is_set():
                await self._idle(conn)
        if self._publishing is not None:
            await self._publishing

    async def _idle(self, conn: asyncpg.Connection) -> None:
        """Sleep until somebody says that a row waits, or a row is found that nobody spoke of."""
        while not self._wake.is_set():
            await self._sleep(_POLL_SECONDS)
            if self._wake.is_set() or await conn.fetchval("SELECT EXISTS (SELECT FROM audit.pending)"):
                return

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _batch(
        self,
        conn: asyncpg.Connection,
        publisher: asyncpg.Connection,
        signer: Signer,
        edge: Edge,
        maker: BatchMaker,
    ) -> int:
        """Record what waits; how many entries. ``edge`` moves on only after the commit."""
        await conn.execute("BEGIN")
        rows = await conn.fetch(
            "SELECT * FROM audit.take($1, $2, $3, $4, $5)",
            LOG_ID,
            edge.epoch,
            edge.frontier.size,
            edge.root,
            BATCH_LIMIT,
        )
        if not rows:
            await conn.execute("ROLLBACK")
            return 0
        rows.sort(key=lambda row: (row["queued_at"], row["ev"]))
        before = edge.frontier
        batch = await maker.make(conn, rows, edge, self._instant(edge.t_last))
        await write_batch(conn, batch, before.size)
        self._at_step(Step.WRITTEN)
        await conn.execute("COMMIT")
        edge.frontier, edge.tiles, edge.root, edge.t_last = batch.frontier, batch.tiles, batch.root, batch.t_last
        self._at_step(Step.COMMITTED)
        note = self._sign(signer, edge)
        self._at_step(Step.SIGNED)
        await self._write_guard(note)
        self._at_step(Step.GUARDED)
        self._release(batch.claimed, batch.events, SignedBatch(before, batch.entries, batch.nodes, note))
        self._at_step(Step.RELEASED)
        # Storing the signed head goes on beside the next batch; one at a time, and a failure shows there.
        if self._publishing is not None:
            await self._publishing
        self._publishing = asyncio.create_task(_publish(publisher, edge.frontier.size, edge.root, note))
        return len(rows)

    async def _rehearse(self, conn: asyncpg.Connection, signer: Signer, edge: Edge, maker: BatchMaker) -> None:
        """All of a batch of one entry but its commit; the head is signed and guarded again, with the same bytes."""
        if self._publishing is not None:
            await self._publishing
        await conn.execute("BEGIN")
        batch = await maker.make(conn, [rehearsal_row(self._clock())], edge, self._instant(edge.t_last))
        await write_batch(conn, batch, edge.frontier.size)
        await conn.execute("ROLLBACK")
        await self._write_guard(self._sign(signer, edge))

    def _called(self, payload: str) -> None:
        """Another process waits: for a receipt, or to know whether the log records."""
        if _ASKED.fullmatch(payload) and len(self._asked) < _ASKED_MAX:
            self._asked.append(payload)
        self._wake.set()

    def _sign(self, signer: Signer, edge: Edge) -> str:
        return signer.sign(Checkpoint(self._origin, edge.frontier.size, edge.root).text())

    async def _write_guard(self, note: str) -> None:
        # fsync would hold up every request of this process; it waits in a thread of its own.
        await asyncio.get_running_loop().run_in_executor(self._disk, self._guard.write, note)

    def _instant(self, t_last: int) -> int:
        """The time of the next batch in ms: never before the last one. Raises :class:`AuditError` on a wrong clock."""
        now, ticks = int(self._clock().timestamp() * 1000), time.monotonic()
        zero_now, zero_ticks = self._clock_zero = self._clock_zero or (now, ticks)
        drift = (now - zero_now) - int((ticks - zero_ticks) * 1000)
        if now < t_last - self._clock_limit_ms or abs(drift) > max(3_600_000, self._clock_limit_ms):
            raise AuditError(
                "the clock of this machine was set back or jumped; the audit log goes on only in order of time.",
                remedy="Set the clock right (NTP) and start again.",
                code="AUDIT_CLOCK",
            )
        return max(now, t_last)

    # Receipts -----------------------------------------------------------------------------------------------------

    def _release(self, claimed: list[UUID], events: list[UUID], batch: SignedBatch) -> None:
        for position, (wanted, event) in enumerate(zip(claimed, events, strict=True)):
            future = self._waiting.pop(wanted, None)
            if future is not None and not future.done():
                # An id that was used before got another one: whoever waits for it gets no receipt.
                future.set_result(batch.receipt(position) if wanted == event else None)
            self._recent[event] = (batch, position)
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    def _set_leading(self, leading: bool) -> None:
        self.leading = leading
        if leading:
            self._changed.set()
            return
        for future in self._waiting.values():
            if not future.done():
                future.set_result(None)
        self._waiting.clear()
        _settle(self._rehearsals, False)

    def _fail(self, error: AuditError) -> None:
        self.failure = error
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()
        for rehearsal in self._rehearsals:
            if not rehearsal.done():
                rehearsal.set_exception(error)
        self._changed.set()


def _give_up(future: "asyncio.Future[Receipt | None]") -> None:
    if not future.done():
        future.set_result(None)


def _settle(futures: "Iterable[asyncio.Future[bool]]", result: bool) -> None:
    for future in futures:
        if not future.done():
            future.set_result(result)


def _as_audit_error(error: Exception) -> AuditError:
    if isinstance(error, AuditError):
        return error
    what = error.message if isinstance(error, HubError) else f"the database refuses ({type(error).__name__})."
    return AuditError(
        f"the audit log cannot record: {what}",
        remedy="See `hub doctor`; nothing is answered until it can.",
        code="AUDIT_UNAVAILABLE",
    )


async def _close(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


async def _publish(publisher: asyncpg.Connection, size: int, root: bytes, note: str) -> None:
    """Store the signed head for proofs and exports, and wake the processes that wait for it."""
    await publisher.fetchval(
        "WITH stored AS (INSERT INTO audit.checkpoint (log_id, size, root, note) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT DO NOTHING)"
        " SELECT pg_notify($5, $6)",
        LOG_ID,
        size,
        root,
        note,
        SIGNED_CHANNEL,
        str(size),
    )
