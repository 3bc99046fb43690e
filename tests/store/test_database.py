"""A fresh database per test, reached by each role."""

import uuid

import pytest

from hub.store.database import Database, DbRole


@pytest.mark.parametrize("role", list(DbRole))
async def test_every_role_connects_as_itself_and_without_power(database: Database, role: DbRole) -> None:
    connection = await database.connect(role)
    try:
        row = await connection.fetchrow(
            "SELECT current_user, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls "
            "FROM pg_roles WHERE rolname = current_user"
        )
    finally:
        await connection.close()
    assert tuple(row) == (role, False, False, False, False)


async def test_types_arrive_as_promised(database: Database) -> None:
    pool = await database.pool(DbRole.APP, size=2)
    async with pool.acquire() as connection:
        row = await connection.fetchrow("SELECT '{\"a\": 1}'::jsonb AS j, gen_random_uuid() AS u, now() AS t")
        zone = await connection.fetchval("SHOW timezone")
    await pool.close()
    assert row["j"] == '{"a": 1}'
    assert isinstance(row["u"], uuid.UUID)
    assert row["t"].tzinfo is not None
    assert zone == "Asia/Shanghai"
