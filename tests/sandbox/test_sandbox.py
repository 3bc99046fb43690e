import asyncio
import json
import stat
import tomllib
from dataclasses import asdict
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from hub.core.errors import InputError, SettingsError
from hub.sandbox.gate import Gate
from hub.sandbox.misbehaviour import Misbehaviour
from hub.sandbox.pki import write_private
from hub.sandbox.prefecture import Prefecture
from hub.sandbox.process import SandboxProcess
from hub.sandbox.sandbox import Sandbox
from hub.store.server import EmbeddedServer
from tests.sandbox.conftest import AS_OF


async def test_the_sources_file_names_six_sources_whose_secrets_are_private(sandbox: Sandbox) -> None:
    sources = tomllib.loads(sandbox.sources_file.read_text())
    assert sources["version"] == 1
    kinds = {name: table["kind"] for name, table in sources["sources"].items()}
    assert kinds == {
        "tax": "tax-rest",
        "social": "social-view",
        "clinic": "clinic-sftp",
        "civil": "civil-soap",
        "bank_rcb": "bank-files",
        "bank_vb": "bank-files",
    }
    for table in sources["sources"].values():
        for key, value in table.items():
            if key.endswith("_file"):
                path = sandbox.directory / value
                assert path.stat().st_size > 0
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(sandbox.keys.stat().st_mode) == 0o700
    assert stat.S_IMODE((sandbox.directory / "control.json").stat().st_mode) == 0o600


async def test_the_control_endpoint_needs_its_token_and_names_mistakes(sandbox: Sandbox) -> None:
    address = json.loads((sandbox.directory / "control.json").read_text())
    async with httpx.AsyncClient(base_url=address["url"], trust_env=False) as http:
        assert (await http.get("/control")).status_code == 401
        assert (await http.post("/control/tax", json={"down": True})).status_code == 401
        assert sandbox.tax.misbehaviour.down is False
        http.headers["Authorization"] = f"Bearer {address['token']}"
        state = (await http.get("/control")).json()
        assert set(state["agencies"]) == set(sandbox.agencies)
        changed = await http.post("/control/civil", json={"busy": 3})
        assert changed.json()["busy"] == 3
        assert sandbox.civil.misbehaviour.busy == 3
        for path, body in (
            ("/control/civil", {"bussy": 3}),
            ("/control/civil", {"busy": "three"}),
            ("/control/nobody", {}),
            ("/advance", {"day": "tomorrow"}),
            ("/advance", {"day": "2020-01-01"}),
            ("/advance", {"day": "2030-01-01", "changes": -1}),
            ("/control/civil", [1]),
        ):
            refused = await http.post(path, json=body)
            assert refused.status_code == 400
            assert refused.json()["message"]
        truth = (await http.get("/truth")).json()
        assert truth["sources"]["clinic"]["quarantined"] == sandbox.prefecture.truth.quarantine_counts("clinic")


async def test_a_wrong_change_alters_nothing(sandbox: Sandbox) -> None:
    before = asdict(sandbox.tax.misbehaviour)
    with pytest.raises(InputError, match="no misbehaviour"):
        await sandbox.misbehave("tax", down=True, nonsense=1)
    with pytest.raises(InputError, match="cannot be"):
        await sandbox.misbehave("tax", busy=True)
    assert asdict(sandbox.tax.misbehaviour) == before


async def test_a_port_in_use_is_told_in_one_sentence() -> None:
    taken = Gate(Misbehaviour(), lambda: 1)
    await taken.open()
    with pytest.raises(SettingsError, match=f"Port {taken.port}"):
        await Gate(Misbehaviour(), lambda: 1).open(taken.port)
    await taken.close()


def test_private_files_are_private_even_if_they_were_not(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "secret"
    path.parent.mkdir()
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.long
async def test_as_a_child_process_it_serves_advances_and_ends_with_its_parent(tmp_path: Path) -> None:
    told: list[str] = []
    child = await SandboxProcess.start(tmp_path, households=120, seed=3, as_of=AS_OF, tell=told.append)
    try:
        assert any("social" in sentence for sentence in told)
        twin = Prefecture(3, 120, AS_OF)
        assert child.story["people"]["borrower"]["member_no"] == twin.story.borrower.member_no
        truth = await child.truth()
        assert truth["sources"]["tax"]["accepted"] == twin.truth.of("tax").accepted
        day = AS_OF + timedelta(days=1)
        change = await child.advance(day, changes=9)
        assert change["as_of"] == day.isoformat()
        expected = twin.advance(day, changes=9).truth
        assert change["sources"]["social"]["accepted"] == expected.of("social").accepted == 11
        assert (await child.misbehave("clinic", down=True))["down"] is True
    finally:
        await asyncio.wait_for(child.stop(), 30)
    url = json.loads((tmp_path / "control.json").read_text())["url"]
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx.TransportError):
            await http.get(url)
    assert not await EmbeddedServer(tmp_path / "social").is_running()
    assert not (tmp_path / "clinic").exists()


@pytest.mark.long
async def test_a_sandbox_that_cannot_start_leaves_nothing_running(tmp_path: Path) -> None:
    taken = Gate(Misbehaviour(), lambda: 1)
    await taken.open()
    prefecture = Prefecture(3, 120, AS_OF)
    with pytest.raises(SettingsError, match="cannot be used"):
        await Sandbox.start(tmp_path, prefecture, base_port=taken.port - 2)
    await taken.close()
    server = EmbeddedServer(tmp_path / "social")
    assert not await server.is_running()
    await server.remove()
    assert not (tmp_path / "sources.toml").exists()


def test_the_published_view_is_the_one_in_the_papers() -> None:
    published = Path(__file__).parents[2] / "docs" / "contracts" / "social_security.sql"
    assert files("hub.sandbox").joinpath("data", "social_security.sql").read_bytes() == published.read_bytes()
