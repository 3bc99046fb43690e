"""`hub pull` serves any agencies that follow the contracts: here their published samples, byte for byte."""

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from hub.connectors.agencies import civil
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from tests.done.samples import HubUnderTest, sample_agencies

BORROWER = "533103198503124417"
MOTHER = "533121196207053021"


@pytest.fixture(autouse=True)
def _fast_civil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(civil, "CALLS_PER_SECOND", 500)


@pytest.fixture
def hub(database: Database, keys: KeyService, tmp_path: Path) -> HubUnderTest:
    return HubUnderTest(database, keys, tmp_path)


async def test_the_samples_come_to_what_their_papers_promise(hub: HubUnderTest, tmp_path: Path) -> None:
    async with sample_agencies(tmp_path) as sources:
        report = await hub.pull(*sources.values())
        again = await hub.pull(*sources.values())
    found = report["sources"]
    assert report["exit_code"] == 1, "one clinic file is cut short"
    assert {name: entry["status"] for name, entry in found.items()} == {
        "tax": "OK", "clinic": "PARTIAL", "civil": "OK", "bank": "OK",
    }  # fmt: skip
    counts = ("fetched", "accepted", "unchanged", "superseded")
    assert [found["tax"][count] for count in counts] == [8, 4, 1, 1]
    assert found["tax"]["quarantined"] == {"ID_CHECK_DIGIT": 1, "ADVERSE_NOTICE_MISSING": 1}
    assert found["tax"]["dropped_fields"] == {"mz": 1, "sjnse": 1}
    assert [found["clinic"][count] for count in counts] == [5, 2, 0, 2]
    assert found["clinic"]["links"] == {"ID": 1, "PROBABLE": 1, "REVIEW": 0}
    assert [found["civil"][count] for count in counts] == [10, 8, 0, 0]
    assert [found["bank"][count] for count in counts] == [5, 3, 0, 0]
    assert found["bank"]["quarantined"] == {"CONSENT_MISSING": 1, "ADVERSE_NOTICE_MISSING": 1}
    assert found["bank"]["dropped_fields"] == {"guarantors[]": 1, "account_no": 1}
    for entry in again["sources"].values():
        assert (entry["accepted"], entry["superseded"], entry["withdrawn"], entry["released"]) == (0, 0, 0, 0)
        assert entry["quarantined"] == {}
        assert entry["files"]["refused"] == []
        assert entry["fetched"] == entry["unchanged"]


async def test_the_household_record_holds_what_four_agencies_knew(hub: HubUnderTest, tmp_path: Path) -> None:
    async with sample_agencies(tmp_path) as sources:
        await hub.pull(*sources.values())
    borrower, mother, nobody = await hub.show(BORROWER, MOTHER, "533103199912129999")
    assert nobody == {"schema": "hub.household/1", "query": 3, "error": "NOT_FOUND"}
    assert borrower["household"] == {
        "household_no": "H533103000012", "village_code": "533103102203", "group_no": "03", "status": "ACTIVE",
        "predecessors": [], "successors": ["H533103002001"],
    }  # fmt: skip
    assert [member["member_no"] for member in borrower["members"]] == ["C0000123", "C0000125"]
    assert borrower["minors"] == 1
    values = {fact["category"]: fact["value"] for fact in borrower["facts"]}
    assert values["tax.grade"] == {"grade_year": 2025, "tax_credit_grade": "B"}
    assert values["bank.line"]["line_amount"] == "35000.00"
    assert values["bank.loan"]["guarantor_count"] == 0
    assert values["civil.relief"]["monthly_amount"] == "420.50"
    assert values["clinic.arrears"]["arrears_balance"] == "900.00"
    assert mother["household"]["household_no"] == "H533103002001"
    assert [(fact["category"], fact["link"]) for fact in mother["facts"]] == [("clinic.arrears", "PROBABLE")]


def _comparable(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records without the times at which they came to be."""
    for record in records:
        for fact in record["facts"]:
            del fact["recorded_at"]
    return records


@pytest.mark.long
async def test_the_order_of_the_agencies_does_not_matter(hub: HubUnderTest, tmp_path: Path) -> None:
    async with sample_agencies(tmp_path) as sources:
        await hub.pull(*sources.values())
        together = _comparable(await hub.show(BORROWER, MOTHER))
    assert len(together[0]["facts"]) == 7
    for number, order in enumerate(list(permutations(["tax", "clinic", "civil", "bank"]))[::7]):
        await _forget(hub)
        folder = tmp_path / str(number)
        folder.mkdir()
        async with sample_agencies(folder) as sources:
            for name in order:
                await hub.pull(sources[name])
        assert _comparable(await hub.show(BORROWER, MOTHER)) == together, order


async def _forget(hub: HubUnderTest) -> None:
    """Empty the record, as in a hub that never pulled; the audit log and what migrations and rules brought stay."""
    connection = await hub.database.connect(DbRole.OWNER)
    try:
        tables = await connection.fetch(
            """SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
               WHERE schemaname IN ('ingest', 'record')
                 AND tablename NOT IN ('adverse_regime', 'coverage_rule', 'precedence_rule')"""
        )
        names = [record["name"] for record in tables]
        async with connection.transaction():
            for state in ("DISABLE", "ENABLE"):  # what is never changed otherwise is emptied here
                await connection.execute(";".join(f"ALTER TABLE {name} {state} TRIGGER USER" for name in names))
                if state == "DISABLE":
                    await connection.execute("TRUNCATE " + ", ".join(names))
    finally:
        await connection.close()
