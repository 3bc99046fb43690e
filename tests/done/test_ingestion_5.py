"""A wrongly linked clinic bill can be found, unlinked and re-linked by a reviewer, over the API that reviewers use.

The bill of one woman was linked to her namesake. A bank with consent of both sees what holds at each moment; the
history keeps who was linked when, and every answer that the bank ever got replays byte for byte.
"""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from hub.access.publish import publish
from hub.app import open_hub
from hub.audit.proof import Receipt
from hub.core.areas import COUNTIES
from hub.core.clock import system_clock
from hub.flows.readings.replay_answer import ReplayQuery, replay_answer
from hub.schema.replay import run_again
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.api.world import BANK_A, COUNTY, Api, settings_in
from tests.auth.clients import jwks
from tests.records.world import World, bill, grade, household, member, number

RIGHT, WRONG, CHILD = number("19620705", 302), number("19700101", 302), number("20150601", 302)
FIND = """query($filter: LinkReviewFilter, $first: Int = 10, $after: String) {
  linkReviews(first: $first, after: $after, filter: $filter) {
  __typename ... on InvalidInput { fields { path code } }
  ... on LinkReviewConnection { pageInfo { hasNextPage endCursor }
    edges { node { id source sourceKey state decisions band proposals } } } } }"""
SHOW = """query($id: ID!) { linkReview(id: $id, reason: "case 12") { __typename ... on LinkReview {
  name address phone idMasked state isLinkable
  candidates { memberNo name idMasked isLinked byExactRule householdNo evidence { attribute agreement } }
  decisions { number verdict memberNo steward reason } } ... on NotAllowed { code } ... on NotFound { code } } }"""
DECIDE = """mutation($input: DecideLinkInput!) { decideLink(input: $input) { __typename
  ... on LinkDecided { number state memberNo } ... on Conflict { code } ... on NotAllowed { code }
  ... on InvalidInput { fields { path code } } ... on NotFound { code } } }"""
PROFILE = """query($input: BorrowerProfileInput!) { borrowerProfile(input: $input) { ... on BorrowerProfile {
  clinicArrears { bands { balanceBand } } withheld { field reason } } } }"""


