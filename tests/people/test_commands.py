"""The commands as an operator types them, in processes of their own."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.core.clock import day_of, system_clock
from hub.flows.people.account_holder import check_holder
from hub.store.database import DbRole
from tests.auth.clients import jwks, new_key
from tests.done.hub_process import Ended, HubHome, open_home

pytestmark = pytest.mark.long

BANK = "402739000033"


@pytest.fixture
async def home() -> AsyncIterator[HubHome]:
    opened = await open_home()
    yield opened
    await opened.remove()


def lines(ended: Ended) -> list[dict[str, object]]:
    assert ended.code == 0, ended.err.decode()
    return [json.loads(line) for line in ended.out.splitlines()]


def _holder(folder: Path, first: str) -> tuple[Path, str]:
    today = day_of(system_clock())
    number = next(first + last for last in "0123456789X" if check_holder(first + last, "岩罕", today))
    path = folder / f"{first}.json"
    path.write_text(json.dumps({"id_number": number, "name": "岩罕"}), encoding="utf-8")
    return path, number


async def test_an_operator_opens_assigns_enrols_and_closes(home: HubHome, tmp_path: Path) -> None:
    file, number = _holder(tmp_path, "53310319850101001")
    opened = ("account", "open", "collector-1", "--role", "COLLECTOR", "--holder-file", str(file), "--county", "533103")
    (told,) = lines(await home.run(*opened))
    assert (told["status"], told["role"]) == ("ACTIVE", "COLLECTOR")
    assert told["receipt"]
    again = await home.run(*opened)
    assert (again.code, again.out) == (1, b"")
    assert "this id belongs to an account" in again.err.decode()
    mine = await home.run("account", "open", "sandbox-1", "--role", "STEWARD", "--holder-file", str(file))
    assert mine.code == 2
    unknown = await home.run("account", "open", "resident-1", "--role", "RESIDENT", "--holder-file", str(file))
    assert (unknown.code, "nobody in the record" in unknown.err.decode()) == (1, True)
    village = ("--village", "533103001001")
    lines(await home.run("account", "assign", "collector-1", *village, "--from", "2026-01-01", "--to", "2999-12-31"))
    (ended,) = lines(await home.run("account", "assign", "collector-1", *village, "--end"))
    assert ended["ended"] == 1
    (code,) = lines(await home.run("account", "enrol", "collector-1", "--checked", "card seen, form 17"))
    assert str(code["link"]).endswith(f"/enrol#{code['code']}")
    file, _ = _holder(tmp_path, "53310319860101001")
    pending = ("account", "open", "auditor-1", "--role", "AUDITOR", "--holder-file", str(file))
    (told,) = lines(await home.run(*pending))
    assert (told["status"], bool(told["waitsFor"])) == ("PENDING", True)
    listed = {each["account"]: each for each in lines(await home.run("account", "list"))}
    assert listed["collector-1"]["counties"] == ["533103"]
    assert listed["auditor-1"]["waiting"] == ["OPEN"]
    lines(await home.run("account", "suspend", "collector-1"))
    lines(await home.run("account", "resume", "collector-1"))
    (closed,) = lines(await home.run("account", "close", "collector-1"))
    assert closed["status"] == "CLOSED"
    assert (await home.run("account", "revoke-passkey", "x")).code == 2
    await _partners(home, tmp_path)
    connection = await home.database.connect(DbRole.OWNER)
    try:
        for table in ("auth.account", "access.officer", "auth.enrolment"):
            stored = str(await connection.fetch(f"SELECT * FROM {table}"))
            assert number not in stored
            assert str(code["code"]) not in stored
    finally:
        await connection.close()


async def _partners(home: HubHome, folder: Path) -> None:
    keys = [folder / "old.jwks", folder / "new.jwks"]
    for path in keys:
        path.write_text(json.dumps(jwks(new_key("ES256"))))
    lines(await home.run(
        "client", "register", "my-system", "--organisation", BANK, "--name-zh", "试点银行", "--role", "LOAN_OFFICER",
        "--county", "533103", "--purpose", "LOAN_APPLICATION", "--keys", str(keys[0]),
    ))  # fmt: skip
    lines(await home.run("client", "rotate", "my-system", "--keys", str(keys[1]), "--overlap-days", "7"))
    file, number = _holder(folder, "53310319870101001")
    officers = folder / "officers.csv"
    officers.write_text(f"officer_id,id_number,name\nli.na,{number},李娜\n", encoding="utf-8")
    (told,) = lines(await home.run("client", "officer", "import", BANK, str(officers)))
    assert told["added"] == 1
    taken = await home.run("client", "officer", "add", BANK, "li.na2", "--holder-file", str(file))
    assert (taken.code, "another id" in taken.err.decode()) == (1, True)
    for verb, status in (("suspend", "SUSPENDED"), ("resume", "ACTIVE"), ("close", "CLOSED")):
        (told,) = lines(await home.run("client", verb, "my-system"))
        assert told["status"] == status
    listed = await home.run("client", "list")
    (line,) = lines(listed)
    assert (line["status"], line["officers"], bool(line["oldKeysUntil"])) == ("CLOSED", 1, True)
    assert number.encode() not in listed.out
    lines(await home.run("client", "officer", "remove", BANK, "li.na"))
