"""What the database lets into the outbox, whoever writes it."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from hub.store.database import Database, DbRole

ROW: dict[str, Any] = {
    "kind": "query",
    "event": "profile:client:queried",
    "organisation": "402739000011",
    "actor": "officer Li",
    "purpose": "LOAN_APPLICATION",
    "decision": "allow",
    "policy": "rules-1.0+x",
    "operation": bytes(32),
    "county": "533103",
    "subjects": [],
    "facts": "{}",
    "sealed": b"x",
}


@pytest.fixture
async def app(module_database: Database) -> AsyncIterator[asyncpg.Connection]:
    conn = await module_database.connect(DbRole.APP)
    yield conn
    await conn.close()


async def write(conn: asyncpg.Connection, change: dict[str, Any]) -> UUID:
    """Write the row and return its event."""
    ev = uuid4()
    row = {"ev": ev} | ROW | change
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await conn.execute(f"INSERT INTO audit.pending ({', '.join(row)}) VALUES ({places})", *row.values())
    return ev


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"purpose": None, "operation": None, "sealed": None, "county": None},
        {"organisation": ""},
        {"organisation": "o" * 64, "purpose": "P" * 40, "policy": "p" * 80},
        {"subjects": [uuid4() for _ in range(1000)]},
        {"facts": json.dumps({"text": "x" * 20_000}), "sealed": bytes(20_000)},
    ],
)
async def test_rows_in_order_are_taken(
    module_database: Database, app: asyncpg.Connection, change: dict[str, Any]
) -> None:
    ev = await write(app, change)
    owner = await module_database.connect(DbRole.OWNER)
    held = await owner.fetchrow("SELECT * FROM audit.pending WHERE ev = $1", ev)
    await owner.close()
    expected = ROW | change
    assert {name: json.loads(held[name]) if name == "facts" else held[name] for name in expected} == expected | {
        "facts": json.loads(expected["facts"])
    }


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "reading"},
        {"event": "profile:client:peeked"},
        {"event": ""},
        {"organisation": "o" * 65},
        {"organisation": "李四"},
        {"organisation": "a b"},
        {"organisation": "402739000011\n"},
        {"purpose": ""},
        {"purpose": "P" * 41},
        {"purpose": "loan"},
        {"decision": "ALLOW"},
        {"policy": ""},
        {"policy": "p" * 81},
        {"policy": "rules 1"},
        {"operation": bytes(31)},
        {"operation": b""},
        {"subjects": [uuid4() for _ in range(1001)]},
        {"facts": "[]"},
        {"facts": "null"},
    ],
)
async def test_rows_out_of_order_are_refused_without_their_values(
    module_database: Database, app: asyncpg.Connection, change: dict[str, Any]
) -> None:
    (name,) = change
    owner = await module_database.connect(DbRole.OWNER)
    before = await owner.fetchval("SELECT count(*) FROM audit.pending")
    with pytest.raises(asyncpg.CheckViolationError, match=f"the {name} of a row") as refused:
        await write(app, change)
    assert refused.value.detail is None
    assert await owner.fetchval("SELECT count(*) FROM audit.pending") == before
    await owner.close()


@pytest.mark.parametrize("name", ["kind", "event", "organisation", "actor", "decision", "policy", "subjects", "facts"])
async def test_what_every_row_has(app: asyncpg.Connection, name: str) -> None:
    with pytest.raises(asyncpg.NotNullViolationError):
        await write(app, {name: None})


async def test_a_later_event_is_one_insert_of_the_owner(database: Database) -> None:
    app = await database.connect(DbRole.APP)
    later = {"event": "bird:steward:counted"}
    statement = "INSERT INTO audit.event_name VALUES ('bird:steward:counted')"
    for _ in range(7):  # often enough for a plan to be kept
        await write(app, {})
    with pytest.raises(asyncpg.CheckViolationError):
        await write(app, later)
    for role in set(DbRole) - {DbRole.OWNER}:
        conn = await database.connect(role)
        for forbidden in (statement, "SELECT audit.is_event('')", "DELETE FROM audit.event_name"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(forbidden)
        await conn.close()
    owner = await database.connect(DbRole.OWNER)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="insert-only"):
        await owner.execute("DELETE FROM audit.event_name")
    with pytest.raises(asyncpg.CheckViolationError):
        await write(app, later)
    await owner.execute(statement)
    await owner.close()
    await write(app, later)
    await write(app, {})
    await app.close()
