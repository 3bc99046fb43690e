"""What the database knows of the keys: which versions there are, whether the folder is the right one."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from hub.core.errors import RefusedError, SettingsError
from hub.store.keys import KeyService

_TEXT = "credit-hub"
_PURPOSE = "key-check"
_REMEDY = "Restore the key folder of this hub from its newest backup; it is never part of the database backup."


async def check_key_folder(connection: asyncpg.Connection, keys: KeyService) -> bool:
    """Whether the newest version is in use everywhere; what is met for the first time is noted.

    ``connection`` is one as hub_ingest or owner. Raises :class:`SettingsError`: KEY_FOREIGN where a key is another one
    than the database knows (it would find nobody, and every text would look damaged), KEY_MISSING where one is gone,
    as in a folder from before the last rotation. Then nothing was noted.
    """
    lasting = keys.lasting_marks()
    found = await connection.fetchrow(
        "SELECT * FROM keyring.check_folder($1, $2, $3, $4)",
        keys.indexes(_PURPOSE, _TEXT),
        list(keys.versions),
        list(lasting),
        list(lasting.values()),
    )
    files = ", ".join(f"`{name}`" for name in found["files"] or ())
    if found["state"] == "FOREIGN":
        raise SettingsError(
            f"the key folder does not belong to this database: {files} should hold another key.",
            remedy=_REMEDY,
            code="KEY_FOREIGN",
        )
    if found["state"] == "LOST":
        raise SettingsError(
            f"the key folder lacks {files}, which this database has met in it.", remedy=_REMEDY, code="KEY_MISSING"
        )
    return bool(found["state"] == "FIT")


async def refuse_amid_rotation(connection: asyncpg.Connection, keys: KeyService) -> None:
    """Raises :class:`RefusedError` (KEYS_UNFINISHED) while some blind indexes stand under another version than others:
    what is stored by comparing them must wait. Raises as :func:`check_key_folder` too.
    """
    if not await check_key_folder(connection, keys):
        raise RefusedError(
            "a rotation of the keys is not finished, so nothing that compares ID numbers may be stored.",
            remedy="Run `hub keys reindex`; it goes on where it stood.",
            code="KEYS_UNFINISHED",
        )


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """A key version as the database knows it."""

    version: int
    state: str
    noted_at: datetime
    retired_at: datetime | None
    set_aside: int


async def known_versions(connection: asyncpg.Connection) -> list[KnownVersion]:
    """All versions, oldest first; ``connection`` is one as owner."""
    records = await connection.fetch(
        """SELECT v.version, v.state, v.noted_at, v.retired_at,
               (SELECT count(*) FROM keyring.set_aside a WHERE a.version = v.version) AS set_aside
           FROM keyring.version v ORDER BY v.version"""
    )
    return [KnownVersion(**dict(record)) for record in records]
