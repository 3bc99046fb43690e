"""Consent from the first question to the last: asked, granted, used, seen by the person, taken back."""

import uuid
from typing import Any

from .world import BANK_A, HEAD, NOBODY, STRANGER_NUMBER, Api, Person, borrower, canary

PROFILE = """
query P($input: BorrowerProfileInput!) { borrowerProfile(input: $input) {
  ... on BorrowerProfile {
    borrowerId identity { name } tax { completeness grades { grade } bands { taxPaidBand } }
    withheld { field reason canAskConsent } } } }
"""
REQUEST = """
mutation R($input: RequestConsentInput!) { requestConsent(input: $input) {
  __typename ... on ConsentRequested { requestId answerBy state }
  ... on UserError { code message } ... on InvalidInput { fields { path code } } } }
"""
GRANT = """
mutation G($input: GrantConsentInput!) { grantConsent(input: $input) {
  __typename ... on ConsentGranted { consentId organisationId parts { category form } maxUses termsDigest }
  ... on UserError { code message } ... on InvalidInput { fields { path code } } } }
"""
REFUSE = """
mutation F($input: RefuseConsentInput!) { refuseConsent(input: $input) {
  __typename ... on ConsentRefused { state } ... on UserError { code } ... on InvalidInput { fields { code } } } }
"""
WITHDRAW = """
mutation W($input: WithdrawConsentInput!) { withdrawConsent(input: $input) {
  __typename ... on ConsentWithdrawn { state } ... on UserError { code } ... on InvalidInput { fields { code } } } }
"""
BOOK = """
{ consents { ... on ConsentBook {
  requests { id state notice purpose organisation { nameZh } parts { category form } }
  consents { id state uses maxUses hasHeightenedNotice expiresAt } } ... on UserError { code } } }
"""
PARTS = [
    {"category": "identity", "form": "VALUE"},
    {"category": "tax.grade", "form": "VALUE"},
    {"category": "tax.band", "form": "BAND"},
]


def ask_for(person: Person = HEAD, **changes: Any) -> dict[str, Any]:
    return {
        "input": {
            "idempotencyKey": uuid.uuid4().hex,
            "borrower": {"idNumber": person.number, "name": person.name},
            "purpose": "LOAN_APPLICATION",
            "parts": PARTS,
            "officer": "li.si",
            "applicationRef": "A-2026/7",
        }
        | changes
    }


def answer_to(field: str, value: str, **changes: Any) -> dict[str, Any]:
    return {"input": {"idempotencyKey": uuid.uuid4().hex, field: value} | changes}


async def done(api: Api, token: str, query: str, variables: dict[str, Any] | None = None) -> tuple[Any, Any]:
    """The one root field's value and the receipt."""
    reply = await api.ask(token, query, variables)
    body = reply.json()
    assert "errors" not in body, body
    (value,) = body["data"].values()
    return value, body.get("extensions", {}).get("receipt")


async def granted(api: Api, **changes: Any) -> str:
    request, _ = await done(api, await api.system_token(), REQUEST, ask_for())
    consent, receipt = await done(
        api, api.account_token("head"), GRANT, answer_to("requestId", request["requestId"], **changes)
    )
    assert receipt
    return str(consent["consentId"])


async def test_the_whole_story(api: Api) -> None:
    bank, head = await api.system_token(), api.account_token("head")
    denied, _ = await done(api, bank, PROFILE, borrower(HEAD))
    assert denied["borrowerId"] is None
    assert all(
        entry == {"field": entry["field"], "reason": "NO_BASIS", "canAskConsent": True} for entry in denied["withheld"]
    )

    request, receipt = await done(api, bank, REQUEST, ask_for())
    assert (request["__typename"], request["state"]) == ("ConsentRequested", "REQUESTED")
    assert receipt["index"] >= 1
    book, _ = await done(api, head, BOOK)
    (shown,) = book["requests"]
    assert shown["id"] == request["requestId"]
    assert "不同意" in shown["notice"]

    consent, _ = await done(api, head, GRANT, answer_to("requestId", shown["id"]))
    assert consent["__typename"] == "ConsentGranted"
    assert consent["organisationId"] == BANK_A
    assert {part["category"] for part in consent["parts"]} == {"identity", "tax.grade"}  # no heightened notice

    seen, _ = await done(api, bank, PROFILE, borrower(HEAD))
    assert seen["identity"]["name"] == canary(HEAD.person_id, "identity/VALUE", "name")
    assert seen["tax"]["bands"] is None
    assert seen["tax"]["completeness"] == "PARTIAL"
    assert seen["withheld"] == [{"field": "tax.bands", "reason": "CATEGORY_NOT_IN_BASIS", "canAskConsent": True}]

    ended, _ = await done(api, head, WITHDRAW, answer_to("consentId", consent["consentId"]))
    assert ended == {"__typename": "ConsentWithdrawn", "state": "WITHDRAWN"}
    after = await api.ask(bank, PROFILE, borrower(HEAD))
    assert after.json()["data"]["borrowerProfile"] == denied
    assert "CANARY" not in after.text


