"""``hub audit verify``: what it prints and the exit code it leaves with."""

import shutil
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from hub.audit.export import export_bundle
from hub.cli import main
from hub.core.errors import InputError
from tests.audit.vectors import FOLDER


def leave(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        main(["audit", *arguments])
    return int(caught.value.code or 0), capsys.readouterr().out


def test_good_bundle_and_receipt(capsys: pytest.CaptureFixture[str]) -> None:
    receipt = str(FOLDER / "receipt.tlog-proof")
    code, out = leave(capsys, "verify", str(FOLDER / "bundle"), "--receipt", receipt)
    assert code == 0
    assert "VERIFIED: 300 entries" in out
    assert "it proves entry 258" in out


def test_altered_entry_is_named_with_its_exit_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(FOLDER / "bundle", copy)
    path = copy / "tile/entries/000"
    path.write_bytes(path.read_bytes().replace(b'"seq":42,', b'"seq":43,'))
    code, out = leave(capsys, "verify", str(copy))
    assert (code, "entry 42" in out, "VERIFIED: 300" in out) == (11, True, False)


async def test_an_export_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below", tmp_path):
        with pytest.raises(InputError):
            await export_bundle(AsyncMock(), out)


def test_no_bundle_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["audit", "verify", str(tmp_path / "nothing")])
    told = capsys.readouterr()
    assert (caught.value.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert told.err.startswith("hub: there is no ")


def test_an_empty_bundle_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out = leave(capsys, "verify", str(tmp_path))
    assert (code, out.count("\n")) == (3, 1)
