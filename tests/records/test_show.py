"""`hub household show`: the form of docs/CONTRACTS.md 2.7, and its audit."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from hub.core.errors import AuditError, InputError
from hub.core.identifiers import id_check_character
from hub.flows.receipts import receipt_desk
from hub.flows.stewards.show_household import StewardQuery, show_households
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from hub.store.server import EmbeddedServer
from tests.records.world import CONSENT, World, bill, consent, event, grade, household, loan, member, number, relief

DAO = number("19850312")
SI = number("19620705", 302)
CHILD = number("20150601", 302)
QUERY = StewardQuery("sandbox-steward", "H", "case 7")


class Desk:
    """Shows records as the command does, with the audit log led for the test."""

    def __init__(self, database: Database, keys: KeyService, home: Path, world: World) -> None:
        self.database, self.keys, self.home, self.world = database, keys, home, world

    async def show(self, *numbers: str, query: StewardQuery = QUERY, now: datetime | None = None) -> list[Any]:
        async with receipt_desk(self.database, self.keys, self.home) as receipts:
            lines = await show_households(
                self.database, self.keys, receipts, query, numbers, lambda: now or self.world.now
            )
        return [orjson.loads(line) for line in lines]


@pytest.fixture
def desk(database: Database, keys: KeyService, tmp_path: Path, world: World) -> Desk:
    return Desk(database, keys, tmp_path, world)


async def test_the_whole_record(desk: Desk) -> None:
    split = event(
        "E1", "01", "2026-10-03", {"member_no": "C2", "relation": "52"}, from_household="H1", to_household="H2"
    )
    await desk.world.pull(
        civil=[
            household("H1"), household("H2"), member("C1", "H2", "刀岩", DAO), member("C2", "H1", "思月", SI), split,
            member("C3", "H2", "刀小保", CHILD, relation="20"), relief("J1", "H2"),
        ],
        tax=[grade("1|XY|2025", DAO)],
        clinic=[bill("K|1", "思月"), bill("K|2", "思月", SI, suppressed=True)],
        bank=[consent(DAO), loan("J1", DAO)],
    )  # fmt: skip
    await desk.world.pull(bank=[consent(DAO, version=2, withdrawn_on="2026-10-19")])
    (shown,) = await desk.show(DAO)
    facts = {fact["source_key"]: fact for fact in shown.pop("facts")}
    assert shown == {
        "schema": "hub.household/1",
        "query": 1,
        "household": {
            "household_no": "H2", "village_code": "533103102203", "group_no": "03", "status": "ACTIVE",
            "predecessors": ["H1"], "successors": [],
        },
        "members": [
            {
                "member_no": "C1", "name": "刀岩", "id_masked": f"533103********{DAO[-4:]}", "relation": "02",
                "joined_on": "2012-05-01", "status": "ACTIVE", "deceased_on": None, "overlap": False,
            },
            {
                "member_no": "C2", "name": "思月", "id_masked": f"533103********{SI[-4:]}", "relation": "52",
                "joined_on": "2026-10-03", "status": "ACTIVE", "deceased_on": None, "overlap": False,
            },
        ],
        "minors": 1,
        "consents": [
            {
                "source": "bank", "consent_id": CONSENT, "member_no": "C1", "status": "WITHDRAWN",
                "granted_on": "2025-03-01", "expires_on": "2028-02-29",
            }
        ],
        "conflicts": [
            {"type": "NAME_DIFFERS", "member_no": "C1", "source": "bank"},
            {"type": "NAME_DIFFERS", "member_no": "C1", "source": "tax"},
        ],
    }  # fmt: skip
    assert list(facts) == ["loan|402739000011|HT1|J1", "relief|J1", "K|1", "K|2", "1|XY|2025"]
    assert facts["1|XY|2025"] == {
        "category": "tax.grade", "source": "tax", "source_key": "1|XY|2025", "source_version": "1",
        "member_no": "C1", "link": "ID", "status": "CURRENT", "adverse": False, "valid_from": "2026-04-30",
        "valid_to": None, "source_time": "2026-10-18T09:12:33.123+08:00", "recorded_at": "2026-10-20T08:00:00+08:00",
        "value": {"grade_year": 2025, "tax_credit_grade": "B"},
    }  # fmt: skip
    standing = {key: (fact["link"], fact["status"], fact["value"] is None) for key, fact in facts.items()}
    assert standing["K|1"] == ("PROBABLE", "CURRENT", False)
    assert standing["K|2"] == ("ID", "SUPPRESSED", True)
    assert standing["loan|402739000011|HT1|J1"] == ("ID", "LOCKED", True)
    assert facts["relief|J1"]["member_no"] is None


async def test_nobody_is_found_for_children_strangers_and_those_without_household(desk: Desk) -> None:
    gone = number("19700101", 302)
    await desk.world.pull(
        civil=[
            household("H1"), member("C1", "H1", "刀岩保", DAO), member("C3", "H1", "刀小保", CHILD),
            member("C4", "H1", "思月", gone, left_on="2020-01-01"),
        ],
        tax=[grade("1|XY|2025", SI, "思月")],
    )  # fmt: skip
    shown = await desk.show(CHILD, gone, SI, number("19991231"), "not a number", "", f" {DAO.lower()} ")
    assert shown[:6] == [{"schema": "hub.household/1", "query": n, "error": "NOT_FOUND"} for n in range(1, 7)]
    assert (shown[6]["query"], shown[6]["household"]["household_no"]) == (7, "H1")


async def test_old_forms_of_a_number_lead_to_the_person(desk: Desk) -> None:
    first17 = "53312119620705302"
    new = first17 + id_check_character(first17)
    corrected = event("E1", "05", "2026-10-03", {"member_no": "C2", "old_id_number": SI, "new_id_number": DAO})
    await desk.world.pull(
        civil=[household("H1"), member("C1", "H1", "思月", new), member("C2", "H1", "刀岩保", SI), corrected]
    )
    by_fifteen, by_old, by_new = await desk.show(first17[:6] + first17[8:], SI, DAO)
    assert by_fifteen["members"] == by_old["members"] == by_new["members"]
    assert by_new["members"][1]["id_masked"] == f"533103********{DAO[-4:]}"


async def test_the_dead_are_found_and_shown_as_such(desk: Desk) -> None:
    await desk.world.pull(civil=[household("H1"), member("C1", "H1", "刀岩保", DAO, died_on="2026-01-02")])
    (shown,) = await desk.show(DAO)
    assert (shown["members"][0]["status"], shown["members"][0]["deceased_on"]) == ("DECEASED", "2026-01-02")


async def _entries(database: Database) -> list[bytes]:
    connection = await database.connect(DbRole.AUDITOR)
    try:
        records = await connection.fetch("SELECT entry FROM audit.entry ORDER BY seq")
    finally:
        await connection.close()
    return [r["entry"] for r in records if b"household:steward:shown" in r["entry"]]


async def test_every_line_is_recorded_and_the_log_names_nobody(desk: Desk) -> None:
    await desk.world.pull(civil=[household("H1"), member("C1", "H1", "刀岩保", DAO), member("C2", "H1", "思月", SI)])
    await desk.show(DAO, number("19991231"))
    entries = await _entries(desk.database)
    assert len(entries) == 2
    for text in (DAO, SI, "刀岩保", "case 7", "H1"):
        assert text.encode() not in b"".join(entries)


async def test_where_the_log_cannot_record_nothing_is_shown(desk: Desk) -> None:
    await desk.world.pull(civil=[household("H1"), member("C1", "H1", "刀岩保", DAO)])
    owner = await desk.database.connect(DbRole.OWNER)
    await owner.execute("REVOKE INSERT ON audit.pending FROM hub_ingest")
    await owner.close()
    with pytest.raises(AuditError):
        await desk.show(DAO)
    assert await _entries(desk.database) == []


@pytest.mark.parametrize(
    "query", [StewardQuery("s", "A", "case 7"), StewardQuery("s", "H", "  "), StewardQuery("s", "H", "x" * 501)]
)
async def test_without_purpose_or_reason_nothing_is_read_or_recorded(desk: Desk, query: StewardQuery) -> None:
    await desk.world.pull(civil=[household("H1"), member("C1", "H1", "刀岩保", DAO)])
    with pytest.raises(InputError):
        await desk.show(DAO, query=query)
    assert await _entries(desk.database) == []


@pytest.fixture
def fresh_home(tmp_path: Path) -> Iterator[Path]:
    """An empty HUB_HOME; the server that the first command starts there is removed at the end."""
    home = tmp_path / "home"
    yield home
    asyncio.run(EmbeddedServer(home).remove())


@pytest.mark.long
def test_the_command_in_a_fresh_home(fresh_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "numbers"
    file.write_text(f"{DAO}\n{SI}\n")
    done = subprocess.run(
        [sys.executable, "-m", "hub.cli", "household", "show", "--id-number-file", str(file), "--purpose", "H",
         "--reason", "case 7", "--json"],
        env={"PATH": "/usr/bin:/bin", "HUB_HOME": str(fresh_home)},
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [orjson.loads(line)["error"] for line in done.stdout.splitlines()] == ["NOT_FOUND", "NOT_FOUND"]
    assert "sandbox steward" in done.stderr
    assert DAO not in done.stdout + done.stderr
    listed = subprocess.run(
        [sys.executable, "-m", "hub.cli", "links", "list", "--source", "clinic", "--json"],
        env={"PATH": "/usr/bin:/bin", "HUB_HOME": str(fresh_home)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", "")
