"""`hub challenge` as a data steward's operator runs it: real processes, one home, nothing personal on the screen."""

import json
import stat
from pathlib import Path

import pytest

from hub.store.database import DbRole
from tests.done.hub_process import open_home
from tests.records.world import World, grade, household, member, number

DAO = number("19850312")


@pytest.mark.long
async def test_a_challenge_is_listed_handed_over_and_closed(tmp_path: Path) -> None:
    hub = await open_home()
    try:
        connection = await hub.database.connect(DbRole.INGEST)
        home = [household("H1"), member("C1", "H1", "刀岩保", DAO)]
        await World(connection, hub.keys).pull(civil=home, tax=[grade("a|XY|2025", DAO, "刀岩宝")])
        await connection.close()
        unknown = await hub.run("challenge", "list", "--source", "post")
        assert (unknown.code, unknown.out) == (2, b"")
        assert b"no source named `post`" in unknown.err
        out = tmp_path / "challenges.jsonl"
        handed = await hub.run("challenge", "export", "--source", "tax", "--out", str(out))
        assert (handed.code, handed.out.decode()) == (0, f"1 challenges were written to {out}.\n"), handed.err
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        line = json.loads(out.read_text())
        assert (line["source_key"], line["attribute"], line["cause"]) == ("a|XY|2025", "name", "LOST")
        why = ("--outcome", "upheld", "--reason", "call with the county office")
        closed = await hub.run("challenge", "close", line["challenge"], *why)
        assert closed.code == 0, closed.err
        assert json.loads(closed.out)["outcome"] == "UPHELD"
        listed = await hub.run("challenge", "list", "--json", "--status", "all")
        assert [json.loads(row)["challenge"] for row in listed.out.splitlines()] == [line["challenge"]]
        shown = b"".join(ended.out + ended.err for ended in (unknown, handed, closed, listed)) + out.read_bytes()
        for word in ("刀", DAO, "call with"):
            assert word.encode() not in shown
    finally:
        await hub.remove()
