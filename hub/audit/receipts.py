"""Waiting for receipts: in the process that leads the log without the database, elsewhere with its help."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from uuid import UUID, uuid4

import asyncpg

from hub.audit.merkle import ProofError, inclusion_ranges, ranges_nodes
from hub.audit.proof import Receipt, receipt_from
from hub.audit.sequencer import PENDING_CHANNEL, SIGNED_CHANNEL, Sequencer
from hub.audit.tree import read_nodes
from hub.core.errors import AuditError, StoreError
from hub.store.database import Database, DbRole

READY_SECONDS = 5.0
"""How long a change waits to know that the log records."""

_SLICE_SECONDS = 1.0
_RETRY_SECONDS = 0.1
_CLOSE_SECONDS = 2.0


class Receipts:
    """Gives the receipt of an event once its entry is durable, signed and guarded. Use it as ``async with``."""

    def __init__(
        self,
        database: Database,
        sequencer: Sequencer | None = None,
        *,
        role: DbRole = DbRole.APP,
        connections: int = 4,
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._role = role
        self._size = connections
        self._pool: asyncpg.Pool | None = None
        self._listener: asyncpg.Connection | None = None
        self._opening = asyncio.Lock()
        self._signed = asyncio.Event()
        self._asking: dict[str, asyncio.Future[None]] = {}

    async def __aenter__(self) -> "Receipts":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, if any were needed."""
        opened = [each for each in (self._listener, self._pool) if each is not None]
        self._listener = self._pool = None
        for each in opened:
            try:
                await asyncio.wait_for(each.close(), _CLOSE_SECONDS)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                each.terminate()

    async def wait(
        self,
        ev: UUID,
        timeout: float,  # noqa: ASYNC109 - the caller's contract names it
        *,
        stored: bool = False,
    ) -> Receipt:
        """The receipt of event ``ev``, whose outbox row must be committed; waits at most ``timeout`` seconds.

        The leader gives receipts out a moment before the signed head can be read in the database. With ``stored`` that
        moment is waited for, so that whoever reads the log next finds the entry there, with its proof.

        Raises :class:`AuditError` if the log cannot record, or did not in time. Nothing may leave then.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (remaining := deadline - loop.time()) > 0:
            sequencer = self._sequencer
            if sequencer is not None and sequencer.leading and not stored:
                receipt = await sequencer.receipt(ev, min(remaining, _SLICE_SECONDS))
                if receipt is not None:
                    return receipt
            elif sequencer is not None and sequencer.failure is not None:
                raise sequencer.failure
            try:
                receipt = await self._from_database(ev, deadline)
            except (TimeoutError, asyncpg.QueryCanceledError):
                break
            except (OSError, StoreError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise _unreachable(error) from error
            if receipt is not None:
                return receipt
        raise AuditError(
            "the audit log did not record the event in time.",
            remedy="Nothing was released; try again. If it persists, see `hub doctor`.",
            code="AUDIT_TIMEOUT",
        )

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Make sure that the log can record at this moment; a change asks before it is made.

        The leader goes through all of a batch but its commit, in this process or in another one. Raises
        :class:`AuditError` if it cannot, or does not answer in time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (remaining := deadline - loop.time()) > 0:
            sequencer = self._sequencer
            if sequencer is not None and sequencer.leading:
                if await sequencer.rehearse(remaining):
                    return
            elif sequencer is not None and sequencer.failure is not None:
                raise sequencer.failure
            elif await self._asked_elsewhere(min(remaining, _SLICE_SECONDS)):
                return
        raise AuditError(
            "nobody records in the audit log at present.",
            remedy="Nothing was done; try again. If it persists, see `hub doctor`.",
            code="AUDIT_TIMEOUT",
        )

    async def _asked_elsewhere(self, seconds: float) -> bool:
        """Have the leader, another process, rehearse; whether it said in time that all is well."""
        loop, payload = asyncio.get_running_loop(), uuid4().hex
        until = loop.time() + seconds
        told = self._asking[payload] = loop.create_future()
        try:
            await self._listen()
            async with self._connection(until) as conn:
                await conn.execute("SELECT pg_notify($1, $2)", PENDING_CHANNEL, payload)
            async with asyncio.timeout_at(until):
                await told
        except (TimeoutError, asyncpg.QueryCanceledError):
            return False
        except (OSError, StoreError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _unreachable(error) from error
        finally:
            del self._asking[payload]
        return True

    def _heard(self, payload: str) -> None:
        """A head was signed (its size), or a rehearsal went well (what asked for it)."""
        told = self._asking.get(payload)
        if told is None:
            self._signed.set()
        elif not told.done():
            told.set_result(None)

    async def _from_database(self, ev: UUID, deadline: float) -> Receipt | None:
        """Look once; if nothing is there, wake the leader, wait a moment, and look again."""
        async with self._connection(deadline) as conn:
            receipt = await find_receipt(conn, ev)
            if receipt is None:
                await self._listen()
                self._signed.clear()
                await conn.execute("SELECT pg_notify($1, '')", PENDING_CHANNEL)
        if receipt is not None:
            return receipt
        with suppress(TimeoutError):
            await asyncio.wait_for(self._signed.wait(), _RETRY_SECONDS)
        async with self._connection(deadline) as conn:
            return await find_receipt(conn, ev)

    @asynccontextmanager
    async def _connection(self, deadline: float) -> AsyncIterator[asyncpg.Connection]:
        if self._pool is None:
            async with self._opening:
                if self._pool is None:
                    self._pool = await self._database.pool(self._role, size=self._size)
        rest = max(0.01, deadline - asyncio.get_running_loop().time())
        async with self._pool.acquire(timeout=rest) as conn:
            # The server ends what takes too long: a query that is cancelled from here would cost the connection.
            await conn.execute("SELECT set_config('statement_timeout', $1, false)", str(int(rest * 1000)))
            yield conn

    async def _listen(self) -> None:
        async with self._opening:
            if self._listener is None or self._listener.is_closed():
                listener = await self._database.connect(self._role)
                await listener.add_listener(SIGNED_CHANNEL, lambda _, __, ___, payload: self._heard(str(payload)))
                self._listener = listener


def _unreachable(error: Exception) -> AuditError:
    return AuditError(
        f"the audit log cannot be asked ({type(error).__name__}).",
        remedy="See `hub doctor`.",
        code="AUDIT_UNAVAILABLE",
    )


async def find_receipt(conn: asyncpg.Connection, ev: UUID) -> Receipt | None:
    """The receipt of an event against the newest signed head, ``None`` while it is not in a signed head.

    Works under every role. Raises :class:`AuditError` if what is stored does not lead to the signed root.
    """
    row = await conn.fetchrow("SELECT seq, entry, size, note FROM audit.find_entry($1)", ev)
    if row is None:
        return None
    nodes = ranges_nodes(inclusion_ranges(row["seq"], row["size"]))
    parts = await read_nodes(conn, row["size"], nodes)
    try:
        return receipt_from(row["entry"], row["seq"], row["note"], parts.node)
    except (KeyError, ProofError):
        raise AuditError(
            f"entry {row['seq']} of the audit log, or the hashes around it, were altered in the database.",
            remedy="Export the log and run `hub audit verify` on it.",
            code="AUDIT_DAMAGED",
        ) from None
