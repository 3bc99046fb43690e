"""The bureau's front-end machine: the published view on a real PostgreSQL, behind TLS that a test can cut.

TLS is ended by a small proxy in front of the server, as a connection pooler would do it; the embedded server itself
speaks none.
"""

import asyncio
import csv
import itertools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from hub.connectors.agencies.social import SocialConnector
from hub.connectors.sources import SocialSource
from hub.core.rows import Step
from hub.store.server import EmbeddedServer
from tests.connectors.clinic_agency import NOW, SAMPLES, Remembered
from tests.connectors.tls_parties import Authority
from tests.loopback import listening

PUBLISHED_DDL = Path(__file__).parents[2] / "docs" / "contracts" / "social_security.sql"
SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
_numbers = itertools.count(1)


@dataclass
class Proxy:
    """Ends TLS (if it has a certificate) and pipes to the server's socket.

    ``cut_after`` cuts the coming connections after so many bytes from the server, each number once.
    """

    server: EmbeddedServer
    certificate: tuple[Path, Path] | None
    cut_after: list[int] = field(default_factory=list)
    connections: int = 0
    encrypted: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            first = await reader.readexactly(8)
            if first == SSL_REQUEST:
                writer.write(b"N" if self.certificate is None else b"S")
                await writer.drain()
                first = b""
                if self.certificate is not None:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(*self.certificate)
                    await writer.start_tls(context)
                    self.encrypted += 1
            await self._pipe(first, reader, writer)
        writer.transport.abort()

    async def _pipe(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = f"{self.server.host}/.s.PGSQL.{self.server.port}"
        inner_reader, inner_writer = await asyncio.open_unix_connection(path)
        inner_writer.write(first)
        limit = self.cut_after.pop(0) if self.cut_after else None
        tasks = [
            asyncio.create_task(_copy(reader, inner_writer, None)),
            asyncio.create_task(_copy(inner_reader, writer, limit)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        inner_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
    passed = 0
    while data := await reader.read(65536):
        passed += len(data)
        if limit is not None and passed > limit:
            return
        writer.write(data)
        await writer.drain()


@dataclass
class Bureau:
    """The running front-end machine; ``owner`` is a connection that may write behind the view."""

    folder: Path
    proxy: Proxy
    owner: asyncpg.Connection
    database: str
    port: int
    ca_file: Path | None

    def source(self, **changes: Any) -> SocialSource:
        password = self.folder / "password"
        password.write_text("reader-s3cr3t\n")
        settings = {
            "name": "social",
            "agreement_no": "DH-SJ-2026-002",
            "host": "127.0.0.1",
            "port": self.port,
            "database": self.database,
            "user": "hub_reader",
            "password_file": password,
            "ca_file": self.ca_file,
            "timeout_seconds": 10,
            "max_retries": 2,
            "allow_plain_loopback": self.ca_file is None,
        }
        return SocialSource(**(settings | changes))

    async def pull(self, watermark: Any | None = None, **changes: Any) -> list[Step]:
        connector = SocialConnector(self.source(**changes))
        try:
            return [step async for step in connector.pull(watermark, Remembered(), lambda: NOW)]
        finally:
            await connector.close()

    async def load_samples(self) -> None:
        """The published sample rows (empty cells are null)."""
        await load_samples(self.owner)

    async def insert(self, **values: Any) -> None:
        await insert(self.owner, **values)

    async def fill(self, count: int, changed: datetime, step: timedelta = timedelta(0)) -> None:
        """``count`` sound rows, the n-th changed at ``changed + n * step``."""
        await self.owner.execute(
            """
            INSERT INTO share.ac_insured_copy (aac001, aac002, aac003, aae140, aac031, aac030, aae100, aae036, aae180)
            SELECT 'P' || lpad(n::text, 9, '0'), '533103198503124417', '刀岩保', '170', '1', '20120915', '1',
                   $2::timestamp + n * $3::interval, 987654.32
            FROM generate_series(1, $1::int) n
            """,
            count,
            changed,
            step,
        )


async def load_samples(owner: asyncpg.Connection) -> None:
    """Put the published sample rows behind the view."""
    text = (SAMPLES / "social_rows.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        await insert(owner, **{column: value or None for column, value in row.items()})


async def insert(owner: asyncpg.Connection, **values: Any) -> None:
    """Put one row behind the view."""
    columns = ", ".join(values)
    cells = ", ".join("NULL" if v is None else "'" + str(v).replace("'", "''") + "'" for v in values.values())
    await owner.execute(f"INSERT INTO share.ac_insured_copy ({columns}) VALUES ({cells})")


@asynccontextmanager
async def bureau(server: EmbeddedServer, folder: Path, *, authority: Authority | None = None) -> AsyncIterator[Bureau]:
    """A running front-end machine; with an authority its proxy speaks TLS."""
    name = f"qzj_{next(_numbers)}"
    admin = await server.connect()
    if not await admin.fetchval("SELECT true FROM pg_roles WHERE rolname = 'hub_reader'"):
        await admin.execute("CREATE ROLE hub_reader LOGIN PASSWORD 'reader-s3cr3t'")
    await admin.execute(f"CREATE DATABASE {name}")
    owner = await server.connect(name)
    await owner.execute(PUBLISHED_DDL.read_text(encoding="utf-8"))
    proxy = Proxy(server, None if authority is None else authority.issue("front"))
    try:
        async with listening(proxy.serve) as port:
            yield Bureau(folder, proxy, owner, name, port, None if authority is None else authority.ca_file)
    finally:
        await owner.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
