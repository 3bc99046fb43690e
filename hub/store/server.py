"""The embedded PostgreSQL server: made, started, found again, recovered and stopped.

The server runs detached and serves every command of its ``HUB_HOME`` until ``hub database stop``. Three rules keep it
safe: a server counts as running only when it answers over its own socket and names our data directory; a process is
signalled only when its program and working directory prove that it is our postmaster; and whoever starts or stops holds
a lock file.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil

from hub.core.errors import StoreError
from hub.store.passwords import password_of
from hub.store.place import ServerPlace, place_under

PORT = 5432
"""Number in the socket's name, unless the server also listens on a TCP port: then it is that port."""

ADMIN = "hub_admin"
"""The superuser that the server is made with; used only to make roles and databases."""

_START_LIMIT = 900.0
_STOP_LIMIT = 120.0
_LOG_BYTES = 8 * 1024 * 1024
_started: list[subprocess.Popen[bytes]] = []  # kept, so that this process can reap its children when they end

Tell = Callable[[str], None]
"""Receives a sentence about what takes long."""


class EmbeddedServer:
    """One PostgreSQL server of our own. Equal homes mean the same server, in whatever process."""

    def __init__(
        self, home: Path, *, fsync: bool = True, tcp_port: int | None = None, tell: Tell | None = None
    ) -> None:
        """``home`` is the hub's folder (passwords in ``home/keys``).

        ``fsync`` off is for tests only. ``tcp_port`` also listens on 127.0.0.1; both count when the server is started,
        not when it is already running.
        """
        home = home.resolve()
        self.place: ServerPlace = place_under(home)
        self._password = password_of(home / "keys", ADMIN)
        self._fsync = fsync
        self._tcp_port = tcp_port
        self._tell = tell or (lambda _: None)

    @property
    def host(self) -> str:
        """Folder of the socket, as a client's ``host``."""
        return str(self.place.sockets)

    @property
    def port(self) -> int:
        """The port of the running server (it names the socket), else the one it will be started with."""
        try:
            return int((self.place.data / "postmaster.pid").read_text().split("\n")[3])
        except (OSError, ValueError, IndexError):
            return self._tcp_port or PORT

    async def connect(self, database: str = "postgres") -> asyncpg.Connection:
        """A connection as superuser. Raises :class:`StoreError` if the server is not this one or refuses us."""
        try:
            connection = await asyncpg.connect(
                host=self.host,
                port=self.port,
                user=ADMIN,
                password=self._password,
                database=database,
                ssl=False,
                timeout=10,
            )
        except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
            raise StoreError(
                f"the database under {self.place.folder} does not accept the password in {self.place.home / 'keys'}.",
                remedy="Restore the key folder that belongs to this database.",
            ) from None
        if (found := await connection.fetchval("SHOW data_directory")) != str(self.place.data):
            await connection.close()
            raise StoreError(f"the server behind {self.host} serves {found}, not {self.place.data}.")
        return connection

    async def is_running(self) -> bool:
        """Whether the server answers and proves to be ours."""
        try:
            connection = await self.connect()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True

    async def start(self) -> None:
        """Make the server answer: find it, or make its data, recover and start it. Raises :class:`StoreError`."""
        if await self.is_running():
            return
        async with self._locked():
            if await self.is_running():
                return
            if not (self.place.data / "PG_VERSION").exists():
                self._tell("Making the database.")
                await asyncio.to_thread(self._initialise)
            process = None
            if self._postmaster() is None:
                await self._wait_for_orphans()
                process = self._spawn()
            await self._wait_until_running(process)

    async def stop(self) -> bool:
        """End the server in order; ``False`` if none was running. Raises :class:`StoreError` if it does not end."""
        async with self._locked():
            postmaster = self._postmaster()
            if postmaster is None:
                return False
            postmaster.send_signal(signal.SIGINT)
            limit = time.monotonic() + _STOP_LIMIT
            while self._postmaster() is not None:
                if time.monotonic() > limit:
                    raise StoreError(
                        f"the database under {self.place.folder} did not stop within {_STOP_LIMIT:.0f} s.",
                        remedy=f"Look into {self.place.log}.",
                    )
                await asyncio.sleep(0.02)
            _reap()
            return True

    async def remove(self) -> None:
        """Stop the server and delete its data, log and socket folder for good."""
        await self.stop()
        await asyncio.to_thread(shutil.rmtree, self.place.folder)
        if self.place.sockets.exists():
            await asyncio.to_thread(shutil.rmtree, self.place.sockets)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        descriptor = os.open(self.place.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            limit = time.monotonic() + _START_LIMIT
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > limit:
                        raise StoreError(
                            f"another command has held {self.place.lock} for {_START_LIMIT:.0f} s.",
                            remedy="See which hub command still runs, and end it.",
                        ) from None
                    await asyncio.sleep(0.05)
            yield
        finally:
            os.close(descriptor)

    def _postmaster(self) -> psutil.Process | None:
        """The process named in ``postmaster.pid``, if it provably is the postmaster of our data directory."""
        _reap()
        try:
            number = int((self.place.data / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(number)
            return process if self._is_ours(process) else None
        except (OSError, ValueError, psutil.Error):
            return None

    def _is_ours(self, process: psutil.Process) -> bool:
        """Whether a living PostgreSQL process works in our data directory."""
        try:
            with process.oneshot():
                return (
                    process.status() != psutil.STATUS_ZOMBIE
                    and process.name().startswith("postgres")
                    and Path(process.cwd()) == self.place.data.resolve()
                )
        except (OSError, psutil.Error):
            return False

    async def _wait_for_orphans(self) -> None:
        """Children of a killed postmaster end by themselves; the next one cannot start before.

        Lock files whose number went to a foreign process, or to a zombie, would stop PostgreSQL from starting: they are
        removed once no process of ours is left. A pid file whose process is gone is left to PostgreSQL, which checks
        the shared memory too.
        """
        limit = time.monotonic() + 60
        while any(self._is_ours(process) for process in psutil.process_iter()):
            if time.monotonic() > limit:
                raise StoreError(
                    f"processes of a crashed server still use {self.place.data}.",
                    remedy="Wait until they end, or restart the machine.",
                )
            await asyncio.sleep(0.1)
        for path in self.place.sockets.glob(".s.PGSQL.*"):
            path.unlink()
        path = self.place.data / "postmaster.pid"
        try:
            number = int(path.read_text().split("\n", 1)[0])
        except FileNotFoundError:
            return
        except ValueError:
            number = None
        if number is None or psutil.pid_exists(number):
            path.unlink()

    def _run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.place.folder,
            user=self.place.user,
            group=self.place.user,
            extra_groups=[] if self.place.user else None,
            umask=0o077,
            env=_environment(),
        )

    def _initialise(self) -> None:
        """``initdb`` into a draft that becomes the data directory when whole; leftovers of a crash are removed."""
        draft = self.place.folder / "data.draft"
        if draft.exists():
            shutil.rmtree(draft)
        secret = self.place.folder / "initial-password"
        secret.unlink(missing_ok=True)
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, self._password.encode())
            self.place.own(secret)
            options = ["--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8"]
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--lc-messages=C"]
            if not self._fsync:
                options.append("--no-sync")
            initdb = self.place.programs / "bin" / "initdb"
            done = self._run(initdb, "-D", draft, "-U", ADMIN, f"--pwfile={secret}", *options)
        finally:
            os.close(descriptor)
            secret.unlink()
        if done.returncode != 0:
            raise StoreError(
                f"the database under {self.place.folder} could not be made: {_last_line(done.stderr)}",
                remedy="Check free disk space and that the folder is not on a file system without Unix permissions.",
            )
        draft.rename(self.place.data)

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Write the configuration anew and start the postmaster in a session of its own."""
        self._configure()
        log = self.place.log
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.rename(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            self.place.own(log)
            log.chmod(0o600)
            process = subprocess.Popen(
                [str(self.place.programs / "bin" / "postgres"), "-D", str(self.place.data)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self.place.folder,
                user=self.place.user,
                group=self.place.user,
                extra_groups=[] if self.place.user else None,
                umask=0o077,
                env=_environment(),
            )
        _started.append(process)
        return process

    def _configure(self) -> None:
        memory = psutil.virtual_memory().total // (8 * 1024 * 1024)
        settings = {
            "listen_addresses": "'127.0.0.1'" if self._tcp_port else "''",
            "port": str(self._tcp_port or PORT),
            "unix_socket_directories": f"'{_quoted(self.host)}'",
            "unix_socket_permissions": "0700",
            "password_encryption": "'scram-sha-256'",
            "max_connections": "100",
            "shared_buffers": f"'{min(memory, 2048) if self._fsync else 128}MB'",
            "max_wal_size": "'2GB'",
            "jit": "off",
            "timezone": "'Asia/Shanghai'",
            "log_timezone": "'Asia/Shanghai'",
            "lc_messages": "'C'",
            # No value of a statement may reach the log: neither the statement nor the DETAIL line that quotes a row.
            # Even the message of a statement's error can quote one (`invalid input syntax for type numeric: "..."`);
            # it goes to the program that sent the statement and nowhere else. The server's own messages are kept.
            "log_min_messages": "log",
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "log_parameter_max_length": "0",
            "log_parameter_max_length_on_error": "0",
        }
        if not self._fsync:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        lines = [f"{name} = {value}" for name, value in settings.items()]
        self._write("postgresql.conf", ["# Written at every start; put your own settings into local.conf.", *lines])
        with (self.place.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("include_if_exists = 'local.conf'\n")
        access = ["local all all scram-sha-256"]
        if self._tcp_port:
            access.append("host all all 127.0.0.1/32 scram-sha-256")
        self._write("pg_hba.conf", access)

    def _write(self, name: str, lines: list[str]) -> None:
        path = self.place.data / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.place.own(path)

    async def _wait_until_running(self, process: subprocess.Popen[bytes] | None) -> None:
        """Wait while the server starts or recovers; give up when its process ends or the limit is reached."""
        begun = time.monotonic()
        told = begun
        while not await self.is_running():
            now = time.monotonic()
            ended = self._postmaster() is None if process is None else process.poll() is not None
            if ended and not await self.is_running():
                raise StoreError(
                    f"the database under {self.place.folder} did not start: {_last_line(_tail(self.place.log))}",
                    remedy=f"Look into {self.place.log}.",
                )
            if now - begun > _START_LIMIT:
                raise StoreError(
                    f"the database under {self.place.folder} was not ready after {_START_LIMIT:.0f} s.",
                    remedy=f"It may still be recovering: look into {self.place.log}, then try again.",
                )
            if now - told > 5:
                self._tell(f"The database is starting or recovering after a crash ({now - begun:.0f} s).")
                told = now
            await asyncio.sleep(0.03)


def _reap() -> None:
    """Take notice of children that have ended, so that none stays as a zombie."""
    _started[:] = [process for process in _started if process.poll() is None]


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "Asia/Shanghai"}


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _tail(path: Path) -> str:
    return path.read_bytes()[-4096:].decode(errors="replace") if path.exists() else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "error" in line.lower()]
    return (fatal or lines or ["it said nothing."])[-1]
