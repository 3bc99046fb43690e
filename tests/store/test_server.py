"""The embedded server: private, shared, careful with processes, and back after every crash."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from hub.core.errors import StoreError
from hub.store import place
from hub.store.place import SYSTEM_USER
from hub.store.server import ADMIN, EmbeddedServer


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    yield folder
    if (folder / "postgres").exists():
        asyncio.run(EmbeddedServer(folder).remove())


async def _query(server: EmbeddedServer, sql: str) -> object:
    connection = await server.connect()
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def _postmaster_number(server: EmbeddedServer) -> int:
    return int((server.place.data / "postmaster.pid").read_text().splitlines()[0])


async def test_nothing_of_the_server_is_open_to_others(home: Path) -> None:
    home.parent.chmod(0o700)
    server = EmbeddedServer(home, fsync=False)
    await server.start()
    assert await _query(server, "SHOW data_checksums") == "on"
    assert await _query(server, "SHOW listen_addresses") == ""
    assert stat.S_IMODE(server.place.sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.place.data.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.place.log.stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "keys" / f"database-{ADMIN}.password").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o700, "no folder above may be opened"
    owner = psutil.Process(_postmaster_number(server)).username()
    assert owner == (SYSTEM_USER if os.geteuid() == 0 else pwd.getpwuid(os.getuid()).pw_name)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host=server.host, user=ADMIN, password="guess", database="postgres", ssl=False)
    assert not list(server.place.folder.glob("initial-password"))


async def test_a_second_handle_finds_the_running_server_and_can_stop_it(home: Path) -> None:
    first, second = EmbeddedServer(home, fsync=False), EmbeddedServer(home, fsync=False)
    assert not await first.is_running()
    await first.start()
    started = await _query(first, "SELECT pg_postmaster_start_time()")
    await second.start()
    assert await _query(second, "SELECT pg_postmaster_start_time()") == started
    assert await second.stop() is True
    assert not await first.is_running()
    assert await first.stop() is False


async def test_commands_that_start_at_once_share_one_server(home: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from hub.store.server import EmbeddedServer\n"
        "server = EmbeddedServer(pathlib.Path(sys.argv[1]), fsync=False)\n"
        "asyncio.run(server.start())\n"
        "print((server.place.data / 'postmaster.pid').read_text().splitlines()[0])\n"
    )
    runs = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(home), stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    said = {(await run.communicate())[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert said == {f"{_postmaster_number(EmbeddedServer(home))}\n".encode()}


async def test_recovers_after_kill_without_losing_what_was_committed(home: Path) -> None:
    server = EmbeddedServer(home)
    await server.start()
    await _query(server, "CREATE TABLE kept AS SELECT generate_series(1, 20000) AS n")
    os.kill(_postmaster_number(server), signal.SIGKILL)
    await EmbeddedServer(home).start()
    assert await _query(server, "SELECT count(*) FROM kept") == 20000


@pytest.mark.parametrize("same_user", [True, False])
async def test_a_stale_pid_file_harms_no_foreign_process(home: Path, same_user: bool) -> None:
    server = EmbeddedServer(home, fsync=False)
    await server.start()
    pid_file = server.place.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    await server.stop()
    user = server.place.user if same_user else None
    innocent = subprocess.Popen(["sleep", "60"], user=user)
    try:
        pid_file.write_text("\n".join([str(innocent.pid), *lines[1:]]) + "\n")
        server.place.own(pid_file)
        assert not await server.is_running()
        assert await server.stop() is False
        await server.start()
        assert _postmaster_number(server) != innocent.pid
        await server.stop()
        assert innocent.poll() is None, "the foreign process must live on"
    finally:
        innocent.kill()
        innocent.wait()


async def test_an_interrupted_first_start_is_begun_anew(home: Path) -> None:
    server = EmbeddedServer(home, fsync=False)
    (server.place.folder / "data.draft" / "base").mkdir(parents=True)
    (server.place.folder / "initial-password").write_text("left over")
    await server.start()
    assert await server.is_running()
    assert not (server.place.folder / "data.draft").exists()


async def test_a_lost_key_folder_is_told_and_nothing_is_overwritten(home: Path) -> None:
    server = EmbeddedServer(home, fsync=False)
    await server.start()
    shutil.move(home / "keys", home / "kept-keys")
    with pytest.raises(StoreError, match="Restore the key folder"):
        await EmbeddedServer(home).start()
    shutil.rmtree(home / "keys")
    shutil.move(home / "kept-keys", home / "keys")
    assert await EmbeddedServer(home).is_running()


async def test_a_server_that_cannot_start_says_why(home: Path) -> None:
    server = EmbeddedServer(home, fsync=False)
    await server.start()
    await server.stop()
    (server.place.data / "local.conf").write_text("shared_buffers = 'plenty'\n")
    with pytest.raises(StoreError, match=r"did not start: .*FATAL.*Look into"):
        await server.start()


async def test_no_value_of_a_failing_statement_reaches_the_log(home: Path) -> None:
    server = EmbeddedServer(home, fsync=False)
    await server.start()
    connection = await server.connect()
    await connection.execute("CREATE TABLE person (name text PRIMARY KEY)")
    await connection.execute("INSERT INTO person VALUES ('canary-7391')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("INSERT INTO person VALUES ($1)", "canary-7391")
    with pytest.raises(asyncpg.PostgresError):
        await connection.execute("SELECT 'canary-7392' FROM nowhere")
    with pytest.raises(asyncpg.PostgresError, match="canary-7391"):
        await connection.execute("SELECT name::int FROM person")
    await connection.close()
    log = server.place.log.read_text()
    assert "ready to accept connections" in log
    assert "canary" not in log


async def test_a_tcp_port_is_open_on_loopback_only_when_asked(home: Path, unused_tcp_port: int) -> None:
    server = EmbeddedServer(home, fsync=False, tcp_port=unused_tcp_port)
    await server.start()
    assert await _query(server, "SHOW listen_addresses") == "127.0.0.1"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host="127.0.0.1", port=unused_tcp_port, user=ADMIN, password="guess", database="postgres", ssl=False
        )
    assert EmbeddedServer(home).port == unused_tcp_port


def test_a_long_path_gets_a_short_private_socket_folder(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 30)
    (home / "postgres").mkdir(parents=True)
    found = place._place_of_user(home)
    try:
        assert len(os.fsencode(found.sockets)) < 90
        assert stat.S_IMODE(found.sockets.stat().st_mode) == 0o700
        found.sockets.rmdir()
        found.sockets.symlink_to(tmp_path)
        with pytest.raises(StoreError, match="belongs to somebody else"):
            place._place_of_user(home)
    finally:
        found.sockets.unlink() if found.sockets.is_symlink() else found.sockets.rmdir()
