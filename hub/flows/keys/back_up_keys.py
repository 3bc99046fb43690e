"""Backups of the key folder, and the drill that proves one: restored into a scratch place it opens real samples."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from hub.audit.outbox import append
from hub.core.clock import Clock, iso
from hub.core.errors import HubError, InputError
from hub.core.ids import uuid7
from hub.flows.keys.rotate_keys import PLACES, KeyDesk, key_entry
from hub.store.database import DbRole
from hub.store.key_backup import KeyBackup, folder_files, open_backup, restore_folder, seal_folder
from hub.store.keyring import check_key_folder
from hub.store.keys import FileKeys
from hub.store.rekey import Place

SAMPLES = 20
"""Sealed texts tried in each place."""

_RECEIPT_SECONDS = 60.0
_SCRATCH = "key-drill-"
_LEFT_SECONDS = 600.0
"""No drill takes so long."""


@dataclass(frozen=True, slots=True)
class Drill:
    """How a drill went. ``lacking``: files of the key folder that the backup does not hold as they are now.
    ``passed``: the backup is of this hub, lacks nothing, and every sample opened.
    """

    backup_made_at: datetime
    samples: int
    opened: int
    passed: bool
    lacking: tuple[str, ...]


async def back_up_keys(desk: KeyDesk, passphrases: Sequence[str], clock: Clock) -> bytes:
    """The sealed backup of the key folder, recorded before it is handed out. Raises :class:`InputError`."""
    text = seal_folder(desk.keys.files.folder, passphrases, clock())
    event = uuid7()
    connection = await desk.database.connect(DbRole.OWNER)
    try:
        await check_key_folder(connection, desk.keys)
        await desk.receipts.ready()
        facts = {"versions": sorted(desk.keys.versions), "files": len(folder_files(desk.keys.files.folder))}
        await append(connection, key_entry(desk, event, "backed_up", facts))
    finally:
        await connection.close()
    await desk.receipts.wait(event, _RECEIPT_SECONDS)
    return text


async def drill(desk: KeyDesk, text: bytes, passphrases: Sequence[str], clock: Clock) -> Drill:
    """Restore a backup into a scratch folder, open samples of every kind with it, and destroy the folder again.

    Recorded whether it passes or not. Raises :class:`InputError` for a backup that does not open.
    """
    backup = open_backup(text, passphrases)
    await desk.receipts.ready()
    connection = await desk.database.connect(DbRole.OWNER)
    try:
        found = await try_backup(connection, backup, desk.keys)
        event = uuid7()
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO keyring.drill (drilled_at, backup_made_at, samples, opened, passed)"
                " VALUES ($1, $2, $3, $4, $5)",
                clock(), found.backup_made_at, found.samples, found.opened, found.passed,
            )  # fmt: skip
            facts = {
                "backupMadeAt": iso(found.backup_made_at),
                "samples": found.samples,
                "opened": found.opened,
                "passed": found.passed,
                "lacking": list(found.lacking),
            }
            await append(connection, key_entry(desk, event, "drilled", facts))
    finally:
        await connection.close()
    await desk.receipts.wait(event, _RECEIPT_SECONDS)
    return found


async def try_backup(connection: asyncpg.Connection, backup: KeyBackup, live: FileKeys) -> Drill:
    """Compare a backup with the keys in use, and open samples with it; ``connection`` is one as owner."""
    now = folder_files(live.files.folder)
    lacking = tuple(sorted(name for name, content in now.items() if backup.files.get(name) != content))
    with _scratch_beside(live.files.folder) as scratch:
        folder = Path(scratch) / "keys"
        restore_folder(backup, folder)
        try:
            keys = FileKeys(folder)
            await check_key_folder(connection, keys)
        except HubError:
            return Drill(backup.made_at, 0, 0, False, lacking)
        samples = opened = 0
        for place in PLACES:
            tried, good = await _try_place(connection, live, keys, place)
            samples, opened = samples + tried, opened + good
    return Drill(backup.made_at, samples, opened, not lacking and samples == opened, lacking)


def _scratch_beside(folder: Path) -> "tempfile.TemporaryDirectory[str]":
    """A folder for the keys in clear, where the hub keeps its own; what a killed drill left there is removed."""
    for left in folder.parent.glob(f"{_SCRATCH}*"):
        if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
            shutil.rmtree(left)
    return tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder.parent)


async def _try_place(connection: asyncpg.Connection, live: FileKeys, keys: FileKeys, place: Place) -> tuple[int, int]:
    """How many of the first and of the last texts of a place were tried and opened. What the keys in use do not open
    either is damaged and says nothing about the backup.
    """
    tried = opened = 0
    for each in place.sealed:
        context = f"t.{each.bound_to}" if each.bound_to is not None else each.context
        for direction in ("", " DESC"):
            order = ", ".join(f"t.{column}{direction}" for column, _ in place.key)
            rows = await connection.fetch(
                f"SELECT t.{each.column} AS sealed, {context} AS context FROM {place.table} t"
                f" WHERE octet_length(t.{each.column}) > 0 ORDER BY {order} LIMIT $1",
                SAMPLES // 2,
            )
            for row in rows:
                text = _opened(live, each.purpose, row)
                if text is not None:
                    tried += 1
                    opened += _opened(keys, each.purpose, row) == text
    return tried, opened


def _opened(keys: FileKeys, purpose: str, row: asyncpg.Record) -> bytes | None:
    try:
        return keys.open(purpose, row["sealed"], row["context"])
    except HubError:
        return None


def read_backup(path: Path) -> bytes:
    """The bytes of a backup file. Raises :class:`InputError`."""
    try:
        return path.read_bytes()
    except OSError:
        raise InputError(f"the backup {path} cannot be read.", remedy="Check the file.") from None
