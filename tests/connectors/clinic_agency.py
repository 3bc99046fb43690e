"""A county's SFTP front end on loopback, over a folder of the test, as strict as the agency's document."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import asyncssh
from asyncssh.constants import FXF_READ

from hub.connectors.agencies.clinic import ClinicConnector
from hub.connectors.formats.clinic_files import COLUMNS
from hub.connectors.sources import ClinicSource
from hub.core.clock import SHANGHAI
from hub.core.rows import CheckedRow, Step

CLINIC = "533103Y00117"
SAMPLES = Path(__file__).parent.parent / "data" / "contracts" / "samples"
NOW = datetime(2026, 10, 20, 7, 0, tzinfo=SHANGHAI)


@dataclass
class Remembered:
    """What the hub would remember from committed steps."""

    read: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    async def refused_files(self) -> dict[str, str]:
        return dict(self.refused)

    async def read_files(self, names: Set[str]) -> Set[str]:
        return self.read & names

    def commit(self, step: Step) -> None:
        if step.file:
            self.read.add(step.file.name)
        if step.refused:
            self.refused[step.refused.name] = step.refused.fingerprint


@dataclass
class Agency:
    """The running server: where it is, and the folder that is its outbox."""

    outbox: Path
    keys: Path
    port: int
    sessions: int = 0
    most_sessions: int = 0
    requests: list[str] = field(default_factory=list)

    def source(self, **changes: object) -> ClinicSource:
        settings: dict[str, object] = {
            "name": "clinic",
            "agreement_no": "DH-SJ-2026-003",
            "host": "127.0.0.1",
            "port": self.port,
            "username": "hub",
            "private_key_file": self.keys / "hub_key",
            "known_hosts_file": self.keys / "known_hosts",
            "root": "/outbox",
            "timeout_seconds": 5,
            "max_retries": 1,
        }
        return ClinicSource(**(settings | changes))

    async def pull(self, memory: Remembered | None = None, **changes: object) -> list[Step]:
        """All steps of one pull; they are committed to ``memory``."""
        steps: list[Step] = []
        connector = ClinicConnector(self.source(**changes))
        memory = memory if memory is not None else Remembered()
        try:
            async for step in connector.pull(None, memory, lambda: NOW):
                steps.append(step)
                memory.commit(step)
        finally:
            await connector.close()
        return steps

    def put(self, name: str, data: bytes, *, marked: bool = True, **control: str | None) -> None:
        """Put a list with its control file; ``control`` changes keys of it, ``None`` removes one."""
        stem = name.removesuffix(".csv")
        _, clinic, day, _ = stem.split("_")
        folder = self.outbox / clinic / day
        folder.mkdir(parents=True, exist_ok=True)
        lines = data.decode("gb18030", "replace").split("\r\n")
        keys: dict[str, str | None] = {
            "FILE": f"{stem}.csv",
            "RECORDS": str(max(0, len(lines) - 2)),
            "AMOUNT_TOTAL": "0.00",
            "BYTES": str(len(data)),
            "SHA256": hashlib.sha256(data).hexdigest(),
        } | control
        (folder / f"{stem}.csv").write_bytes(data)
        text = "".join(f"{key}={value}\r\n" for key, value in keys.items() if value is not None)
        (folder / f"{stem}.ctl").write_text(text, encoding="ascii", newline="")
        if marked:
            (folder / f"{stem}.ok").write_bytes(b"")

    def put_samples(self, prefix: str = "clinic_") -> None:
        """The samples of the agency's document, byte for byte, in their places."""
        for path in sorted(SAMPLES.glob(f"{prefix}ARR_*")):
            name = path.name.removeprefix("clinic_")
            folder = self.outbox / CLINIC / name.split("_")[2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(path.read_bytes())


def line(**cells: str) -> dict[str, str]:
    """One sound line of a list, with some cells changed."""
    sound = {
        "机构编码": CLINIC,
        "欠费单号": "Q1",
        "欠费人姓名": "刀岩保",
        "证件号码": "533103198503124417",
        "现住址": "遮放镇弄坎村",
        "应付金额": "100.00",
        "已付金额": "40.00",
        "欠费余额": "60.00",
        "结算日期": "2026-09-05",
        "减免标志": "0",
    }
    return dict.fromkeys(COLUMNS, "") | sound | cells


def csv_bytes(*lines: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> bytes:
    """A list in the agency's format; every cell is quoted."""
    rows = [columns, *([one[column] for column in columns] for one in lines)]
    text = "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\r\n" for row in rows)
    return text.encode("gb18030")


def all_rows(steps: list[Step]) -> list[CheckedRow]:
    """The rows of all steps, in order."""
    return [row for step in steps for row in step.rows]


class Piped(asyncssh.SSHServerSession):
    """Joins the SFTP subsystem of a session to a program's standard input and output, as sshd does."""

    def __init__(self, program: tuple[str, ...]) -> None:
        self._program = program
        self._child: asyncio.subprocess.Process | None = None
        self._early = bytearray()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def session_started(self) -> None:
        self._task = asyncio.create_task(self._run())

    def data_received(self, data: bytes, datatype: object) -> None:
        if self._child is None:
            self._early += data
        else:
            assert self._child.stdin is not None
            self._child.stdin.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()

    async def _run(self) -> None:
        self._child = await asyncio.create_subprocess_exec(
            *self._program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(bytes(self._early))
        while data := await self._child.stdout.read(65536):
            self._chan.write(data)
        await self._child.wait()

    async def ended(self) -> None:
        """Wait until the program has ended, so that it does not outlive the event loop."""
        if self._task is not None:
            await self._task


@asynccontextmanager
async def serve(
    folder: Path, *, sftp_factory: object = None, sftp_program: tuple[str, ...] | None = None
) -> AsyncIterator[Agency]:
    """An SSH server with one account. ``sftp_program`` serves the SFTP subsystem instead of the library."""
    keys, outbox = folder / "keys", folder / "server" / "outbox"
    keys.mkdir(exist_ok=True)
    outbox.mkdir(parents=True, exist_ok=True)
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    hub_key = asyncssh.generate_private_key("ssh-ed25519")
    hub_key.write_private_key(keys / "hub_key")
    hub_key.write_public_key(keys / "authorized_keys")
    agency = Agency(outbox, keys, 0)
    piped: list[Piped] = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            agency.sessions += 1
            agency.most_sessions = max(agency.sessions, agency.most_sessions)

        def connection_lost(self, exc: Exception | None) -> None:
            agency.sessions -= 1

        def session_requested(self) -> asyncssh.SSHServerSession | bool:
            if sftp_program is None:
                return True
            piped.append(Piped(sftp_program))
            return piped[-1]

    class ReadOnly(asyncssh.SFTPServer):
        def __init__(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
            super().__init__(chan, chroot=str(outbox.parent).encode())

        def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
            assert not pflags & ~FXF_READ, "the hub must only read"
            agency.requests.append(path.decode())
            return super().open(path, pflags, attrs)

    acceptor = await asyncssh.create_server(
        Server,
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=str(keys / "authorized_keys"),
        sftp_factory=None if sftp_program else sftp_factory or ReadOnly,
        encoding=None,
    )
    agency.port = acceptor.get_port()
    public = host_key.export_public_key().decode().strip()
    (keys / "known_hosts").write_text(f"[127.0.0.1]:{agency.port} {public}\n")
    try:
        yield agency
    finally:
        acceptor.close()
        await acceptor.wait_closed()
        for session in piped:
            await session.ended()
