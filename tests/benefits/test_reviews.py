"""A no is explained to its person alone, reviewed by somebody else, and overturned it is a yes from then on."""

import json
import uuid
from typing import Any

import pytest
import pytest_asyncio

from hub.core.clock import system_clock
from hub.flows.people.change_account import HOLDER_PURPOSE
from hub.flows.rules.explain_decision import explain_to_auditor
from hub.flows.rules.recorded_decision import ANSWERS
from tests.api.test_consent_story import done
from tests.api.world import COUNTY, HEAD, STRANGER_NUMBER, WIFE

from .world import NO_ADVERSE, NO_ARREARS, PROVIDER_A, SMALL, Benefits, leaf, programme

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARTS = ["adverse/VALUE", "roster/VALUE", "tax.arrears/YES_NO", "tax.grade/VALUE"]
GRADE = leaf("good-grade", "tax.grade/VALUE", "grade", "EQUALS", "A", over="EVERY")
LIST = """{ eligibilityDecisions { __typename ... on EligibilityDecisions { decisions {
  id programme nameZh period answer isOverturned reviewState reviewGround organisation { id } } }
  ... on UserError { code } } }"""
EXPLAIN = """query X($id: ID!) { explainEligibility(decisionId: $id) { __typename ... on EligibilityExplanation {
  meaning decision { answer } conditions { code part meaning outcome today ownValues } }
  ... on UserError { code } } }"""
CONTEST = """mutation C($input: RequestEligibilityReviewInput!) { requestEligibilityReview(input: $input) { __typename
  ... on EligibilityReviewRequested { reviewId dueOn } ... on UserError { code } } }"""
REVIEWS = """{ eligibilityReviews(first: 10) { __typename ... on EligibilityReviewConnection { edges { node {
  id personId programme conditions { code outcome } } } } ... on UserError { code } } }"""
DECIDE = """mutation D($input: DecideEligibilityReviewInput!) { decideEligibilityReview(input: $input) { __typename
  ... on EligibilityReviewDecided { state } ... on UserError { code } } }"""


def given(**facts: str) -> dict[str, Any]:
    return {"input": {"idempotencyKey": uuid.uuid4().hex} | facts}


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def care(benefits: Benefits) -> None:
    """A programme that nobody meets, consent of both adults, and two stewards."""
    for account, counties in (("steward", [COUNTY]), ("steward-far", ["533122"])):
        await benefits.api.owner.execute(
            "INSERT INTO auth.account (account_id, role, county_codes) VALUES ($1, 'STEWARD', $2)"
            " ON CONFLICT DO NOTHING",
            account, counties,
        )  # fmt: skip
    await benefits.approve(programme("care", {"all": [NO_ADVERSE, GRADE, SMALL, {"not": {"not": NO_ARREARS}}]}))
    await benefits.set_section(HEAD.person_id, "tax.grade/VALUE", None)
    for person in (HEAD, WIFE):
        await benefits.consent(person, "care@1", PARTS)


async def test_a_no_is_explained_reviewed_by_another_person_and_overturned(benefits: Benefits) -> None:
    api = benefits.api
    first = await benefits.ask("care")
    assert first["answer"] == "NO"
    head, wife, steward = (api.account_token(name) for name in ("head", "wife", "steward"))

    # The person sees the decision, which comparison failed, what was not shown, and the own values; nobody else does.
    listed, receipt = await done(api, head, LIST)
    assert [(one["id"], one["answer"], one["reviewState"]) for one in listed["decisions"]] == [
        (first["decisionId"], "NO", None)
    ]
    assert receipt
    explained, _ = await done(api, head, EXPLAIN, {"id": first["decisionId"]})
    found = {one["code"]: (one["outcome"], one["today"], one["ownValues"]) for one in explained["conditions"]}
    assert found == {
        "no-adverse": ("NOT_MET", "NOT_MET", ["1"]), "good-grade": ("NOT_SHOWN", "NOT_SHOWN", []),
        "small-household": ("MET", "MET", ["4"]), "no-tax-arrears": ("NOT_MET", "NOT_MET", ["true"]),
    }  # fmt: skip
    assert "复核" in explained["meaning"]
    for token in (wife, steward, api.account_token("regulator"), await api.system_token(PROVIDER_A)):
        before = await api.entries()
        reply = await api.ask(token, EXPLAIN, {"id": first["decisionId"]})
        assert set(reply.json()["data"]["explainEligibility"]) == {"__typename", "code"}, reply.text
        assert await api.entries() == before

    # Only its person contests it, once; only a steward of the county sees that, without a value or a name.
    refused, _ = await done(api, wife, CONTEST, given(decisionId=first["decisionId"]))
    assert refused == {"__typename": "NotFound", "code": "DECISION_UNKNOWN"}
    asked, receipt = await done(api, head, CONTEST, given(decisionId=first["decisionId"]))
    assert (asked["__typename"], bool(receipt)) == ("EligibilityReviewRequested", True)
    again, _ = await done(api, head, CONTEST, given(decisionId=first["decisionId"]))
    assert again["code"] == "REVIEW_STANDS"
    assert (await done(api, api.account_token("steward-far"), REVIEWS))[0]["edges"] == []
    assert (await done(api, wife, REVIEWS))[0]["code"] == "NOT_ALLOWED"
    waiting, _ = await done(api, steward, REVIEWS)
    (node,) = [edge["node"] for edge in waiting["edges"]]
    assert (node["id"], node["programme"]) == (asked["reviewId"], "care")
    assert {one["code"]: one["outcome"] for one in node["conditions"]}["no-adverse"] == "NOT_MET"
    assert "CANARY" not in json.dumps(waiting)
    assert HEAD.number not in json.dumps(waiting)

    # Not by the person, not by a steward elsewhere, not by a steward who is that person.
    for token in (head, api.account_token("steward-far"), api.account_token("regulator")):
        answer, _ = await done(api, token, DECIDE, given(reviewId=asked["reviewId"], ground="RECORD_WRONG"))
        assert answer["code"] in ("NOT_ALLOWED", "ELIGIBILITY_REVIEW_UNKNOWN")
    with pytest.raises(Exception, match="no such review"):
        await api.owner.fetch(
            "SELECT * FROM benefit.decide_review('steward', 't', $1, true, 'RECORD_WRONG', $2, now())",
            uuid.UUID(asked["reviewId"]), api.keys.indexes("identity", HEAD.number),
        )  # fmt: skip
    assert (await benefits.ask("care"))["answer"] == "NO"
    decided, _ = await done(api, steward, DECIDE, given(reviewId=asked["reviewId"], ground="RECORD_WRONG"))
    assert decided == {"__typename": "EligibilityReviewDecided", "state": "OVERTURNED"}

    # The answer of the period is another one; its provider was told, and the person sees it.
    second = await benefits.ask("care")
    assert second == first | {"answer": "YES"}
    told = await api.owner.fetchval("SELECT body FROM consent.delivery WHERE recipient = $1", PROVIDER_A)
    assert json.loads(told)["facts"]["decisionId"] == first["decisionId"]
    assert json.loads(told)["facts"]["state"] == "OVERTURNED"
    (one,) = (await done(api, head, LIST))[0]["decisions"]
    assert (one["answer"], one["isOverturned"], one["reviewGround"]) == ("YES", True, "RECORD_WRONG")
    with pytest.raises(Exception, match="never changed"):
        await api.owner.execute("UPDATE benefit.decision SET answer = 'YES', overturned = false")


