"""One call that makes the database ready: server, roles, schema."""

import os
from dataclasses import dataclass
from pathlib import Path

from hub.core.errors import SettingsError
from hub.store.database import Database, external_database
from hub.store.migrate import migrate
from hub.store.roles import ensure_database, ensure_roles, open_external
from hub.store.server import EmbeddedServer, Tell

DATABASE_NAME = "hub"
"""Name of the hub's database on the embedded server."""


@dataclass(frozen=True)
class StoreOptions:
    """What the operator decides about the store."""

    home: Path
    """HUB_HOME: keys and, for an ordinary user, the embedded database."""
    url: str | None = None
    """HUB_DATABASE_URL of an external server; ``None`` uses the embedded one."""
    fsync: bool = True
    """Off only where data may be lost, as in tests."""

    @property
    def keys_folder(self) -> Path:
        """Folder of all secrets."""
        return self.home / "keys"


async def prepare(options: StoreOptions, *, tell: Tell | None = None, revision: str | None = None) -> Database:
    """Start the embedded server if that is the one, make roles and database, migrate.

    Cheap when all is ready. ``tell`` receives sentences about what takes long. ``revision`` migrates less far than the
    newest. Raises StoreError or SettingsError.
    """
    make_home(options.home)
    if options.url is not None:
        database = external_database(options.url, options.keys_folder)
        connection = await database.connect_administrator()
        try:
            await ensure_roles(connection, database)
            await open_external(connection, database)
        finally:
            await connection.close()
    else:
        server = EmbeddedServer(options.home, fsync=options.fsync, tell=tell)
        await server.start()
        database = embedded_database(server, options)
        connection = await server.connect()
        try:
            await ensure_roles(connection, database)
            await ensure_database(connection, database.name)
        finally:
            await connection.close()
    await migrate(database, revision)
    return database


def make_home(home: Path) -> None:
    """Make HUB_HOME where it is missing. Raises :class:`SettingsError` if this user may not, or if it is another's.

    Another user, root above all, would find an empty database of his own beside the keys and the guard of this one.
    """
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        owner = home.stat().st_uid
    except OSError as error:
        raise SettingsError(
            f"HUB_HOME {home} cannot be made: {error.strerror}.",
            remedy="Make the folder and give it to the user who runs the hub, or set HUB_HOME to another one.",
        ) from None
    if owner != os.geteuid():
        raise SettingsError(
            f"HUB_HOME {home} belongs to user number {owner}, the hub runs as {os.geteuid()}.",
            remedy="Run the hub as the owner of the folder, or set HUB_HOME to another one.",
        )


def embedded_database(server: EmbeddedServer, options: StoreOptions) -> Database:
    """The hub's database on a running embedded server."""
    return Database(server.host, server.port, DATABASE_NAME, options.keys_folder.resolve())
