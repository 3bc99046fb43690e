"""Guardians and minors over HTTP: who sees and decides what, before and after majority; joint data and its holders."""

import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from hub.access.parts import PARTS as ALL_PARTS
from hub.access.parts import part_key
from hub.core.clock import day_of, system_clock
from hub.core.disclosure import Asker, DisclosureRequest, SubjectSelf
from hub.core.names import Purpose
from hub.core.text import normalise_name
from hub.records.intake.payloads import identity_context, seal_identity
from hub.store.database import Database
from tests.auth.clients import jwks, new_key

from .test_consent_story import BOOK, REQUEST, WITHDRAW, answer_to, ask_for, done
from .world import BANK_B, COUNTY, HEAD, HOUSEHOLD, HOUSEHOLD_PARTS, WIFE, Api, Person, borrower, canary, running_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

PART = "tax.grade/VALUE"
CHILD = Person(uuid4(), "533103201707070013", "玉香")
TEEN = Person(uuid4(), "533103201006060015", "岩亮")

GRANT = """
mutation G($input: GrantConsentInput!) { grantConsent(input: $input) {
  __typename ... on ConsentGranted { consentId parts { category } } ... on ConsentAgreed { awaits addedTo }
  ... on UserError { code message } ... on InvalidInput { fields { path code message } } } }
"""
WARDS = "{ wards { ... on Wards { items { id name birthDate ground source needsMinor } } ... on UserError { code } } }"
RECORD = """
query R($ward: ID) { household(ward: $ward) { __typename ... on OwnRecord {
  household { villageName } identity { name } tax { grades { grade } } relief { items { reliefType } }
  withheld { category reason } } ... on UserError { code } } }
"""
HISTORY = """
query H($ward: ID, $first: Int = 100, $after: String) { accessHistory(first: $first, after: $after, ward: $ward) {
  ... on AccessConnection { edges { node { number event meaning } } total pageInfo { endCursor hasNextPage } }
  ... on UserError { code } } }
"""
WARD_BOOK = BOOK.replace("{ consents {", "query B($ward: ID) { consents(ward: $ward) {").replace(
    "state notice", "state awaits notice"
)
PROFILE = """
query P($input: BorrowerProfileInput!) { borrowerProfile(input: $input) { ... on BorrowerProfile {
  household { villageName } tax { grades { grade } } relief { inForce } withheld { category reason } } } }
"""


def born(years: int) -> date:
    """The birth date of somebody who completed so many years the day before yesterday."""
    day = day_of(system_clock()) - timedelta(days=2)
    return day.replace(year=day.year - years, day=min(day.day, 28))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    async with running_api(module_database, tmp_path_factory.mktemp("guardians") / "home") as api:
        for person, account, relation in ((CHILD, "child", "30"), (TEEN, "teen", "20"), (HEAD, None, "02")):
            if account is not None:
                await settle(api, person, account)
            await api.owner.execute(
                "INSERT INTO record.membership (county, membership_id, household_id, member_no, person_id, relation,"
                " birth_date, valid_from, name_index, sealed, digest, source, changed_at, recorded_from)"
                " VALUES ($1, $2, $3, $4, $5, $6, '2000-01-01', '2020-01-01', '', '', '', 's', now(), now())",
                COUNTY, uuid4(), HOUSEHOLD, f"M{relation}", person.person_id, relation,
            )  # fmt: skip
        api.client_keys["care"] = new_key("ES256")
        await api.owner.execute(
            "INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks,"
            " max_subjects_per_day, is_dpop_required)"
            " VALUES ('care', $1, 'INSURER', $2, '{BENEFIT_ELIGIBILITY}', $3, 50, false)",
            BANK_B, [COUNTY], json.dumps(jwks(api.client_keys["care"])),
        )  # fmt: skip
        await api.owner.execute(
            "INSERT INTO access.decision SELECT digest, 'INSURER', 'BENEFIT_ELIGIBILITY', $1, NULL, true, false, true,"
            " false, false FROM access.policy_set WHERE retired_at IS NULL"
            " ON CONFLICT (digest, role, purpose, part) DO UPDATE SET closed = NULL, needs_basis = true,"
            " needs_adult = false, needs_second_factor = false",
            PART,
        )
        yield api


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def same_ages(api: Api) -> None:
    await age(api, CHILD, 9)
    await age(api, TEEN, 15)


