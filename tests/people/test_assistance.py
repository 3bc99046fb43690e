"""Help at the village desk: a resident's own code opens one look, never the desk's word, and says who helped."""

import json
import re
from uuid import uuid4

import pytest

from hub.audit.history import list_accesses
from hub.core.errors import RefusedError
from hub.flows.duties.raise_alerts import raise_alerts
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.assist_resident import (
    AssistanceDesk,
    AssistanceReason,
    PrintedCode,
    print_code,
    report_at_counter,
)
from hub.store.database import DbRole
from tests.api.test_consent_story import done
from tests.api.world import COUNTY, HEAD, WIFE, Api, canary

from .authenticator import Authenticator
from .browser import Browser, browser
from .staff import staff_of
from .test_sign_in import code_for, enrol

VILLAGE = "533103001001"
HISTORY = """{ accessHistory(first: 20) { ... on AccessConnection { edges { node {
  event assistant assistanceReason } } } } }"""
HELPED = ("household:resident:queried", "history:resident:queried", "report:resident:issued")


async def at_desk(api: Api, visitor: Browser, account: str = "collector-7", village: str = VILLAGE) -> None:
    """Somebody of the village is signed in with his passkey and has the page before him."""
    await api.owner.execute(
        "INSERT INTO auth.account (account_id, role, county_codes, village_codes) VALUES ($1, 'COLLECTOR', $2, $3)",
        account, [COUNTY], [village],
    )  # fmt: skip
    made = Authenticator()
    await enrol(api, made, account)
    await visitor.with_passkey(made)
    await visitor.open("/assist")


async def printed(api: Api, steward: str = "steward li") -> PrintedCode:
    async with staff_of(api) as staff:
        return await print_code(staff.desk, HEAD.person_id, steward=steward)


async def helped(visitor: Browser, account: str, code: str, wanted: str = "LOOK") -> str:
    await visitor.open("/assist")
    reply = await visitor.send("/assist", account=account, code=code, reason="NO_PHONE", wanted=wanted)
    return reply.text if reply.status_code == 200 else f"{reply.status_code} {reply.text}"


async def test_a_printed_code_opens_one_look_and_names_who_helped(api: Api) -> None:
    paper = await printed(api)
    async with browser(api) as visitor:
        await at_desk(api, visitor)
        page = await helped(visitor, paper.account_id, paper.code)
        assert canary(HEAD.person_id, "tax.grade/VALUE", "grade") in page
        assert canary(WIFE.person_id, "tax.grade/VALUE", "grade") not in page
        assert visitor.page.headers["cache-control"] == "no-store"
        # Once; and the next look needs a code of its own, from the sandbox too.
        assert "403" in (await helped(visitor, paper.account_id, paper.code))[:3]
        again = await printed(api)
        page = await helped(visitor, again.account_id, again.code, "REPORT")
        assert re.search(r"\d{8}-[0-9A-F]{12}", page)
        assert "免费" in page
        sandbox = await code_for(api, "sandbox-borrower")
        assert canary(WIFE.person_id, "tax.grade/VALUE", "grade") in await helped(visitor, "sandbox-borrower", sandbox)
    # Nothing stays open: the sessions are over and their tokens taken back.
    left = await api.owner.fetch("SELECT ended_at, cause FROM auth.session WHERE method = 'ASSISTED'")
    assert len(left) == 3
    assert {row["cause"] for row in left} == {"ASSISTED"}
    assert await api.owner.fetchval("SELECT count(*) FROM auth.revoked_token") == 3
    history, _ = await done(api, api.account_token("head"), HISTORY)
    nodes = [edge["node"] for edge in history["edges"]][1:]
    told = [(n["assistant"], n["assistanceReason"]) for n in nodes if n["event"] in HELPED]
    assert told == [("collector-7", "NO_PHONE")] * 4
    assert {"assistance:desk:begun", "code:steward:issued"} <= {n["event"] for n in nodes}
    (entry, *_) = [
        access
        for access in await list_accesses(api.hub.ports.auditor, api.keys, HEAD.person_id)
        if access.event == "report:resident:issued"
    ]
    assert (entry.shared or {})["assistant"] == "collector-7"


