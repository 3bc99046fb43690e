"""The hub reads the sandbox: its report and its records must agree with what the sandbox knows to be so."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from hub.connectors.registry import connector_for
from hub.connectors.sources import kind_of, load_sources
from hub.core.clock import system_clock
from hub.core.names import QuarantineReason
from hub.flows.intake.pull import SourceToPull, pull
from hub.flows.receipts import receipt_desk
from hub.flows.stewards.show_household import StewardQuery, show_households
from hub.records.held_back.quarantine import list_quarantine
from hub.sandbox.people import Person
from hub.sandbox.prefecture import Prefecture, yesterday
from hub.sandbox.sandbox import Sandbox
from hub.sandbox.truth import Truth
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys

AS_OF = yesterday(system_clock())  # the real clock: a service that checks time stamps knows no other
TODAY = AS_OF + timedelta(days=1)
_NUMBERS = ("accepted", "superseded", "withdrawn", "quarantined", "dropped_fields", "repaired_fields")


class Hub:
    """A hub over one database."""

    def __init__(self, database: Database, keys: FileKeys, home: Path, sources: Path) -> None:
        self._database = database
        self._keys = keys
        self._home = home
        self._sources = load_sources(sources)

    async def pull(self) -> dict[str, Any]:
        agencies = [SourceToPull(s.name, kind_of(s), s.agreement_no, connector_for(s)) for s in self._sources]
        async with receipt_desk(self._database, self._keys, self._home) as desk:
            report = await pull(self._database, self._keys, desk, agencies, system_clock, lambda *_: None)
        sources = report["sources"]
        assert {name: entry["error"] for name, entry in sources.items()} == dict.fromkeys(sources)
        return sources

    async def show(self, people: list[Person]) -> list[dict[str, Any]]:
        query = StewardQuery("sandbox-steward", "H", "test")
        numbers = [person.number for person in people]
        async with receipt_desk(self._database, self._keys, self._home) as desk:
            lines = await show_households(self._database, self._keys, desk, query, numbers, system_clock)
        return [orjson.loads(line) for line in lines]

    async def quarantine(self) -> set[tuple[str, str, str]]:
        connection = await self._database.connect(DbRole.INGEST)
        try:
            rows = await list_quarantine(connection, source=None, reason=None, status="OPEN")
        finally:
            await connection.close()
        return {(row["source"], row["source_key"], row["reason"]) for row in rows}


@pytest.fixture
async def own_sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    sandbox = await Sandbox.start(tmp_path / "sandbox", Prefecture(23, 260, AS_OF))
    yield sandbox
    await sandbox.stop(remove=True)


def without_zeros(value: Any) -> Any:
    return {name: n for name, n in value.items() if n} if isinstance(value, dict) else value


def compare(report: dict[str, Any], truth: Truth) -> None:
    for name, entry in report.items():
        expected = truth.of(name)
        wanted = {number: getattr(expected, number, None) for number in _NUMBERS}
        wanted["quarantined"] = truth.quarantine_counts(name)
        got = {number: without_zeros(entry[number]) for number in _NUMBERS}
        assert got == {number: without_zeros(value) for number, value in wanted.items()}, name
        assert {f["name"]: f["reason"] for f in entry["files"]["refused"]} == truth.refused_files(name)
        if name == "clinic":
            assert without_zeros(entry["links"]) == without_zeros(expected.links)


def conflicts_of(records: list[dict[str, Any]]) -> set[tuple[str, str, str | None]]:
    return {(c["type"], c["member_no"], c["source"]) for record in records for c in record["conflicts"]}


@pytest.mark.long
async def test_every_row_of_every_agency_has_the_fate_that_the_sandbox_expects(
    own_sandbox: Sandbox, database: Database, keys: FileKeys, tmp_path: Path
) -> None:
    hub = Hub(database, keys, tmp_path / "home", own_sandbox.sources_file)
    truth = own_sandbox.prefecture.truth
    compare(await hub.pull(), truth)
    unreadable = QuarantineReason.ROW_UNREADABLE
    assert {row for row in await hub.quarantine() if row[2] != unreadable.name} == {
        (q.source, q.source_key, q.reason.name) for q in truth.quarantined if q.reason is not unreadable
    }

    people = own_sandbox.prefecture.population.people
    seen = [
        p for p in people if p.id_number and p.age(AS_OF) >= 18 and p.serial not in own_sandbox.prefecture.civil.hidden
    ]
    shown = await hub.show([p for p in seen if p.died is None])
    assert not [record for record in shown if "error" in record]
    listed = {member["member_no"] for record in shown for member in record["members"]}
    expected = {(c.type.value, c.member_no, c.source) for c in truth.conflicts}
    # A household of which only children are left alive cannot be asked for by an adult's number.
    assert conflicts_of(shown) == {conflict for conflict in expected if conflict[1] in listed}
    assert len(listed) > 0.95 * len(seen)
    by_household = {record["household"]["household_no"]: record for record in shown}
    for household in own_sandbox.prefecture.population.households:
        if household.number in by_household:
            record = by_household[household.number]
            assert record["household"]["village_code"] == household.village.code
            minors = [m for m in household.members if m.died is None and m.age(AS_OF) < 18]
            assert record["minors"] == len(minors)

    again = await hub.pull()
    for entry in again.values():
        assert entry["fetched"] == entry["unchanged"]
        assert entry["files"]["refused"] == []

    change = await own_sandbox.advance(TODAY)
    compare(await hub.pull(), change.truth)


async def test_the_story_is_in_the_record(
    own_sandbox: Sandbox, database: Database, keys: FileKeys, tmp_path: Path
) -> None:
    hub = Hub(database, keys, tmp_path / "home", own_sandbox.sources_file)
    await hub.pull()
    story = own_sandbox.prefecture.story
    (record,) = await hub.show([story.borrower])
    assert record["household"]["household_no"] == story.household.number
    assert [m["name"] for m in record["members"]] == [
        m.name for m in story.household.members if m is not story.daughter
    ]
    assert record["minors"] == 1
    own = [fact for fact in record["facts"] if fact["member_no"] in {story.borrower.member_no, None}]
    assert {fact["category"] for fact in own} == {
        "tax.registration",
        "tax.grade",
        "tax.band",
        "social.insurance",
        "clinic.arrears",
        "civil.relief",
        "bank.line",
        "bank.loan",
    }
    assert sorted(fact["source"] for fact in own if fact["category"] == "bank.loan") == ["bank_rcb", "bank_vb"]
    adverse = [fact for fact in record["facts"] if fact["adverse"]]
    assert [(fact["source"], fact["value"]["notice_date"] is not None) for fact in adverse] == [("bank_vb", True)]
    wife = [fact for fact in record["facts"] if fact["member_no"] == story.spouse.member_no]
    assert {(fact["category"], fact["link"]) for fact in wife} == {
        ("social.insurance", "ID"),
        ("bank.line", "ID"),
        ("clinic.arrears", "PROBABLE"),
    }
    assert [(c["type"], c["source"]) for c in record["conflicts"]] == [("NAME_DIFFERS", "bank_vb")]
    assert date.fromisoformat(record["consents"][0]["granted_on"]) < AS_OF
