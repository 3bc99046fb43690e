"""The key folder: made once, never a second time by itself."""

from pathlib import Path

import pytest

from hub.core.errors import SettingsError
from hub.store.keys import FileKeys


def test_what_was_sealed_is_opened_by_the_same_folder(tmp_path: Path) -> None:
    sealed = FileKeys(tmp_path / "keys").seal("payload", b"text", b"context")
    assert FileKeys(tmp_path / "keys").open("payload", sealed, b"context") == b"text"


def test_a_lost_master_key_is_not_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    FileKeys(folder).signing_key("audit-log")
    secret = (folder / "master.1").read_bytes()
    (folder / "master.1").unlink()
    with pytest.raises(SettingsError, match="master key is missing") as refusal:
        FileKeys(folder)
    assert refusal.value.code == "KEY_MISSING"
    assert not list(folder.glob("master.*"))
    (folder / "master.1").write_bytes(secret)
    FileKeys(folder)


def test_passwords_that_were_made_first_are_no_sign_of_a_loss(tmp_path: Path) -> None:
    (tmp_path / "database-hub_app.password").write_text("x" * 43)
    FileKeys(tmp_path)
    assert (tmp_path / "master.1").stat().st_mode & 0o777 == 0o600
