"""One embedded server for the whole run, and a fresh migrated database for every test that asks for one."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from hub.core.errors import StoreError
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from hub.store.passwords import password_of
from hub.store.prepare import StoreOptions, prepare
from hub.store.roles import ensure_database
from hub.store.server import ADMIN, EmbeddedServer

# How fast a machine is tells nothing about the hub (speed is measured in bench/).
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_PREFIX = "hub-tests-"
_MEMORY = Path("/dev/shm")
_MEMORY_MIN = 2 << 30
_LONG_SECONDS = 600
_TABLESPACE = "memory"
_numbers = itertools.count(1)

CopyOf = Callable[[Database], AbstractContextManager[Database]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests may take longer before they count as hanging."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_LONG_SECONDS))


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    """HUB_HOME of the run's own server, which is stopped and removed at the end."""
    _remove_leftovers()
    home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    yield home
    if (home / "postgres").exists():
        asyncio.run(EmbeddedServer(home).remove())
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def server(server_home: Path) -> EmbeddedServer:
    """The run's server; fsync is off, its data are thrown away."""
    return EmbeddedServer(server_home, fsync=False)


@pytest.fixture(scope="session")
def template(server_home: Path, server: EmbeddedServer) -> Database:
    """The migrated database that every test's own is copied from. Nobody may stay connected to it."""
    # HUB_TEST_REVISION stops at an earlier revision, to work on one migration while a later one is being written.
    revision = os.environ.get("HUB_TEST_REVISION")
    asyncio.run(_make_logins_cheap(server))
    return asyncio.run(prepare(StoreOptions(server_home, fsync=False), revision=revision))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With HUB_TEST_FAIL_ON_SKIP a run that skipped anything has failed: a missing program must not hide a test."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("HUB_TEST_FAIL_ON_SKIP") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("\nTests were skipped, which this run does not allow.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _remove_leftovers() -> None:
    """Stop and delete servers of runs that were killed before they could do so themselves."""
    for home in [*Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"), *_MEMORY.glob(f"{_PREFIX}*")]:
        number = home.name.removeprefix(_PREFIX).partition("-")[0]
        # As root the folders in memory belong to the database's user.
        if os.getuid() not in (0, home.stat().st_uid) or not number.isdigit() or psutil.pid_exists(int(number)):
            continue
        try:
            if (home / "postgres").exists():
                asyncio.run(EmbeddedServer(home).remove())
            shutil.rmtree(home)
        except (OSError, StoreError):
            continue  # another run is removing it right now


@pytest.fixture(scope="session")
def memory(server: EmbeddedServer, template: Database) -> Iterator[str]:
    """The tablespace of the tests' databases: in memory where there is room.

    A file system like ext4 is slow to give out again the places of hundreds of files that were deleted a moment ago.
    """
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _MEMORY_MIN:
        yield "pg_default"
        return
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_MEMORY))
    server.place.own(folder)
    asyncio.run(_execute(server, f"CREATE TABLESPACE {_TABLESPACE} LOCATION '{folder}'"))
    yield _TABLESPACE
    shutil.rmtree(folder)


async def _make_logins_cheap(server: EmbeddedServer) -> None:
    """Passwords made from now on are hardened by few rounds: a run logs in thousands of times."""
    await server.start()
    await _execute(server, "ALTER SYSTEM SET scram_iterations = 16")
    await _execute(server, "SELECT pg_reload_conf()")
    connection = await server.connect()
    try:
        await connection.execute("SET scram_iterations = 16")  # the reload may not have reached this session yet
        literal = await connection.fetchval("SELECT quote_literal($1)", password_of(server.place.home / "keys", ADMIN))
        await connection.execute(f"ALTER ROLE {ADMIN} PASSWORD {literal}")
    finally:
        await connection.close()


async def _execute(server: EmbeddedServer, statement: str) -> None:
    connection = await server.connect()
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _copy(server: EmbeddedServer, template: str, name: str, tablespace: str) -> None:
    """A copy file by file costs the server less than half of one through its buffers and its write-ahead log."""
    connection = await server.connect()
    try:
        await connection.execute(
            f'CREATE DATABASE "{name}" OWNER {DbRole.OWNER} TEMPLATE "{template}" TABLESPACE {tablespace}'
            " STRATEGY file_copy"
        )
        await ensure_database(connection, name)  # the rights on the database itself, which are not copied
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def copy_of(server: EmbeddedServer, memory: str) -> CopyOf:
    """Copies of a database to which nobody is connected; each lives as long as its block."""

    @contextmanager
    def copied(template: Database) -> Iterator[Database]:
        name = f"test_{next(_numbers)}"
        asyncio.run(_copy(server, template.name, name, memory))
        yield template.named(name)
        asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))

    return copied


@pytest.fixture
def database(template: Database, copy_of: CopyOf) -> Iterator[Database]:
    """A fresh migrated database of this test alone."""
    with copy_of(template) as database:
        yield database


@pytest.fixture(scope="module")
def module_database(template: Database, copy_of: CopyOf) -> Iterator[Database]:
    """One migrated database for all tests of a file, which must not depend on each other's rows."""
    with copy_of(template) as database:
        yield database


@pytest.fixture
def keys(tmp_path: Path) -> FileKeys:
    """A key service of this test alone."""
    return FileKeys(tmp_path / "keys")