async def test_a_request_tells_nothing_about_the_person(api: Api) -> None:
    token = await api.system_token()
    known, _ = await done(api, token, REQUEST, ask_for())
    unknown, _ = await done(api, token, REQUEST, ask_for(Person(NOBODY, STRANGER_NUMBER, "无人")))
    assert known.keys() == unknown.keys()
    assert known["state"] == unknown["state"]


async def test_a_repeated_change_is_made_once(api: Api) -> None:
    token = await api.system_token()
    variables = ask_for()
    first = await done(api, token, REQUEST, variables)
    entries = await api.entries()
    assert await done(api, token, REQUEST, variables) == first
    assert await api.entries() == entries
    assert await api.owner.fetchval("SELECT count(*) FROM consent.request") == 1
    other = {"input": variables["input"] | {"applicationRef": "B"}}
    refused, _ = await done(api, token, REQUEST, other)
    assert refused["fields"] == [{"path": ["input", "idempotencyKey"], "code": "KEY_REUSED"}]
    held = await api.owner.fetchval("SELECT string_agg(i::text, '') FROM auth.idempotency i")
    assert HEAD.number not in held
    # Whoever may not act any more gets no held answer either.
    token_id = api.hub.verifier.read(token).token_id
    for ending, ended in (
        ("UPDATE access.client SET status = $1 WHERE client_id = 'risk-a'", "SUSPENDED"),
        ("INSERT INTO auth.revoked_token VALUES ($1, now() + interval '1 hour')", token_id),
    ):
        await api.owner.execute(ending, ended)
        reply = await api.ask(token, REQUEST, variables)
        assert reply.json()["data"]["requestConsent"]["__typename"] == "NotAllowed"
        assert first[0]["requestId"] not in reply.text
        await api.owner.execute("UPDATE access.client SET status = 'ACTIVE' WHERE client_id = 'risk-a'")


async def test_the_same_key_of_two_callers_is_two_keys(api: Api) -> None:
    variables = ask_for()
    first, _ = await done(api, await api.system_token("risk-a"), REQUEST, variables)
    second, _ = await done(api, await api.system_token("risk-b"), REQUEST, variables)
    assert first["requestId"] != second["requestId"]


async def test_only_the_person_himself_decides(api: Api) -> None:
    request, _ = await done(api, await api.system_token(), REQUEST, ask_for())
    before = await api.entries()
    for token in (api.account_token("wife"), api.account_token("regulator"), await api.system_token()):
        for query in (GRANT, REFUSE):
            value, receipt = await done(api, token, query, answer_to("requestId", request["requestId"]))
            assert value["__typename"] in ("NotFound", "NotAllowed")
            assert receipt is None
    assert await api.entries() == before
    assert await api.owner.fetchval("SELECT state FROM consent.request") == "REQUESTED"


async def test_a_refused_request_stays_refused(api: Api) -> None:
    request, _ = await done(api, await api.system_token(), REQUEST, ask_for())
    head = api.account_token("head")
    value, receipt = await done(api, head, REFUSE, answer_to("requestId", request["requestId"]))
    assert value["state"] == "REFUSED"
    assert receipt
    again, _ = await done(api, head, GRANT, answer_to("requestId", request["requestId"]))
    assert (again["__typename"], again["code"]) == ("NotFound", "REQUEST_NOT_OPEN")
    query = (
        "query S($id: ID!)"
        "{ consentRequest(id: $id) { ... on ConsentRequestState { state } ... on UserError { code } } }"
    )
    own, _ = await done(api, await api.system_token("risk-a"), query, {"id": request["requestId"]})
    foreign, _ = await done(api, await api.system_token("risk-b"), query, {"id": request["requestId"]})
    assert own == {"state": "REFUSED"}
    assert foreign == {"code": "REQUEST_UNKNOWN"}


async def test_bad_requests_change_nothing(api: Api) -> None:
    token = await api.system_token()
    before = await api.entries()
    for changes, code in (
        ({"parts": [{"category": "religion", "form": "VALUE"}]}, "CATEGORY_UNKNOWN"),
        ({"parts": []}, "PARTS_MISSING"),
        ({"purpose": "STATISTICS"}, "PURPOSE_WITHOUT_CONSENT"),
        ({"purpose": "CARD_APPLICATION"}, "PURPOSE_NOT_REGISTERED"),
        ({"validDays": 400}, "CONSENT_CAP"),
        ({"officer": None}, "OFFICER_MISSING"),
        ({"applicationRef": "张三 的贷款"}, "REFERENCE_MALFORMED"),
        ({"idempotencyKey": " "}, "KEY_MALFORMED"),
    ):
        value, receipt = await done(api, token, REQUEST, ask_for(**changes))
        assert (value["__typename"], [field["code"] for field in value["fields"]]) == ("InvalidInput", [code])
        assert receipt is None
    assert await api.entries() == before