async def settle(api: Api, person: Person, account: str) -> None:
    index = api.keys.index("identity", person.number)
    await api.owner.execute("INSERT INTO record.directory VALUES ($1, $2, $3)", index, person.person_id, COUNTY)
    await api.owner.execute(
        "INSERT INTO record.person (county, person_id, identity_index, first_index, name_index, birth_date,"
        " household_id, sealed_identity) VALUES ($1, $2, $3, $3, $4, '2012-01-01', $5, $6)",
        COUNTY, person.person_id, index, api.keys.index("name", normalise_name(person.name)), HOUSEHOLD,
        seal_identity(api.keys, person.name, person.number, identity_context(person.person_id, "")),
    )  # fmt: skip
    await api.owner.execute(
        "INSERT INTO auth.account (account_id, role, person_id) VALUES ($1, 'RESIDENT', $2)", account, person.person_id
    )
    for key in (part_key(part) for part in ALL_PARTS):
        if key not in HOUSEHOLD_PARTS:
            await api.section(person.person_id, key, BANK_B if key.startswith("bank.") else "")


async def age(api: Api, person: Person, years: int) -> None:
    change = "UPDATE record.person SET birth_date = $2 WHERE person_id = $1"
    await api.owner.execute(change, person.person_id, born(years))


async def asked(api: Api, person: Person) -> str:
    parts = [{"category": "tax.grade", "form": "VALUE"}]
    wanted = ask_for(person, purpose="BENEFIT_ELIGIBILITY", parts=parts)
    request, _ = await done(api, await api.system_token("care"), REQUEST, wanted)
    return str(request["requestId"])


async def say(api: Api, account: str, query: str, **variables: Any) -> Any:
    return (await done(api, api.account_token(account), query, variables))[0]


async def grant(api: Api, account: str, request: str, **more: Any) -> Any:
    return await say(api, account, GRANT, **answer_to("requestId", request, **more))


async def profile(api: Api, person: Person) -> Any:
    return (await done(api, await api.system_token("care"), PROFILE, borrower(person, purpose="BENEFIT_ELIGIBILITY")))[
        0
    ]


def ward(person: Person) -> str:
    return str(person.person_id)


async def test_a_guardian_decides_for_a_child_and_a_minor_decides_with_him(api: Api) -> None:
    wards = (await say(api, "head", WARDS))["items"]
    assert [(one["id"], one["name"], one["needsMinor"]) for one in wards] == [
        (ward(TEEN), TEEN.name, True), (ward(CHILD), CHILD.name, False)
    ]  # fmt: skip
    assert (await say(api, "wife", WARDS))["items"] == []
    shown = canary(CHILD.person_id, PART, "grade")
    request = await asked(api, CHILD)
    assert (await grant(api, "wife", request, ward=ward(CHILD)))["code"] == "NOT_AN_ADULT"
    (missing,) = (await grant(api, "head", request, ward=ward(CHILD)))["fields"]
    assert missing["code"] == "CHILD_NOTICE_MISSING"
    assert (await profile(api, CHILD))["tax"]["grades"] is None
    made = await grant(api, "head", request, ward=ward(CHILD), childNotice=True)
    assert made["__typename"] == "ConsentGranted"
    assert (await profile(api, CHILD))["tax"]["grades"] == [{"grade": shown}]
    assert (await say(api, "wife", WITHDRAW, **answer_to("consentId", made["consentId"])))[
        "code"
    ] == "CONSENT_NOT_IN_FORCE"
    assert (await say(api, "head", WITHDRAW, **answer_to("consentId", made["consentId"])))["state"] == "WITHDRAWN"
    assert (await profile(api, CHILD))["tax"]["grades"] is None

    request = await asked(api, TEEN)
    first = await grant(api, "teen", request)
    assert (first["__typename"], first["awaits"], first["addedTo"]) == ("ConsentAgreed", ["GUARDIAN"], None)
    assert (await profile(api, TEEN))["tax"]["grades"] is None
    (waiting,) = [
        one for one in (await say(api, "head", WARD_BOOK, ward=ward(TEEN)))["requests"] if one["id"] == request
    ]
    assert (waiting["state"], waiting["awaits"]) == ("REQUESTED", ["GUARDIAN"])
    made = await grant(api, "head", request, ward=ward(TEEN))
    assert made["__typename"] == "ConsentGranted"
    assert (await profile(api, TEEN))["tax"]["grades"] == [{"grade": canary(TEEN.person_id, PART, "grade")}]
    assert (await say(api, "teen", WITHDRAW, **answer_to("consentId", made["consentId"])))["state"] == "WITHDRAWN"
    assert (await profile(api, TEEN))["tax"]["grades"] is None


