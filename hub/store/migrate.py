"""Brings the schema of a database to the newest revision.

Forward only. All pending migrations run in one transaction as the owner role, under an advisory lock: commands that
start together migrate once. A table lock that cannot be had within four seconds ends the attempt instead of holding up
the service behind it (a waiting ALTER TABLE blocks every later reader).
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from hub.core.errors import StoreError
from hub.store.database import Database, DbRole

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 7_241_019
_LOCK_WAIT = 300.0
_LIMITS = {"lock_timeout": "4s", "statement_timeout": "15min", "idle_in_transaction_session_timeout": "5min"}


def newest_revision() -> str:
    """The revision that this version of the hub was written for."""
    return max(path.name[:4] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


async def current_revision(database: Database) -> str | None:
    """The revision of the database, ``None`` if it was never migrated."""
    connection = await database.connect(DbRole.OWNER)
    try:
        return await _revision(connection)
    finally:
        await connection.close()


async def migrate(database: Database, revision: str | None = None) -> None:
    """Migrate up to ``revision``, or the newest. Raises :class:`StoreError`; then nothing of it was applied."""
    target = revision or newest_revision()
    connection = await database.connect(DbRole.OWNER)
    try:
        await connection.execute(f"SET lock_timeout = '{_LIMITS['lock_timeout']}'")
        if await _is_at(connection, target):
            return
        await _lock(connection)
        if not await _is_at(connection, target):
            await _upgrade(database, target)
    except asyncpg.PostgresError as error:
        raise _failure(error) from error
    finally:
        await connection.close()


async def _revision(connection: asyncpg.Connection) -> str | None:
    if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
        return None
    found: str | None = await connection.fetchval("SELECT version_num FROM public.alembic_version")
    return found


async def _is_at(connection: asyncpg.Connection, target: str) -> bool:
    found = await _revision(connection)
    if found is not None and found > newest_revision():
        raise StoreError(
            f"the database is at revision {found}, this version of the hub knows only {newest_revision()}.",
            remedy="Install the newer version of the hub that migrated it.",
            code="STORE_NEWER",
        )
    return found is not None and found >= target


async def _lock(connection: asyncpg.Connection) -> None:
    """Take the lock on this session; it ends with the connection, however that ends."""
    limit = time.monotonic() + _LOCK_WAIT
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        if time.monotonic() > limit:
            raise StoreError(
                f"another command has been migrating the database for {_LOCK_WAIT:.0f} s.",
                remedy="Wait until it ends, then try again.",
            )
        await connection.fetchval("SELECT pg_sleep(0.1)")


async def _upgrade(database: Database, target: str) -> None:
    # SQLAlchemy and Alembic take half a second to import; only a command that migrates pays it.
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    async def connect(**_: Any) -> asyncpg.Connection:
        return await database.connect(DbRole.OWNER)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_run_migrations, target)
    except DBAPIError as error:
        raise _failure(error.orig or error) from error
    finally:
        await engine.dispose()


def _failure(error: BaseException) -> StoreError:
    return StoreError(
        f"the migration of the database failed and was undone: {str(error).splitlines()[0]}",
        remedy="If a lock could not be had, try again when no long query runs; else report this sentence.",
        code="STORE_MIGRATION",
    )


def _run_migrations(connection: "Connection", target: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import text

    for name, value in _LIMITS.items():
        connection.execute(text(f"SET LOCAL {name} = '{value}'"))
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, target)
