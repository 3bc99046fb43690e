"""The SFTP server of the clinics: read-only, key only, one host key (clinic interface, section 1)."""

import asyncio
import shutil
from pathlib import Path

import asyncssh

from hub.sandbox.agencies.agency import Agency
from hub.sandbox.feeds.clinic_files import ClinicFile, written
from hub.sandbox.gate import Gate
from hub.sandbox.misbehaviour import ClinicMisbehaviour
from hub.sandbox.pki import write_private
from hub.sandbox.prefecture import Prefecture

SESSIONS_MAX = 2
USERNAME = "hub"


class ClinicAgency(Agency[ClinicMisbehaviour]):
    """The shared SFTP server of the medical community offices."""

    name = "clinic"

    def __init__(self, prefecture: Prefecture, folder: Path, keys: Path) -> None:
        """``folder`` receives the file tree, ``keys`` the client's private key and the known-hosts file."""
        self.misbehaviour = ClinicMisbehaviour()
        self.root = folder
        self.sessions = 0
        self._prefecture = prefecture
        self._keys = keys
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._impostor_key = asyncssh.generate_private_key("ssh-ed25519")
        client = asyncssh.generate_private_key("ssh-ed25519")
        self.client_public = client.convert_to_public().public_data
        write_private(keys / "clinic_id_ed25519", client.export_private_key("openssh"))
        self._acceptors: list[asyncssh.SSHAcceptor] = []
        self.gate = Gate(self.misbehaviour, self._target)

    def _target(self) -> int:
        return self._acceptors[1 if self.misbehaviour.wrong_identity else 0].get_port()

    async def open(self, port: int = 0) -> None:
        await asyncio.to_thread(self._write_tree)
        for key in (self._host_key, self._impostor_key):
            acceptor = await asyncssh.listen(
                "127.0.0.1",
                0,
                server_factory=lambda: _Door(self),
                server_host_keys=[key],
                sftp_factory=lambda channel: _ReadOnlyTree(channel, self),
                allow_scp=False,
                agent_forwarding=False,
                password_auth=False,
                kbdint_auth=False,
                gss_host=None,
                compression_algs=["none"],
                config=[],
            )
            self._acceptors.append(acceptor)
        await self.gate.open(port)
        host = f"[127.0.0.1]:{self.gate.port} {self._host_key.export_public_key('openssh').decode().strip()}\n"
        write_private(self._keys / "clinic_known_hosts", host)

    async def close(self) -> None:
        await self.gate.close()
        for acceptor in self._acceptors:
            acceptor.close()
            await acceptor.wait_closed()

    def _write_tree(self) -> None:
        outbox = self.root / "outbox"
        if outbox.exists():
            shutil.rmtree(outbox)
        outbox.mkdir(parents=True)
        self.add(self._prefecture.clinic.files)

    def add(self, files: list[ClinicFile]) -> None:
        """Put lists into the tree, each completion marker last."""
        for file in files:
            for path, content in written(file):
                target = self.root / "outbox" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)


class _Door(asyncssh.SSHServer):
    """Lets in one user with one key, twice at a time."""

    def __init__(self, agency: ClinicAgency) -> None:
        self._agency = agency
        self._counted = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        if self._agency.sessions >= SESSIONS_MAX:
            conn.disconnect(asyncssh.DISC_TOO_MANY_CONNECTIONS, "at most 2 sessions")
            return
        self._agency.sessions += 1
        self._counted = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._counted:
            self._agency.sessions -= 1

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = key.public_data == self._agency.client_public
        return username == USERNAME and known and not self._agency.misbehaviour.refuse_key


class _ReadOnlyTree(asyncssh.SFTPServer):
    """The outbox; everything that would change it is refused."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], agency: ClinicAgency) -> None:
        super().__init__(channel, chroot=str(agency.root).encode())
        self._agency = agency

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if pflags & ~asyncssh.FXF_READ:
            raise _refused()
        return super().open(self._prepared(path), asyncssh.FXF_READ, attrs)

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> object:
        raise _refused()  # this version of the protocol is not spoken here

    def _prepared(self, path: bytes) -> bytes:
        """The file to read: itself, or a spoiled copy of it."""
        m = self._agency.misbehaviour
        if not path.endswith(b".csv") or not (m.truncated or m.rubbish):
            return path
        content = Path(self.map_path(path).decode()).read_bytes()
        if m.truncated:
            m.truncated -= 1
            content = content[: len(content) // 2]
        else:
            m.rubbish -= 1
            content = b"\xff\xfe<html>\x80"
        copy = self._agency.root / "spoiled.csv"
        copy.write_bytes(content)
        return b"/spoiled.csv"

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        raise _refused()

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        raise _refused()

    def lsetstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        raise _refused()

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        raise _refused()

    def remove(self, path: bytes) -> None:
        raise _refused()

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        raise _refused()

    def rmdir(self, path: bytes) -> None:
        raise _refused()

    def rename(self, oldpath: bytes, newpath: bytes, flags: int = 0) -> None:
        raise _refused()

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        raise _refused()

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise _refused()

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise _refused()


def _refused() -> asyncssh.SFTPPermissionDenied:
    return asyncssh.SFTPPermissionDenied("read-only")
