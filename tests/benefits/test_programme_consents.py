"""A consent is for one version of one programme: it answers no other, and the person reads which it is."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.api.test_code_flow import Browser, details, partner_of
from tests.api.test_consent_story import GRANT, REQUEST, WITHDRAW, answer_to, ask_for, done
from tests.api.world import HEAD, WIFE, Person

from .world import ASK, ELIGIBILITY, NO_ARREARS, PROVIDER_A, PROVIDER_B, SMALL, Benefits, programme

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOOK = """{ consents { ... on ConsentBook {
  requests { id notice programme } consents { id programme state } } } }"""


def wanted(person: Person, *parts: str, **changes: Any) -> dict[str, Any]:
    """A request of a provider for the answer and for what it is worked out from."""
    listed = [dict(zip(("category", "form"), part.split("/"), strict=True)) for part in (ELIGIBILITY, *parts)]
    return ask_for(person, purpose="BENEFIT_ELIGIBILITY", parts=listed, officer="o.li", **changes)


async def given(benefits: Benefits, person: Person, name: str, *parts: str, account: str = "head") -> UUID:
    """The consent of a person to a programme, asked for and given over the API."""
    api = benefits.api
    request, _ = await done(
        api,
        await api.system_token(PROVIDER_A),
        REQUEST,
        wanted(person, *parts, programme=name, idempotencyKey=uuid4().hex),
    )
    consent, _ = await done(api, api.account_token(account), GRANT, answer_to("requestId", request["requestId"]))
    return UUID(consent["consentId"])


async def standing(benefits: Benefits, account: str = "head") -> dict[str, set[str]]:
    """Programme -> states of the consents to it."""
    book, _ = await done(benefits.api, benefits.api.account_token(account), BOOK)
    found: dict[str, set[str]] = {}
    for consent in book["consents"]:
        found.setdefault(consent["programme"], set()).add(consent["state"])
    return found


async def test_a_request_names_an_approved_programme_of_the_asker_and_only_what_that_reads(benefits: Benefits) -> None:
    api = benefits.api
    await benefits.approve(programme("care", SMALL))
    await benefits.approve(programme("arrears", NO_ARREARS))
    await benefits.approve(programme("shop", SMALL, PROVIDER_B))
    before = await api.owner.fetchval("SELECT count(*) FROM consent.request")
    for asker, changes, code in (
        (PROVIDER_A, {}, "PROGRAMME_MISSING"),
        (PROVIDER_A, {"programme": "shop"}, "PROGRAMME_UNKNOWN"),
        (PROVIDER_A, {"programme": "care@2"}, "PROGRAMME_UNKNOWN"),
        (PROVIDER_A, {"programme": "arrears"}, "PART_NOT_OPEN"),  # that one does not read the roster
        ("risk-a", {"programme": "care", "purpose": "LOAN_APPLICATION"}, "PROGRAMME_UNKNOWN"),
    ):
        asked = wanted(HEAD, "roster/VALUE")
        asked["input"] |= changes
        refused, receipt = await done(api, await api.system_token(asker), REQUEST, asked)
        assert (refused["__typename"], refused["fields"][0]["code"], receipt) == ("InvalidInput", code, None)
    asked["input"] |= {"programme": "no programme"}
    malformed, _ = await done(api, await api.system_token(PROVIDER_A), REQUEST, asked)
    assert malformed["fields"] == [{"path": ["input", "programme"], "code": "PROGRAMME_UNKNOWN"}]
    assert await api.owner.fetchval("SELECT count(*) FROM consent.request") == before


async def test_the_notice_and_the_signed_record_name_the_version(benefits: Benefits) -> None:
    api = benefits.api
    await benefits.approve(programme("care", SMALL))
    consent = await given(benefits, HEAD, "care@1", "roster/VALUE")
    book, _ = await done(api, api.account_token("head"), BOOK)
    assert "项目：项目care（care 第1版，依据：document 1 of the test）" in book["requests"][0]["notice"]
    assert (book["requests"][0]["programme"], (await standing(benefits))["care@1"]) == ("care@1", {"IN_FORCE"})
    terms = json.loads(await api.owner.fetchval("SELECT terms FROM consent.record WHERE consent_id = $1", consent))
    assert terms["programme"] == {
        "id": "care", "version": 1, "nameZh": "项目care", "nameEn": "programme care",
        "document": "document 1 of the test",
    }  # fmt: skip
    agrees = "SELECT agrees FROM consent.standing_records(NULL, 9) WHERE consent_id = $1"
    assert await api.owner.fetchval(agrees, consent)
    await api.owner.execute("UPDATE consent.basis SET reference = 'care@2' WHERE basis_id = $1", consent)
    assert not await api.owner.fetchval(agrees, consent)


async def test_a_new_version_and_another_programme_need_a_consent_of_their_own(benefits: Benefits) -> None:
    await benefits.approve(programme("care", SMALL))
    await given(benefits, HEAD, "care", "roster/VALUE")
    assert (await benefits.ask("care"))["answer"] == "YES"
    await benefits.approve(programme("other", NO_ARREARS))
    assert (await benefits.ask("other"))["withheld"][0]["reason"] == "NO_BASIS"
    await given(benefits, HEAD, "other", "tax.arrears/YES_NO")
    assert (await benefits.ask("other"))["answer"] == "NO"
    assert (await benefits.ask("care"))["answer"] == "YES", "the consent to another programme takes nothing away"

    smaller = SMALL | {"value": 3}
    await benefits.approve(programme("care", {"all": [smaller]}), "care@1")
    nobody = (await benefits.ask("care", WIFE))["withheld"]
    assert (await benefits.ask("care"))["withheld"] == nobody, "what was agreed to was the first version"
    await given(benefits, HEAD, "care", "roster/VALUE")
    assert (await benefits.ask("care"))["programmeVersion"] == 2
    await given(benefits, HEAD, "care", "roster/VALUE")
    assert await standing(benefits) == {
        "care@1": {"IN_FORCE"}, "other@1": {"IN_FORCE"}, "care@2": {"SUPERSEDED", "IN_FORCE"},
    }  # fmt: skip


async def test_what_another_adult_takes_back_stops_the_same_programme_only(benefits: Benefits) -> None:
    api = benefits.api
    await benefits.approve(programme("care", SMALL))
    await benefits.approve(programme("small", {"all": [SMALL, SMALL | {"code": "again"}]}), "care@1")
    for name in ("care", "small"):
        await given(benefits, HEAD, name, "roster/VALUE")
    taken_back = await given(benefits, WIFE, "care", "roster/VALUE", account="wife")
    await done(api, api.account_token("wife"), WITHDRAW, answer_to("consentId", str(taken_back)))
    assert (await benefits.ask("care"))["withheld"][0]["reason"] == "NO_BASIS"
    assert (await benefits.ask("small"))["answer"] == "YES"
    # Her no is one to the programme: another version with the same condition opens nothing either, until she says yes.
    await benefits.approve(programme("care", SMALL, reference="document 2"), "small@1")
    await given(benefits, HEAD, "care", "roster/VALUE")
    assert (await benefits.ask("care"))["withheld"][0]["reason"] == "NO_BASIS"
    await given(benefits, WIFE, "care", "roster/VALUE", account="wife")
    assert (await benefits.ask("care"))["answer"] == "YES"


async def test_a_no_to_one_version_is_one_to_a_yes_on_paper_to_the_next(benefits: Benefits) -> None:
    """Whoever takes a consent back after another version was asked for has said no to that one too."""
    api = benefits.api
    await benefits.approve(programme("care", SMALL))
    await benefits.approve(programme("other", NO_ARREARS))
    consents = {
        "care": await given(benefits, HEAD, "care", "roster/VALUE"),
        "other": await given(benefits, HEAD, "other", "tax.arrears/YES_NO"),
    }
    await benefits.approve(programme("care", SMALL, reference="document 2"))
    asked, _ = await done(
        api,
        await api.system_token(PROVIDER_A),
        REQUEST,
        wanted(HEAD, "roster/VALUE", programme="care", idempotencyKey=uuid4().hex),
    )
    said_no = "SELECT consent.has_said_no($1, r, 'none', 0) FROM consent.request r WHERE r.request_id = $2"
    for name, expected in (("other", False), ("care", True)):
        await done(api, api.account_token("head"), WITHDRAW, answer_to("consentId", str(consents[name])))
        assert await api.owner.fetchval(said_no, HEAD.person_id, UUID(asked["requestId"])) is expected, name


async def test_a_token_that_stands_for_a_consent_asks_about_its_programme_only(benefits: Benefits) -> None:
    """By PAR and the page: the token names the version, and opens no other consent of the same person."""
    api = benefits.api
    await benefits.approve(programme("care", SMALL))
    await benefits.approve(programme("other", NO_ARREARS))
    await given(benefits, HEAD, "other", "tax.arrears/YES_NO")
    provider, browser = await partner_of(api, PROVIDER_A), Browser(api.http, "head")
    await api.owner.execute("UPDATE access.client SET is_dpop_required = false WHERE client_id = $1", PROVIDER_A)
    parts = [{"category": "eligibility", "form": "YES_NO"}, {"category": "roster", "form": "VALUE"}]
    asked = details(purpose="BENEFIT_ELIGIBILITY", parts=parts, officer="o.li", programme="care")
    answer = await browser.consent(PROVIDER_A, await provider.push(asked))
    tokens = (await provider.exchange(answer["code"])).json()
    (what,) = tokens["authorization_details"]
    assert what == {
        "type": "credit_data_consent", "purpose": "BENEFIT_ELIGIBILITY", "parts": parts, "programme": "care@1",
    }  # fmt: skip

    async def told(name: str) -> Any:
        named = {"identity": {"idNumber": HEAD.number, "name": HEAD.name}}
        variables = {"input": {"programme": name, "person": named, "officer": "o.li"}}
        return (await provider.ask(tokens["access_token"], ASK, variables)).json()["data"]["benefitEligibility"]

    assert (await told("care"))["answer"] == "YES"
    assert (await told("other"))["withheld"][0]["reason"] == "NO_BASIS"
    assert (await benefits.ask("other"))["answer"] == "NO"
    fresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    for version, status in (("care@1", 200), ("care", 200), ("other@1", 400), ("care@2", 400)):
        fewer = json.dumps([what | {"programme": version}])
        reply = await provider.post("/oauth2/token", fresh | {"authorization_details": fewer})
        assert reply.status_code == status, reply.text
