"""`hub device` and `hub capture` as people type them, in processes of their own."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.sandbox.device import FieldDevice, picture_of
from tests.done.hub_process import Ended, HubHome, open_home

from .field import SUBJECT, running_field

pytestmark = pytest.mark.long


@pytest.fixture
async def home() -> AsyncIterator[HubHome]:
    opened = await open_home()
    yield opened
    await opened.remove()


def lines(ended: Ended) -> list[dict[str, object]]:
    assert ended.code == 0, ended.err.decode()
    return [json.loads(line) for line in ended.out.splitlines()]


async def test_an_operator_keeps_devices_and_a_steward_reviews(home: HubHome, tmp_path: Path) -> None:
    token, picture = tmp_path / "token", tmp_path / "picture.png"
    async with running_field(home.database, home.home) as field:
        first, second = await field.captured(), await field.captured()
        field.device.withdrawal(("533103196907070743", SUBJECT.name))
        lost = str((await field.deliver())["slips"][0]["captureId"])
        token.write_text(field.api.account_token("steward"))
    case = ("--reason", "案件 7", "--steward-token-file", str(token))
    refused = await home.run("capture", "list")
    assert (refused.code, "needs his token" in refused.err.decode()) == (1, True)
    listed = lines(await home.run("capture", "list", "--json", "--steward-token-file", str(token)))
    assert [(each["capture_id"], each["state"], each["evidence_in"]) for each in listed] == [
        (first, "CAPTURED", 1), (second, "CAPTURED", 1),
    ]  # fmt: skip
    assert SUBJECT.name not in str(listed)
    shown = json.loads((await home.run("capture", "show", first, *case)).out)
    assert (shown["person"]["name"], shown["evidence_level"]) == (SUBJECT.name, "L2")
    assert SUBJECT.number not in str(shown)
    evidence = shown["evidence"][0]
    lines(await home.run("capture", "evidence", evidence["id"], "--out", str(picture), *case))
    assert picture_of(picture.read_bytes())["sha256"] == evidence["sha256"]
    assert picture.stat().st_mode & 0o077 == 0
    (verified,) = lines(await home.run("capture", "verify", first, "--called-back", *case))
    assert (verified["state"], verified["evidence_level"], bool(verified["receipt"])) == ("VERIFIED", "L2", True)
    (rejected,) = lines(await home.run("capture", "reject", second, "--cause", "FORM_DIFFERS", *case))
    assert (rejected["state"], rejected["consent"]) == ("REJECTED", None)
    waiting = lines(await home.run("capture", "withdrawals", "--json", "--steward-token-file", str(token)))
    assert [(each["capture_id"], each["names_somebody"]) for each in waiting] == [(lost, False)]
    named = json.loads((await home.run("capture", "withdrawal", lost, *case)).out)
    assert (named["person"]["name"], named["took_effect"]) == (SUBJECT.name, False)
    holder = tmp_path / "holder.json"
    holder.write_text(json.dumps({"id_number": SUBJECT.number, "name": SUBJECT.name}))
    (settled,) = lines(await home.run("capture", "settle", lost, "--person", str(holder), *case))
    assert (settled["settled"], settled["consents_ended"]) == ("PERSON_FOUND", [verified["consent"]])
    again = await home.run("capture", "verify", first, "--called-back", *case)
    assert (again.code, "cannot be verified" in again.err.decode()) == (1, True)

    key, device = tmp_path / "key.json", FieldDevice("tablet-9")
    key.write_text(json.dumps(device.jwk))
    register = ("--account", "collector-2", "--village", "533103001001", "--key", str(key))
    (made,) = lines(await home.run("device", "register", "tablet-9", *register))
    assert made["status"] == "ACTIVE"
    assert (await home.run("device", "register", "tablet-8", *register)).code == 1
    assert (await home.run("device", "register", "t", *register[:-1], str(tmp_path / "none"))).code == 2
    (lost,) = lines(await home.run("device", "lost", "tablet-9"))
    assert (lost["status"], lost["flagged"]) == ("LOST", 0)
    devices = {each["device_id"]: each["status"] for each in lines(await home.run("device", "list", "--json"))}
    assert devices == {"device-1": "ACTIVE", "tablet-9": "LOST"}
