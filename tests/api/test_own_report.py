"""A resident takes a report of everything held about him: complete, numbered, counted, recorded."""

import asyncio
import hashlib
import json
from typing import Any

from .test_consent_story import done, granted
from .world import HEAD, TEXT_FIELDS, WIFE, Api, canary

REPORT = """
mutation R($input: IssueOwnReportInput!) { issueOwnReport(input: $input) {
  __typename ... on OwnReport { number issuedAt year ordinal chargeable document digest }
  ... on UserError { code } ... on InvalidInput { fields { path code } } } }
"""
HISTORY = "{ accessHistory(first: 20) { ... on AccessConnection { edges { node { event meaning } } } } }"


async def report(api: Api, account: str, key: str) -> Any:
    made, receipt = await done(api, api.account_token(account), REPORT, {"input": {"idempotencyKey": key}})
    assert ("document" in made) == (receipt is not None)
    return made


async def test_two_reports_a_year_are_free_and_a_third_is_chargeable_and_given(api: Api) -> None:
    consent = await granted(api)
    first = await report(api, "head", "a")
    assert hashlib.sha256(first["document"].encode()).hexdigest() == first["digest"]
    held = json.loads(first["document"])
    assert held["report"] == {name: first[name] for name in ("number", "issuedAt", "year", "ordinal", "chargeable")}
    assert (first["ordinal"], first["chargeable"]) == (1, False)
    # Everything of his own in detail, nothing of his wife's.
    for part, field in TEXT_FIELDS.items():
        if part in ("clinic.arrears/BAND", "roster/VALUE", "civil.relief/VALUE"):
            continue
        owners = [entry["lender"] or "" for entry in held["record"] if entry["part"] == part]
        assert owners, part
        for owner in owners:
            assert canary(HEAD.person_id, part, field, owner) in first["document"]
            assert canary(WIFE.person_id, part, field, owner) not in first["document"]
    assert canary(None, "roster/VALUE", "villageName") in first["document"]
    assert [each["consentId"] for each in held["consents"]] == [consent]
    assert "consent:resident:granted" in [each["event"] for each in held["accesses"]]

    # The same key is the same report; others are counted, also when they come at once.
    again = await report(api, "head", "a")
    assert [again[name] for name in ("number", "ordinal")] == [first["number"], 1]
    more = await asyncio.gather(*(report(api, "head", key) for key in "bc"))
    assert sorted((each["ordinal"], each["chargeable"]) for each in more) == [(2, False), (3, True)]
    assert len({first["number"], *(each["number"] for each in more)}) == 3
    assert (await report(api, "wife", "a"))["ordinal"] == 1
    # Last year's do not count.
    await api.owner.execute("UPDATE access.own_report SET year = year - 1 WHERE ordinal <> 1")
    assert (await report(api, "head", "d"))["ordinal"] == 2
    old = "UPDATE access.own_report SET issued_at = issued_at - interval '25 hours' WHERE person_id = $1"
    await api.owner.execute(old, HEAD.person_id)
    assert (await report(api, "head", "a"))["fields"][0]["code"] == "KEY_REUSED"

    history, _ = await done(api, api.account_token("head"), HISTORY)
    told = [edge["node"] for edge in history["edges"] if edge["node"]["event"] == "report:resident:issued"]
    assert len(told) == 5
    assert {each["meaning"] for each in told} == {"本人领取了信用报告"}


async def test_nobody_else_has_one_and_without_the_log_nothing_is_counted(api: Api) -> None:
    entries = await api.entries()
    assert (await report(api, "regulator", "a"))["code"] == "NOT_ALLOWED"
    system, _ = await done(api, await api.system_token(), REPORT, {"input": {"idempotencyKey": "a"}})
    assert system["code"] == "NOT_ALLOWED"
    assert (await report(api, "head", "ß"))["fields"][0]["code"] == "KEY_MALFORMED"
    assert await api.entries() == entries
    await api.owner.execute("REVOKE INSERT ON audit.pending FROM hub_app")
    reply = await api.ask(api.account_token("head"), REPORT, {"input": {"idempotencyKey": "a"}})
    assert reply.json()["errors"]
    assert "CANARY" not in reply.text
    assert await api.owner.fetchval("SELECT count(*) FROM access.own_report") == 0
