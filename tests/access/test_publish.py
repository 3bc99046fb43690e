"""The rules on their way into the database, and the check that they are still those."""

import pytest

from hub.access.publish import check_published, publish
from hub.core.errors import SettingsError
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys


async def test_publishing_twice_changes_nothing(database: Database, keys: FileKeys) -> None:
    conn = await database.connect(DbRole.OWNER)
    try:
        first = await publish(conn, keys)
        rows = await conn.fetchval("SELECT count(*) FROM access.decision")
        assert await publish(conn, keys) == first
        assert await conn.fetchval("SELECT count(*) FROM access.decision") == rows > 1000
        assert await conn.fetchval("SELECT count(*) FROM access.policy_set WHERE retired_at IS NULL") == 1
        await check_published(conn, keys)
    finally:
        await conn.close()


async def test_rules_come_back_into_force(database: Database, keys: FileKeys) -> None:
    conn = await database.connect(DbRole.OWNER)
    try:
        digest = await publish(conn, keys)
        await conn.execute("UPDATE access.policy_set SET retired_at = now()")
        with pytest.raises(SettingsError, match="no rules are in force"):
            await check_published(conn, keys)
        assert await publish(conn, keys) == digest
        await check_published(conn, keys)
    finally:
        await conn.close()


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE access.decision SET needs_basis = false WHERE role = 'LOAN_OFFICER' AND part = 'adverse/VALUE'",
        "UPDATE access.decision SET closed = NULL WHERE role = 'BANK_RISK' AND closed = 'PURPOSE_MISMATCH'",
        "DELETE FROM access.decision WHERE role = 'RESIDENT'",
        "UPDATE access.policy_set SET signature = decode(repeat('00', 64), 'hex')",
    ],
)
async def test_a_changed_table_is_noticed(database: Database, keys: FileKeys, tampering: str) -> None:
    conn = await database.connect(DbRole.OWNER)
    try:
        await publish(conn, keys)
        await conn.execute(tampering)
        with pytest.raises(SettingsError) as refused:
            await check_published(conn, keys)
        assert refused.value.code == "RULES_DIFFER"
    finally:
        await conn.close()
