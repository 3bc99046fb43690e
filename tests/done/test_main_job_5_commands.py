"""Commands while the log refuses to go on: real processes, one clear sentence, nothing changed and nothing shown."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.flows.receipts import guard_file
from hub.store.database import DbRole
from tests.auth.clients import jwks, new_key
from tests.connectors.tax_agency import sample_page, tax_bureau
from tests.done.hub_process import Ended, HubHome, open_home
from tests.done.opened import tables


@pytest.fixture
async def home() -> AsyncIterator[HubHome]:
    running = await open_home()
    yield running
    await running.remove()


async def state(home: HubHome) -> dict[str, list[str]]:
    conn = await home.database.connect(DbRole.OWNER)
    try:
        return await tables(conn, leave_out=("audit.head",))  # the epoch there counts every try to lead
    finally:
        await conn.close()


def write_files(folder: Path, port: int) -> dict[str, Path]:
    """What the commands are given."""
    for name, text in (("id", "hub"), ("secret", "s3cr3t-of-the-hub"), ("numbers", "533103198503124417")):
        (folder / name).write_text(text + "\n")
    (folder / "keys.json").write_text(json.dumps(jwks(new_key("ES256"))))
    (folder / "sources.toml").write_text(
        f"""version = 1
        [sources.tax]
        kind = "tax-rest"
        agreement_no = "DH-SJ-2026-001"
        base_url = "http://127.0.0.1:{port}/api/v1"
        token_url = "http://127.0.0.1:{port}/oauth2/token"
        client_id_file = "{folder / "id"}"
        client_secret_file = "{folder / "secret"}"
        allow_plain_loopback = true
        """
    )
    return {name: folder / name for name in ("keys.json", "sources.toml", "numbers", "out.jsonl")}


async def held(home: HubHome) -> dict[str, list[str]]:
    """All that the database holds, but for which key folder it is: that is noted by the first command that uses it."""
    return {table: rows for table, rows in (await state(home)).items() if not table.startswith("keyring.")}


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("missing", "the audit guard file is missing"),
        ("of another log", "holds no head signed by this log's key"),
        ("ahead of the database", "the database was rolled back"),
    ],
)
async def test_commands_refuse_in_one_sentence(
    home: HubHome, tmp_path: Path, unused_tcp_port: int, kind: str, sentence: str
) -> None:
    async with tax_bureau(tmp_path, lambda query: sample_page(2 if "cursor" in query else 1)) as bureau:
        files = write_files(tmp_path, bureau.port)
        register = [
            "client", "register", "new-1", "--organisation", "402739000099", "--role", "LOAN_OFFICER", "--county",
            "533103", "--purpose", "LOAN_APPLICATION", "--keys", str(files["keys.json"]), "--name-zh", "新银行",
        ]  # fmt: skip
        commands = {
            "pull": ["pull", "--sources", str(files["sources.toml"])],
            "show": ["household", "show", "--id-number-file", str(files["numbers"]), "--purpose", "H", "--reason", "x"],
            "export": ["quarantine", "export", "--source", "tax", "--out", str(files["out.jsonl"])],
            "register": register,
            "serve": ["serve"],
        }
        assert (await home.run("audit", "sequence")).code == 0
        await home.save("early")
        await one_entry(home)
        await home.save("late")
        await spoil(home, kind)
        before = await held(home)
        ended = await asyncio.gather(*(home.run(*one, HUB_PORT=str(unused_tcp_port)) for one in commands.values()))
        for name, end in zip(commands, ended, strict=True):
            check_refusal(end, f"{name}, guard {kind}", sentence)
        assert await held(home) == before, kind
        assert not files["out.jsonl"].exists()
        await home.restore("late")
        for name, command in commands.items():
            if name != "serve":
                end = await home.run(*command)
                assert end.code == 0, (name, end.err)
        assert len(files["out.jsonl"].read_text().splitlines()) == 2
    assert (await home.run("audit", "export", "--out", str(tmp_path / "bundle"))).code == 0
    verified = await home.run("audit", "verify", str(tmp_path / "bundle"))
    assert (verified.code, b"VERIFIED: " in verified.out) == (0, True)


def check_refusal(ended: Ended, what: str, sentence: str) -> None:
    assert ended.code == 1, (what, ended.err, ended.out)
    assert ended.out == b"", what
    told = [line for line in ended.err.decode().splitlines() if not line.startswith("hub: no data steward")]
    said = [line for line in told if line.startswith("hub: ")]
    assert len(said) == 1, (what, told)
    assert sentence in said[0], (what, said)


async def one_entry(home: HubHome) -> None:
    """Something recorded by a command of its own."""
    files = home.home / "nobody"
    files.write_text("533103198503124417\n")
    ended = await home.run("household", "show", "--id-number-file", str(files), "--purpose", "H", "--reason", "first")
    assert ended.code == 0, ended.err


async def spoil(home: HubHome, kind: str) -> None:
    guard = guard_file(home.home)
    right = guard.read_bytes()
    if kind == "missing":
        guard.unlink()
    elif kind == "of another log":
        guard.write_bytes(right.replace(b"credit-hub.example", b"another.example/xx"))
    else:
        await home.restore("early")
        assert guard.read_bytes() != right
        guard.write_bytes(right)