async def test_a_guardian_sees_the_wards_own_record_and_accesses_and_the_minors_own_acts_stay_his(api: Api) -> None:
    own = canary(TEEN.person_id, PART, "grade")
    before = (await say(api, "head", HISTORY))["total"]
    record = await say(api, "head", RECORD, ward=ward(TEEN))
    assert record["tax"]["grades"] == [{"grade": own}]
    # Where the ward lives is the affair of that household's adults.
    assert (record["household"]["villageName"], record["relief"]["items"]) == (None, None)
    assert {entry["category"] for entry in record["withheld"]} == {"roster", "civil.relief"}
    await say(api, "teen", HISTORY)
    whole = await say(api, "head", HISTORY, ward=ward(TEEN))
    shown = [edge["node"] for edge in whole["edges"]]
    # Neither a number nor a count tells that something is not shown, nor does the length of a page.
    assert [node["number"] for node in shown] == list(range(whole["total"], 0, -1))
    await say(api, "teen", HISTORY)
    paged, page = [], await say(api, "head", HISTORY, ward=ward(TEEN), first=2)
    assert page["total"] == whole["total"] + 1  # his own reading before
    while page["pageInfo"]["hasNextPage"]:
        assert len(page["edges"]) == 2
        paged += [edge["node"] for edge in page["edges"]]
        page = await say(api, "head", HISTORY, ward=ward(TEEN), first=2, after=page["pageInfo"]["endCursor"])
    assert [*paged, *(edge["node"] for edge in page["edges"])][1:] == shown
    events = [node["event"] for node in shown]
    assert events[:2] == ["history:guardian:queried", "household:guardian:queried"]
    assert not any(":resident:" in event for event in events)
    mine = [edge["node"] for edge in (await say(api, "teen", HISTORY))["edges"]]
    assert {"history:resident:queried", "household:guardian:queried"} <= {node["event"] for node in mine}
    assert "监护人查看了被监护人的档案" in {node["meaning"] for node in mine}
    assert (await say(api, "head", HISTORY))["total"] == before + 1  # his own list has his own readings only
    # Nobody else's: not the other adult of the household, not a minor of another one.
    stranger = await say(api, "wife", RECORD, ward=str(uuid4()))
    assert await say(api, "wife", RECORD, ward=ward(TEEN)) == stranger
    assert {entry["reason"] for entry in stranger["withheld"]} == {"NO_BASIS"}
    assert (await say(api, "wife", HISTORY, ward=ward(TEEN)))["code"] == "WARD_UNKNOWN"
    assert (await say(api, "head", RECORD, ward="no-id"))["__typename"] == "InvalidInput"