class Review:
    """A served hub over a small prefecture, a steward, a bank with consents."""

    def __init__(self, api: Api, world: World) -> None:
        self.api, self.world = api, world
        self.answers: list[tuple[bytes, Receipt]] = []

    async def seed(self) -> None:
        owner = self.api.owner
        roster = [household("H1", phone="13800000001"), household("H2"), member("C1", "H1", "思月", RIGHT),
                  member("C2", "H2", "思月", WRONG), member("C3", "H2", "思小月", CHILD)]  # fmt: skip
        await self.world.pull(civil=roster, clinic=[bill("K|1", "思月")])
        await owner.execute(
            "INSERT INTO auth.account (account_id, role, county_codes)"
            " VALUES ('steward', 'STEWARD', ARRAY['533103']), ('far', 'STEWARD', ARRAY['533122']),"
            " ('nowhere', 'STEWARD', '{}'), ('whole', 'STEWARD', $1)",
            list(COUNTIES),
        )
        for role in ("REGULATOR", "COLLECTOR", "TOWNSHIP"):
            await owner.execute("INSERT INTO auth.account (account_id, role) VALUES ($1, $1)", role)
        await owner.execute("INSERT INTO access.organisation VALUES ($1, $1, $1, 'BANK')", BANK_A)
        await owner.execute(
            "INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks, status,"
            " max_subjects_per_day, is_dpop_required)"
            " VALUES ('risk-a', $1, 'BANK_RISK', $2, $3, $4, 'ACTIVE', 50, false)",
            BANK_A, [COUNTY], ["LOAN_APPLICATION"], json.dumps(jwks(self.api.client_keys["risk-a"])),
        )  # fmt: skip
        begins = datetime.now(UTC) - timedelta(minutes=1)
        for person in (RIGHT, WRONG):
            await owner.execute(
                "INSERT INTO consent.basis (basis_id, kind, reference, county, organisation_id, person_id, purpose,"
                " parts, heightened, effective_from, expires_at)"
                " VALUES ($1, 'CASE', 'test', $2, $3, $4, 'LOAN_APPLICATION', $5, true, $6, $7)",
                uuid4(), COUNTY, BANK_A, await self.world.person_id(person), ["clinic.arrears/BAND"], begins,
                begins + timedelta(days=3),
            )  # fmt: skip

    async def ask(self, who: str, query: str, **variables: Any) -> Any:
        reply = await self.api.ask(self.api.account_token(who), query, variables)
        assert "errors" not in reply.json(), reply.text
        return next(iter(reply.json()["data"].values()))

    async def find(self, **wanted: Any) -> list[dict[str, Any]]:
        found = await self.ask("steward", FIND, filter=wanted or None)
        return [edge["node"] for edge in found["edges"]]

    async def decide(self, review: str, verdict: str, seen: int, who: str = "steward", **more: Any) -> Any:
        given = {"id": review, "verdict": verdict, "decisionsSeen": seen, "reason": "case 12",
                 "idempotencyKey": str(uuid4())} | more  # fmt: skip
        return await self.ask(who, DECIDE, input=given)

    async def bank_sees(self, id_number: str) -> list[str]:
        given = {"borrower": {"identity": {"idNumber": id_number, "name": "思月"}}, "purpose": "LOAN_APPLICATION",
                 "officer": "officer.li"}  # fmt: skip
        reply = await self.api.ask(await self.api.system_token(), PROFILE, {"input": given})
        content, proof = reply.content, reply.json()["extensions"]["receipt"]["proof"]
        data = content[len(b'{"data":') : content.index(b',"extensions":')]
        self.answers.append((data, Receipt.parse(proof)))
        bands = reply.json()["data"]["borrowerProfile"]["clinicArrears"]["bands"]
        return [band["balanceBand"] for band in bands or []]

    async def replay(self, receipt: Receipt) -> bytes:
        desk = self.api.hub.ports.stewards
        query = ReplayQuery("auditor", "test")
        return await replay_answer(desk.database, desk.keys, desk.receipts, query, receipt, run_again, system_clock)


@pytest.fixture
async def review(database: Database, tmp_path: Path) -> AsyncIterator[Review]:
    settings = settings_in(tmp_path / "home")
    keys = FileKeys(settings.keys_folder)
    owner, ingest = await database.connect(DbRole.OWNER), await database.connect(DbRole.INGEST)
    await publish(owner, keys)
    async with open_hub(settings, database) as hub:
        review = Review(Api(hub, owner, keys), World(ingest, keys))
        await review.seed()
        yield review
        await review.api.http.aclose()
    await owner.close()
    await ingest.close()


