"""From the pushed request over the person's page to a query, and what ends it: on a real database, over HTTP."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from hub.app import build_metrics
from hub.store.database import Database
from tests.auth.clients import jwks, new_key
from tests.auth.partner import CALLBACK, Browser, Partner, back

from .world import BANK_A, HEAD, SESSIONS, STRANGER_NUMBER, WIFE, Api, Person, borrower, canary, running_api

PARTS = [
    {"category": "identity", "form": "VALUE"}, {"category": "tax.grade", "form": "VALUE"},
    {"category": "tax.band", "form": "BAND"},
]  # fmt: skip
PROFILE = """query($input: BorrowerProfileInput!) { borrowerProfile(input: $input) {
  ... on BorrowerProfile { borrowerId identity { name } tax { grades { grade } } withheld { field reason } }
  ... on UserError { code } } }"""


def details(person: Person | None = HEAD, **changes: Any) -> list[dict[str, Any]]:
    one: dict[str, Any] = {"type": "credit_data_consent", "purpose": "LOAN_APPLICATION", "parts": PARTS}
    if person is not None:
        one["subject"] = {"id_number": number_of(person), "name": person.name}
    return [one | changes]


def number_of(person: Person) -> str:
    return person.number


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One hub for all tests here: each asks for consents of its own."""
    async with running_api(module_database, tmp_path_factory.mktemp("hub") / "home") as api:
        yield api


async def consents(api: Api) -> int:
    return int(await api.owner.fetchval("SELECT count(*) FROM consent.record"))


async def app_of(api: Api) -> Partner:
    """An app of people, with a new key."""
    key = new_key("ES256")
    await api.owner.execute(
        "INSERT INTO auth.app VALUES ('phone-app', '手机应用', 'Phone app', $1, $2)"
        " ON CONFLICT (client_id) DO UPDATE SET jwks = excluded.jwks", json.dumps(jwks(key)), [CALLBACK],
    )  # fmt: skip
    return Partner(api.http, api.hub.issuer.issuer, "phone-app", key)


async def partner_of(api: Api, client: str = "risk-a") -> Partner:
    await api.owner.execute(
        "UPDATE access.client SET redirect_uris = $2, is_dpop_required = true WHERE client_id = $1", client, [CALLBACK]
    )
    return Partner(api.http, api.hub.issuer.issuer, client, api.client_keys[client])


@pytest_asyncio.fixture(loop_scope="module")
async def bank(api: Api) -> Partner:
    return await partner_of(api)


@pytest.fixture
def head(api: Api) -> Browser:
    return Browser(api.http, "head")


async def granted(bank: Partner, browser: Browser, person: Person | None = HEAD, **changes: Any) -> dict[str, Any]:
    """The answer of the token endpoint after a person said yes."""
    uri = await bank.push(details(person, **changes))
    answer = await browser.consent(bank.client_id, uri)
    reply = await bank.exchange(answer["code"])
    assert reply.status_code == 200, reply.text
    tokens: dict[str, Any] = reply.json()
    return tokens


def by_id(subject: str, purpose: str = "LOAN_APPLICATION") -> dict[str, Any]:
    return {"input": {"borrower": {"borrowerId": subject}, "purpose": purpose, "officer": "officer.li"}}


