"""Roles: made once, repaired, and without rights that the migrations did not give."""

from pathlib import Path

import asyncpg
import pytest

from hub.core.errors import SettingsError, StoreError
from hub.store.database import Database, DbRole
from hub.store.passwords import password_of
from hub.store.roles import ensure_roles, scram_verifier
from hub.store.server import EmbeddedServer


async def test_a_changed_password_is_refused_then_repaired(server: EmbeddedServer, template: Database) -> None:
    connection = await server.connect()
    try:
        await connection.execute(f"ALTER ROLE hub_auditor PASSWORD '{scram_verifier('something else')}'")
        with pytest.raises(StoreError, match="does not let hub_auditor in") as caught:
            await template.connect(DbRole.AUDITOR)
        assert caught.value.code == "STORE_LOGIN"
        await ensure_roles(connection, template)
    finally:
        await connection.close()
    repaired = await template.connect(DbRole.AUDITOR)
    assert await repaired.fetchval("SELECT current_user") == "hub_auditor"
    await repaired.close()


@pytest.mark.parametrize("role", [role for role in DbRole if role is not DbRole.OWNER])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.mine (n int)",
        "CREATE SCHEMA mine",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
        "ALTER ROLE hub_owner SUPERUSER",
        "SET ROLE hub_owner",
        "UPDATE public.alembic_version SET version_num = '0000'",
    ],
)
async def test_a_working_role_cannot_rise(module_database: Database, role: DbRole, statement: str) -> None:
    connection = await module_database.connect(role)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("role", list(DbRole))
async def test_only_the_pull_may_make_temporary_tables(module_database: Database, role: DbRole) -> None:
    connection = await module_database.connect(role)
    try:
        may = await connection.fetchval("SELECT has_database_privilege(current_database(), 'TEMPORARY')")
    finally:
        await connection.close()
    assert may == (role in {DbRole.OWNER, DbRole.INGEST})


def test_passwords_are_private_stable_and_refused_when_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    first = password_of(folder, "someone")
    assert password_of(folder, "someone") == first
    assert len(first) == 43
    path = folder / "database-someone.password"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in folder.iterdir()] == [path.name]
    path.write_text("short\n")
    with pytest.raises(SettingsError, match="fewer than 20 characters") as caught:
        password_of(folder, "someone")
    assert "short" not in str(caught.value)