async def test_a_wrongly_linked_bill_is_found_unlinked_and_linked_anew(review: Review) -> None:
    (waiting,) = await review.find()
    assert (waiting["sourceKey"], waiting["state"], waiting["decisions"]) == ("K|1", "REVIEW", 0)
    assert [await review.bank_sees(person) for person in (RIGHT, WRONG)] == [[], []]
    made = await review.decide(waiting["id"], "LINK", 0, memberNo="C2")
    assert made == {"__typename": "LinkDecided", "number": 1, "state": "CONFIRMED", "memberNo": "C2"}
    assert [await review.bank_sees(person) for person in (RIGHT, WRONG)] == [[], ["500-2000"]]

    assert await review.find() == [], "nothing waits; a wrong link is looked for by the key of its row"
    (found,) = await review.find(sourceKey="K|1")
    assert (found["state"], found["decisions"]) == ("CONFIRMED", 1)
    shown = await review.ask("steward", SHOW, id=found["id"])
    assert [(c["memberNo"], c["isLinked"]) for c in shown["candidates"]] == [("C1", False), ("C2", True)]
    assert (shown["name"], shown["decisions"][0]["steward"]) == ("思月", "steward")
    await review.decide(found["id"], "UNLINK", 1)
    assert [await review.bank_sees(person) for person in (RIGHT, WRONG)] == [[], []]
    made = await review.decide(found["id"], "LINK", 2, memberNo="C1")
    assert made["number"] == 3
    assert [await review.bank_sees(person) for person in (RIGHT, WRONG)] == [["500-2000"], []]

    history = await review.world.connection.fetch(
        "SELECT link, person_id FROM record.observation WHERE source_key = 'K|1' AND recorded_from < recorded_to"
        " ORDER BY recorded_from"
    )
    right, wrong = await review.world.person_id(RIGHT), await review.world.person_id(WRONG)
    assert [tuple(row) for row in history] == [
        ("REVIEW", None), ("CONFIRMED", wrong), ("REVIEW", None), ("CONFIRMED", right),
    ]  # fmt: skip
    assert len({data for data, _ in review.answers}) == 2, "a bill, and nothing"
    for data, receipt in review.answers:
        assert await review.replay(receipt) == data


