"""The social security bureau's front-end database: a PostgreSQL server of its own with one view (its interface)."""

import secrets
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import asyncpg

from hub.sandbox.agencies.agency import Agency
from hub.sandbox.feeds.social import COLUMNS, Row
from hub.sandbox.gate import Gate
from hub.sandbox.misbehaviour import SocialMisbehaviour
from hub.sandbox.pki import write_private
from hub.sandbox.prefecture import Prefecture
from hub.store.server import PORT, EmbeddedServer

DATABASE = "qzj"
READER = "hub_reader"
_LINES_PER_CHUNK = 2000


class SocialAgency(Agency[SocialMisbehaviour]):
    """The front-end machine. Its door takes plain TCP on loopback; the server itself listens on a Unix socket only."""

    name = "social"

    def __init__(self, prefecture: Prefecture, folder: Path, keys: Path) -> None:
        """``folder`` is the home of the database server, ``keys`` receives the reader's password."""
        self.misbehaviour = SocialMisbehaviour()
        self._prefecture = prefecture
        self._server = EmbeddedServer(folder, fsync=False)
        self.password = secrets.token_urlsafe(18)
        write_private(keys / "social_password", self.password + "\n")
        socket = Path(self._server.host) / f".s.PGSQL.{PORT}"
        self.gate = Gate(self.misbehaviour, lambda: socket)

    async def open(self, port: int = 0) -> None:
        await self._server.start()
        admin = await self._server.connect()
        try:
            await admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
            await admin.execute(f"DROP ROLE IF EXISTS {READER}")
            await admin.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{self.password}'")
            await admin.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
            await admin.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
            await admin.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO {READER}")
        finally:
            await admin.close()
        await self._fill()
        await self.gate.open(port)

    async def _fill(self) -> None:
        ddl = files("hub.sandbox").joinpath("data", "social_security.sql").read_text("utf-8")
        connection = await self._server.connect(DATABASE)
        try:
            await connection.execute(ddl)
            await connection.copy_to_table(
                "ac_insured_copy", schema_name="share", source=self._chunks(), columns=COLUMNS
            )
            # Paging by the tuple (aae036, aac001, aae140) is what the interface asks for, so it must be cheap.
            await connection.execute("CREATE INDEX ON share.ac_insured_copy (aae036, aac001, aae140)")
            await connection.execute("ANALYZE share.ac_insured_copy")
        finally:
            await connection.close()

    async def _chunks(self) -> AsyncIterator[bytes]:
        lines = self._prefecture.social.lines
        for start in range(0, len(lines), _LINES_PER_CHUNK):
            yield b"".join(lines[start : start + _LINES_PER_CHUNK])

    async def replicate(self, rows: list[Row]) -> None:
        """Write rows as the replication does: a newer state replaces the one of its key."""
        columns = ", ".join(COLUMNS)
        values = ", ".join(f"${i}::text::{_TYPES.get(c, 'text')}" for i, c in enumerate(COLUMNS, start=1))
        changes = ", ".join(f"{c} = excluded.{c}" for c in COLUMNS)
        statement = (
            f"INSERT INTO share.ac_insured_copy ({columns}) VALUES ({values}) "
            f"ON CONFLICT (aac001, aae140) DO UPDATE SET {changes}"
        )
        connection = await self._server.connect(DATABASE)
        try:
            await connection.executemany(statement, [tuple(row.get(c) for c in COLUMNS) for row in rows])
        finally:
            await connection.close()

    async def applied(self) -> None:
        """A changed password counts for new logins; sessions under way are ended."""
        password = secrets.token_urlsafe(18) if self.misbehaviour.refuse_login else self.password
        connection: asyncpg.Connection = await self._server.connect()
        try:
            await connection.execute(f"ALTER ROLE {READER} PASSWORD '{password}'")
            if self.misbehaviour.refuse_login:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", READER
                )
        finally:
            await connection.close()

    async def close(self) -> None:
        await self.gate.close()
        await self._server.stop()

    async def remove(self) -> None:
        """Delete the database server's data for good; they may lie outside the sandbox's directory."""
        await self._server.remove()


_TYPES = {
    "aae201": "numeric",
    "bae701": "numeric",
    "aae002": "numeric",
    "aae180": "numeric",
    "aae036": "timestamp",
}
