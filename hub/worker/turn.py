"""The right to read agencies, shared by the sources that this worker is reading at the moment.

The first of them takes the lock of `hub pull` and sees to it that somebody leads the audit log; the last gives both
back, so that an operator's `hub pull` finds room between the worker's.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import asyncpg

from hub.audit.receipts import Receipts
from hub.flows.intake.pull import PULL_LOCK, only_puller
from hub.flows.receipts import receipt_desk
from hub.store.database import Database
from hub.store.keys import KeyService


class Storing:
    """Entered to store a step or to settle: one at a time in this process, and none while a steward decides.

    It is held for moments, however long an agency takes, so that a slow one keeps nobody from his work.
    """

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._one = asyncio.Lock()
        self._giving: asyncio.Future[None] | None = None

    async def __aenter__(self) -> None:
        taking = asyncio.ensure_future(self._take())
        try:
            await asyncio.shield(taking)
        except asyncio.CancelledError:
            # Whoever waited has gone; the lock may come all the same, and nobody else would give it back.
            taking.add_done_callback(self._give_back)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.ensure_future(self._give()))

    async def _take(self) -> None:
        await self._one.acquire()
        try:
            await self._connection.execute("SELECT pg_advisory_lock($1)", PULL_LOCK)
        except BaseException:
            self._one.release()
            raise

    async def _give(self) -> None:
        try:
            await self._connection.execute("SELECT pg_advisory_unlock($1)", PULL_LOCK)
        finally:
            self._one.release()

    def _give_back(self, taken: asyncio.Future[None]) -> None:
        if not taken.cancelled() and taken.exception() is None:
            self._giving = asyncio.ensure_future(self._give())


@dataclass(frozen=True, slots=True)
class Right:
    """What the holder of the right works with."""

    receipts: Receipts
    storing: Storing


class PullTurn:
    """Hands out the right to read agencies."""

    def __init__(self, database: Database, keys: KeyService, home: Path) -> None:
        self._database = database
        self._keys = keys
        self._home = home
        self._door = asyncio.Lock()
        self._holders = 0
        self._held: AsyncExitStack | None = None
        self._right: Right | None = None

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[Right]:
        """The right for the length of a block. Raises :class:`~hub.flows.intake.pull.PullRunningError`, or
        :class:`~hub.core.errors.AuditError` if nobody can lead the log.
        """
        self._holders += 1
        try:
            yield await self._open()
        finally:
            self._holders -= 1
            await self._close_if_unused()

    async def _open(self) -> Right:
        async with self._door:
            if self._right is None:
                async with AsyncExitStack() as opening:
                    connection = await opening.enter_async_context(only_puller(self._database))
                    receipts = await opening.enter_async_context(receipt_desk(self._database, self._keys, self._home))
                    self._right = Right(receipts, Storing(connection))
                    self._held = opening.pop_all()
            return self._right

    async def _close_if_unused(self) -> None:
        async with self._door:
            if self._holders == 0 and self._held is not None:
                held, self._held, self._right = self._held, None, None
                await held.aclose()
