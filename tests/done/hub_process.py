"""Real `hub` processes over a HUB_HOME of their own, whose database can be emptied between rounds."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hub.flows.receipts import guard_file
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from hub.store.prepare import DATABASE_NAME, StoreOptions, embedded_database, prepare
from hub.store.roles import ensure_database
from hub.store.server import EmbeddedServer

EMPTY = "empty"
"""The state before the first command: nothing pulled, nothing logged."""


@dataclass(frozen=True)
class Ended:
    """How a process ended and what it said."""

    code: int
    out: bytes
    err: bytes


@dataclass
class HubHome:
    """A HUB_HOME. Nothing in it is made before it is asked for; the hub's own commands may be the first."""

    home: Path

    @property
    def keys(self) -> FileKeys:
        return FileKeys(self.home / "keys")

    @property
    def server(self) -> EmbeddedServer:
        return EmbeddedServer(self.home, fsync=False)

    @property
    def database(self) -> Database:
        return embedded_database(self.server, StoreOptions(self.home))

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
        return await _kill(process, ended, seconds)

    async def start_and_kill(self, seconds: float, *arguments: str) -> Ended:
        """Run `hub ...` and kill it so many seconds after its start, whatever it is doing then."""
        process = await self.start(*arguments)
        return await _kill(process, asyncio.create_task(process.communicate()), seconds)

    async def _runs(self) -> int:
        connection = await self.database.connect(DbRole.OWNER)
        try:
            number: int = await connection.fetchval("SELECT count(*) FROM ingest.run")
            return number
        finally:
            await connection.close()

    async def save(self, name: str) -> None:
        """Keep the present state under a name, with what is kept outside the database to tell that state."""
        guard = guard_file(self.home)
        await self._copy(DATABASE_NAME, f"saved_{name}")
        (self.home / f"guard-{name}").write_bytes(guard.read_bytes() if guard.exists() else b"")

    async def restore(self, name: str) -> None:
        """Back to a saved state, as if what came later had never been; the keys stay."""
        guard, saved = guard_file(self.home), (self.home / f"guard-{name}").read_bytes()
        await self._copy(f"saved_{name}", DATABASE_NAME)
        guard.unlink(missing_ok=True)
        if saved:
            guard.write_bytes(saved)

    async def _copy(self, name: str, new_name: str) -> None:
        connection = await self.server.connect()
        try:
            await connection.execute(f"DROP DATABASE IF EXISTS {new_name} WITH (FORCE)")
            await ensure_database(connection, new_name, template=name)
        finally:
            await connection.close()

    async def remove(self) -> None:
        """Stop the server and delete everything."""
        await self.server.remove()
        shutil.rmtree(self.home)


async def _kill(process: asyncio.subprocess.Process, ended: asyncio.Task[tuple[bytes, bytes]], after: float) -> Ended:
    await asyncio.wait([ended], timeout=after)
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    out, err = await ended
    assert process.returncode is not None
    return Ended(process.returncode, out, err)


async def open_home() -> HubHome:
    """A home with a running server (fsync off) and an empty database, saved as ``empty``.

    Its name is one that tests/conftest.py clears away if this process is killed.
    """
    home = Path(tempfile.mkdtemp(prefix=f"hub-tests-{os.getpid()}-"))
    await prepare(StoreOptions(home, fsync=False))
    made = HubHome(home)
    await made.save(EMPTY)
    return made
