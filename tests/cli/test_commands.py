"""The table of commands, and how errors reach a person."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import COMMANDS, build
from hub.core.errors import SettingsError
from hub.store.prepare import make_home


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_explains_itself(name: str) -> None:
    result = CliRunner().invoke(build([name]), [name, "--help"])
    assert result.exit_code == 0
    assert f"hub {name}" in result.output


def _hub(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hub.cli", *arguments],
        env={"PATH": "/usr/bin:/bin"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_wrong_setting_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    done = _hub("database", "status", HUB_HOME=str(tmp_path), HUB_PORT="many")
    assert done.returncode == 2
    assert done.stderr.startswith("hub: the setting HUB_PORT cannot be used")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_an_unreachable_database_is_one_sentence_and_exit_code_1(tmp_path: Path, unused_tcp_port: int) -> None:
    url = f"postgresql://hub:secret-word@127.0.0.1:{unused_tcp_port}/hub"
    done = _hub("database", "prepare", HUB_HOME=str(tmp_path), HUB_DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith("hub: the database server at 127.0.0.1 cannot be reached")
    assert "secret-word" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_home_that_cannot_be_made_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = _hub("database", "prepare", HUB_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"hub: HUB_HOME {tmp_path / 'file' / 'home'} cannot be made: ")
    assert done.stderr.count("\n") == 1


def test_the_home_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(SettingsError, match="belongs to user number"):
        make_home(tmp_path)


def test_an_unknown_command_is_a_usage_error() -> None:
    done = _hub("fly")
    assert done.returncode == 2
    assert "fly" in done.stderr