async def test_the_desk_opens_nothing_by_itself(api: Api) -> None:
    paper = await printed(api)
    head = paper.account_id
    async with browser(api) as nobody:
        await nobody.open("/assist")
        assert nobody.page.headers["location"] == "/sign-in?next=/assist"
        resident = await code_for(api, "sandbox-borrower")
        await nobody.with_code("sandbox-borrower", resident)
        assert (await helped(nobody, head, paper.code)).startswith("403")  # a resident helps nobody
    async with browser(api) as visitor:
        await at_desk(api, visitor, "collector-8", "533103001002")
        assert (await helped(visitor, head, paper.code)).startswith("403")  # another village
    async with browser(api) as visitor:
        await at_desk(api, visitor)
        wrong = f"{(int(paper.code) + 1) % 10**8:08d}"
        answers = {await helped(visitor, head, wrong), await helped(visitor, "nobody", wrong)}
        assert len({re.sub(r'value="[^"]*"', "", each) for each in answers}) == 1  # whether there is one stays secret
        for _ in range(4):
            assert (await helped(visitor, head, wrong)).startswith("403")
        assert (await helped(visitor, head, paper.code)).startswith("403")  # five tries
        own = await printed(api, steward="collector-7")
        assert (await helped(visitor, head, own.code)).startswith("403")  # whoever helps cannot have made the code
        # The limit of the day: refused although the code is good, and an alarm.
        await api.owner.execute("UPDATE access.alert_rule SET minimum = 8 WHERE kind = 'ASSISTED'")
        good = await printed(api)
        refused = await helped(visitor, head, good.code)
        assert "已达上限" in refused
        assert await api.owner.fetchval("SELECT tries FROM auth.printed_code") == 5
    # By the API he is nobody's resident either, and no session of the resident's ever began.
    for document in (
        "{ household { ... on NotAllowed { code } } }",
        HISTORY.replace("} } } } }", "} } } ... on NotAllowed { code } } }"),
    ):
        refusal, _ = await done(api, api.account_token("collector-7"), document)
        assert refusal == {"code": "NOT_ALLOWED"}
    assert await api.owner.fetchval("SELECT count(*) FROM auth.session WHERE method = 'ASSISTED'") == 0
    accesses = await list_accesses(api.hub.ports.auditor, api.keys, HEAD.person_id)
    assert {access.event for access in accesses} <= {"code:steward:issued"}
    ingest = await api.hub.database.connect(DbRole.INGEST)
    try:
        raised = await raise_alerts(ingest, api.hub.accounts.receipts, api.hub.accounts.clock)
        assert raised.recorded == 1
        alert = await ingest.fetchrow("SELECT kind, officer, observed FROM access.alert")
        assert (alert["kind"], alert["officer"], alert["observed"]) == ("ASSISTED", "collector-7", 9)
    finally:
        await ingest.close()


async def test_who_printed_a_code_does_not_help_with_it_by_another_account(api: Api) -> None:
    await api.owner.execute(
        "INSERT INTO auth.account (account_id, role, county_codes, holder, sealed_holder)"
        " VALUES ('li-steward', 'STEWARD', $1, $2, 'sealed')",
        [COUNTY], b"L" * 33,
    )  # fmt: skip
    paper = await printed(api, "li-steward")
    async with browser(api) as visitor:
        await at_desk(api, visitor)
        await api.owner.execute(
            "UPDATE auth.account SET holder = $1, sealed_holder = 'sealed' WHERE account_id = 'collector-7'", b"L" * 33
        )
        page = await helped(visitor, paper.account_id, paper.code)
        assert (page[:3], "CANARY" in page) == ("403", False)
    assert await api.owner.fetchval("SELECT count(*) FROM auth.session WHERE method = 'ASSISTED'") == 0


async def test_a_steward_issues_a_report_at_his_counter(api: Api) -> None:
    async with staff_of(api) as staff:
        accounts = AccountDesk(staff.desk.pool, api.keys, api.hub.accounts.receipts)
        desk = AssistanceDesk(accounts, api.hub.ports.consents, api.hub.ports.disclosing)
        reason = AssistanceReason.CANNOT_READ
        with pytest.raises(RefusedError) as refused:
            await report_at_counter(desk, uuid4(), reason, steward="li")
        assert refused.value.code == "ACCOUNT_UNKNOWN"
        issued = await report_at_counter(desk, HEAD.person_id, reason, steward="li")
    assert json.loads(issued["document"])["report"] == issued["report"]
    assert issued["report"]["ordinal"] == 1
    history, _ = await done(api, api.account_token("head"), HISTORY)
    told = {(edge["node"]["assistant"], edge["node"]["assistanceReason"]) for edge in history["edges"]}
    assert ("li", "CANNOT_READ") in told