async def test_the_whole_way(api: Api, bank: Partner, head: Browser) -> None:
    uri = await bank.push(details(application_ref="A-17", days=7, uses=2, officer="officer-07"))
    page = await head.open("risk-a", uri)
    assert "请求查询您的信用信息" in page.text
    assert "<code>head</code>" in page.text, "whoever sits at a browser that another left can see it"
    assert 'href="/sign-in"' in page.text
    assert (await head.open("risk-a", uri)).status_code == 200, "a reload uses nothing up"
    answer = back(await head.answer(page))
    assert (answer["state"], answer["iss"]) == ("state-7", bank.issuer)
    tokens = (await bank.exchange(answer["code"])).json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("DPoP", 300)
    (what,) = tokens["authorization_details"]
    assert what == {
        "type": "credit_data_consent", "purpose": "LOAN_APPLICATION", "parts": PARTS, "application_ref": "A-17",
    }  # fmt: skip
    claims = api.hub.verifier.read(tokens["access_token"])
    assert (str(claims.grant), claims.client_id, claims.is_system) == (tokens["grant_id"], "risk-a", True)
    assert claims.key == bank.proof_key.thumbprint()
    reply = await bank.ask(tokens["access_token"], PROFILE, by_id(claims.subject))
    profile = reply.json()["data"]["borrowerProfile"]
    assert profile["borrowerId"] == claims.subject, "`sub` is the person's id for this organisation"
    assert profile["identity"]["name"] == canary(HEAD.person_id, "identity/VALUE", "name")
    state = await bank.introspect(tokens["access_token"])
    assert (state["active"], state["cnf"], state["grant_id"]) == (True, {"jkt": claims.key}, tokens["grant_id"])
    again = await bank.post("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]})
    assert "refresh_token" not in again.json(), "no rotation"
    fresh = again.json()["access_token"]
    assert (await bank.ask(fresh, PROFILE, by_id(claims.subject))).json()["data"]["borrowerProfile"]["identity"]
    await bank.post("/oauth2/revoke", {"token": tokens["refresh_token"]}, bound=False)
    for token in (tokens["access_token"], fresh, tokens["refresh_token"]):
        assert await bank.introspect(token) == {"active": False}


async def test_a_person_may_tick_fewer_parts_or_refuse(api: Api, bank: Partner, head: Browser) -> None:
    answer = await head.consent("risk-a", await bank.push(details()), part="tax.grade/VALUE", heightened=None)
    tokens = (await bank.exchange(answer["code"])).json()
    assert tokens["authorization_details"][0]["parts"] == [{"category": "tax.grade", "form": "VALUE"}]
    uri = await bank.push(details())
    assert await head.consent("risk-a", uri, "no") == {
        "error": "access_denied", "state": "state-7", "iss": bank.issuer,
    }  # fmt: skip
    assert (await head.open("risk-a", uri)).status_code == 400, "answered once"


async def test_what_needs_the_special_notice_needs_it_accepted(api: Api, bank: Partner, head: Browser) -> None:
    uri, before = await bank.push(details()), await consents(api)
    for changes in ({"heightened": None}, {"part": None}, {"part": "bank.loan/VALUE"}):
        reply = await head.answer(await head.open("risk-a", uri), **changes)
        assert (reply.status_code, "problem" in reply.text) == (400, True), changes
    assert await consents(api) == before


async def test_only_the_person_who_is_asked_can_answer(api: Api, bank: Partner, head: Browser) -> None:
    uri = await bank.push(details(WIFE))
    page = await head.open("risk-a", uri)
    assert page.status_code == 403
    assert WIFE.name not in page.text
    assert (await Browser(api.http, "wife").open("risk-a", uri)).status_code == 400, "it belongs to the first session"
    nobody = await bank.push(details(Person(HEAD.person_id, STRANGER_NUMBER, "无此人")))
    assert (await head.open("risk-a", nobody)).text == page.text, "the same whoever is asked"


async def test_without_a_subject_whoever_signs_in_is_asked(api: Api, bank: Partner, head: Browser) -> None:
    tokens = await granted(bank, head, None)
    claims = api.hub.verifier.read(tokens["access_token"])
    profile = (await bank.ask(tokens["access_token"], PROFILE, by_id(claims.subject))).json()
    assert profile["data"]["borrowerProfile"]["identity"]["name"] == canary(HEAD.person_id, "identity/VALUE", "name")


async def test_an_unsigned_visitor_signs_in_first(api: Api, bank: Partner) -> None:
    uri = await bank.push(details())
    reply = await Browser(api.http, "").open("risk-a", uri)
    assert reply.status_code == 303
    assert reply.headers["location"].startswith("/sign-in?next=%2Foauth2%2Fauthorize%3Fclient_id%3Drisk-a")


async def test_an_officer_who_is_not_registered_is_named_as_what_is_wrong(api: Api, bank: Partner) -> None:
    requests = "SELECT count(*) FROM consent.request"
    before = await api.owner.fetchval(requests)
    since = "UPDATE access.organisation SET officers_since = $2 WHERE organisation_id = $1"
    await api.owner.execute(since, BANK_A, datetime.now(UTC))
    try:
        reply = await bank.post("/oauth2/par", bank.push_form(details(officer="officer.nobody")), bound=False)
    finally:
        await api.owner.execute(since, BANK_A, None)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_authorization_details")
    assert "OFFICER_UNKNOWN" in reply.json()["error_description"]
    assert await api.owner.fetchval(requests) == before


async def test_the_page_cannot_be_framed_kept_or_scripted(api: Api, bank: Partner, head: Browser) -> None:
    page, before = await head.open("risk-a", await bank.push(details())), await consents(api)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://bank.example" in policy
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text
    for changes in ({"csrf": "0" * 66}, {"csrf": None}, {"decision": "maybe"}):
        assert (await head.answer(page, **changes)).status_code == 400, changes
    assert await consents(api) == before


async def test_a_token_of_a_grant_asks_about_that_person_and_purpose_only(
    api: Api, bank: Partner, head: Browser
) -> None:
    await api.owner.execute(
        "UPDATE access.client SET purposes = '{LOAN_APPLICATION,GUARANTOR_REVIEW}' WHERE client_id = 'risk-a'"
    )
    basis = await api.basis(WIFE)
    await api.owner.execute(
        "INSERT INTO consent.basis SELECT (jsonb_populate_record(b, jsonb_build_object('basis_id', gen_random_uuid(),"
        " 'person_id', $1::uuid, 'purpose', 'GUARANTOR_REVIEW'))).* FROM consent.basis b"
        " WHERE b.basis_id = $2", HEAD.person_id, basis,
    )  # fmt: skip
    tokens = await granted(bank, head)
    sub = api.hub.verifier.read(tokens["access_token"]).subject
    plain = await bank.system_token()
    for variables in (borrower(WIFE), by_id(sub, "GUARANTOR_REVIEW")):
        allowed = (await bank.ask(plain, PROFILE, variables)).json()["data"]["borrowerProfile"]
        assert allowed["borrowerId"] is not None, "the organisation has a basis for it"
        refused = (await bank.ask(tokens["access_token"], PROFILE, variables)).json()["data"]["borrowerProfile"]
        assert refused["borrowerId"] is None
        assert {each["reason"] for each in refused["withheld"]} == {"NO_BASIS"}
    other = await bank.ask(tokens["access_token"], 'query { consentRequest(id: "x") { __typename } }')
    assert other.json()["errors"][0]["extensions"]["code"] == "NOT_ALLOWED"


async def test_a_withdrawn_consent_ends_its_tokens(api: Api, bank: Partner, head: Browser) -> None:
    tokens = await granted(bank, head)
    sub = api.hub.verifier.read(tokens["access_token"]).subject
    withdraw = (
        "mutation($i: WithdrawConsentInput!) { withdrawConsent(input: $i) { ... on ConsentWithdrawn { state } } }"
    )
    done = await api.ask(
        api.account_token("head"), withdraw, {"i": {"idempotencyKey": "w", "consentId": tokens["grant_id"]}}
    )
    assert done.json()["data"]["withdrawConsent"]["state"] == "WITHDRAWN"
    assert await bank.introspect(tokens["access_token"]) == {"active": False}
    assert await bank.introspect(tokens["refresh_token"]) == {"active": False}
    again = await bank.post("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]})
    assert again.json()["error"] == "invalid_grant"
    reply = await bank.ask(tokens["access_token"], PROFILE, by_id(sub))
    assert reply.json()["data"]["borrowerProfile"]["borrowerId"] is None
    assert "CANARY" not in reply.text


async def test_a_client_asks_how_its_grant_stands_and_gives_it_up(api: Api, bank: Partner, head: Browser) -> None:
    tokens = await granted(bank, head)
    path = f"/oauth2/grants/{tokens['grant_id']}"

    async def call(partner: Partner, method: str) -> Any:
        token = await partner.system_token()
        headers = {"authorization": f"DPoP {token}", "dpop": partner.proof(path, token=token, htm=method)}
        return await api.http.request(method, path, headers=headers)

    other = await partner_of(api, "risk-b")
    assert (await call(other, "GET")).status_code == 404
    assert (await call(other, "DELETE")).status_code == 404
    shown = (await call(bank, "GET")).json()
    assert (shown["status"], shown["uses"]) == ("IN_FORCE", 0)
    assert (await call(bank, "DELETE")).status_code == 204
    assert (await call(bank, "GET")).json()["status"] == "REVOKED"
    assert await bank.introspect(tokens["access_token"]) == {"active": False}
    events = await api.owner.fetch(
        "SELECT e.verb FROM consent.event e JOIN consent.record k USING (request_id) WHERE k.consent_id = $1"
        " ORDER BY e.event_id", tokens["grant_id"],
    )  # fmt: skip
    assert [row["verb"] for row in events] == ["requestConsent", "grantConsent", "revokeConsent"]


async def test_an_app_acts_for_the_person_who_allows_it(api: Api) -> None:
    app = await app_of(api)
    answer = await Browser(api.http, "wife").consent("phone-app", await app.push())
    tokens = (await app.exchange(answer["code"])).json()
    claims = api.hub.verifier.read(tokens["access_token"])
    assert (claims.subject, claims.is_system, claims.factors) == ("wife", False, ("pop", "user", "mfa"))
    reply = await app.ask(tokens["access_token"], "{ household { ... on OwnRecord { identity { name } } } }")
    assert reply.json()["data"]["household"]["identity"]["name"] == canary(WIFE.person_id, "identity/VALUE", "name")
    own = await app.post("/oauth2/token", {"grant_type": "client_credentials"})
    assert own.json()["error"] == "unauthorized_client"


async def test_keys_of_all_three_kinds(api: Api, bank: Partner, head: Browser) -> None:
    for algorithm in ("PS256", "ES256", "EdDSA", "Ed25519"):
        key = new_key(algorithm)
        await api.owner.execute("UPDATE access.client SET jwks = $1 WHERE client_id = 'risk-a'", json.dumps(jwks(key)))
        partner = Partner(api.http, bank.issuer, "risk-a", key, algorithm, proof_key=new_key(algorithm))
        reply = await partner.ask(await partner.system_token(), "{ __typename }")
        assert reply.json() == {"data": {"__typename": "Query"}}, algorithm
    await api.owner.execute("UPDATE access.client SET jwks = $1 WHERE client_id = 'risk-a'", json.dumps(jwks(bank.key)))


async def test_nothing_of_the_subject_is_kept_in_clear(api: Api, bank: Partner, head: Browser) -> None:
    await granted(bank, head)
    tables = await api.owner.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('auth', 'consent')"
    )
    for table in tables:
        text = await api.owner.fetchval(f"SELECT string_agg(t::text, ' ') FROM {table['name']} t") or ""
        assert HEAD.number not in text, table["name"]
        assert HEAD.name not in text, table["name"]


async def test_a_used_up_consent_is_told_as_not_active(api: Api, bank: Partner, head: Browser) -> None:
    tokens = await granted(bank, head, uses=1)
    sub = api.hub.verifier.read(tokens["access_token"]).subject
    assert (await bank.introspect(tokens["access_token"]))["active"] is True
    assert "CANARY" in (await bank.ask(tokens["access_token"], PROFILE, by_id(sub))).text
    assert await bank.introspect(tokens["access_token"]) == {"active": False}
    assert "CANARY" not in (await bank.ask(tokens["access_token"], PROFILE, by_id(sub))).text


async def test_tokens_of_an_app_end_with_the_session(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SESSIONS, "head", uuid4())
    await api.begin_session("head")
    app = await app_of(api)
    answer = await Browser(api.http, "head").consent("phone-app", await app.push())
    tokens = (await app.exchange(answer["code"])).json()
    later = await Browser(api.http, "head").consent("phone-app", await app.push())
    assert (await app.ask(tokens["access_token"], "{ __typename }")).status_code == 200
    await api.owner.execute("SELECT auth.end_sessions(ARRAY[$1::uuid], 'SIGNED_OUT')", SESSIONS["head"])
    assert (await app.ask(tokens["access_token"], "{ __typename }")).status_code == 401
    assert await app.introspect(tokens["access_token"]) == {"active": False}
    assert await app.introspect(tokens["refresh_token"]) == {"active": False}
    again = await app.post("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]})
    assert again.json()["error"] == "invalid_grant"
    assert (await app.exchange(later["code"])).json()["error"] == "invalid_grant", "a code of that session too"


async def test_refusals_are_metrics(api: Api) -> None:
    await api.http.post("/oauth2/token", data={"grant_type": "client_credentials"})
    transport = httpx.ASGITransport(app=build_metrics(api.hub))
    async with httpx.AsyncClient(transport=transport, base_url="http://metrics.example") as http:
        text = (await http.get("/metrics")).text
    assert 'hub_token_refusals_total{endpoint="token",reason="invalid_client"}' in text
