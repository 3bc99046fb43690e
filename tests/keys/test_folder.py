"""What the database knows of the key folder: nothing may be lost, old or made anew, and a backup has all of it."""

import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from hub.core.errors import SettingsError
from hub.flows.keys.back_up_keys import try_backup
from hub.store.database import Database, DbRole
from hub.store.key_backup import KeyBackup, folder_files
from hub.store.keyring import check_key_folder, refuse_amid_rotation
from hub.store.keys import FileKeys

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect(DbRole.OWNER)
    yield connection
    await connection.close()


async def refusal_of(owner: asyncpg.Connection, folder: Path) -> tuple[str, str]:
    """The code with which a folder is refused, and the file that is named."""
    noted = "SELECT (SELECT count(*) FROM keyring.version) + (SELECT count(*) FROM keyring.lasting)"
    before = await owner.fetchval(noted)
    with pytest.raises(SettingsError) as refusal:
        await refuse_amid_rotation(owner, FileKeys(folder))
    assert await owner.fetchval(noted) == before
    return refusal.value.code, refusal.value.message.split("`")[1]


async def test_what_was_lost_or_made_anew_is_named_and_refused(owner: asyncpg.Connection, keys: FileKeys) -> None:
    folder = keys.files.folder
    for name in ("consents", "tokens"):
        keys.signing_key(name)
    assert await check_key_folder(owner, keys)
    whole = folder_files(folder)
    (folder / "consents.ed25519").unlink()
    assert await refusal_of(owner, folder) == ("KEY_MISSING", "consents.ed25519")
    for name in ("consents.ed25519", "pseudonyms"):
        (folder / name).write_bytes(b"x" * 32)
        assert await refusal_of(owner, folder) == ("KEY_FOREIGN", name)
        (folder / name).write_bytes(whole[name])
    # Tokens live for minutes, so their key may be replaced by removing it.
    (folder / "tokens.ed25519").unlink()
    FileKeys(folder).signing_key("tokens")
    assert await check_key_folder(owner, FileKeys(folder))


async def test_a_folder_from_before_a_rotation_is_refused(
    owner: asyncpg.Connection, keys: FileKeys, tmp_path: Path
) -> None:
    assert await check_key_folder(owner, keys)
    old = tmp_path / "old"
    shutil.copytree(keys.files.folder, old)
    keys.rotate()
    assert not await check_key_folder(owner, keys)
    assert await refusal_of(owner, old) == ("KEY_MISSING", "master.2")
    await owner.execute("UPDATE keyring.version SET state = 'IN_USE'")
    assert await check_key_folder(owner, keys)
    assert await refusal_of(owner, old) == ("KEY_MISSING", "master.2")
    # Its comparing keys alone do not make a version whole that is still in use.
    keys.retire(1)
    assert await refusal_of(owner, keys.files.folder) == ("KEY_MISSING", "master.1")
    await owner.execute("UPDATE keyring.version SET state = 'RETIRED', retired_at = now() WHERE version = 1")
    assert await check_key_folder(owner, keys)


async def test_a_backup_passes_only_with_every_key_in_use(owner: asyncpg.Connection, keys: FileKeys) -> None:
    folder = keys.files.folder
    keys.signing_key("audit-log")
    backup = KeyBackup(NOW, folder_files(folder))
    left, other = folder.parent / "key-drill-killed", folder.parent / "key-drill-under-way"
    for scratch in (left, other):
        (scratch / "keys").mkdir(parents=True)
    os.utime(left, (0, 0))
    drilled = await try_backup(owner, backup, keys)
    assert (drilled.passed, drilled.lacking) == (True, ())
    assert list(folder.parent.glob("key-drill-*")) == [other], "what a killed drill left in clear is gone"
    keys.signing_key("consents")  # made when it is first needed, after the backup
    late = await try_backup(owner, backup, keys)
    assert (late.passed, late.lacking) == (False, ("consents.ed25519",))
    for name in ("pseudonyms", "audit-log.ed25519", "master.1"):
        files = {other: content for other, content in folder_files(folder).items() if other != name}
        for altered in (files, files | {name: b"x" * 32}):
            found = await try_backup(owner, KeyBackup(NOW, altered), keys)
            assert (found.passed, found.lacking) == (False, (name,))
