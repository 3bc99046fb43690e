"""Attacks by inference and enumeration: fishing for people, probing for values. Named after their number."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.access.alerts import AlertKind, AlertOutcome, list_alerts
from hub.access.publish import publish
from hub.app import build_metrics, open_hub
from hub.core.clock import SHANGHAI
from hub.core.errors import AuditError
from hub.flows.duties.destroy_kept import destroy_kept
from hub.flows.duties.plant_canary import Canary, plant_canary
from hub.flows.duties.raise_alerts import Raised, close_one, raise_alerts
from hub.flows.readings.operator_readings import alarms, declared_bases, outcomes
from hub.flows.stewards.show_household import StewardQuery, show_households
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.api.world import BANK_A, COUNTY, HEAD, STRANGER_NUMBER, WIFE, Api, Person, Visitors, settings_in

QUERY = """query Q($input: BorrowerProfileInput!) { borrowerProfile(input: $input) {
  __typename ... on BorrowerProfile { asOf borrowerId identity { name } tax { grades { grade } }
  withheld { field reason } }
} }"""
ALERTS = """query A($first: Int!) { securityAlerts(first: $first) { __typename
  ... on SecurityAlertConnection { edges { node { kind organisationId officer observed isOpen } } } } }"""
NOON = datetime(2026, 10, 20, 12, tzinfo=SHANGHAI)


class Fishing:
    """A running hub, and the ledger of who asked."""

    def __init__(self, api: Api, ingest: Any) -> None:
        self.api = api
        self.ingest = ingest
        self.receipts = api.hub.ports.stewards.receipts

    async def ask(self, person: dict[str, str], officer: str = "officer.li") -> dict[str, Any]:
        token = await self.api.system_token()
        reply = await self.api.ask(token, QUERY, {
            "input": {"borrower": {"identity": person}, "purpose": "LOAN_APPLICATION", "officer": officer}
        })  # fmt: skip
        found: dict[str, Any] = reply.json()
        return found

    async def scan(self, at: datetime | None = None) -> Raised:
        return await raise_alerts(self.ingest, self.receipts, lambda: at or datetime.now(UTC))

    async def plant(self, name: str = "岩温") -> Canary:
        return await plant_canary(
            self.api.owner, self.api.keys, self.receipts, lambda: datetime.now(UTC), county=COUNTY, name=name,
            operator="operator",
        )  # fmt: skip

    async def past(self, officer: str, day: datetime, queries: int, denied: int = 0) -> None:
        """Queries of an earlier day, as the gate leaves them."""
        await self.api.owner.execute(
            "INSERT INTO access.officer_query (county, ev, asked_at, day, asker, organisation_id, officer, purpose,"
            " decision) SELECT $1, gen_random_uuid(), $2::timestamptz, $2::timestamptz::date, 'risk-a', $3, $4,"
            " 'LOAN_APPLICATION', CASE WHEN n <= $6 THEN 'deny' ELSE 'allow' END FROM generate_series(1, $5::int) n",
            COUNTY, day, BANK_A, officer, queries, denied,
        )  # fmt: skip


@pytest.fixture
async def fishing(database: Database, tmp_path: Path) -> AsyncIterator[Fishing]:
    settings = settings_in(tmp_path / "home")
    owner, ingest = await database.connect(DbRole.OWNER), await database.connect(DbRole.INGEST)
    await publish(owner, FileKeys(settings.keys_folder))
    visitors = Visitors()
    async with open_hub(settings, database, visitors=visitors) as hub:
        api = Api(hub, owner, FileKeys(settings.keys_folder), visitors)
        await api.seed()
        yield Fishing(api, ingest)
        await api.http.aclose()
    await owner.close()
    await ingest.close()


def same(person: Person) -> dict[str, str]:
    return {"idNumber": person.number, "name": person.name}


def shape(reply: dict[str, Any]) -> str:
    """The answer without instants and the receipt's own numbers, and how long the rest is."""
    profile = {key: value for key, value in reply["data"]["borrowerProfile"].items() if key != "asOf"}
    return json.dumps([profile, sorted(reply["extensions"])], sort_keys=True)


