"""A provider asks: yes, no or cannot say, recorded each time, worked out once in a period, and nothing of a record."""

import json
from datetime import UTC, date, datetime
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from jwcrypto.jwk import JWK

from hub.audit.open_entry import open_entry
from hub.benefits.programme import Answer
from hub.benefits.signed_answer import public_key, verify_answer
from hub.core.clock import SHANGHAI
from hub.store.database import DbRole
from tests.api.test_consent_story import BOOK, GRANT, REQUEST, WITHDRAW, answer_to, ask_for, done
from tests.api.world import COUNTY, HEAD, STRANGER_NUMBER, WIFE

from .world import NO_ADVERSE, NO_ARREARS, PROVIDER_B, SMALL, Benefits, leaf, programme

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROFILE = """query Q($input: BorrowerProfileInput!) { borrowerProfile(input: $input) { __typename
  ... on BorrowerProfile { borrowerId adverse { items { kind } } withheld { field reason } } } }"""


async def newest(benefits: Benefits) -> tuple[str, str]:
    """Name and decision of the newest entry of the log."""
    entry = json.loads(await benefits.api.owner.fetchval("SELECT entry FROM audit.entry ORDER BY seq DESC LIMIT 1"))
    return entry["what"], entry["dec"]


async def noted(benefits: Benefits) -> object:
    """What the newest entry says of a signed text, in the part that the person may read."""
    auditor = await benefits.api.hub.database.connect(DbRole.AUDITOR)
    try:
        ev = await auditor.fetchval("SELECT ev FROM audit.entry ORDER BY seq DESC LIMIT 1")
        (own,) = (await open_entry(auditor, benefits.api.keys, ev)).persons.values()
    finally:
        await auditor.close()
    assert own is not None
    return own.facts().get("signed")


@pytest_asyncio.fixture(loop_scope="module")
async def household(benefits: Benefits) -> None:
    """An approved programme, and consent of the head of the household to what it reads."""
    await benefits.approve(programme("household", {"all": [SMALL, NO_ARREARS]}))
    await benefits.consent(HEAD, "household@1", ["roster/VALUE", "tax.arrears/YES_NO"])


async def test_an_answer_is_worked_out_once_in_a_period_and_every_question_is_recorded(
    benefits: Benefits, household: None
) -> None:
    before = await benefits.api.entries()
    first = await benefits.ask("household")
    assert (first["answer"], first["programmeVersion"], first["withheld"]) == ("NO", 1, [])
    assert first["period"] == str(datetime.now(SHANGHAI).year)
    assert UUID(first["decisionId"])
    assert await newest(benefits) == ("eligibility:client:asked", "allow")

    # The record changes; the answer of the period does not, and nothing is read anew.
    await benefits.set_section(HEAD.person_id, "tax.arrears/YES_NO", {"value": False})
    assert await benefits.ask("household") == first
    assert await benefits.api.entries() == before + 2
    owner = benefits.api.owner
    assert await owner.fetchval("SELECT count(*) FROM benefit.decision WHERE programme_id = 'household'") == 1
    listed = await owner.fetch("SELECT decision FROM access.officer_query WHERE organisation_id = 'hospital-a'")
    assert [row["decision"] for row in listed] == ["allow", "allow"]

    # The person sees each question in his own list.
    reply = await benefits.api.ask(
        benefits.api.account_token("head"),
        "{ accessHistory(first: 3) { ... on AccessConnection { edges { node { event } } } } }",
    )
    events = [edge["node"]["event"] for edge in reply.json()["data"]["accessHistory"]["edges"]]
    assert events.count("eligibility:client:asked") == 2
    await benefits.set_section(HEAD.person_id, "tax.arrears/YES_NO", {"value": True})


