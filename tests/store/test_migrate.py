"""Migrations: once, whole or not at all, and never backwards."""

import asyncio

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from hub.core.errors import StoreError
from hub.store import migrate as module
from hub.store.database import Database, DbRole
from hub.store.migrate import current_revision, migrate, newest_revision
from hub.store.roles import ensure_database
from hub.store.server import EmbeddedServer


@pytest.fixture
def empty(server: EmbeddedServer, template: Database) -> Database:
    """A database without any schema; it goes with the server."""

    async def make() -> Database:
        connection = await server.connect()
        try:
            number = await connection.fetchval("SELECT count(*) FROM pg_database")
            await ensure_database(connection, f"empty_{number}")
        finally:
            await connection.close()
        return template.named(f"empty_{number}")

    return asyncio.run(make())


def test_the_newest_revision_is_the_single_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(module._FOLDER))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [newest_revision()]


async def test_commands_that_migrate_at_once_migrate_once(empty: Database) -> None:
    assert await current_revision(empty) is None
    await asyncio.gather(*(migrate(empty) for _ in range(3)))
    assert await current_revision(empty) == newest_revision()
    await migrate(empty)


@pytest.mark.parametrize("mode", ["SHARE", "ACCESS EXCLUSIVE"])
async def test_a_migration_that_meets_a_lock_gives_up_and_leaves_nothing(
    empty: Database, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setitem(module._LIMITS, "lock_timeout", "100ms")
    await migrate(empty, "0002")
    reader = await empty.connect(DbRole.OWNER)
    transaction = reader.transaction()
    await transaction.start()
    await reader.execute(f"LOCK TABLE public.alembic_version IN {mode} MODE")
    with pytest.raises(StoreError, match="was undone") as caught:
        await migrate(empty)
    assert caught.value.code == "STORE_MIGRATION"
    await transaction.rollback()
    await reader.close()
    assert await current_revision(empty) == "0002"
    await migrate(empty)
    assert await current_revision(empty) == newest_revision()


async def test_a_database_of_a_newer_hub_is_left_alone(empty: Database) -> None:
    await migrate(empty, "0001")
    connection = await empty.connect(DbRole.OWNER)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="Install the newer version"):
        await migrate(empty)
    assert await connection.fetchval("SELECT version_num FROM alembic_version") == "9999"
    await connection.close()
