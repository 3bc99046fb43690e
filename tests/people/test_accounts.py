"""Accounts of staff from joiner to leaver: who may hold which, who must agree, and what ends at once."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from hub.core.clock import day_of, system_clock
from hub.core.errors import InputError, RefusedError, SettingsError
from hub.core.names import Role
from hub.flows.people.change_account import (
    NewAccount,
    assign_village,
    open_account,
    resume_account,
    stop_account,
    unassign_village,
)
from hub.flows.people.enrol_passkey import issue_enrolment, revoke_passkey
from hub.flows.people.sandbox_accounts import refuse_sandbox_accounts
from tests.api.world import BANK_A, COUNTY, HEAD, Api
from tests.audit.entries import facts_of

from .authenticator import ES256, PRESENT, VERIFIED, Authenticator
from .browser import ORIGIN, Browser, browser
from .staff import bind_token, signed_in, staff_of
from .test_sign_in import enrol

LI, WANG, ZHAO = "533103198501010017", "533103198601010016", "533103198701010015"
VILLAGE = "533103001001"


async def refused(code: str, work: object) -> None:
    with pytest.raises(RefusedError) as refusal:
        await work  # type: ignore[misc]
    assert refusal.value.code == code


async def token_of(api: Api, account: str, session: UUID) -> str:
    issued = api.hub.issuer.issue_for_account(account)
    assert await bind_token(api, issued.token_id, session, issued.expires_at)
    return issued.token


async def test_a_collector_joins_moves_and_leaves(api: Api) -> None:
    async with staff_of(api) as staff:
        opened = await staff.open("collector-7", Role.COLLECTOR, LI)
        assert (opened.status, opened.change_id) == ("ACTIVE", None)
        told = await facts_of(api.hub.database, api.keys, opened.receipt)
        assert told == {"account": "collector-7", "role": "COLLECTOR", "status": "ACTIVE", "counties": [COUNTY]}
        made = await staff.passkey("collector-7")
        today = day_of(system_clock())
        villages = "SELECT (access.find_asker('collector-7')).village_codes"
        assert await api.owner.fetchval(villages) == []
        for village, first, last in (
            (VILLAGE, today, None), ("533103001002", today - timedelta(9), today - timedelta(1)),
            ("533103001003", today + timedelta(1), None), ("533103001004", today - timedelta(1), today),
        ):  # fmt: skip
            await assign_village(staff.desk, "collector-7", village, first, last, operator="root")
        assert await api.owner.fetchval(villages) == [VILLAGE, "533103001004"]
        for village, ended in ((VILLAGE, 1), ("533103001003", 1), ("533103001002", 0)):
            found, _ = await unassign_village(
                staff.desk, "collector-7", village, today - timedelta(days=1), operator="root"
            )
            assert found == ended, village
        assert await api.owner.fetchval(villages) == ["533103001004"]
        async with browser(api) as visitor:
            await visitor.with_passkey(made)
            session = await signed_in(api, visitor)
            assert session is not None
            assert (session.role, session.factors) == (Role.COLLECTOR, 2)
            token = await token_of(api, "collector-7", session.session_id)
            asked = '{ coverage(area: "533103") { __typename } }'
            assert (await api.ask(token, asked)).status_code == 200
            left = await stop_account(staff.desk, "collector-7", "CLOSED", operator="root")
            assert left.sessions_ended == 1
            assert await signed_in(api, visitor) is None
            assert (await api.ask(token, asked)).status_code == 401
            assert (await visitor.with_passkey(made)).status_code == 403
        assert await staff.passkeys("collector-7") == []
        await refused("ACCOUNT_UNKNOWN", staff.code("collector-7"))
        await refused("ACCOUNT_UNKNOWN", resume_account(staff.desk, "collector-7", operator="root"))
        await refused("ACCOUNT_ID_TAKEN", staff.open("collector-7", Role.COLLECTOR, LI))
        # He comes back under a new id.
        assert (await staff.open("collector-8", Role.COLLECTOR, LI)).status == "ACTIVE"
    past = await api.owner.fetch("SELECT status FROM auth.past_account WHERE account_id = 'collector-7'")
    assert [row["status"] for row in past] == ["ACTIVE"]


async def test_whoever_reads_of_others_gets_his_account_by_two_people(api: Api) -> None:
    """Collectors and reviewers of a village do not: their view is its roster. Nor does anybody for himself."""
    for role in Role:
        needs = await api.owner.fetchval("SELECT auth.needs_approval('a', $1)", role.value)
        assert needs is (role not in {Role.RESIDENT, Role.GUARDIAN, Role.COLLECTOR, Role.VILLAGE_REVIEWER}), role


async def test_one_account_per_person_and_role_and_three_administrators(api: Api) -> None:
    async with staff_of(api) as staff:
        assert (await staff.open("collector-1", Role.COLLECTOR, LI)).status == "ACTIVE"
        assert (await staff.open("steward-1", Role.STEWARD, LI)).status == "PENDING"
        before = await api.entries()
        await refused("ACCOUNT_PER_PERSON", staff.open("steward-2", Role.STEWARD, LI))
        api.keys.rotate()
        await refused("ACCOUNT_PER_PERSON", staff.open("steward-2", Role.STEWARD, LI))
        await refused("ACCOUNT_ID_TAKEN", staff.open("steward-1", Role.COLLECTOR, WANG))
        await refused("ACCOUNT_ID_TAKEN", staff.open("risk-a", Role.COLLECTOR, WANG))
        await refused("ACCOUNT_INCOMPLETE", staff.open("officer-1", Role.LOAN_OFFICER, WANG))
        await refused("ORGANISATION_UNKNOWN", staff.open("officer-1", Role.LOAN_OFFICER, WANG, "402739999999"))
        resident = NewAccount("resident-1", Role.RESIDENT, HEAD.person_id)
        await refused("ACCOUNT_PER_PERSON", open_account(staff.desk, resident, operator="root"))
        nobody = NewAccount("resident-1", Role.RESIDENT)
        await refused("ACCOUNT_INCOMPLETE", open_account(staff.desk, nobody, operator="root"))
        assert await api.entries() == before
        # The same person may hold another role, but of the three administrators one only.
        assert (await staff.open("officer-1", Role.LOAN_OFFICER, LI, BANK_A)).status == "PENDING"
        assert (await staff.open("operator-1", Role.OPERATOR, LI)).status == "PENDING"
        for role in (Role.SECURITY_ADMIN, Role.AUDITOR):
            await refused("SEPARATION_OF_DUTIES", staff.open("other-1", role, LI))
        # Whoever has an account that takes two gets nothing more by one alone, whatever the role.
        assert (await staff.open("reviewer-1", Role.VILLAGE_REVIEWER, LI)).status == "PENDING"
        assert (await staff.code("collector-1")).change_id is not None
        await stop_account(staff.desk, "collector-1", "SUSPENDED", operator="root")
        assert (await resume_account(staff.desk, "collector-1", operator="root")).change_id is not None
        at_once = [staff.open(f"auditor-{number}", Role.AUDITOR, WANG) for number in range(4)]
        outcomes = await asyncio.gather(*at_once, return_exceptions=True)
        assert sum(not isinstance(each, RefusedError) for each in outcomes) == 1
    sealed = await api.owner.fetchrow("SELECT holder, sealed_holder FROM auth.account WHERE account_id = 'steward-1'")
    assert LI.encode() not in bytes(sealed["sealed_holder"])


async def test_accounts_that_watch_others_take_two_people(api: Api) -> None:
    async with staff_of(api) as staff, browser(api) as one, browser(api) as two:
        first = await staff.open("security-1", Role.SECURITY_ADMIN, LI)
        assert first.status == "ACTIVE", "nobody could approve the very first"
        await one.with_passkey(await staff.passkey("security-1"))
        second = await staff.open("security-2", Role.SECURITY_ADMIN, WANG)
        auditor = await staff.open("auditor-1", Role.AUDITOR, ZHAO)
        assert {second.status, auditor.status} == {"PENDING"}
        assert (await facts_of(api.hub.database, api.keys, auditor.receipt))["counties"] == [COUNTY]
        for account in ("security-2", "auditor-1"):
            await one.open("/accounts/changes")
            assert account in one.page.text
        await _decide(one, second.change_id, "approve")
        await _decide(one, auditor.change_id, "refuse")
        assert (await staff.status("security-2"), await staff.status("auditor-1")) == ("ACTIVE", "CLOSED")
        # An enrolment takes two codes: the operator has one, the administrator who approves the other.
        issued = await staff.code("security-2")
        assert issued.change_id is not None
        made = Authenticator()
        assert (await staff.enrol(two, made, issued.code))[0] == 403
        page = await _decide(one, issued.change_id, "approve")
        other = page.partition('<code id="second-code">')[2].partition("</code>")[0]
        assert len(other) == 23
        for codes in ((issued.code,), (other,), (other, issued.code), (issued.code, issued.code)):
            assert (await staff.enrol(two, made, *codes))[0] == 403, "one code alone opens nothing"
        assert (await staff.enrol(two, made, issued.code, other))[0] == 303
        await two.with_passkey(made)
        # Nobody decides about himself; the other administrator does.
        own = await staff.code("security-2")
        await two.open("/accounts/changes")
        assert "另一位安全管理员" in two.page.text
        mark = two.forms["/accounts/changes"]["mark"]
        form = {"mark": mark, "change": str(own.change_id), "decision": "approve"}
        assert (await two.http.post("/accounts/changes", data=form)).status_code == 403
        assert (await two.http.post("/accounts/changes", data=form | {"change": str(uuid4())})).status_code == 403
        assert (await two.http.post("/accounts/changes", data=form | {"change": "x"})).status_code == 400
        assert (await two.http.post("/accounts/changes", data=form | {"mark": "x"})).status_code == 403
        await _decide(one, own.change_id, "refuse")
        assert (await staff.enrol(two, Authenticator(), own.code))[0] == 403
        # A suspended one is resumed by two people as well, and what it had is gone.
        await stop_account(staff.desk, "security-2", "SUSPENDED", operator="root")
        assert (await two.open("/accounts/changes")).status_code == 403
        resumed = await resume_account(staff.desk, "security-2", operator="root")
        assert (resumed.status, await staff.status("security-2")) == ("SUSPENDED", "SUSPENDED")
        await _decide(one, resumed.change_id, "approve")
        assert await staff.status("security-2") == "ACTIVE"
        assert await signed_in(api, two) is None
        states = await api.owner.fetch("SELECT state, count(*) FROM auth.account_change GROUP BY state")
        assert dict(map(tuple, states)) == {"APPROVED": 3, "REFUSED": 2}


async def _decide(visitor: Browser, change: UUID | None, decision: str) -> str:
    """Press a button of the page that lists what waits."""
    await visitor.open("/accounts/changes")
    assert str(change) in visitor.page.text
    reply = await visitor.send("/accounts/changes", change=str(change), decision=decision)
    assert reply.status_code == 200, reply.text
    return reply.text


async def test_changes_are_decided_by_security_administrators_with_a_passkey_only(api: Api) -> None:
    async with staff_of(api) as staff, browser(api) as visitor:
        pending = await staff.open("auditor-1", Role.AUDITOR, ZHAO)
        await staff.open("reviewer-1", Role.VILLAGE_REVIEWER, LI)
        assert (await visitor.open("/accounts/changes")).headers["location"] == "/sign-in?next=/accounts/changes"
        await visitor.with_passkey(await staff.passkey("reviewer-1"))
        page = await visitor.open("/accounts/changes")
        assert (page.status_code, "auditor-1" in page.text) == (403, False)
        form = {"change": str(pending.change_id), "decision": "approve", "mark": ""}
        assert (await visitor.http.post("/accounts/changes", data=form)).status_code == 403
        # The application's login without an administrator's cookie approves nothing.
        session = await signed_in(api, visitor)
        assert session is not None
        async with api.hub.accounts.pool.acquire() as app:
            for cookie in (bytes(32), session.session_id.bytes):
                with pytest.raises(asyncpg.PostgresError) as told:
                    await app.execute(
                        "SELECT auth.decide_change($1, $2, true, $3)", cookie, pending.change_id, bytes(32)
                    )
                assert told.value.sqlstate == "HB169"
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute("SELECT digest FROM auth.session")
    assert await staff.status("auditor-1") == "PENDING"


async def test_accounts_that_a_sandbox_made_decide_nothing_and_have_no_place_in_production(api: Api) -> None:
    await api.owner.execute(
        "INSERT INTO auth.account (account_id, role) VALUES ('sandbox-security-1', 'SECURITY_ADMIN')"
    )
    async with staff_of(api) as staff, browser(api) as visitor, browser(api) as first:
        pending = await staff.open("auditor-1", Role.AUDITOR, ZHAO)
        made = Authenticator()
        await enrol(api, made, "sandbox-security-1")
        await visitor.with_passkey(made)
        page = await visitor.open("/accounts/changes")
        assert (page.status_code, "auditor-1" in page.text) == (403, False)
        form = {"change": str(pending.change_id), "decision": "approve", "mark": ""}
        assert (await visitor.http.post("/accounts/changes", data=form)).status_code == 403
        assert await staff.status("auditor-1") == "PENDING"
        # Beside them the first person begins as everywhere, and decides.
        assert (await staff.open("security-1", Role.SECURITY_ADMIN, LI)).status == "ACTIVE"
        await first.with_passkey(await staff.passkey("security-1"))
        await _decide(first, pending.change_id, "approve")
    with pytest.raises(SettingsError) as told:
        await refuse_sandbox_accounts(api.owner)
    assert told.value.code == "SANDBOX_ACCOUNTS"


async def test_an_id_stands_for_an_account_or_an_app(api: Api) -> None:
    await api.owner.execute(
        "INSERT INTO auth.app (client_id, name_zh, name_en, jwks, redirect_uris)"
        """ VALUES ('village-app', '应用', 'app', '{"keys": []}', '{https://app.example/}')"""
    )
    async with staff_of(api) as staff:
        await refused("ACCOUNT_ID_TAKEN", staff.open("village-app", Role.VILLAGE_REVIEWER, LI))


async def test_a_lost_device_is_shut_out_and_the_other_stays(api: Api) -> None:
    async with staff_of(api) as staff, browser(api) as lost, browser(api) as kept:
        await staff.open("reviewer-1", Role.VILLAGE_REVIEWER, LI)
        phone, key = await staff.passkey("reviewer-1"), await staff.passkey("reviewer-1")
        for visitor, passkey in ((lost, phone), (kept, key)):
            await visitor.with_passkey(passkey)
        first = (await staff.passkeys("reviewer-1"))[0]
        session = await signed_in(api, lost)
        assert session is not None
        token = await token_of(api, "reviewer-1", session.session_id)
        assert await revoke_passkey(staff.desk, first, operator="root") == ("reviewer-1", 1)
        assert await signed_in(api, lost) is None
        assert await signed_in(api, kept) is not None
        assert (await api.ask(token, "{ __typename }")).status_code == 401
        assert (await lost.with_passkey(phone)).status_code == 403
        async with browser(api) as again:
            assert (await again.with_passkey(key)).status_code == 303
        for passkey_id in (first, uuid4()):
            await refused("ACCOUNT_UNKNOWN", revoke_passkey(staff.desk, passkey_id, operator="root"))


async def test_what_a_suspended_account_had_does_not_come_back(api: Api) -> None:
    async with staff_of(api) as staff, browser(api) as visitor:
        await staff.open("reviewer-1", Role.VILLAGE_REVIEWER, LI)
        made, waiting = await staff.passkey("reviewer-1"), await staff.code("reviewer-1")
        await visitor.with_passkey(made)
        session = await signed_in(api, visitor)
        assert session is not None
        token = await token_of(api, "reviewer-1", session.session_id)
        assert (await stop_account(staff.desk, "reviewer-1", "SUSPENDED", operator="root")).sessions_ended == 1
        assert (await resume_account(staff.desk, "reviewer-1", operator="root")).status == "ACTIVE"
        assert await signed_in(api, visitor) is None
        assert (await api.ask(token, "{ __typename }")).status_code == 401
        assert (await staff.enrol(visitor, Authenticator(), waiting.code))[0] == 403
        assert (await visitor.with_passkey(made)).status_code == 303


async def test_enrolments_that_make_no_passkey(api: Api) -> None:
    async with staff_of(api) as staff, browser(api) as visitor:
        await staff.open("reviewer-1", Role.VILLAGE_REVIEWER, LI)
        for checked, hours in (("", 1), ("x" * 201, 1), (f"card {LI}", 1), ("a\nb", 1), ("seen", 0), ("seen", 99)):
            with pytest.raises(InputError):
                await issue_enrolment(staff.desk, "reviewer-1", checked, operator="root", hours=hours)
        old, code = (await staff.code("reviewer-1")).code, (await staff.code("reviewer-1")).code
        assert (await staff.enrol(visitor, Authenticator(), old))[0] == 403, "a newer code replaces it"
        for wrong in ("", "x", code[:-1], "é", "A" * 5000):
            assert (await staff.enrol(visitor, Authenticator(), wrong))[0] == 403
        assert (await staff.enrol(visitor, Authenticator(), code, origin="https://evil.example"))[0] == 403
        assert (await staff.enrol(visitor, Authenticator(flags=PRESENT), code))[0] == 403
        assert (await staff.enrol(visitor, Authenticator(flags=VERIFIED), code))[0] == 403
        other = Authenticator()
        other.public_key = lambda: Authenticator(ES256).public_key()[:-3]  # type: ignore[method-assign]
        assert (await staff.enrol(visitor, other, code))[0] == 403
        # An answer to a sign-in's challenge, or to another enrolment's, is none to this one's.
        await visitor.open("/sign-in")
        foreign = visitor.forms["/sign-in/passkey"]["ticket"]
        await visitor.open("/enrol")
        await visitor.send("/enrol", code=code)
        options = visitor.options("/enrol/passkey")
        reply = await visitor.send(
            "/enrol/passkey", ticket=foreign,
            answer=Authenticator().create(options | {"challenge": foreign.partition(".")[0]}, ORIGIN),
        )  # fmt: skip
        assert reply.status_code == 403
        assert await staff.passkeys("reviewer-1") == []
        assert await api.owner.fetchval("SELECT count(*) FROM auth.used_challenge") == 0
        # However it is typed, it is the code; it is good once, and a passkey belongs to one account.
        typed = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
        made = Authenticator()
        assert (await staff.enrol(visitor, made, typed))[0] == 303
        assert (await staff.enrol(visitor, Authenticator(), code))[0] == 403
        await staff.open("reviewer-2", Role.VILLAGE_REVIEWER, WANG)
        taken = (await staff.code("reviewer-2")).code
        assert (await staff.enrol(visitor, made, taken))[0] == 403
        late = (await staff.code("reviewer-2")).code
        await api.owner.execute("UPDATE auth.enrolment SET expires_at = now() - interval '1 second'")
        assert (await staff.enrol(visitor, Authenticator(), late))[0] == 403
        assert len(await staff.passkeys("reviewer-1")) == 1
        assert await staff.passkeys("reviewer-2") == []
