"""Real `hub` processes over a HUB_HOME of their own, whose database can be emptied between rounds."""

import asyncio
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from hub.flows.receipts import guard_file
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from hub.store.prepare import DATABASE_NAME, StoreOptions, prepare
from hub.store.roles import ensure_database
from hub.store.server import EmbeddedServer

_EMPTY = "hub_empty"


@dataclass(frozen=True)
class Ended:
    """How a process ended and what it said."""

    code: int
    out: bytes
    err: bytes


@dataclass
class HubHome:
    """A HUB_HOME with its running server; fsync is off unless the hub itself started it."""

    home: Path
    database: Database
    server: EmbeddedServer

    @property
    def keys(self) -> FileKeys:
        return FileKeys(self.home / "keys")

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        return kept | {"HUB_HOME": str(self.home)} | more

    async def start(self, *arguments: str, **more: str) -> asyncio.subprocess.Process:
        """Start `hub ...` in a process of its own; ``more`` adds environment variables."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hub.cli",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment(**more),
        )

    async def run(self, *arguments: str, **more: str) -> Ended:
        """Run `hub ...` to its end."""
        process = await self.start(*arguments, **more)
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out, err)

    async def run_and_kill(self, seconds: float, *arguments: str, **more: str) -> Ended:
        """Run `hub pull ...` and kill it (SIGKILL) so many seconds after the run has begun, unless it ended before."""
        runs = await self._runs()
        process = await self.start(*arguments, **more)
        ended = asyncio.create_task(process.communicate())
        while not ended.done() and await self._runs() == runs:
            await asyncio.sleep(0.02)
        await asyncio.wait([ended], timeout=seconds)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        out, err = await ended
        assert process.returncode is not None
        return Ended(process.returncode, out, err)

    async def _runs(self) -> int:
        connection = await self.database.connect(DbRole.OWNER)
        try:
            number: int = await connection.fetchval("SELECT count(*) FROM ingest.run")
            return number
        finally:
            await connection.close()

    async def empty(self) -> None:
        """Back to the state before the first command: nothing pulled, nothing logged; the keys stay."""
        connection = await self.server.connect()
        try:
            await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE_NAME} WITH (FORCE)")
            await ensure_database(connection, DATABASE_NAME, template=_EMPTY)
        finally:
            await connection.close()
        guard_file(self.home).unlink(missing_ok=True)

    async def remove(self) -> None:
        """Stop the server and delete everything."""
        await self.server.remove()
        shutil.rmtree(self.home)


async def open_home(home: Path) -> HubHome:
    """A home with a running server and an empty database; :meth:`HubHome.remove` ends it."""
    database = await prepare(StoreOptions(home, fsync=False))
    server = EmbeddedServer(home, fsync=False)
    connection = await server.connect()
    try:
        await ensure_database(connection, _EMPTY, template=DATABASE_NAME)
    finally:
        await connection.close()
    return HubHome(home, database, server)
