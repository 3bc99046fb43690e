"""Ways in which the audit log of a running hub becomes unavailable. Each yields when it is, and again when mended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx

from hub.app import open_hub
from hub.audit.sequencer import Sequencer
from hub.flows.receipts import guard_file
from hub.main import listen
from hub.store.database import Database, DbRole
from hub.store.server import EmbeddedServer
from tests.done.served import Served, listening

Fault = Callable[[Served, Database, EmbeddedServer], AsyncIterator[None]]
_WRITERS = "hub_owner, hub_app, hub_ingest, hub_sequencer"


async def outbox_revoked(served: Served, database: Database, server: EmbeddedServer) -> AsyncIterator[None]:
    """Nobody may write into the outbox."""
    await served.owner.execute(f"REVOKE INSERT ON audit.pending FROM {_WRITERS}")
    yield
    await served.owner.execute(f"GRANT INSERT ON audit.pending TO {_WRITERS}")
    yield


async def outbox_renamed(served: Served, database: Database, server: EmbeddedServer) -> AsyncIterator[None]:
    """There is no outbox."""
    await served.owner.execute("ALTER TABLE audit.pending RENAME TO gone")
    yield
    await served.owner.execute("ALTER TABLE audit.gone RENAME TO pending")
    yield


async def outbox_locked(served: Served, database: Database, server: EmbeddedServer) -> AsyncIterator[None]:
    """Somebody holds the outbox."""
    conn = await database.connect(DbRole.OWNER)
    try:
        async with conn.transaction():
            await conn.execute("LOCK TABLE audit.pending IN ACCESS EXCLUSIVE MODE")
            yield
        yield
    finally:
        await conn.close()


async def entries_renamed(served: Served, database: Database, server: EmbeddedServer) -> AsyncIterator[None]:
    """The outbox takes rows, but they cannot become entries."""
    await served.owner.execute("ALTER TABLE audit.entry RENAME TO elsewhere")
    yield
    await served.owner.execute("ALTER TABLE audit.elsewhere RENAME TO entry")
    yield


async def login_refused(served: Served, database: Database, server: EmbeddedServer) -> AsyncIterator[None]:
    """The sequencer is thrown out of the database and not let in again."""
    await served.owner.execute(f"REVOKE CONNECT ON DATABASE {database.name} FROM hub_sequencer")
    admin = await server.connect()
    try:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hub_sequencer' AND datname = $1",
            database.name,
        )
    finally:
        await admin.close()
    yield
    await served.owner.execute(f"GRANT CONNECT ON DATABASE {database.name} TO hub_sequencer")
    yield


async def guard_unwritable(served: Served, database: Database, server: EmbeddedServer) -> AsyncIterator[None]:
    """The guard file cannot be written: a folder stands in its place."""
    guard = guard_file(served.settings.home)
    aside = guard.with_name("aside")
    guard.rename(aside)
    guard.mkdir()
    yield
    guard.rmdir()
    aside.rename(guard)
    yield


async def guard_replaced(served: Served, database: Database, server: EmbeddedServer) -> AsyncIterator[None]:
    """A guard file that this log's key did not sign; with the right one restored, the hub is started again."""
    guard = guard_file(served.settings.home)
    aside = guard.with_name("aside")
    guard.rename(aside)
    guard.write_bytes(b"credit-hub.example/audit\n1\nAAAA\n".ljust(8192, b"\n"))
    yield
    aside.replace(guard)
    async with started_again(served, database):
        yield


async def sequencer_stopped(served: Served, database: Database, server: EmbeddedServer) -> AsyncIterator[None]:
    """Nobody leads the log; afterwards another process does."""
    served.hub.sequencer.stop()
    while served.hub.sequencer.leading:
        await asyncio.sleep(0.02)
    yield
    async with another_leader(served, database):
        yield


@asynccontextmanager
async def another_leader(served: Served, database: Database) -> AsyncIterator[None]:
    """A process of its own leads the log."""
    sequencer = Sequencer(database, served.keys, guard_file(served.settings.home))
    async with sequencer.running():
        while not sequencer.leading:
            await asyncio.sleep(0.02)
        yield


@asynccontextmanager
async def started_again(served: Served, database: Database) -> AsyncIterator[None]:
    """A new process of the same hub in the place of the old one."""
    bound = listen("127.0.0.1", 0)
    async with open_hub(served.settings, database) as hub, listening(hub, bound):
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        served.hub = hub
        async with httpx.AsyncClient(base_url=address, timeout=60) as served.http:
            yield
    bound.close()


FAULTS: tuple[Fault, ...] = (
    outbox_revoked,
    outbox_renamed,
    outbox_locked,
    entries_renamed,
    login_refused,
    guard_unwritable,
    guard_replaced,
    sequencer_stopped,
)