async def test_nobody_no_consent_other_purpose_and_gaps_in_the_consent_are_one_answer(
    benefits: Benefits, household: None
) -> None:
    paid = leaf("paid", "tax.band/BAND", "taxPaidBand", "EQUALS", "x", over="SOME")
    await benefits.approve(programme("grade", paid))
    await benefits.consent(HEAD, "grade@1", ["roster/VALUE"])
    sections = await benefits.api.owner.fetchval("SELECT md5(string_agg(body, '')) FROM record.section")
    asked = [
        {"idNumber": STRANGER_NUMBER, "name": "无人"},
        {"idNumber": HEAD.number, "name": "不对"},
        {"idNumber": WIFE.number, "name": WIFE.name},
        {"idNumber": HEAD.number, "name": HEAD.name},  # his consents name another programme, or other parts
    ]
    replies = [(await benefits.reply("grade", one)).json() for one in asked]
    await benefits.consent(WIFE, "grade@1", ["tax.band/BAND"])  # without the notice of adverse consequences
    replies.append((await benefits.reply("grade", asked[2])).json())
    assert len({json.dumps(reply["data"]) for reply in replies}) == 1
    assert len({tuple(sorted(reply["extensions"]["receipt"])) for reply in replies}) == 1
    told = replies[0]["data"]["benefitEligibility"]
    assert told["withheld"] == [
        {"field": "answer", "category": "eligibility", "form": "YES_NO", "reason": "NO_BASIS", "canAskConsent": True}
    ]
    assert [told[key] for key in ("answer", "personId", "decisionId", "decidedAt", "validUntil")] == [None] * 5
    entries = await benefits.api.owner.fetch("SELECT entry FROM audit.entry ORDER BY seq DESC LIMIT 5")
    assert {(json.loads(row[0])["what"], json.loads(row[0])["dec"]) for row in entries} == {
        ("eligibility:client:asked", "deny")
    }
    assert not await benefits.api.owner.fetchval("SELECT count(*) FROM benefit.decision WHERE programme_id = 'grade'")
    assert await benefits.api.owner.fetchval("SELECT md5(string_agg(body, '')) FROM record.section") == sections

    await benefits.api.owner.execute("UPDATE consent.basis SET heightened = true WHERE person_id = $1", WIFE.person_id)
    assert (await benefits.ask("grade", WIFE))["answer"] == "NO"
    # A consent that was withdrawn takes the stored answer with it.
    await benefits.withdraw(WIFE)
    assert json.dumps((await benefits.reply("grade", asked[2])).json()["data"]) == json.dumps(replies[0]["data"])


async def test_a_programme_is_its_organisations_own_and_only_while_it_may_be_asked(
    benefits: Benefits, household: None
) -> None:
    await benefits.approve(
        programme("over", SMALL, begins_on=date(2024, 1, 1), ends_on=date(2025, 1, 1)), "household@1"
    )
    for name, provider in (("over", "hospital-a"), ("never", "hospital-a"), ("household", PROVIDER_B)):
        told = await benefits.ask(name, provider=provider)
        assert (told["__typename"], told["code"]) == ("NotAllowed", "PROGRAMME_UNKNOWN")
        assert await newest(benefits) == ("eligibility:client:asked", "deny")
    told = await benefits.ask("household", provider="risk-a")
    assert told["code"] == "PROGRAMME_UNKNOWN"
    for wrong in ("Household", "x", "a" * 41, "household' OR true --"):
        assert (await benefits.ask(wrong))["code"] == "INVALID_INPUT"


