"""The commands as a steward types them, in processes of their own."""

import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.flows.receipts import receipt_desk
from hub.store.database import DbRole
from tests.done.hub_process import Ended, HubHome, open_home
from tests.quarantine.deliveries import Hub, tax

pytestmark = pytest.mark.long


@pytest.fixture
async def home() -> AsyncIterator[HubHome]:
    """A hub to which the tax bureau delivered three bad rows."""
    opened = await open_home()
    connection = await opened.database.connect(DbRole.INGEST)
    async with receipt_desk(opened.database, opened.keys, opened.home) as receipts:
        hub = Hub(opened.database, connection, opened.keys, receipts)
        rows = (tax(jyzxm="岩CANARY", xyjb="E"), tax("DJ", 2, nsrzt_dm="99"), tax("XY", 3, xyjb="F"))
        await hub.pull("tax", *rows)
    await connection.close()
    yield opened
    await opened.remove()


def line(ended: Ended) -> dict[str, object]:
    assert ended.code == 0, ended.err.decode()
    (told,) = [json.loads(text) for text in ended.out.splitlines()]
    assert isinstance(told, dict)
    return told


async def test_a_steward_works_through_the_queue_by_command(home: HubHome, tmp_path: Path) -> None:
    unknown = await home.run("quarantine", "list", "--source", "taxi", "--json")
    assert (unknown.code, unknown.out) == (2, b"")
    assert "There are: `tax`." in unknown.err.decode()
    table = await home.run("quarantine", "list")
    assert table.out.decode().splitlines()[0].split()[:3] == ["id", "source", "reason"]
    assert b"CANARY" not in table.out
    summary = line(await home.run("quarantine", "summary", "--json"))
    assert (summary["reason"], summary["open"]) == ("UNKNOWN_CODE", 3)

    refused = await home.run("quarantine", "release", "q-000001", "--reason", "case 7")
    assert (refused.code, refused.out) == (1, b"")
    assert "still breaks UNKNOWN_CODE" in refused.err.decode()
    corrections = tmp_path / "corrections.json"
    corrections.write_text(json.dumps({"xyjb": "B"}), encoding="utf-8")
    case = ("--reason", "case 7", "--json")
    made = line(await home.run("quarantine", "repair", "q-000001", "--corrections-file", str(corrections), *case))
    assert (made["outcome"], made["corrected"], made["repeated"]) == ("CURRENT", ["xyjb"], False)
    discarded = await home.run("quarantine", "discard", "q-000002", "--reason", "case 7")
    assert discarded.out.decode() == "q-000002 was discarded.\n"
    shown = line(await home.run("quarantine", "show", "q-000003", *case))
    assert isinstance(shown["row"], dict)
    assert shown["row"]["xyjb"] == "F"
    left = line(await home.run("quarantine", "recheck", "--source", "tax", "--json"))
    assert (left["id"], left["remaining"], left["contract"]) == ("q-000003", ["UNKNOWN_CODE"], "tax-rest/1.3")
    out = tmp_path / "returned.json"
    returned = await home.run("quarantine", "export", "--source", "tax", "--out", str(out), "--format", "native")
    assert returned.code == 0, returned.err.decode()
    assert [record["xyjb"] for record in json.loads(out.read_bytes())["records"]] == ["F"]
    index = out.with_name("returned.json.entries.jsonl")
    assert json.loads(index.read_bytes())["id"] == "q-000003"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (out, index)} == {0o600}
    again = await home.run("quarantine", "export", "--source", "tax", "--out", str(out), "--format", "native")
    assert again.code == 2
    for ended in (refused, discarded, returned, again):
        assert b"CANARY" not in ended.out + ended.err


async def test_coverage_of_an_empty_hub_says_so(home: HubHome) -> None:
    assert (await home.run("coverage")).out == b"No household is known there.\n"
    assert (await home.run("coverage", "--area", "440103")).code == 2
