"""Debian's own PostgreSQL behind TLS, for tests against a server that is not the hub's."""

import getpass
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.store.place import SYSTEM_USER
from hub.store.server import EmbeddedServer

ADMINISTRATOR = "operator"
"""A superuser who needs no password."""


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("NOT TESTED against Debian's PostgreSQL: it is not installed (deploy/debian-packages.sh)")
    return found[-1].parent


@contextmanager
def debian_postgres(folder: Path, port: int, rules: str = "") -> Iterator[Path]:
    """A running server on 127.0.0.1 with TLS; gives the certificate of its authority. Skips where it is missing.

    ``rules`` are lines of pg_hba.conf that come first.
    """
    programs = _programs()
    user = SYSTEM_USER if getpass.getuser() == "root" else None
    if user:
        folder = EmbeddedServer(folder).place.folder / "foreign"
        folder.mkdir(mode=0o700)
        shutil.chown(folder, user, user)

    def call(*command: str | Path) -> None:
        subprocess.run(
            [str(part) for part in command], check=True, capture_output=True, cwd=folder, user=user, group=user
        )

    data = folder / "data"
    call(programs / "initdb", "-D", data, "--auth=trust", "-U", ADMINISTRATOR, "--no-sync", "--encoding=UTF8")
    subject = ["-subj", "/CN=db.example", "-addext", "subjectAltName=IP:127.0.0.1"]
    call("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject,
         "-keyout", data / "server.key", "-out", data / "server.crt")  # fmt: skip
    settings = f"ssl = on\nport = {port}\nunix_socket_directories = ''\nlisten_addresses = '127.0.0.1'\nfsync = off\n"
    (data / "postgresql.auto.conf").write_text(settings)
    access = data / "pg_hba.conf"
    access.write_text(rules + access.read_text())
    process = subprocess.Popen(
        [programs / "postgres", "-D", data], user=user, group=user, cwd=folder, stderr=subprocess.DEVNULL
    )
    try:
        _until_ready(programs, port)
        yield data / "server.crt"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        if user:
            shutil.rmtree(folder.parent)


def _until_ready(programs: Path, port: int) -> None:
    limit = time.monotonic() + 30
    while subprocess.run([programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode:
        assert time.monotonic() < limit
        time.sleep(0.05)