async def test_attack_48_a_search_over_id_numbers_learns_nothing_and_is_seen(fishing: Fishing) -> None:
    """Unknown, wrong name, no consent and a canary: one answer, one record; many of them raise an alarm."""
    canary = await fishing.plant()
    sections = await fishing.api.owner.fetchval("SELECT count(*) FROM record.section")
    asked = [
        {"idNumber": STRANGER_NUMBER, "name": "无人"},
        {"idNumber": HEAD.number, "name": "不对"},
        same(WIFE),
        {"idNumber": canary.id_number, "name": canary.name},
        {"idNumber": canary.id_number, "name": "不对"},
    ]
    answers = [await fishing.ask(one) for one in asked]
    assert len({shape(answer) for answer in answers}) == 1
    assert {item["reason"] for item in answers[0]["data"]["borrowerProfile"]["withheld"]} == {"NO_BASIS"}
    entries = [json.loads(row[0]) for row in await fishing.api.owner.fetch(
        "SELECT entry FROM audit.entry ORDER BY seq DESC LIMIT 5")]  # fmt: skip
    assert {(entry["what"], entry["dec"]) for entry in entries} == {("profile:client:queried", "deny")}
    assert len({tuple(sorted(entry)) for entry in entries}) == 1
    assert await fishing.api.owner.fetchval("SELECT count(*) FROM record.section") == sections

    # The canary is an alarm already, though no entry beside that of the query told so.
    (alarm,) = await list_alerts(fishing.ingest)
    assert (alarm.kind, alarm.organisation_id, alarm.officer, alarm.observed) == (
        AlertKind.CANARY, BANK_A, "officer.li", 2.0
    )  # fmt: skip
    for number in range(9):
        await fishing.ask({"idNumber": STRANGER_NUMBER, "name": f"无人{number}"})
    assert await fishing.scan() == Raised(found=1, recorded=2)
    assert await fishing.scan() == Raised(found=0, recorded=0)
    assert {alarm.kind for alarm in await list_alerts(fishing.ingest)} == {AlertKind.CANARY, AlertKind.DENIED}
    told = [json.loads(row[0]) for row in await fishing.api.owner.fetch("SELECT entry FROM audit.entry")]
    raised = [entry for entry in told if entry["what"] == "alert:hub:raised"]
    assert len(raised) == 2
    assert "officer.li" not in json.dumps(raised)

    # Regulators read the alarms, recorded; a bank does not, and no metric names anybody.
    reply = await fishing.api.ask(fishing.api.account_token("regulator"), ALERTS, {"first": 10})
    nodes = [edge["node"] for edge in reply.json()["data"]["securityAlerts"]["edges"]]
    assert [(node["kind"], node["officer"], node["isOpen"]) for node in nodes] == [
        ("CANARY", "officer.li", True), ("DENIED", "officer.li", True)
    ]  # fmt: skip
    assert "receipt" in reply.json()["extensions"]
    refused = await fishing.api.ask(await fishing.api.system_token(), ALERTS, {"first": 10})
    assert refused.json()["data"]["securityAlerts"]["__typename"] == "NotAllowed"


async def test_attack_53_an_officer_without_a_case_is_refused_and_his_spike_is_seen(fishing: Fishing) -> None:
    """No consent for an application: NO_BASIS. Far more queries than his own days and his colleagues': an alarm."""
    reply = await fishing.ask(same(HEAD), officer="officer.wu")
    assert {item["reason"] for item in reply["data"]["borrowerProfile"]["withheld"]} == {"NO_BASIS"}
    assert reply["data"]["borrowerProfile"]["identity"]["name"] is None
    for back in range(1, 11):
        day = NOON - timedelta(days=back)
        for officer, number in (("officer.a", 8), ("officer.b", 12), ("officer.c", 60), ("officer.wu", 9)):
            await fishing.past(officer, day, number + back % 3)
    for officer, number in (("officer.a", 9), ("officer.b", 11), ("officer.c", 62), ("officer.wu", 45)):
        await fishing.past(officer, NOON, number)
    assert (await fishing.scan(NOON)).found == 1
    (alarm,) = await list_alerts(fishing.ingest)
    # officer.c asks about more people than he, as he does every day.
    assert (alarm.kind, alarm.officer, alarm.observed) == (AlertKind.OFFICER_RATE, "officer.wu", 45.0)


async def test_a_canary_rings_again_after_its_alarm_was_closed_and_for_a_stewards_command(fishing: Fishing) -> None:
    canary = await fishing.plant()
    named = {"idNumber": canary.id_number, "name": canary.name}
    await fishing.ask(named)
    await fishing.scan()
    (alarm,) = await list_alerts(fishing.ingest)
    await close_one(
        fishing.ingest, fishing.receipts, lambda: datetime.now(UTC), alarm.alert_id, AlertOutcome.JUSTIFIED, "auditor"
    )
    assert (await fishing.scan()).recorded == 0
    await fishing.ask(same(WIFE))
    assert await list_alerts(fishing.ingest, status="OPEN") == []
    await fishing.ask(named)
    (again,) = await list_alerts(fishing.ingest, status="OPEN")
    assert (again.observed, again.outcome, again.closed_by) == (2.0, None, None)
    assert (await fishing.scan()).recorded == 1, "the log is told again"

    # A steward's command looks people up without the gate.
    for number in (WIFE.number, "1", canary.id_number, STRANGER_NUMBER):
        query = StewardQuery("steward-9", "H", "case 7")
        await show_households(
            fishing.api.hub.database, fishing.api.keys, fishing.receipts, query, [number], lambda: datetime.now(UTC)
        )
    told = {(each.organisation_id, each.officer, each.observed) for each in await list_alerts(fishing.ingest)}
    assert told == {(BANK_A, "officer.li", 2.0), ("hub", "steward-9", 1.0)}


