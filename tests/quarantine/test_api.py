"""Quarantine over the API that stewards use; nobody else learns of it, and nothing of a row is told."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hub.access.publish import publish
from hub.app import open_hub
from hub.core.areas import COUNTIES
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.api.world import Api, settings_in
from tests.done.agencies import MINOR_BORN, citizen
from tests.quarantine.deliveries import CIVIL, LIST_FILE, Hub, clinic, tax
from tests.quarantine.test_acts import PERSON, state
from tests.records.world import household, member, number

SUMMARY = """query($source: String) { quarantineSummary(days: 7, source: $source) { __typename
  ... on QuarantineSummary { groups { source reason open kept came trend discarded ages { day older } } }
  ... on InvalidInput { fields { path code } } ... on NotAllowed { code } } }"""
ROWS = """query($first: Int!, $after: String, $filter: QuarantineFilter) {
  quarantineRows(first: $first, after: $after, filter: $filter) { __typename
    ... on QuarantineEntryConnection { edges { node { id sourceKey reason otherReasons isOpen } }
      pageInfo { hasNextPage endCursor } }
    ... on InvalidInput { fields { path code } } ... on NotAllowed { code } } }"""
_ANSWERS = """__typename ... on QuarantinedRowBreaksRules { code reasons } ... on Conflict { code }
  ... on NotAllowed { code } ... on NotFound { code } ... on InvalidInput { fields { path code } }"""
_READMITTED = "... on QuarantinedRowReadmitted { id outcome contract corrected }"
REPAIR = f"""mutation($input: RepairQuarantinedRowInput!) {{
  repairQuarantinedRow(input: $input) {{ {_ANSWERS} {_READMITTED} }} }}"""
RELEASE = f"""mutation($input: ReleaseQuarantinedRowInput!) {{
  releaseQuarantinedRow(input: $input) {{ {_ANSWERS} {_READMITTED} }} }}"""
DISCARD = """mutation($input: DiscardQuarantinedRowInput!) { discardQuarantinedRow(input: $input) { __typename
  ... on QuarantinedRowDiscarded { id } ... on NotAllowed { code } ... on Conflict { code }
  ... on NotFound { code } } }"""


class Served:
    """A served hub and a source that delivers to it."""

    def __init__(self, api: Api, hub: Hub) -> None:
        self.api, self.hub = api, hub

    async def ask(self, who: str, query: str, **variables: Any) -> Any:
        reply = await self.api.ask(self.api.account_token(who), query, variables)
        assert "errors" not in reply.json(), reply.text
        (answer,) = reply.json()["data"].values()
        return answer

    async def act(self, query: str, entry: str, who: str = "steward", **more: Any) -> Any:
        given = {"id": entry, "reason": "case 12", "idempotencyKey": str(uuid4())} | more
        return await self.ask(who, query, input=given)


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    settings = settings_in(tmp_path / "home")
    keys = FileKeys(settings.keys_folder)
    owner, ingest = await database.connect(DbRole.OWNER), await database.connect(DbRole.INGEST)
    await owner.execute(
        """INSERT INTO auth.account (account_id, role)
           SELECT lower(role), role FROM unnest(ARRAY['REGULATOR', 'COLLECTOR', 'OPERATOR']) AS r (role)"""
    )
    await owner.executemany(
        "INSERT INTO auth.account (account_id, role, county_codes) VALUES ($1, 'STEWARD', $2)",
        [("steward", ["533103"]), ("far", ["533122"]), ("nowhere", []), ("whole", list(COUNTIES))],
    )
    await publish(owner, keys)
    async with open_hub(settings, database) as hub:
        served = Served(Api(hub, owner, keys), Hub(database, ingest, keys, hub.ports.stewards.receipts))
        await served.hub.pull("civil", household("H1"), member("C1", "H1", "刀岩保", PERSON))
        yield served
        await served.api.http.aclose()
    await owner.close()
    await ingest.close()


async def test_a_steward_works_through_the_queue(served: Served) -> None:
    hub = served.hub
    await hub.pull("tax", tax(jyzxm="岩CANARY", xyjb="E"), tax("DJ", 2, nsrzt_dm="99", djrq=""), tax("XY", 3, xyjb="F"))
    (codes,) = (await served.ask("steward", SUMMARY))["groups"]
    assert (codes["source"], codes["reason"], codes["open"], codes["kept"]) == ("tax", "UNKNOWN_CODE", 3, 3)
    page = await served.ask("steward", ROWS, first=2)
    assert [edge["node"]["otherReasons"] for edge in page["edges"]] == [[], ["BAD_DATE"]]
    assert page["pageInfo"]["hasNextPage"] is True
    rest = await served.ask("steward", ROWS, first=2, after=page["pageInfo"]["endCursor"])
    assert [edge["node"]["id"] for edge in rest["edges"]] == ["q-000003"]

    correction = [{"field": "nsrzt_dm", "text": "03"}]
    refused = await served.act(REPAIR, "q-000002", corrections=correction)
    assert (refused["__typename"], refused["reasons"]) == ("QuarantinedRowBreaksRules", ["BAD_DATE"])
    refused = await served.act(RELEASE, "q-000001")
    assert refused["reasons"] == ["UNKNOWN_CODE"]
    key = str(uuid4())
    corrections = [*correction, {"field": "djrq", "text": "2019-03-11"}, {"field": "zxrq"}]
    made = await served.act(REPAIR, "q-000002", corrections=corrections, idempotencyKey=key)
    assert made == {
        "__typename": "QuarantinedRowReadmitted", "id": "q-000002", "outcome": "CURRENT", "contract": "tax-rest/1.3",
        "corrected": ["djrq", "nsrzt_dm", "zxrq"],
    }  # fmt: skip
    before = await state(hub)
    assert await served.act(REPAIR, "q-000002", corrections=corrections, idempotencyKey=key) == made
    assert (await served.act(RELEASE, "q-000002"))["code"] == "QUARANTINE_CLOSED"
    assert await state(hub) == before
    assert (await served.act(DISCARD, "q-000003"))["id"] == "q-000003"
    assert await hub.open() == {1: "UNKNOWN_CODE"}
    closed = await served.ask("steward", ROWS, first=5, filter={"isOpen": False})
    assert [edge["node"]["id"] for edge in closed["edges"]] == ["q-000002"], "of a discarded row not even the county"
    await hub.add_up()


async def test_nothing_of_a_row_is_told_over_the_api(served: Served) -> None:
    await served.hub.pull("tax", tax(jyzxm="岩CANARY", xyjb="E"))
    for query, variables in ((SUMMARY, {}), (ROWS, {"first": 5})):
        reply = await served.api.ask(served.api.account_token("steward"), query, variables)
        assert "CANARY" not in reply.text
        assert PERSON not in reply.text
        assert "receipt" in reply.json()["extensions"]
    given = {"id": "q-000001", "reason": "r", "idempotencyKey": "k", "corrections": [{"field": "xyjb", "text": "E"}]}
    reply = await served.api.ask(served.api.account_token("steward"), REPAIR, {"input": given})
    assert "CANARY" not in reply.text
    document = 'mutation { repairQuarantinedRow(input: {id: "q-000001", reason: "r", idempotencyKey: "k", corrections: '
    document += f'[{{field: "jyzsfzjhm", text: "{PERSON}"}}]}}) {{ __typename }} }}'
    reply = await served.api.ask(served.api.account_token("steward"), document)
    assert "variable" in reply.json()["errors"][0]["message"]
    assert PERSON not in reply.text


async def test_entries_are_those_of_the_county_of_person_village_household_or_clinic(served: Served) -> None:
    hub, farmer = served.hub, number("19800101", 777)
    away = {"hubh": "H9", "xzqhdm": "533122101201"}
    await hub.pull("civil", CIVIL["household"](**away), member("C9", "H9", "李强", farmer))
    await hub.pull("civil", CIVIL["household"](**away | {"hubh": "H8", "hzt": "?"}), CIVIL["relief"](jzlx="77"))
    await hub.pull("civil", CIVIL["relief"](hubh="H9", jzbh="J9", jzlx="77"))
    await hub.pull("clinic", clinic(证件号码="53310319"), file=LIST_FILE)
    await hub.pull("tax", tax(xyjb="E"), tax("XY", 2, jyzsfzjhm="533103198503124418"))
    found = {
        who: [edge["node"]["id"] for edge in (await served.ask(who, ROWS, first=20))["edges"]]
        for who in ("whole", "steward", "far", "nowhere")
    }
    assert found == {
        "whole": [f"q-00000{number}" for number in range(1, 7)],
        "steward": ["q-000002", "q-000004", "q-000005"],
        "far": ["q-000001", "q-000003"],
        "nowhere": [],
    }
    groups = (await served.ask("far", SUMMARY))["groups"]
    assert [(group["source"], group["reason"], group["open"]) for group in groups] == [("civil", "UNKNOWN_CODE", 2)]
    before = await state(hub)
    letter = [{"field": "xyjb", "text": "B"}]
    for who, entry in (("far", "q-000005"), ("nowhere", "q-000001"), ("steward", "q-000006"), ("far", "q-000099")):
        answers = [
            await served.act(REPAIR, entry, who, corrections=letter),
            await served.act(RELEASE, entry, who),
            await served.act(DISCARD, entry, who),
        ]
        assert [answer.get("code") for answer in answers] == ["QUARANTINE_UNKNOWN"] * 3
    moved = [*letter, {"field": "jyzsfzjhm", "text": farmer}]
    refused = await served.act(REPAIR, "q-000005", corrections=moved)
    assert (refused["__typename"], refused["code"]) == ("NotAllowed", "REPAIR_OUT_OF_AREA")
    assert await state(hub) == before
    assert (await served.act(REPAIR, "q-000005", corrections=letter))["outcome"] == "CURRENT"


@pytest.mark.parametrize("who", ["regulator", "collector", "operator"])
async def test_nobody_but_a_steward_may(served: Served, who: str) -> None:
    await served.hub.pull("tax", tax(xyjb="E"))
    before, entries = await state(served.hub), await served.api.entries()
    answers = [
        await served.ask(who, SUMMARY),
        await served.ask(who, ROWS, first=5),
        await served.act(REPAIR, "q-000001", who, corrections=[{"field": "xyjb", "text": "B"}]),
        await served.act(RELEASE, "q-000001", who),
        await served.act(DISCARD, "q-000001", who),
    ]
    assert [(answer["__typename"], answer["code"]) for answer in answers] == [("NotAllowed", "NOT_ALLOWED")] * 5
    assert await state(served.hub) == before
    assert await served.api.entries() == entries


async def test_what_is_asked_wrongly_is_told_so(served: Served) -> None:
    await served.hub.pull("tax", tax(xyjb="E"), tax("XY", 2, jyzsfzjhm=citizen(MINOR_BORN)))
    before = await state(served.hub)
    cases = [
        (await served.ask("steward", SUMMARY, source="taxi"), "SOURCE_UNKNOWN"),
        (await served.ask("steward", ROWS, first=0), "PAGE_SIZE"),
        (await served.ask("steward", ROWS, first=5, after="x"), "CURSOR_MALFORMED"),
        (await served.ask("steward", ROWS, first=5, filter={"source": "taxi"}), "SOURCE_UNKNOWN"),
        (await served.act(RELEASE, "17"), "ID_MALFORMED"),
        (await served.act(RELEASE, "q-000001", reason=" "), "REASON_MISSING"),
        (await served.act(RELEASE, "q-000001", idempotencyKey="a b"), "KEY_MALFORMED"),
        (await served.act(REPAIR, "q-000001", corrections=[{"field": "mz", "text": "18"}]), "CORRECTION_MALFORMED"),
        (await served.act(REPAIR, "q-000001", corrections=[]), "CORRECTION_MALFORMED"),
        (
            await served.act(REPAIR, "q-000001", corrections=[{"field": "ver", "text": "1", "number": 1}]),
            "CORRECTION_MALFORMED",
        ),
    ]
    for answer, code in cases:
        assert answer["__typename"] == "InvalidInput", answer
        assert answer["fields"][0]["code"] == code
    assert (await served.act(RELEASE, "q-000099"))["code"] == "QUARANTINE_UNKNOWN"
    assert (await served.act(RELEASE, "q-000002"))["code"] == "QUARANTINE_UNKNOWN", "a stranger's, of no county"
    assert (await served.act(RELEASE, "q-000002", "whole"))["code"] == "QUARANTINE_NOT_KEPT"
    assert await state(served.hub) == before
