"""The backup of the key folder, what opens it, and the drill that proves it."""

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.cli.keys import _passphrases
from hub.core.errors import InputError
from hub.flows.keys.back_up_keys import back_up_keys, drill
from hub.flows.keys.rotate_keys import reindex, rotate_keys
from hub.store.key_backup import KeyBackup, open_backup, restore_folder, seal_folder
from hub.store.keys import FileKeys
from tests.keys.holding import Holding

HOLDERS = ("perch in the pond", "lantern on the hill", "seven old bridges")
NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.long
def test_any_two_of_three_open_it_and_nobody_else(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys")
    sealed = keys.seal("payload", b"text")
    keys.rotate()
    text = seal_folder(tmp_path / "keys", HOLDERS, NOW)
    assert keys.files.read().masters[1] not in text
    for pair in itertools.permutations(HOLDERS, 2):
        backup = open_backup(text, pair)
        assert backup.made_at == NOW
    restore_folder(backup, tmp_path / "new")
    restored = FileKeys(tmp_path / "new")
    assert restored.open("payload", sealed) == b"text"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()} == {0o600}
    for wrong in ((HOLDERS[0], HOLDERS[0]), (HOLDERS[0], "somebody else's"), ("somebody", "nobody at all")):
        with pytest.raises(InputError) as closed:
            open_backup(text, wrong)
        assert closed.value.code == "BACKUP_CLOSED"
    with pytest.raises(InputError):
        open_backup(text, HOLDERS[:1])
    with pytest.raises(InputError, match="not empty"):
        restore_folder(backup, tmp_path / "keys")


@pytest.mark.parametrize("passphrases", [HOLDERS[:2], (*HOLDERS[:2], HOLDERS[0]), (*HOLDERS[:2], "short")])
def test_passphrases_that_will_not_do_are_refused(tmp_path: Path, passphrases: tuple[str, ...]) -> None:
    FileKeys(tmp_path / "keys")
    with pytest.raises(InputError) as refusal:
        seal_folder(tmp_path / "keys", passphrases, NOW)
    assert refusal.value.code == "BACKUP_PASSPHRASES"


def test_each_passphrase_of_a_backup_is_typed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter([HOLDERS[0], "mistyped it", HOLDERS[0], HOLDERS[0], HOLDERS[1], HOLDERS[1], HOLDERS[2], HOLDERS[2]])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    assert _passphrases(None, 3, twice=True) == list(HOLDERS)
    typed = iter(HOLDERS[:2])
    assert _passphrases(None, 2) == list(HOLDERS[:2])


def test_what_was_altered_does_not_open(tmp_path: Path) -> None:
    FileKeys(tmp_path / "keys")
    given = json.loads(seal_folder(tmp_path / "keys", HOLDERS, NOW))
    altered = [given | {"made_at": "2027-01-01T00:00:00+00:00"}, given | {"sealed": given["pairs"][0]["sealed"]}]
    for one in altered:
        with pytest.raises(InputError, match="do not open"):
            open_backup(json.dumps(one).encode(), HOLDERS[:2])
    for malformed in (b"", b"[]", json.dumps(given | {"scrypt": {"n": 2, "r": 8, "p": 1}}).encode()):
        with pytest.raises(InputError) as refusal:
            open_backup(malformed, HOLDERS[:2])
        assert refusal.value.code == "BACKUP_MALFORMED"
    with pytest.raises(InputError):
        restore_folder(KeyBackup(NOW, {"../escaped": b"x"}), tmp_path / "new")
    assert not (tmp_path / "escaped").exists()


@pytest.mark.long
async def test_a_drill_opens_samples_and_fails_for_an_old_or_foreign_backup(holding: Holding, tmp_path: Path) -> None:
    old = await back_up_keys(holding.desk, HOLDERS, lambda: NOW)
    good = await drill(holding.desk, old, HOLDERS[1:], lambda: NOW)
    assert (good.passed, good.opened, good.backup_made_at) == (True, good.samples, NOW)
    assert good.samples > 30
    await rotate_keys(holding.desk)
    await reindex(holding.desk)
    stale = await drill(holding.desk, old, HOLDERS[:2], lambda: NOW.replace(day=2))
    assert (stale.passed, stale.lacking) == (False, ("master.2", "master.2.suite"))
    FileKeys(tmp_path / "other")
    foreign = await drill(
        holding.desk, seal_folder(tmp_path / "other", HOLDERS, NOW), HOLDERS[:2], lambda: NOW.replace(day=3)
    )
    assert (foreign.passed, foreign.samples) == (False, 0)
    rows = await holding.owner.fetch("SELECT passed FROM keyring.drill ORDER BY drilled_at")
    assert [row["passed"] for row in rows] == [True, False, False]
    events = [json.loads(row[0]) for row in await holding.owner.fetch("SELECT entry FROM audit.entry ORDER BY seq")]
    assert [event["what"] for event in events if event["what"].startswith("key:")] == [
        "key:operator:backed_up", "key:operator:drilled", "key:operator:rotated", "key:operator:reindexed",
        "key:operator:drilled", "key:operator:drilled",
    ]  # fmt: skip
