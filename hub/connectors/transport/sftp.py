"""A read-only view of an agency's SFTP outbox.

One SSH connection with one SFTP channel, so the agency's limit of two sessions is never reached. The key is the
source's own Ed25519 key, the host key must stand in the source's own known-hosts file; the user's ``~/.ssh``, agents,
passwords and configuration files play no part. Broken connections are opened again and the read is repeated, up to
``max_retries`` times without success in between.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
from asyncssh.constants import FILEXFER_TYPE_REGULAR

from hub.connectors.transport.backoff import with_retries
from hub.core.errors import RetryableError, SettingsError, SourceError
from hub.core.phases import Phase, passing

_T = TypeVar("_T")
_CHUNK = 256 * 1024
_LOST = (
    asyncssh.DisconnectError,
    asyncssh.ChannelOpenError,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    ConnectionError,
    TimeoutError,
)


@dataclass(frozen=True, slots=True)
class Account:
    """Where the outbox is and how the hub is known there. After ``timeout_seconds`` of silence it is given up."""

    host: str
    port: int
    username: str
    private_key_file: Path
    known_hosts_file: Path
    timeout_seconds: float
    max_retries: int


class Unreadable(Exception):  # noqa: N818  it is an answer of the agency, told by the caller
    """The agency does not let the hub read one file or folder; the others may still be readable."""


class Outbox:
    """Folders and files below the agency's root. Use :meth:`close` when done."""

    def __init__(self, account: Account) -> None:
        """Reads the key files at once. Raises :class:`~hub.core.errors.SettingsError` if one cannot be used."""
        self._account = account
        self._key = _private_key(account.private_key_file)
        self._known_hosts = _known_hosts(account.known_hosts_file)
        self._place = f"{account.host}:{account.port}"
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._opening = asyncio.Lock()
        self._answers = 0

    async def entries(self, folder: str) -> list[tuple[str, bool]]:
        """Name and "is a regular file" of everything in ``folder``, sorted by name.

        Names that are not UTF-8 are left out: the agency documents none. Raises :class:`Unreadable` if the folder does
        not exist or is denied, :class:`SourceError` if the agency cannot be reached.
        """

        async def scan(client: asyncssh.SFTPClient) -> list[tuple[str, bool]]:
            found = []
            async for entry in client.scandir(folder.encode()):
                self._answers += 1
                assert isinstance(entry.filename, bytes)  # asked with bytes, so that one odd name spoils no listing
                with contextlib.suppress(UnicodeDecodeError):
                    found.append((entry.filename.decode(), entry.attrs.type == FILEXFER_TYPE_REGULAR))
            return sorted(item for item in found if item[0] not in {".", ".."})

        return await self._ask(Phase.CLINIC_LISTING, scan)

    async def read(self, path: str, *, limit: int) -> bytes | None:
        """The bytes of a file, at most ``limit + 1`` of them; ``None`` if there is no such file.

        Raises :class:`Unreadable` if it is denied, :class:`SourceError` if the agency cannot be reached.
        """

        async def fetch(client: asyncssh.SFTPClient) -> bytes | None:
            try:
                file = await client.open(path, "rb", encoding=None)
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                return None
            parts: list[bytes] = []
            size = 0
            async with file:
                while size <= limit:
                    part = await file.read(min(_CHUNK, limit + 1 - size))
                    self._answers += 1
                    if not part:
                        break
                    assert isinstance(part, bytes)  # the file was opened without encoding
                    parts.append(part)
                    size += len(part)
            return b"".join(parts)

        return await self._ask(Phase.CLINIC_FILE, fetch)

    async def close(self) -> None:
        """End the connection; never raises."""
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.abort()
            await connection.wait_closed()

    async def _ask(self, phase: Phase, question: Callable[[asyncssh.SFTPClient], Coroutine[Any, Any, _T]]) -> _T:
        async def once() -> _T:
            with passing(phase):
                return await attempt()

        async def attempt() -> _T:
            client = await self._open()
            try:
                return await self._while_answering(client, question(client))
            except _LOST as error:
                await self._forget(client)
                raise RetryableError(
                    f"The SFTP server {self._place} broke the connection or does not answer.",
                    remedy="Run the pull again when the agency's server is back; nothing is lost.",
                ) from error
            except asyncssh.SFTPError as error:
                raise Unreadable(type(error).__name__) from error

        return await with_retries(once, max_retries=self._account.max_retries)

    async def _while_answering(self, client: asyncssh.SFTPClient, question: Coroutine[Any, Any, _T]) -> _T:
        """The result of ``question``; :class:`TimeoutError` if the agency gives no answer at all for too long.

        The connection is ended before the question is cancelled: the library tidies up by asking the server to close
        the file, and a server that does not answer would hold that up forever.
        """
        task = asyncio.create_task(question)
        try:
            while not task.done():
                before = self._answers
                await asyncio.wait({task}, timeout=self._account.timeout_seconds)
                if not task.done() and self._answers == before:
                    raise TimeoutError
            return task.result()
        finally:
            if not task.done():
                await self._forget(client)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _forget(self, client: asyncssh.SFTPClient) -> None:
        # Several reads may fail on one broken connection: only the first of them ends it.
        if self._client is client:
            await self.close()

    async def _open(self) -> asyncssh.SFTPClient:
        async with self._opening:
            if self._client is None:
                self._connection = await self._connect()
                try:
                    async with asyncio.timeout(self._account.timeout_seconds):
                        self._client = await self._connection.start_sftp_client()
                except (asyncssh.Error, OSError, TimeoutError) as error:
                    await self.close()
                    raise RetryableError(
                        f"The SSH server {self._place} does not open an SFTP session.",
                        remedy="Ask the agency whether SFTP is on for this account and fewer than 2 sessions are open.",
                    ) from error
            return self._client

    async def _connect(self) -> asyncssh.SSHClientConnection:
        account = self._account
        options = {
            "host": account.host,
            "port": account.port,
            "username": account.username,
            "client_keys": [self._key],
            "known_hosts": self._known_hosts,
            "config": None,
            "agent_path": None,
            "x509_trusted_certs": None,
            "gss_auth": False,
            "gss_kex": False,
            "password_auth": False,
            "kbdint_auth": False,
            "host_based_auth": False,
            "preferred_auth": "publickey",
            "connect_timeout": account.timeout_seconds,
            "login_timeout": account.timeout_seconds,
            "keepalive_interval": account.timeout_seconds,
        }
        try:
            return await asyncssh.connect(**options)
        except asyncssh.HostKeyNotVerifiable as error:
            raise SourceError(
                f"The SFTP server {self._place} shows a host key that is not in the known-hosts file of the source.",
                remedy="Do not accept it: ask the agency whether its host key changed, and replace known_hosts_file.",
            ) from error
        except asyncssh.PermissionDenied as error:
            raise SourceError(
                f"The SFTP server {self._place} does not accept the hub's user name and Ed25519 key.",
                remedy="Check username and private_key_file, and that the agency has registered the public key.",
            ) from error
        except (asyncssh.KeyExchangeFailed, asyncssh.ProtocolNotSupported, asyncssh.IllegalUserName) as error:
            raise SourceError(
                f"The hub and the server {self._place} have no common way to speak SSH.",
                remedy="Check host and port; ask the agency to offer current SSH algorithms.",
            ) from error
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise RetryableError(
                f"The SFTP server {self._place} cannot be reached.",
                remedy="Check host and port and the network; run the pull again when the agency's server is back.",
            ) from error


def _private_key(path: Path) -> asyncssh.SSHKey:
    try:
        key = asyncssh.read_private_key(path)
    except OSError as error:
        raise SettingsError(f"The private key file {path} cannot be read.", remedy="Check private_key_file.") from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise SettingsError(
            f"The private key file {path} holds no usable private key.",
            remedy="Give an OpenSSH private key without passphrase.",
        ) from error
    if key.get_algorithm() != "ssh-ed25519":
        raise SettingsError(
            f"The private key in {path} is not an Ed25519 key.",
            remedy="Make one with `ssh-keygen -t ed25519` and have the agency register it.",
        )
    return key


def _known_hosts(path: Path) -> asyncssh.SSHKnownHosts:
    """The parsed file. Given as text, an empty file would make the library fall back to the user's own file."""
    try:
        return asyncssh.import_known_hosts(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The known-hosts file {path} cannot be read.", remedy="Check known_hosts_file.") from error
    except ValueError as error:
        raise SettingsError(
            f"The known-hosts file {path} is not in OpenSSH's format.", remedy="Use the file the agency handed over."
        ) from error
