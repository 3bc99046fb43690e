"""The civil affairs connector against a server that another library builds from the published WSDL."""

import asyncio
import shutil
from collections import Counter
from pathlib import Path

import pytest

from hub.connectors.agencies.civil import WSDL, CivilConnector
from hub.core.errors import SourceError
from hub.core.rows import RowKind, Step
from tests.connectors.civil_agency import NOW, Agency
from tests.connectors.clinic_agency import Remembered
from tests.connectors.tls_parties import Authority

FOREIGN = Path(__file__).parent / "foreign_soap"


async def test_a_server_built_from_the_wsdl_by_another_library(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (FOREIGN / "node_modules" / "soap").exists():
        pytest.skip(
            "NOT TESTED against a foreign SOAP server: install Node and run `npm ci` in tests/connectors/foreign_soap"
        )
    authority = Authority(tmp_path, "civil")
    certificate, key = authority.issue("foreign")
    server = await asyncio.create_subprocess_exec(
        node, str(FOREIGN / "server.mjs"), str(WSDL), str(certificate), str(key),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert server.stdout is not None
    assert server.stdin is not None
    try:
        agency = Agency(tmp_path, authority, port=int(await server.stdout.readline()))
        (tmp_path / "username").write_text("hub")
        (tmp_path / "password").write_text("geheim")
        steps = await agency.pull()
        rows = [row for step in steps for row in step.rows]
        assert Counter(row.kind for row in rows) == {
            RowKind.HOUSEHOLD: 1, RowKind.MEMBER: 450, RowKind.FACT: 1, RowKind.EVENT: 1,
        }  # fmt: skip
        assert [row.reasons for row in rows] == [()] * 453
        assert rows[0].value["village_name"] == "弄坎村"
        assert (rows[1].name, rows[1].dropped) == ("刀岩保 & <子>", ("mz",))
        assert rows[-1].value["members"][0]["member_no"] == "C0001"
        assert steps[-1].watermark == dict.fromkeys(
            ("households", "members", "relief", "events"), "2026-10-20T06:00:00+08:00"
        )
        (tmp_path / "password").write_text("falsch")
        with pytest.raises(SourceError):
            await _first_step(agency)
    finally:
        server.stdin.close()
        await server.wait()


async def _first_step(agency: Agency) -> Step:
    connector = CivilConnector(agency.source(max_retries=0))
    try:
        return await anext(connector.pull(None, Remembered(), lambda: NOW))
    finally:
        await connector.close()
