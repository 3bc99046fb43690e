"""``hub guardian`` as data stewards type it, in processes of their own."""

import json
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from hub.app import token_issuer
from hub.core.clock import day_of, system_clock
from hub.core.text import normalise_name
from hub.flows.people.account_holder import check_holder
from hub.settings import load
from hub.store.database import DbRole
from tests.done.hub_process import HubHome, open_home

pytestmark = pytest.mark.long

COUNTY = "533103"


async def _come(home: HubHome, folder: Path, name: str, born: date) -> Path:
    """Somebody of the record, and the file that names him."""
    first = f"{COUNTY}{born:%Y%m%d}001"
    today = day_of(system_clock())
    number = next(first + last for last in "0123456789X" if check_holder(first + last, name, today))
    owner = await home.database.connect(DbRole.OWNER)
    try:
        index, person = home.keys.index("identity", number), uuid4()
        await owner.execute("INSERT INTO record.directory VALUES ($1, $2, $3)", index, person, COUNTY)
        await owner.execute(
            "INSERT INTO record.person (county, person_id, identity_index, first_index, name_index, birth_date,"
            " sealed_identity) VALUES ($1, $2, $3, $3, $4, $5, '')",
            COUNTY, person, index, home.keys.index("name", normalise_name(name)), born,
        )  # fmt: skip
    finally:
        await owner.close()
    file = folder / f"{number}.json"
    file.write_text(json.dumps({"id_number": number, "name": name}), encoding="utf-8")
    return file


async def test_two_stewards_register_a_guardian_and_one_ends_it(tmp_path: Path) -> None:
    home = await open_home()
    try:
        assert (await home.run("database", "status")).code == 0
        today = day_of(system_clock())
        ward = await _come(home, tmp_path, "小岩", today - timedelta(days=9 * 366))
        guardian = await _come(home, tmp_path, "岩罕", today - timedelta(days=40 * 366))
        owner = await home.database.connect(DbRole.OWNER)
        await owner.execute(
            "INSERT INTO auth.account (account_id, role, county_codes) VALUES ('one', 'STEWARD', $1),"
            " ('two', 'STEWARD', $1)", [COUNTY],
        )  # fmt: skip
        await owner.close()
        issuer = token_issuer(load({"HUB_HOME": str(home.home)}), home.keys)
        tokens = {}
        for account in ("one", "two"):
            tokens[account] = tmp_path / account
            tokens[account].write_text(issuer.issue_for_account(account).token)

        def by(account: str) -> tuple[str, ...]:
            return ("--reason", "case 7", "--steward-token-file", str(tokens[account]))

        paper = tmp_path / "paper.pdf"
        paper.write_bytes(b"%PDF-1.7 appointment")
        people = ("--ward", str(ward), "--guardian", str(guardian))
        added = await home.run(
            "guardian", "add", *people, "--ground", "APPOINTED", "--document", "民字2026-7",
            "--document-file", str(paper), *by("one"),
        )  # fmt: skip
        assert added.code == 0, added.err.decode()
        (made,) = await _listed(home)
        assert (made["state"], made["ground"], made["document"]) == ("PROPOSED", "APPOINTED", "民字2026-7")
        assert str(made["guardianship"]).encode() in added.out
        alone = await home.run("guardian", "approve", str(made["guardianship"]), *by("one"))
        assert (alone.code, alone.out) == (1, b"")
        assert "other than the one who registered it" in alone.err.decode()
        approved = await home.run("guardian", "approve", str(made["guardianship"]), *by("two"))
        assert approved.out.endswith(b"IN_FORCE\n"), approved.err.decode()
        unclear = await home.run("guardian", "end", "--cause", "COURT_ORDER", *by("two"))
        assert unclear.code == 2
        nothing = await home.run("guardian", "end", *people, "--cause", "COURT_ORDER", *by("two"))
        assert (nothing.code, "no such guardianship" in nothing.err.decode()) == (1, True)  # none out of the roster
        ended = await home.run("guardian", "end", str(made["guardianship"]), "--cause", "COURT_ORDER", *by("two"))
        assert ended.out.endswith(b"ENDED\n"), ended.err.decode()
        assert await _listed(home) == []
        (over,) = await _listed(home, "--all")
        assert (over["state"], over["cause"], over["ended_by"], over["decided_by"]) == (
            "ENDED",
            "COURT_ORDER",
            "two",
            "two",
        )
        text = b"".join(each.out + each.err for each in (added, alone, approved, nothing, ended)).decode()
        assert "小岩" not in text
        assert ward.stem not in text
    finally:
        await home.remove()


async def _listed(home: HubHome, *more: str) -> list[dict[str, object]]:
    told = await home.run("guardian", "list", "--json", *more)
    assert told.code == 0, told.err.decode()
    return [json.loads(line) for line in told.out.splitlines()]
