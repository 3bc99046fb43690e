"""`hub report`, `hub breach`, `hub provision` and `hub retention` as they are typed, in processes of their own."""

import json
import stat
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest

from hub.access.publish import publish
from hub.core.text import normalise_name
from hub.store.database import DbRole
from tests.api.world import COUNTY
from tests.done.hub_process import HubHome, open_home

from .test_commands import _holder, lines

pytestmark = pytest.mark.long


@pytest.fixture
async def home() -> AsyncIterator[HubHome]:
    opened = await open_home()
    yield opened
    await opened.remove()


async def resident(home: HubHome, number: str) -> None:
    """Somebody of the record with a household of his own."""
    owner = await home.database.connect(DbRole.OWNER)
    person, household, index = uuid4(), uuid4(), home.keys.index("identity", number)
    try:
        await publish(owner, home.keys)
        await owner.execute(
            "INSERT INTO record.household (county, household_id, household_no, held, status, village_code)"
            " VALUES ($1, $2, 'H1', true, 'ACTIVE', '533103001001')", COUNTY, household,
        )  # fmt: skip
        await owner.execute("INSERT INTO record.directory VALUES ($1, $2, $3)", index, person, COUNTY)
        await owner.execute(
            "INSERT INTO record.person (county, person_id, identity_index, first_index, name_index, birth_date,"
            " household_id, sealed_identity) VALUES ($1, $2, $3, $3, $4, $5, $6, '')",
            COUNTY, person, index, home.keys.index("name", normalise_name("岩罕")), date(1985, 1, 1), household,
        )  # fmt: skip
    finally:
        await owner.close()


async def test_a_steward_at_his_counter_and_an_operator_after_a_breach(home: HubHome, tmp_path: Path) -> None:
    card, number = _holder(tmp_path, "53310319850101001")
    out = tmp_path / "report.json"
    issue = ("report", "issue", "--holder-file", str(card), "--out", str(out), "--reason", "NO_PHONE")
    nobody = await home.run(*issue)
    assert (nobody.code, "nobody in the record" in nobody.err.decode()) == (1, True)
    await resident(home, number)
    refused = await home.run(*issue)
    assert (refused.code, "no open account" in refused.err.decode(), out.exists()) == (1, True, False)
    lines(await home.run("account", "open", "resident-1", "--role", "RESIDENT", "--holder-file", str(card)))
    (issued,) = lines(await home.run(*issue))
    assert (issued["ordinal"], issued["chargeable"]) == (1, False)
    assert json.loads(out.read_text(encoding="utf-8"))["report"]["number"] == issued["number"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert number not in out.read_text(encoding="utf-8")
    assert (await home.run(*issue)).code == 2  # nothing is written over
    (code,) = lines(await home.run("report", "code", "--holder-file", str(card)))
    assert (code["account"], len(str(code["code"]))) == ("resident-1", 8)

    (opened,) = lines(await home.run("breach", "open", "LOST", "--known", "2026-01-02T08:00", "--public-interest"))
    breach = str(opened["id"])
    notice = tmp_path / "notice.json"
    notice.write_text(json.dumps(dict.fromkeys(("cause", "harm", "measures", "advice", "contact"), "说明")))
    assess = ("breach", "assess", breach, "--notice-file", str(notice), "--category", "identity")
    assert (await home.run(*assess)).code == 2  # whom it reaches is missing
    (found,) = lines(await home.run(*assess, "--county", COUNTY))
    assert (found["persons"], found["state"]) == (1, "ASSESSED")
    early = await home.run("breach", "notify", breach, "PERSONS", "--channel", "PORTAL")
    assert (early.code, "before a security administrator has decided" in early.err.decode()) == (1, True)
    (done,) = lines(await home.run("breach", "notify", breach, "AUTHORITY", "--channel", "letter", "--reference", "7"))
    duties = {each["duty"]: each for each in done["duties"]}  # type: ignore[attr-defined]
    assert (duties["AUTHORITY"]["reference"], duties["REMEDY"]["overdue"]) == ("7", True)
    assert (await home.run("breach", "close", breach)).code == 1
    assert [each["id"] for each in lines(await home.run("breach", "list"))] == [breach]
    assert {each["name"] for each in lines(await home.run("breach", "duties"))} >= set(duties)

    file = tmp_path / "provisions.jsonl"
    export = ("provision", "export", "--from", "2026-01-01", "--to", "2026-02-01", "--out", str(file))
    (exported,) = lines(await home.run(*export))
    assert (exported["rows"], file.read_text()) == (0, "")
    assert (await home.run(*export)).code == 2
    kept = {each["kept"]: each["due"] for each in lines(await home.run("retention"))}
    assert kept["PROVISIONS"] == 0
    doctor = await home.run("doctor", "--json")
    (breaches,) = [each for each in map(json.loads, doctor.out.splitlines()) if each["check"] == "breaches"]
    assert (doctor.code, breaches["good"]) == (1, False)
