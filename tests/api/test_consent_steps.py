"""Later steps of a consent and declared bases, through the API: what a client sees and what the next query gets."""

import json
import uuid
from pathlib import Path

import pytest

from hub.cli import FAILED, main
from hub.consent.record import SIGNING_KEY, public_jwk

from .test_consent_story import PROFILE, answer_to, done, granted
from .world import HEAD, NOBODY, STRANGER_NUMBER, Api, Person, borrower

PAUSE = """
mutation P($input: SuspendConsentInput!) { VERB(input: $input) {
  __typename ... on ConsentPaused { state } ... on UserError { code } } }
"""
REVOKE = """
mutation R($input: RevokeConsentInput!) { revokeConsent(input: $input) {
  __typename ... on ConsentRevoked { state } ... on UserError { code } ... on InvalidInput { fields { code } } } }
"""
RECEIPT = """
query R($id: ID!) { consentReceipt(consentId: $id) {
  __typename ... on ConsentReceipt { document } ... on UserError { code } } }
"""
CHANGES = """
query C($since: String) { consentChanges(since: $since) {
  ... on ConsentChanges { changes { consentId requestId state } cursor hasMore } ... on UserError { code } } }
"""
DECLARE = """
mutation D($input: DeclareBasisInput!) { declareBasis(input: $input) {
  __typename ... on BasisDeclared { basisId state } ... on UserError { code }
  ... on InvalidInput { fields { code } } } }
"""
DECIDE = """
mutation D($input: DecideBasisInput!) { decideBasis(input: $input) {
  __typename ... on BasisDecided { state } ... on UserError { code } } }
"""


async def sees(api: Api, token: str) -> bool:
    value, _ = await done(api, token, PROFILE, borrower(HEAD))
    return value["borrowerId"] is not None


async def test_pause_resume_revoke_and_what_the_bank_is_told(api: Api) -> None:
    consent = await granted(api)
    bank, head, wife = await api.system_token(), api.account_token("head"), api.account_token("wife")
    assert await sees(api, bank)
    foreign, _ = await done(api, wife, PAUSE.replace("VERB", "suspendConsent"), answer_to("consentId", consent))
    assert foreign == {"__typename": "NotFound", "code": "CONSENT_NOT_IN_FORCE"}
    for verb, state in (("suspendConsent", "SUSPENDED"), ("resumeConsent", "IN_FORCE")):
        value, receipt = await done(api, head, PAUSE.replace("VERB", verb), answer_to("consentId", consent))
        assert (value, bool(receipt)) == ({"__typename": "ConsentPaused", "state": state}, True)
        assert await sees(api, bank) is (state == "IN_FORCE")
    other = {"officer": "li.si", "cause": "APPLICATION_CLOSED"}
    refused, _ = await done(api, await api.system_token("risk-b"), REVOKE, answer_to("consentId", consent, **other))
    assert refused["code"] == "CONSENT_NOT_IN_FORCE"
    revoked, _ = await done(api, bank, REVOKE, answer_to("consentId", consent, **other))
    assert revoked == {"__typename": "ConsentRevoked", "state": "REVOKED"}
    assert not await sees(api, bank)
    told, _ = await done(api, bank, CHANGES)
    assert [change["state"] for change in told["changes"] if change["consentId"] == consent] == [
        "IN_FORCE", "SUSPENDED", "IN_FORCE", "REVOKED",
    ]  # fmt: skip
    nothing, _ = await done(api, bank, CHANGES, {"since": told["cursor"]})
    assert nothing["changes"] == []
    assert (await done(api, await api.system_token("risk-b"), CHANGES))[0]["changes"] == []


async def test_a_receipt_is_kept_and_verified_by_the_command(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    consent = await granted(api)
    value, _ = await done(api, api.account_token("head"), RECEIPT, {"id": consent})
    receipt, key = tmp_path / "receipt.json", tmp_path / "key.json"
    receipt.write_text(value["document"], encoding="utf-8")
    key.write_text(json.dumps(public_jwk(api.keys.signing_key(SIGNING_KEY).public_key())))
    with pytest.raises(SystemExit) as ended:
        main(["consent", "verify", str(receipt), "--key", str(key)])
    assert ended.value.code in (0, None)
    told = json.loads(capsys.readouterr().out)
    assert (told["genuine"], told["consentId"], told["state"], told["keyFrom"]) == (True, consent, "IN_FORCE", "file")
    receipt.write_text(value["document"].replace('"maxUses": 3', '"maxUses": 9'), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["consent", "verify", str(receipt), "--key", str(key)])
    assert ended.value.code == FAILED
    for account in ("wife", "regulator"):
        hidden, _ = await done(api, api.account_token(account), RECEIPT, {"id": consent})
        assert hidden["code"] == "CONSENT_NOT_IN_FORCE"


async def test_a_supervisor_declares_and_another_one_approves(api: Api) -> None:
    await api.owner.execute(
        "INSERT INTO auth.account (account_id, role, county_codes) SELECT 'regulator-2', role, county_codes"
        " FROM auth.account WHERE account_id = 'regulator'"
    )
    one, two = api.account_token("regulator"), api.account_token("regulator-2")

    def declaration(person: Person = HEAD) -> dict[str, object]:
        return {"input": {
            "idempotencyKey": uuid.uuid4().hex, "kind": "SUPERVISION", "reference": "征管〔2026〕7号",
            "person": {"idNumber": person.number, "name": person.name},
            "parts": [{"category": "identity", "form": "VALUE"}, {"category": "tax.grade", "form": "VALUE"}],
        }}  # fmt: skip

    variables = {"input": {**borrower(HEAD)["input"], "purpose": "SUPERVISION"}}
    del variables["input"]["officer"]
    made, _ = await done(api, one, DECLARE, declaration())
    unknown, _ = await done(api, one, DECLARE, declaration(Person(NOBODY, STRANGER_NUMBER, "无人")))
    assert made["state"] == unknown["state"] == "PROPOSED"
    assert (await done(api, one, PROFILE, variables))[0]["borrowerId"] is None
    decision = {"input": {"idempotencyKey": uuid.uuid4().hex, "basisId": made["basisId"], "approve": True}}
    assert (await done(api, one, DECIDE, decision))[0]["code"] == "BASIS_UNKNOWN"
    assert (await done(api, two, DECIDE, decision))[0] == {"__typename": "BasisDecided", "state": "IN_FORCE"}
    shown, _ = await done(api, one, PROFILE, variables)
    assert shown["identity"] is not None
    assert shown["tax"]["grades"]
    assert (await done(api, two, PROFILE, variables))[0]["borrowerId"] is None
    bank, _ = await done(api, await api.system_token(), DECLARE, {"input": {**declaration()["input"], "officer": "li"}})
    assert bank["code"] == "BASIS_REFUSED"