async def test_what_commands_list_of_officers_and_cases_is_recorded_before_it_is_shown(fishing: Fishing) -> None:
    app = await fishing.api.hub.database.connect(DbRole.APP)
    readings = (
        lambda: alarms(fishing.ingest, fishing.receipts, "operator", status="OPEN", kind=None),
        lambda: outcomes(fishing.ingest, fishing.receipts, "operator", 90, NOON.date()),
        lambda: declared_bases(app, fishing.receipts, "operator", datetime.now(UTC), open_only=True),
    )
    for reading in readings:
        assert await reading() == []
    told = [json.loads(row[0]) for row in await fishing.api.owner.fetch(
        "SELECT entry FROM audit.entry ORDER BY seq DESC LIMIT 3")]  # fmt: skip
    assert [entry["what"] for entry in told[::-1]] == [
        "alert:operator:listed", "alert:operator:listed", "basis:operator:listed"
    ]  # fmt: skip
    await fishing.api.owner.execute(
        "ALTER TABLE audit.pending ADD CHECK (event NOT LIKE '%:operator:listed') NOT VALID"
    )
    for reading in readings:
        with pytest.raises(AuditError):
            await reading()
    await app.close()


async def test_queries_that_led_to_nothing_are_told_apart_from_loans(fishing: Fishing) -> None:
    owner = fishing.api.owner
    day = NOON - timedelta(days=80)
    await fishing.past("officer.idle", day, 25)
    for officer, person in (("officer.good", HEAD), ("officer.idle", WIFE)):
        for _ in range(25 if officer == "officer.good" else 1):
            await owner.execute(
                "INSERT INTO access.officer_query (county, ev, asked_at, day, asker, organisation_id, officer, purpose,"
                " decision, person_id) VALUES ($1, gen_random_uuid(), $2::timestamptz, $2::timestamptz::date, 'risk-a',"
                " $3, $4, 'LOAN_APPLICATION', 'mask', $5)",
                COUNTY, day, BANK_A, officer, person.person_id,
            )  # fmt: skip
    await owner.execute(
        "INSERT INTO record.observation (county, observation_id, row_id, source, source_key, version, kind, category,"
        " tombstone, person_id, link, valid_from, recorded_from, agreement_no, digest, payload) VALUES ($1,"
        " gen_random_uuid(), gen_random_uuid(), 'bank', $2, '1', 'FACT', 'bank.loan', false, $3, 'ID', $4, now(), 'a',"
        " '', '')",
        COUNTY, f"loan|{BANK_A}|HT|1", HEAD.person_id, (day + timedelta(days=20)).date(),
    )  # fmt: skip
    assert (await fishing.scan(NOON)).found == 1
    (alarm,) = await list_alerts(fishing.ingest)
    assert (alarm.kind, alarm.officer, alarm.observed, alarm.usual) == (
        AlertKind.NO_RESULT, "officer.idle", 26.0, 26.0
    )  # fmt: skip


async def test_the_ledger_forgets_after_five_years_and_metrics_count_alarms_without_names(fishing: Fishing) -> None:
    await fishing.past("officer.old", NOON - timedelta(days=5 * 366 + 2), 3)
    await fishing.past("officer.kept", NOON - timedelta(days=4 * 366), 3)
    await fishing.past("officer.new", NOON, 3)
    canary = await fishing.plant()
    await fishing.ask({"idNumber": canary.id_number, "name": canary.name})
    await fishing.scan(NOON)
    await destroy_kept(fishing.ingest, fishing.receipts, lambda: NOON)
    left = await fishing.api.owner.fetch("SELECT DISTINCT officer FROM access.officer_query ORDER BY 1")
    assert [row["officer"] for row in left] == ["officer.kept", "officer.li", "officer.new"]
    metrics = build_metrics(fishing.api.hub)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=metrics), base_url="http://m") as client:
        text = (await client.get("/metrics")).text
    assert 'hub_security_alerts_open{kind="CANARY"} 1.0' in text
    assert "officer" not in text.replace("OFFICER", "")