async def test_a_list_of_reviews_is_recorded_page_by_page(review: Review) -> None:
    await review.world.pull(clinic=[bill("K|1", "思月"), bill("K|2", "思月"), bill("K|3", "思月")])
    keys, after, before = [], None, await review.api.entries()
    for listed in range(1, 4):
        given = {"first": 1, "after": after, "filter": {"source": "clinic"}}
        reply = await review.api.ask(review.api.account_token("steward"), FIND, given)
        leaf = Receipt.parse(reply.json()["extensions"]["receipt"]["proof"]).leaf()
        assert (leaf.what, leaf.organisation, leaf.decision) == ("link:steward:listed", "hub", "allow")
        assert await review.api.entries() == before + listed
        page = reply.json()["data"]["linkReviews"]
        keys += [edge["node"]["sourceKey"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
    assert (sorted(keys), page["pageInfo"]["hasNextPage"]) == (["K|1", "K|2", "K|3"], False)
    wrong = [{"first": 0}, {"first": 101}, {"after": "nonsense"}, {"after": after + "="}, {"after": _cursor("log:1")}]
    for given in [*wrong, {"after": _cursor(f"review:\0:0.5:{UUID(int=7)}")}]:
        assert (await review.ask("steward", FIND, **given))["__typename"] == "InvalidInput"
    assert await review.api.entries() == before + 3


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


async def test_a_decision_repeated_under_its_key_is_answered_as_the_first_time(review: Review) -> None:
    (waiting,) = await review.find()
    first = await review.decide(waiting["id"], "LINK", 0, memberNo="C1", idempotencyKey="once")
    again = await review.decide(waiting["id"], "LINK", 0, memberNo="C1", idempotencyKey="once")
    assert first == again
    assert await review.decide(waiting["id"], "LINK", 0, memberNo="C2") == {
        "__typename": "Conflict", "code": "REVIEW_DECIDED",
    }  # fmt: skip
    assert await review.decide(waiting["id"], "LINK", 1, memberNo="C3") == {
        "__typename": "InvalidInput", "fields": [{"path": ["input", "memberNo"], "code": "MEMBER_UNKNOWN"}],
    }  # fmt: skip
    assert await review.api.owner.fetchval("SELECT count(*) FROM record.link_decision") == 1


@pytest.mark.parametrize("who", ["REGULATOR", "COLLECTOR", "TOWNSHIP"])
async def test_nobody_but_a_steward_sees_or_decides(review: Review, who: str) -> None:
    (waiting,) = await review.find()
    refused = {"__typename": "NotAllowed", "code": "NOT_ALLOWED"}
    before = await review.api.entries()
    assert (await review.ask(who, FIND, filter=None))["__typename"] == "NotAllowed"
    assert await review.ask(who, SHOW, id=waiting["id"]) == refused
    assert await review.decide(waiting["id"], "LINK", 0, who=who, memberNo="C2") == refused
    assert await review.api.owner.fetchval("SELECT count(*) FROM record.link_decision") == 0
    assert await review.api.entries() == before
    assert [await review.bank_sees(person) for person in (RIGHT, WRONG)] == [[], []]


async def test_an_unknown_review_is_not_found_and_recorded(review: Review) -> None:
    before = await review.api.entries()
    assert await review.ask("steward", SHOW, id=str(UUID(int=7))) == {
        "__typename": "NotFound", "code": "REVIEW_UNKNOWN",
    }  # fmt: skip
    assert await review.api.entries() == before + 1


async def test_a_steward_of_another_county_sees_and_decides_about_nothing(review: Review) -> None:
    """Rows are those of the county of the person linked, of whoever may be meant, of the clinic; else of nobody's."""
    own = number("19800101", 777)
    await review.world.pull(
        civil=[household("H9", village="533122101201"), member("C9", "H9", "李强", own)],
        tax=[grade("T|XY|2025", RIGHT, "思月")],
        clinic=[bill("K|1", "思月"), bill("533122Y00101|Q1", "无名氏"), bill("533103Y00117|Q1", "无名氏")],
    )
    (waiting,) = await review.find(sourceKey="K|1")
    (taxed,) = await review.find(sourceKey="T|XY|2025")
    assert {node["sourceKey"] for node in await review.find()} == {"K|1", "533103Y00117|Q1"}
    far = await review.ask("far", FIND, filter=None)
    assert [edge["node"]["sourceKey"] for edge in far["edges"]] == ["533122Y00101|Q1"]
    for who in ("far", "nowhere"):
        for key in ("K|1", "T|XY|2025"):
            assert (await review.ask(who, FIND, filter={"sourceKey": key}))["edges"] == []
        for row in (waiting, taxed):
            assert await review.ask(who, SHOW, id=row["id"]) == _UNKNOWN
            for verdict, member_no in (("NONE", {}), ("UNLINK", {}), ("LINK", {"memberNo": "C9"})):
                assert await review.decide(row["id"], verdict, 0, who=who, **member_no) == _UNKNOWN
    assert await review.api.owner.fetchval("SELECT count(*) FROM record.link_decision") == 0
    looks = await review.api.owner.fetchval(
        "SELECT count(*) FROM audit.detail WHERE subject = $1", await review.world.person_id(RIGHT)
    )
    assert looks == 2, "that two looked for the taxpayer's row stands in her list of accesses"
    assert len((await review.ask("whole", FIND, filter={"sourceKey": "T|XY|2025"}))["edges"]) == 1
    await review.decide(waiting["id"], "LINK", 0, memberNo="C1")
    assert await review.decide(waiting["id"], "UNLINK", 1, who="far") == _UNKNOWN


_UNKNOWN = {"__typename": "NotFound", "code": "REVIEW_UNKNOWN"}


@pytest.mark.parametrize("text", ["a\0b", "cafe\u0301", "a\nb"])
async def test_a_text_that_cannot_be_stored_is_told_so(review: Review, text: str) -> None:
    (waiting,) = await review.find()
    for wanted in ({"source": text}, {"sourceKey": text}, {"band": text}):
        found = await review.ask("steward", FIND, filter=wanted)
        assert found["fields"] == [{"path": ["filter"], "code": "TEXT_MALFORMED"}]
    refused = await review.decide(waiting["id"], "LINK", 0, memberNo=text)
    assert refused["fields"][0]["code"] == "MEMBER_UNKNOWN"
    made = await review.decide(waiting["id"], "NONE", 0, reason=text)
    if text.isprintable():
        assert made["__typename"] == "LinkDecided", "normal form is the hub's to make"
    else:
        assert made["fields"] == [{"path": ["input"], "code": "TEXT_MALFORMED"}]