async def test_a_no_that_is_upheld_stays_and_is_not_reviewed_again(benefits: Benefits) -> None:
    api, wife = benefits.api, benefits.api.account_token("wife")
    first = await benefits.ask("care", WIFE)
    asked, _ = await done(api, wife, CONTEST, given(decisionId=first["decisionId"]))
    answer, _ = await done(
        api, api.account_token("steward"), DECIDE, given(reviewId=asked["reviewId"], ground="RULE_APPLIED")
    )
    assert answer["state"] == "UPHELD"
    assert await benefits.ask("care", WIFE) == first
    assert (await done(api, wife, CONTEST, given(decisionId=first["decisionId"])))[0]["code"] == "REVIEW_STANDS"


async def test_the_rules_say_the_same_of_every_question_when_they_are_asked_again(benefits: Benefits) -> None:
    """Answered, denied, about nobody: what stands in the log follows from the rules of its time."""
    api = benefits.api
    await benefits.ask("care")
    await benefits.reply("care", {"idNumber": STRANGER_NUMBER, "name": "无人"})
    await benefits.withdraw(WIFE)
    await benefits.ask("care", WIFE)
    entries = [json.loads(row[0]) for row in await api.owner.fetch("SELECT entry FROM audit.entry ORDER BY seq")]
    asked = [entry for entry in entries if entry["what"] == "eligibility:client:asked"]
    assert {entry["dec"] for entry in asked} == {"allow", "deny"}
    assert "eligibility:client:asked" in ANSWERS
    for entry in asked[-3:]:
        explanation = await explain_to_auditor(
            api.hub.database, api.keys, benefits.consents.receipts,
            account="auditor", reason="test", event=uuid.UUID(entry["ev"]), fields=(), clock=system_clock,
        )  # fmt: skip
        assert [(part.part, part.follows) for part in explanation.parts] == [("eligibility/YES_NO", True)]


async def steward_with_number(benefits: Benefits, account: str, number: str) -> str:
    api = benefits.api
    holder = json.dumps({"id_number": number, "name": "somebody"}).encode()
    sealed = api.keys.seal(HOLDER_PURPOSE, holder, account.encode())
    await api.owner.execute(
        "INSERT INTO auth.account (account_id, role, county_codes, holder, sealed_holder)"
        " VALUES ($1, 'STEWARD', $2, $3, $4)",
        account, [COUNTY], api.keys.index(HOLDER_PURPOSE, number), sealed,
    )  # fmt: skip
    return api.account_token(account)


async def test_nobody_of_the_household_reviews_and_after_a_withdrawal_the_provider_is_told_nothing(
    benefits: Benefits,
) -> None:
    api = benefits.api
    first = await benefits.ask("care")
    head, steward = api.account_token("head"), api.account_token("steward")
    wife = await steward_with_number(benefits, "st-wife", WIFE.number)
    asked, _ = await done(api, head, CONTEST, given(decisionId=first["decisionId"]))
    assert (await done(api, wife, REVIEWS))[0]["edges"] == []
    assert len((await done(api, steward, REVIEWS))[0]["edges"]) == 1
    hardship = given(reviewId=asked["reviewId"], ground="HARDSHIP")
    assert (await done(api, wife, DECIDE, hardship))[0]["code"] == "ELIGIBILITY_REVIEW_UNKNOWN"

    await benefits.withdraw(HEAD)
    before = await api.owner.fetchval("SELECT count(*) FROM consent.delivery")
    decided, _ = await done(api, steward, DECIDE, given(reviewId=asked["reviewId"], ground="HARDSHIP"))
    assert decided["state"] == "OVERTURNED"
    assert await api.owner.fetchval("SELECT count(*) FROM consent.delivery") == before
    assert (await benefits.ask("care"))["withheld"][0]["reason"] == "NO_BASIS"
    await benefits.consent(HEAD, "care@1", PARTS)
    assert (await benefits.ask("care"))["answer"] == "YES"
