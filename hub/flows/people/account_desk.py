"""What the flows about sessions and accounts share: one transaction with its audit entry."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from hub.audit.receipts import Receipts
from hub.core.clock import Clock, system_clock
from hub.core.errors import StoreError
from hub.store.database import DATABASE_ERRORS
from hub.store.keys import KeyService

RECEIPT_SECONDS = 10.0
"""How long a change waits for the audit log to sign."""


@dataclass(frozen=True, slots=True)
class AccountDesk:
    """Everything that a change of sessions or accounts needs: connections of one role, keys, the audit log, the clock.

    The server works as ``hub_app``, commands as ``hub_ingest``.
    """

    pool: asyncpg.Pool
    keys: KeyService
    receipts: Receipts
    clock: Clock = system_clock

    @asynccontextmanager
    async def change(self) -> AsyncIterator[asyncpg.Connection]:
        """One transaction: the change and its audit entry, or neither; it is committed only if the log can record.

        Raises :class:`~hub.core.errors.AuditError` or :class:`StoreError`; then nothing was changed.
        """
        async with self.reading() as conn, conn.transaction():
            await conn.execute("SET LOCAL lock_timeout = '5s'")
            yield conn
            await self.receipts.ready()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for what shows nothing of anybody's record. Raises :class:`StoreError`."""
        try:
            async with self.pool.acquire() as conn:
                yield conn
        except DATABASE_ERRORS as error:
            raise StoreError(
                f"The database did not take the change or its record ({type(error).__name__}).",
                remedy="Nothing was changed; try again in a moment.",
            ) from error
