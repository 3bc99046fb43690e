"""The clinics' outbox over real SSH servers: asyncssh's, and OpenSSH's own sftp-server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from hub.connectors.agencies.clinic import ClinicConnector
from hub.core.errors import HubError, RetryableError, SettingsError, SourceError
from hub.core.names import QuarantineReason, RefusalReason
from tests.connectors.clinic_agency import CLINIC, NOW, Agency, Remembered, all_rows, csv_bytes, line, serve
from tests.loopback import listening

SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")


@pytest.fixture
async def agency(tmp_path: Path) -> AsyncIterator[Agency]:
    async with serve(tmp_path) as running:
        yield running


async def test_samples(agency: Agency) -> None:
    agency.put_samples()
    steps = await agency.pull()
    assert [step.refused and (step.refused.name, step.refused.reason) for step in steps] == [
        ("ARR_533103Y00117_20261017_01.csv", RefusalReason.HASH_MISMATCH),
        None,
        None,
    ]
    first, second = steps[1], steps[2]
    assert first.file is not None
    assert second.file is not None
    assert (first.file.group, first.file.number) == (f"{CLINIC}|20261018", 1)
    assert (second.file.group, second.file.number) == (f"{CLINIC}|20261018", 2)
    assert [step.watermark for step in steps] == [None, {"files": 1}, {"files": 2}]
    assert [row.source_key.partition("|")[2] for row in first.rows] == ["Q2026000011", "Q2026000012", "Q2026000013"]
    assert [row.reasons for row in first.rows] == [(), (), (QuarantineReason.ID_PRECISION_LOST,)]
    assert [row.dropped for row in all_rows(steps)] == [("科室", "诊断")] * 5
    assert first.rows[0].value["arrears_balance"] == "1000.00"
    assert second.rows[0].value["arrears_balance"] == "900.00"
    hint = first.rows[1].hint
    assert hint is not None
    assert (hint.name, hint.address, hint.phone) == ("思月", "潞西市遮放镇弄坎村", "13800000000")
    assert first.rows[1].value["bill_date"] == "2026-09-06"
    assert first.rows[1].content == second.rows[1].content
    assert "骨科" not in str(steps)


async def test_a_second_pull_reads_nothing_again(agency: Agency) -> None:
    agency.put_samples()
    memory = Remembered()
    assert len(await agency.pull(memory)) == 3
    agency.requests.clear()
    assert await agency.pull(memory) == []
    assert [path for path in agency.requests if "20261018" in path] == []


async def test_a_refused_file_is_reported_again_only_when_its_bytes_changed(agency: Agency) -> None:
    memory = Remembered()
    name = f"ARR_{CLINIC}_20261018_01.csv"
    agency.put(name, csv_bytes(line()), AMOUNT_TOTAL="60.01")
    assert (await agency.pull(memory))[0].refused is not None
    assert await agency.pull(memory) == []
    agency.put(name, csv_bytes(line()), AMOUNT_TOTAL="60.02")
    assert (await agency.pull(memory))[0].refused is not None
    agency.put(name, csv_bytes(line()), AMOUNT_TOTAL="60.00")
    steps = await agency.pull(memory)
    assert [row.source_key for row in all_rows(steps)] == [f"{CLINIC}|Q1"]


async def test_files_without_marker_and_foreign_names_are_not_read(agency: Agency) -> None:
    agency.put(f"ARR_{CLINIC}_20261018_01.csv", csv_bytes(line()), marked=False)
    (agency.outbox / CLINIC / "20261018" / "notes.ok").write_bytes(b"")
    (agency.outbox / CLINIC / "20261018" / b"\xff\xfe.ok".decode("utf-8", "surrogateescape")).write_bytes(b"")
    (agency.outbox / "lost+found").mkdir()
    (agency.outbox / "readme.txt").write_text("x")
    assert await agency.pull() == []
    assert agency.requests == []


async def test_lists_come_by_day_then_clinic_then_number(agency: Agency) -> None:
    other = "533103Y00000"
    for clinic, day, number in [
        (CLINIC, "20261018", 2),
        (CLINIC, "20261018", 1),
        (other, "20261018", 1),
        (CLINIC, "20261017", 1),
    ]:
        agency.put(f"ARR_{clinic}_{day}_{number:02}.csv", csv_bytes(line(机构编码=clinic)), AMOUNT_TOTAL="60.00")
    names = [step.file.name.removesuffix(".csv") for step in await agency.pull() if step.file]
    assert names == [
        f"ARR_{CLINIC}_20261017_01",
        f"ARR_{other}_20261018_01",
        f"ARR_{CLINIC}_20261018_01",
        f"ARR_{CLINIC}_20261018_02",
    ]


async def test_never_more_than_one_session(agency: Agency) -> None:
    for day in range(1, 20):
        agency.put(f"ARR_{CLINIC}_202610{day:02}_01.csv", csv_bytes(line(结算日期="2026-09-01")), AMOUNT_TOTAL="60.00")
    assert len(await agency.pull()) == 19
    assert agency.most_sessions == 1


async def test_a_wrong_host_key_fails_the_source(agency: Agency) -> None:
    agency.put_samples()
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (agency.keys / "known_hosts").write_text(f"[127.0.0.1]:{agency.port} {stranger}")
    with pytest.raises(SourceError, match="host key that is not in the known-hosts file") as caught:
        await agency.pull()
    assert not isinstance(caught.value, RetryableError)
    assert agency.requests == []


async def test_an_empty_known_hosts_file_trusts_nobody(
    agency: Agency, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The library would fall back to the user's own file, which knows this very server.
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "known_hosts").write_text((agency.keys / "known_hosts").read_text())
    monkeypatch.setenv("HOME", str(home))
    (agency.keys / "known_hosts").write_text("")
    with pytest.raises(SourceError, match="host key that is not in the known-hosts file"):
        await agency.pull()


async def test_an_unknown_key_fails_the_source_at_once(agency: Agency) -> None:
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(agency.keys / "other")
    with pytest.raises(SourceError, match="does not accept the hub's user name") as caught:
        await agency.pull(private_key_file=agency.keys / "other")
    assert not isinstance(caught.value, RetryableError)


async def test_only_ed25519_keys_are_used(agency: Agency) -> None:
    asyncssh.generate_private_key("ecdsa-sha2-nistp256").write_private_key(agency.keys / "ecdsa")
    with pytest.raises(SettingsError, match="not an Ed25519 key"):
        await agency.pull(private_key_file=agency.keys / "ecdsa")
    (agency.keys / "rubbish").write_text("not a key")
    for name in ("rubbish", "absent"):
        with pytest.raises(SettingsError, match="private key"):
            await agency.pull(private_key_file=agency.keys / name)
    with pytest.raises(SettingsError, match="known-hosts"):
        await agency.pull(known_hosts_file=agency.keys / "absent")


async def test_a_server_that_is_down_is_one_clear_sentence(agency: Agency) -> None:
    with pytest.raises(RetryableError, match="cannot be reached"):
        await agency.pull(port=1, max_retries=0)


async def test_a_server_that_is_no_ssh_server_is_one_clear_sentence(agency: Agency) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with listening(answer) as port:
        (agency.keys / "known_hosts").write_text(
            (agency.keys / "known_hosts").read_text().replace(str(agency.port), str(port))
        )
        with pytest.raises(HubError, match=f"127.0.0.1:{port}"):
            await agency.pull(port=port, max_retries=0)


async def test_a_missing_root_is_one_clear_sentence(agency: Agency) -> None:
    with pytest.raises(SourceError, match="/nowhere of the clinics cannot be listed"):
        await agency.pull(root="/nowhere")


async def test_a_broken_connection_is_opened_again(tmp_path: Path) -> None:
    async with serve(tmp_path) as agency:
        for day in range(1, 10):
            agency.put(
                f"ARR_{CLINIC}_202610{day:02}_01.csv", csv_bytes(line(结算日期="2026-09-01")), AMOUNT_TOTAL="60.00"
            )
        connector = ClinicConnector(agency.source(max_retries=3))
        names = []
        async for step in connector.pull(None, Remembered(), lambda: NOW):
            assert step.file is not None
            names.append(step.file.name)
            if len(names) == 2:
                connection = connector._outbox._connection
                assert connection is not None
                connection._transport.abort()  # the cable is pulled
        await connector.close()
        assert names == [f"ARR_{CLINIC}_202610{day:02}_01.csv" for day in range(1, 10)]


async def test_a_file_that_may_not_be_read_stops_no_other(tmp_path: Path) -> None:
    class Forbidding(asyncssh.SFTPServer):
        def __init__(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
            super().__init__(chan, chroot=str(tmp_path / "server").encode())

        def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
            if path.endswith(b"20261016_01.csv"):
                raise asyncssh.SFTPPermissionDenied("no")
            return super().open(path, pflags, attrs)

    async with serve(tmp_path, sftp_factory=Forbidding) as agency:
        for day in (16, 17):
            agency.put(f"ARR_{CLINIC}_202610{day}_01.csv", csv_bytes(line()), AMOUNT_TOTAL="60.00")
        memory = Remembered()
        with pytest.raises(SourceError, match=r"1 folders or files .* ARR_533103Y00117_20261016_01.csv"):
            await agency.pull(memory)
        assert memory.read == {f"ARR_{CLINIC}_20261017_01.csv"}


@pytest.mark.parametrize("silent", ["open", "scandir"])
async def test_a_server_that_stops_answering_is_one_clear_sentence(tmp_path: Path, silent: str) -> None:
    class Silent(asyncssh.SFTPServer):
        def __init__(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
            super().__init__(chan, chroot=str(tmp_path / "server").encode())

        async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
            await asyncio.sleep(60 if silent == "open" else 0)
            return super().open(path, pflags, attrs)

        async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            await asyncio.sleep(60 if silent == "scandir" else 0)
            async for entry in super().scandir(path):
                yield entry

    async with serve(tmp_path, sftp_factory=Silent) as agency:
        agency.put_samples()
        with pytest.raises(RetryableError, match="does not answer"):
            await agency.pull(timeout_seconds=0.3, max_retries=1)


async def test_closing_in_the_middle_leaves_no_task_behind(agency: Agency) -> None:
    for day in range(1, 10):
        agency.put(f"ARR_{CLINIC}_202610{day:02}_01.csv", csv_bytes(line(结算日期="2026-09-01")), AMOUNT_TOTAL="60.00")
    connector = ClinicConnector(agency.source())
    steps = connector.pull(None, Remembered(), lambda: NOW)
    assert (await anext(steps)).file is not None
    await steps.aclose()
    await connector.close()
    await asyncio.sleep(0)
    ours = [task for task in asyncio.all_tasks() if "_fetch" in repr(task.get_coro())]
    assert ours == []


async def test_openssh_sftp_server(tmp_path: Path) -> None:
    if not SFTP_SERVER.exists():
        pytest.skip("NOT TESTED against OpenSSH: install Debian's openssh-sftp-server")

    async with serve(tmp_path, sftp_program=(str(SFTP_SERVER), "-R")) as agency:
        agency.put_samples()
        before = sorted(path for path in agency.outbox.rglob("*"))
        memory = Remembered()
        steps = await agency.pull(memory, root=str(agency.outbox))
        assert [len(step.rows) for step in steps] == [0, 3, 2]
        assert steps[0].refused is not None
        assert steps[0].refused.reason is RefusalReason.HASH_MISMATCH
        assert await agency.pull(memory, root=str(agency.outbox)) == []
        assert sorted(path for path in agency.outbox.rglob("*")) == before
