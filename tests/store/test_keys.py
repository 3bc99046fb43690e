"""The key folder: made once, never a second time by itself."""

from pathlib import Path
from uuid import uuid4

import pytest

from hub.core.errors import SettingsError
from hub.store.keys import DamagedSealError, FileKeys
from hub.store.suites import Algorithm


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


def test_a_lost_secret_of_pseudonyms_is_not_made_anew(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys")
    person, pseudonyms = uuid4(), tmp_path / "keys" / "pseudonyms"
    known, secret = keys.pseudonym("bank", person), pseudonyms.read_bytes()
    pseudonyms.unlink()
    with pytest.raises(SettingsError, match="`pseudonyms` is missing") as refusal:
        FileKeys(tmp_path / "keys")
    assert refusal.value.code == "KEY_MISSING"
    assert not pseudonyms.exists()
    pseudonyms.write_bytes(secret)
    assert FileKeys(tmp_path / "keys").pseudonym("bank", person) == known


def test_a_signing_key_lost_while_the_hub_runs_is_not_made_anew(tmp_path: Path) -> None:
    keys, file = FileKeys(tmp_path / "keys"), tmp_path / "keys" / "consents.ed25519"
    keys.signing_key("consents")
    file.unlink()
    with pytest.raises(SettingsError, match=r"consents\.ed25519") as refusal:
        keys.signing_key("consents")
    assert (refusal.value.code, file.exists()) == ("KEY_MISSING", False)


def test_passwords_that_were_made_first_are_no_sign_of_a_loss(tmp_path: Path) -> None:
    (tmp_path / "database-hub_app.password").write_text("x" * 43)
    FileKeys(tmp_path)
    assert (tmp_path / "master.1").stat().st_mode & 0o777 == 0o600


def test_a_rotation_is_noticed_by_a_process_that_runs_already(tmp_path: Path) -> None:
    running, command = FileKeys(tmp_path / "keys"), FileKeys(tmp_path / "keys")
    old, index = running.seal("payload", b"old"), running.index("identity", "n")
    assert command.rotate(Algorithm.SM4) == 2
    sealed = command.seal("payload", b"new")
    assert (sealed[0], command.algorithm(2)) == (2, Algorithm.SM4)
    assert running.open("payload", sealed) == b"new"
    assert running.indexes("identity", "n") == command.indexes("identity", "n")
    assert [found[0] for found in running.indexes("identity", "n")] == [2, 1]
    assert running.indexes("identity", "n")[1] == index
    assert running.indexer("identity")(b"n") == tuple(running.indexes("identity", "n"))
    assert running.open("payload", old) == b"old"
    assert running.seal("payload", b"more")[0] == 2


def test_a_retired_version_opens_and_finds_nobody_but_still_compares(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys")
    sealed, content = keys.seal("payload", b"text"), keys.index("content", "row")
    person, item = uuid4(), keys.indexes("adverse-item", "a")[-1]
    pseudonym = keys.pseudonym("bank", person)
    keys.rotate()
    with pytest.raises(SettingsError) as refusal:
        keys.retire(2)
    assert refusal.value.code == "KEY_IN_USE"
    keys.retire(1)
    keys.retire(1)
    for held in (keys, FileKeys(tmp_path / "keys")):
        with pytest.raises(SettingsError) as lost:
            held.open("payload", sealed)
        assert lost.value.code == "KEY_MISSING"
        assert [found[0] for found in held.indexes("identity", "n")] == [2]
        assert content in held.indexes("content", "row")
        assert held.indexes("adverse-item", "a")[-1] == item
        assert held.person_of("bank", pseudonym) == person
    assert not (tmp_path / "keys" / "master.1").exists()
    assert FileKeys(tmp_path / "keys").rotate() == 3


def test_one_damaged_text_is_told_from_a_missing_key(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys")
    sealed = keys.seal("payload", b"text", b"context")
    for damaged, context in (
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), b"context"),
        (sealed, b"elsewhere"),
        (sealed[:5], b"context"),
        (b"", b""),
    ):
        with pytest.raises(DamagedSealError) as found:
            keys.open("payload", damaged, context)
        assert "text" not in found.value.message.replace("sealed text", "")
    with pytest.raises(SettingsError):
        keys.open("payload", b"\x07" + sealed[1:], b"context")


def test_two_organisations_cannot_join_what_they_know_of_a_person(tmp_path: Path) -> None:
    """Attack 52: each knows him by an id that means nothing to the other."""
    keys, person = FileKeys(tmp_path / "keys"), uuid4()
    first, second = keys.pseudonym("402739000011", person), keys.pseudonym("402739000022", person)
    assert first != second
    assert keys.person_of("402739000022", first) != person
    assert keys.person_of("402739000011", first) == person
    assert person.hex not in (first, second)
