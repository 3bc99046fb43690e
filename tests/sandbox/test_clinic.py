import csv
import hashlib
import io
from decimal import Decimal

import asyncssh
import pytest

from hub.sandbox.feeds.clinic_files import COLUMNS
from hub.sandbox.sandbox import Sandbox


def connect(sandbox: Sandbox) -> "asyncssh.connection._ACMWrapper[asyncssh.SSHClientConnection]":
    return asyncssh.connect(
        "127.0.0.1",
        sandbox.clinic.gate.port,
        username="hub",
        client_keys=[str(sandbox.keys / "clinic_id_ed25519")],
        known_hosts=str(sandbox.keys / "clinic_known_hosts"),
        config=[],
        agent_path=None,
    )


async def read(sftp: asyncssh.SFTPClient, path: str) -> bytes:
    async with sftp.open(path, "rb") as file:
        return bytes(await file.read())


async def test_the_tree_holds_lists_whose_control_files_are_right(sandbox: Sandbox) -> None:
    wrong = sandbox.prefecture.truth.refused_files("clinic")
    lines = good = 0
    async with connect(sandbox) as connection, connection.start_sftp_client() as sftp:
        for clinic in await sftp.listdir("/outbox"):
            for day in [d for d in await sftp.listdir(f"/outbox/{clinic}") if d.isdecimal()]:
                names = set(await sftp.listdir(f"/outbox/{clinic}/{day}"))
                for name in sorted(n for n in names if n.endswith(".csv") and n not in wrong):
                    stem = name.removesuffix(".csv")
                    if f"{stem}.ok" not in names:
                        continue
                    assert name.startswith(f"ARR_{clinic}_{day}_")
                    content = await read(sftp, f"/outbox/{clinic}/{day}/{name}")
                    control = (await read(sftp, f"/outbox/{clinic}/{day}/{stem}.ctl")).decode("ascii").split()
                    facts = dict(line.split("=", 1) for line in control)
                    rows = list(csv.DictReader(io.StringIO(content.decode("gb18030"), newline="")))
                    assert facts["FILE"] == name
                    assert int(facts["BYTES"]) == len(content)
                    assert facts["SHA256"] == hashlib.sha256(content).hexdigest()
                    assert int(facts["RECORDS"]) == len(rows)
                    assert set(COLUMNS) <= set(rows[0])
                    balances = [row["欠费余额"].replace(",", "") for row in rows if row["欠费余额"]]
                    assert Decimal(facts["AMOUNT_TOTAL"]) == sum(map(Decimal, balances))
                    assert b"\r\n" in content
                    lines += len(rows)
                    good += 1
    known = [f for f in sandbox.prefecture.clinic.files if f.refusal is None and f.complete]
    assert (good, lines) == (len(known), sum(len(f.lines) for f in known))


async def test_the_outbox_is_read_only(sandbox: Sandbox) -> None:
    async with connect(sandbox) as connection, connection.start_sftp_client() as sftp:
        clinic = (await sftp.listdir("/outbox"))[0]
        before = sorted(p.name for p in (sandbox.clinic.root / "outbox").rglob("*"))
        for attempt in (
            sftp.mkdir("/outbox/new"),
            sftp.rmdir(f"/outbox/{clinic}"),
            sftp.rename(f"/outbox/{clinic}", "/outbox/other"),
            sftp.symlink("/outbox", "/outbox/link"),
            sftp.chmod(f"/outbox/{clinic}", 0o777),
        ):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await attempt
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            async with sftp.open("/outbox/new.csv", "wb") as file:
                await file.write(b"x")
        with pytest.raises(asyncssh.SFTPError):
            await sftp.listdir("/etc")
    assert sorted(p.name for p in (sandbox.clinic.root / "outbox").rglob("*")) == before


async def test_only_the_right_key_and_user_get_in_and_only_twice_at_a_time(sandbox: Sandbox) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    known = str(sandbox.keys / "clinic_known_hosts")
    port = sandbox.clinic.gate.port
    common = {"known_hosts": known, "config": [], "agent_path": None}
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect("127.0.0.1", port, username="hub", client_keys=[stranger], **common)
    right = [str(sandbox.keys / "clinic_id_ed25519")]
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect("127.0.0.1", port, username="root", client_keys=right, **common)
    async with connect(sandbox), connect(sandbox):
        with pytest.raises((asyncssh.DisconnectError, OSError)):
            await connect(sandbox)
    await sandbox.misbehave("clinic", refuse_key=True)
    with pytest.raises(asyncssh.PermissionDenied):
        await connect(sandbox)


async def test_a_wrong_host_key_and_spoiled_files(sandbox: Sandbox) -> None:
    await sandbox.misbehave("clinic", wrong_identity=True)
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await connect(sandbox)
    await sandbox.misbehave("clinic", wrong_identity=False, truncated=1, rubbish=1)
    file = next(f for f in sandbox.prefecture.clinic.files if f.refusal is None and f.complete)
    path = f"/outbox/{file.folder}/{file.name}.csv"
    async with connect(sandbox) as connection, connection.start_sftp_client() as sftp:
        half, rubbish, whole = [await read(sftp, path) for _ in range(3)]
    assert half == whole[: len(whole) // 2]
    assert rubbish not in whole
    assert len(whole) == (sandbox.clinic.root / path[1:]).stat().st_size
