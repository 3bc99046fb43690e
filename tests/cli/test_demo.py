"""hub demo: what it leaves alone."""

import fcntl
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import build
from hub.cli.demo.narrator import Narrator
from hub.cli.demo.stage import MARKER, open_stage
from hub.core.errors import SettingsError
from hub.settings import Settings, load


@pytest.fixture
def settings(tmp_path: Path, unused_tcp_port: int) -> Settings:
    port = str(unused_tcp_port)
    return load({"HUB_HOME": str(tmp_path), "HUB_PORT": port, "HUB_PUBLIC_URL": f"http://127.0.0.1:{port}"})


async def _start(settings: Settings) -> None:
    async with open_stage(settings, Narrator(), households=100, seed=1):
        pytest.fail("the demo must not start here")


async def test_a_running_demo_is_left_alone(settings: Settings) -> None:
    folder = settings.home / MARKER
    folder.mkdir()
    kept = folder / "kept"
    kept.write_text("")
    running = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(running, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match="another demo is running"):
            await _start(settings)
    finally:
        os.close(running)
    assert kept.exists()


async def test_a_home_of_something_else_is_left_alone(settings: Settings) -> None:
    kept = settings.home / "kept"
    kept.write_text("")
    with pytest.raises(SettingsError, match="not a demo's"):
        await _start(settings)
    assert [*settings.home.iterdir()] == [kept]


async def test_a_port_without_its_address_is_refused_at_once(tmp_path: Path, unused_tcp_port: int) -> None:
    with pytest.raises(SettingsError, match="HUB_PUBLIC_URL"):
        await _start(load({"HUB_HOME": str(tmp_path), "HUB_PORT": str(unused_tcp_port)}))
    assert not [*tmp_path.iterdir()]


def test_too_few_households_are_refused_before_an_earlier_demo_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / MARKER).mkdir()
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    done = CliRunner().invoke(build(["demo"]), ["demo"], env={"HOUSEHOLDS": "5"})
    assert done.exit_code == 2
    assert (tmp_path / MARKER).exists()