async def test_a_resident_reads_who_looked(api: Api) -> None:
    await granted(api)
    await done(api, await api.system_token(), PROFILE, borrower(HEAD))
    query = """
    query H($first: Int!, $after: String) { accessHistory(first: $first, after: $after) {
      ... on AccessConnection {
        total pageInfo { hasNextPage endCursor }
        edges { cursor node {
          number event meaning organisation organisationId purpose decision categories isIntact } } }
      ... on InvalidInput { fields { path code } } ... on NotAllowed { code } } }
    """
    head = api.account_token("head")
    page, receipt = await done(api, head, query, {"first": 2})
    assert receipt
    reading, looked = (edge["node"] for edge in page["edges"])
    assert reading["event"] == "history:resident:queried"
    assert (looked["event"], looked["organisationId"], looked["decision"]) == ("profile:client:queried", BANK_A, "mask")
    assert looked["organisation"].startswith("银行")
    assert set(looked["categories"]) == {"identity", "tax.grade"}
    assert looked["isIntact"]
    assert page["total"] == 4
    rest, _ = await done(api, head, query, {"first": 2, "after": page["pageInfo"]["endCursor"]})
    events = [edge["node"]["event"] for edge in rest["edges"]]
    assert events == ["consent:resident:granted", "consent:client:requested"]
    assert rest["pageInfo"]["hasNextPage"] is False
    for wrong in ({"first": 0}, {"first": 101}, {"first": 5, "after": "nonsense"}, {"first": 5, "after": "bG9nOjE"}):
        refused, _ = await done(api, head, query, wrong)
        assert refused["fields"][0]["code"] in ("PAGE_SIZE", "CURSOR_MALFORMED")
    other, _ = await done(api, api.account_token("wife"), query, {"first": 10})
    assert [edge["node"]["event"] for edge in other["edges"]] == ["history:resident:queried"]
    denied, receipt = await done(api, await api.system_token(), query, {"first": 10})
    assert (denied, receipt) == ({"code": "NOT_ALLOWED"}, None)


async def test_a_regulator_reads_the_log_with_proofs(api: Api) -> None:
    from hub.audit.note import Signer
    from hub.audit.proof import Receipt
    from hub.audit.sequencer import DEFAULT_ORIGIN

    await granted(api)
    query = """
    query L($first: Int!, $after: String, $filter: AuditFilter) {
      auditEvents(first: $first, after: $after, filter: $filter) {
        ... on AuditEventConnection {
          pageInfo { hasNextPage endCursor }
          edges { node { index event kind organisationId leaf entry inclusionProof { treeSize path receipt } } } }
        ... on InvalidInput { fields { code } } ... on NotAllowed { code } } }
    """
    regulator = api.account_token("regulator")
    page, receipt = await done(api, regulator, query, {"first": 2})
    assert receipt
    assert page["edges"][0]["node"]["event"] == "log:auditor:queried"
    key = Signer(DEFAULT_ORIGIN, api.keys.signing_key("audit-log")).verifier
    for edge in page["edges"]:
        proof = Receipt.parse(edge["node"]["inclusionProof"]["receipt"])
        assert proof.verify(key).size == int(edge["node"]["inclusionProof"]["treeSize"])
    seen = [int(edge["node"]["index"]) for edge in page["edges"]]
    while page["pageInfo"]["hasNextPage"]:
        page, _ = await done(api, regulator, query, {"first": 2, "after": page["pageInfo"]["endCursor"]})
        seen += [int(edge["node"]["index"]) for edge in page["edges"]]
    assert seen == list(range(max(seen), -1, -1))
    wanted = {"kinds": ["consent"], "organisationId": BANK_A, "since": "2020-01-01T00:00:00+08:00"}
    found, _ = await done(api, regulator, query, {"first": 50, "filter": wanted})
    assert [edge["node"]["event"] for edge in found["edges"]] == ["consent:client:requested"]
    bad, _ = await done(api, regulator, query, {"first": 5, "filter": {"since": "yesterday"}})
    assert bad["fields"] == [{"code": "INSTANT_MALFORMED"}]
    for token in (api.account_token("head"), await api.system_token()):
        denied, none = await done(api, token, query, {"first": 5})
        assert (denied, none) == ({"code": "NOT_ALLOWED"}, None)