async def test_after_majority_a_guardian_is_a_stranger(api: Api) -> None:
    request = await asked(api, TEEN)
    await grant(api, "head", request, ward=ward(TEEN))
    consent = (await grant(api, "teen", request))["consentId"]
    assert (await profile(api, TEEN))["tax"]["grades"]
    await age(api, TEEN, 18)
    written = await api.owner.fetchval("SELECT count(*) FROM consent.event")
    unseen = await profile(api, TEEN)
    assert unseen["tax"]["grades"] is None
    assert {entry["reason"] for entry in unseen["withheld"]} == {"NO_BASIS"}
    assert ward(TEEN) not in {one["id"] for one in (await say(api, "head", WARDS))["items"]}
    assert await say(api, "head", RECORD, ward=ward(TEEN)) == await say(api, "head", RECORD, ward=str(uuid4()))
    assert (await say(api, "head", HISTORY, ward=ward(TEEN)))["code"] == "WARD_UNKNOWN"
    assert (await say(api, "head", WARD_BOOK, ward=ward(TEEN)))["code"] == "NOT_AN_ADULT"
    assert (await grant(api, "head", await asked(api, TEEN), ward=ward(TEEN)))["code"] == "NOT_AN_ADULT"
    assert (await say(api, "head", WITHDRAW, **answer_to("consentId", consent)))["code"] == "CONSENT_NOT_IN_FORCE"
    assert await api.owner.fetchval("SELECT count(*) FROM consent.event") == written + 1  # the request alone
    # What was agreed to about the minor is still his to take back.
    assert (await say(api, "teen", WITHDRAW, **answer_to("consentId", consent)))["state"] == "WITHDRAWN"


async def test_every_cell_of_a_guardian_is_given_and_no_other(api: Api) -> None:
    given: set[str] = set()
    for purpose in Purpose:
        request = DisclosureRequest(
            asker=Asker("head", "t", "head"), purpose=purpose, subject=SubjectSelf(CHILD.person_id), parts=ALL_PARTS,
            operation="query", variables={},
        )  # fmt: skip
        disclosure, _ = await api.hub.ports.disclosing.disclose(request)
        found = {part_key(section.part) for section in disclosure.sections}
        assert not found or purpose is Purpose.SELF_ACCESS
        given |= found
    # Whether somebody is eligible is worked out when it is asked, and stands in no section.
    assert given == {part_key(part) for part in ALL_PARTS} - HOUSEHOLD_PARTS - {"eligibility/YES_NO"}


async def test_one_joint_holders_withdrawal_stops_joint_data_and_is_seen_by_nobody(api: Api) -> None:
    parts = [{"category": name, "form": form} for name, form in (("roster", "VALUE"), ("tax.grade", "VALUE"))]
    consents: dict[str, str] = {}
    for person, account in ((HEAD, "head"), (WIFE, "wife")):
        request, _ = await done(api, await api.system_token(), REQUEST, ask_for(person, parts=parts))
        consents[account] = (await grant(api, account, request["requestId"]))["consentId"]
    question = borrower(HEAD)
    joint, _ = await done(api, await api.system_token(), PROFILE, question)
    assert joint["household"]["villageName"]
    heads, wifes = [(await say(api, account, HISTORY))["total"] for account in ("head", "wife")]
    await say(api, "wife", WITHDRAW, **answer_to("consentId", consents["wife"]))
    stopped, _ = await done(api, await api.system_token(), PROFILE, question)
    assert stopped["household"]["villageName"] is None
    assert stopped["tax"]["grades"]
    assert {"category": "roster", "reason": "CATEGORY_NOT_IN_BASIS"} in stopped["withheld"]
    # He finds the bank's question in his list and nothing of hers; she her own withdrawal and nothing of his.
    page = await say(api, "head", HISTORY)
    assert page["total"] == heads + 2  # his reading above, and the question
    assert not [edge for edge in page["edges"] if "withdrawn" in edge["node"]["event"]]
    assert (await say(api, "wife", HISTORY))["total"] == wifes + 2
    own = json.dumps(await say(api, "wife", RECORD), ensure_ascii=False)
    assert canary(HEAD.person_id, PART, "grade") not in own
    assert canary(WIFE.person_id, PART, "grade") in own
