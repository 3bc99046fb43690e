"""hub doctor against real broken set-ups."""

import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from hub.cli import doctor
from hub.cli.doctor import check_disk, check_port
from hub.cli.finding import Finding
from hub.store.database import Database, DbRole
from hub.store.server import EmbeddedServer


async def _findings(monkeypatch: pytest.MonkeyPatch, **environment: object) -> dict[str, Finding]:
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    return {finding.check: finding for finding in await doctor.examine()}


def _bad(findings: dict[str, Finding]) -> list[str]:
    bad = [finding for finding in findings.values() if not finding.good]
    assert all(finding.remedy for finding in bad), "each says how to mend it"
    return [finding.check for finding in bad]


async def test_fsync_off_and_powerful_role_are_found(
    monkeypatch: pytest.MonkeyPatch, server_home: Path, server: EmbeddedServer, template: Database, unused_tcp_port: int
) -> None:
    found = await _findings(monkeypatch, HUB_HOME=server_home, HUB_PORT=unused_tcp_port)
    assert _bad(found) == ["durability"], "the server of the tests runs with fsync off; all else is in order"
    assert "fsync = off" in found["durability"].message
    administrator = await server.connect()
    owner = await template.connect(DbRole.OWNER)
    try:
        await administrator.execute("ALTER ROLE hub_auditor CREATEDB")
        finding = await doctor.check_roles(owner)
        assert not finding.good
        assert "hub_auditor" in finding.message
    finally:
        await administrator.execute("ALTER ROLE hub_auditor NOCREATEDB")
        await administrator.close()
        await owner.close()


async def test_a_wrong_setting_ends_the_examination(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = await _findings(monkeypatch, HUB_HOME=tmp_path, HUB_PORT="many")
    assert _bad(found) == ["settings"]


async def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = await _findings(monkeypatch, HUB_HOME=tmp_path / "file" / "home")
    assert _bad(found) == ["folder"]


async def test_open_key_file_and_dead_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unused_tcp_port: int
) -> None:
    url = f"postgresql://hub:hub@127.0.0.1:{unused_tcp_port}/hub"
    await _findings(monkeypatch, HUB_HOME=tmp_path, HUB_DATABASE_URL=url)
    (tmp_path / "keys" / "master.1").chmod(0o644)
    found = await _findings(monkeypatch, HUB_HOME=tmp_path, HUB_DATABASE_URL=url)
    assert {"keys", "database"} <= set(_bad(found))
    assert "chmod 600" in found["keys"].remedy
    assert "cannot be reached" in found["database"].message


async def test_damaged_key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unused_tcp_port: int) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "master.1").write_bytes(b"short")
    (tmp_path / "keys" / "pseudonyms").write_bytes(b"x" * 32)
    url = f"postgresql://hub:hub@127.0.0.1:{unused_tcp_port}/hub"
    found = await _findings(monkeypatch, HUB_HOME=tmp_path, HUB_DATABASE_URL=url)
    assert "does not hold 32 bytes" in found["keys"].message


class _Readiness(BaseHTTPRequestHandler):
    """Answers as whoever listens on the hub's port would."""

    body = b""

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(self.body if self.path == "/readyz" else b"")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize(
    ("body", "good", "says"),
    [
        (b'{"status": "ready", "problems": []}', True, "a hub is serving"),
        (b'{"status": "not ready", "problems": ["AUDIT_DISK"]}', False, "cannot answer (AUDIT_DISK)"),
        (b'{"state": "fine"}', False, "another program"),
        (b"<html>", False, "another program"),
    ],
)
def test_who_listens_on_the_port_is_asked(monkeypatch: pytest.MonkeyPatch, body: bytes, good: bool, says: str) -> None:
    monkeypatch.setattr(_Readiness, "body", body)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Readiness) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            finding = check_port("127.0.0.1", server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
    assert finding.good is good
    assert says in finding.message


def test_a_port_in_use_and_a_foreign_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finding = check_port("127.0.0.1", taken.getsockname()[1])
    assert (finding.good, "another program listens" in finding.message) == (False, True)
    assert not check_port("192.0.2.1", 8000).good


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "_MIN_FREE", 1 << 60)
    assert not check_disk(tmp_path).good


async def test_a_clock_that_is_off(database: Database) -> None:
    connection = await database.connect(DbRole.OWNER)
    try:
        assert (await doctor.check_clock(connection)).good
        # The function of this name in an earlier schema of the search path answers in place of the server's own.
        await connection.execute(
            "CREATE SCHEMA skewed; CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql "
            "AS $$ SELECT pg_catalog.clock_timestamp() - interval '9 seconds' $$; "
            "SET search_path = skewed, pg_catalog"
        )
        finding = await doctor.check_clock(connection)
    finally:
        await connection.close()
    assert not finding.good
    assert "9.0 s behind" in finding.message


def test_the_command_ends_with_exit_code_1(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hub.cli", "doctor", "--json"],
        env={"HUB_HOME": str(tmp_path), "HUB_POOL_SIZE": "0", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert '"check": "settings", "good": false' in done.stdout
    assert done.stderr == ""