async def test_a_provider_gets_no_part_of_a_record_whatever_it_asks(benefits: Benefits, household: None) -> None:
    """With a consent that names everything, by the profile and by the gate itself."""
    everything = ["adverse/VALUE", "identity/VALUE", "roster/VALUE", "tax.grade/VALUE"]
    await benefits.consent(WIFE, "household@1", everything)
    token = await benefits.api.system_token("hospital-a")
    for purpose in ("BENEFIT_ELIGIBILITY", "LOAN_APPLICATION", "SELF_ACCESS"):
        named = {"identity": {"idNumber": WIFE.number, "name": WIFE.name}}
        asked = {"borrower": named, "purpose": purpose, "officer": "o.li"}
        reply = await benefits.api.ask(token, PROFILE, {"input": asked})
        assert reply.json()["data"]["borrowerProfile"]["adverse"]["items"] is None
        assert "CANARY" not in reply.text
    reply = await benefits.reply("household", {"idNumber": WIFE.number, "name": WIFE.name})
    assert "CANARY" not in reply.text
    app = await benefits.api.hub.database.connect(DbRole.APP)
    try:
        for table in ("programme", "decision", "budget"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.fetch(f"SELECT * FROM benefit.{table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.fetchval("SELECT benefit.decide(NULL, NULL, '', now())")
    finally:
        await app.close()


async def test_without_the_audit_log_nothing_is_decided(benefits: Benefits) -> None:
    for version in ("shop@1", "strict@1"):
        await benefits.consent(HEAD, version, ["roster/VALUE", "adverse/VALUE"], PROVIDER_B)
    await benefits.approve(programme("shop", SMALL, PROVIDER_B))
    owner = benefits.api.owner
    await owner.execute("ALTER TABLE audit.pending RENAME TO pending_away")
    try:
        reply = await benefits.reply("shop", {"idNumber": HEAD.number, "name": HEAD.name}, PROVIDER_B)
    finally:
        await owner.execute("ALTER TABLE audit.pending_away RENAME TO pending")
    assert reply.json()["data"] is None
    assert not await owner.fetchval("SELECT count(*) FROM benefit.decision WHERE programme_id = 'shop'")
    told = await benefits.ask("shop", provider=PROVIDER_B)
    assert (told["answer"], told["signedAnswer"]) == ("YES", None)
    assert told["personId"] is not None
    again = await benefits.reply("shop", {}, PROVIDER_B, person={"borrowerId": told["personId"]})
    assert again.json()["data"]["benefitEligibility"] == told

    # Signed where it is asked for: the same answer, under the provider's own id; nothing where nothing is said.
    signed = await benefits.ask("shop", provider=PROVIDER_B, signed=True)
    found = verify_answer(signed["signedAnswer"], public_key(benefits.api.keys), datetime.now(UTC))
    assert (found.programme, found.answer, found.provider) == ("shop", Answer.YES, PROVIDER_B)
    assert (found.subject, found.is_bound) == (told["personId"], False)
    holder = JWK.generate(kty="EC", crv="P-256")
    assert await noted(benefits) == "BEARER"
    await benefits.ask("shop", provider=PROVIDER_B, signed=True, holderKey=holder.export_public())
    assert await noted(benefits) == holder.thumbprint()
    assert (await benefits.ask("shop", WIFE, PROVIDER_B, signed=True))["signedAnswer"] is None
    # A no is told to the provider alone, and never as a text that it can pass on.
    await benefits.approve(programme("strict", NO_ADVERSE, PROVIDER_B))
    no = await benefits.ask("strict", provider=PROVIDER_B, signed=True)
    assert (no["answer"], no["signedAnswer"], await noted(benefits)) == ("NO", None, None)
    wrong = await benefits.ask("shop", provider=PROVIDER_B, signed=True, holderKey="{}")
    assert wrong["fields"] == [{"path": ["input", "holderKey"], "code": "HOLDER_KEY_MALFORMED"}]


async def test_from_a_request_for_consent_to_an_answer_and_back(benefits: Benefits) -> None:
    """The person reads that the hub reads and gives nothing away; joint parts stop when another adult withdraws."""
    api = benefits.api
    await benefits.approve(programme("shop", SMALL, PROVIDER_B))
    provider, parts = await api.system_token(PROVIDER_B), [{"category": "eligibility", "form": "YES_NO"}]
    for more, outcome in (("adverse", "InvalidInput"), ("roster", "ConsentRequested")):
        wanted = ask_for(
            HEAD, purpose="BENEFIT_ELIGIBILITY", parts=[*parts, {"category": more, "form": "VALUE"}], officer="o.li",
            programme="shop",
        )  # fmt: skip
        request, _ = await done(api, provider, REQUEST, wanted)
        assert request["__typename"] == outcome, "only what an approved programme of this provider reads"
    consents = {}
    for person, account in ((HEAD, "head"), (WIFE, "wife")):
        wanted["input"] |= {"borrower": {"idNumber": person.number, "name": person.name}, "idempotencyKey": account}
        await done(api, provider, REQUEST, wanted)
        book, _ = await done(api, api.account_token(account), BOOK)
        assert "仅由平台读取，不提供给对方" in book["requests"][0]["notice"]
        given, _ = await done(api, api.account_token(account), GRANT, answer_to("requestId", book["requests"][0]["id"]))
        consents[account] = given["consentId"]
    answered = await benefits.ask("shop", provider=PROVIDER_B)
    assert answered["answer"] == "YES"
    await done(api, api.account_token("wife"), WITHDRAW, answer_to("consentId", consents["wife"]))
    stopped = await benefits.ask("shop", provider=PROVIDER_B)
    assert stopped["answer"] is None
    assert stopped["withheld"] == (await benefits.ask("shop", WIFE, PROVIDER_B))["withheld"]


async def test_answers_are_counted_one_by_one_however_short_the_period(benefits: Benefits) -> None:
    """A programme by month may be asked all the year, and then nothing else is answered about that person."""
    await benefits.approve(programme("monthly", {"all": [SMALL]}, period="MONTH"))
    await benefits.approve(programme("other", NO_ARREARS))
    for version in ("monthly@1", "other@1"):
        await benefits.consent(WIFE, version, ["roster/VALUE", "tax.arrears/YES_NO"])
    await benefits.api.owner.execute(
        "INSERT INTO benefit.decision SELECT $1, gen_random_uuid(), $2, 'monthly', 1, 'then-' || n, 'YES', '{}',"
        " sha256(''), now() - n * interval '29 days', gen_random_uuid() FROM generate_series(1, 12) n",
        COUNTY, WIFE.person_id,
    )  # fmt: skip
    last = await benefits.ask("monthly", WIFE)
    assert last["answer"] == "YES"
    assert (await benefits.ask("other", WIFE))["withheld"][0]["reason"] == "QUOTA"
    assert await benefits.ask("monthly", WIFE) == last
