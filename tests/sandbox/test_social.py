import asyncpg
import pytest

from hub.core.text import repair_mojibake
from hub.sandbox.sandbox import Sandbox

GRANTED = "aac001, aac002, aac003, aae140, aac031, aac030, aae201, bae701, aae002, aab003, aae100, aae036"


async def connect(sandbox: Sandbox) -> asyncpg.Connection:
    password = (sandbox.keys / "social_password").read_text().strip()
    return await asyncpg.connect(
        host="127.0.0.1", port=sandbox.social.gate.port, user="hub_reader", password=password, database="qzj", ssl=False
    )


async def test_the_view_shows_twelve_columns_page_by_page(sandbox: Sandbox) -> None:
    connection = await connect(sandbox)
    seen: list[asyncpg.Record] = []
    after = None
    while True:
        where = "" if after is None else "WHERE (aae036, aac001, aae140) > ($1, $2, $3)"
        rows = await connection.fetch(
            f"SELECT {GRANTED} FROM share.v_ac_insured {where} ORDER BY aae036, aac001, aae140 LIMIT 1000",
            *(after or ()),
        )
        if not rows:
            break
        seen += rows
        after = (rows[-1]["aae036"], rows[-1]["aac001"], rows[-1]["aae140"])
    await connection.close()
    assert len(seen) == len(sandbox.prefecture.social.lines)
    stamps = [row["aae036"] for row in seen]
    assert len(set(stamps)) < len(stamps) / 20
    assert all(stamp.tzinfo is None for stamp in stamps)
    assert any(row["aae100"] == "0" for row in seen)
    garbled = [row["aac003"] for row in seen if row["aac003"] and repair_mojibake(row["aac003"])]
    assert len(garbled) == sandbox.prefecture.truth.of("social").repaired_fields["aac003"]


@pytest.mark.parametrize("columns", ["*", "aac005", "aae180", "aka120"])
async def test_other_columns_and_the_table_are_refused(sandbox: Sandbox, columns: str) -> None:
    connection = await connect(sandbox)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch(f"SELECT {columns} FROM share.v_ac_insured LIMIT 1")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("SELECT aac001 FROM share.ac_insured_copy LIMIT 1")
    await connection.close()


async def test_the_reader_has_two_connections_ten_seconds_and_no_writing(sandbox: Sandbox) -> None:
    first, second = await connect(sandbox), await connect(sandbox)
    with pytest.raises(asyncpg.TooManyConnectionsError):
        await connect(sandbox)
    assert await first.fetchval("SHOW statement_timeout") == "10s"
    assert await first.fetchval("SHOW default_transaction_read_only") == "on"
    with pytest.raises(asyncpg.PostgresError):
        await first.execute("CREATE TABLE mine (n int)")
    await first.close()
    await second.close()


async def test_a_cut_connection_a_changed_password_and_a_server_that_is_down(sandbox: Sandbox) -> None:
    await sandbox.misbehave("social", cut_after_bytes=3_000)
    connection = await connect(sandbox)
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        await connection.fetch(f"SELECT {GRANTED} FROM share.v_ac_insured LIMIT 1000")
    again = await connect(sandbox)
    assert len(await again.fetch(f"SELECT {GRANTED} FROM share.v_ac_insured LIMIT 1000")) == 1000
    await again.close()
    await sandbox.misbehave("social", refuse_login=True)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(sandbox)
    await sandbox.misbehave("social", refuse_login=False, down=True)
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await connect(sandbox)
