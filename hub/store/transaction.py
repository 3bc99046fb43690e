"""A transaction whose commit is a named phase of a pull."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from hub.core.phases import Phase, passing


@asynccontextmanager
async def committing(connection: asyncpg.Connection, phase: Phase) -> AsyncIterator[None]:
    """Everything in the block or nothing; ``phase`` is the commit alone, so its beginning and end lie around it."""
    transaction = connection.transaction()
    await transaction.start()
    is_durable = False
    try:
        yield
        with passing(phase):
            await transaction.commit()
            is_durable = True
    except BaseException:
        # After a commit that failed there may be nothing left to roll back; what failed is told by the first error.
        if not is_durable and not connection.is_closed() and connection.is_in_transaction():
            await transaction.rollback()
        raise
