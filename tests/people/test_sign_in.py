"""Signing in at the hub's page: what begins a session, what does not, and what ends with it."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from hub.core.clock import system_clock
from hub.core.errors import RefusedError
from hub.core.names import Role
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.issue_code import issue_code
from hub.store.database import DbRole
from tests.api.world import WIFE, Api

from .authenticator import EDDSA, ES256, PRESENT, RS256, VERIFIED, Authenticator
from .browser import ORIGIN, Browser, browser
from .staff import bind_token, signed_in

REFUSED = "未能登录"


async def code_for(api: Api, account: str) -> str:
    """As `hub sandbox code` makes one: by a command's database login."""
    pool = await api.hub.database.pool(DbRole.INGEST, size=1)
    try:
        desk = AccountDesk(pool, api.keys, api.hub.accounts.receipts)
        return (await issue_code(desk, account, operator="root")).code
    finally:
        await pool.close()


async def enrol(api: Api, authenticator: Authenticator, account: str) -> UUID:
    """Store a passkey of an account, as an enrolment leaves it."""
    handle = await api.owner.fetchval("SELECT handle FROM auth.account WHERE account_id = $1", account)
    authenticator.handle = handle.bytes
    passkey = uuid4()
    await api.owner.execute(
        "INSERT INTO auth.passkey (passkey_id, account_id, credential_id, public_key, sign_count, synced)"
        " VALUES ($1, $2, $3, $4, $5, false)",
        passkey, account, authenticator.credential_id, authenticator.public_key(), authenticator.count,
    )  # fmt: skip
    return passkey


async def sessions(api: Api) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await api.owner.fetch("SELECT * FROM auth.session ORDER BY begun_at")
    return rows


async def test_a_resident_signs_in_with_a_code_once_and_leaves(api: Api) -> None:
    async with browser(api) as visitor:
        assert await signed_in(api, visitor) is None
        code = await code_for(api, "sandbox-borrower")
        reply = await visitor.with_code("sandbox-borrower", code, "/oauth2/authorize?client_id=a")
        assert (reply.status_code, reply.headers["location"]) == (303, "/oauth2/authorize?client_id=a")
        found = await signed_in(api, visitor)
        assert found is not None
        assert (found.account_id, found.role, found.person_id) == ("sandbox-borrower", Role.RESIDENT, WIFE.person_id)
        assert (found.factors, found.amr) == (1, ("otp",))
        cookie = visitor.session()
        assert cookie is not None
        assert cookie not in str(await sessions(api))
        # The code is gone with its first use.
        async with browser(api) as other:
            again = await other.with_code("sandbox-borrower", code)
            assert again.status_code == 403
            assert REFUSED in again.text
            assert other.session() is None
        assert (await visitor.open("/sign-in?next=/explorer")).headers["location"] == "/explorer"
        await visitor.open("/sign-in")
        assert "sandbox-borrower" in visitor.page.text
        left = await visitor.send("/sign-out")
        assert left.headers["location"] == "/sign-in?notice=SIGNED_OUT"
        assert visitor.session() is None
        visitor.http.cookies.set("hub-session", cookie)
        assert await signed_in(api, visitor) is None
    assert [row["cause"] for row in await sessions(api)] == ["SIGNED_OUT"]
    history = await api.ask(
        api.account_token("sandbox-borrower"),
        "{ accessHistory(first: 9) { ... on AccessConnection { edges { node { event } } } } }",
    )
    assert "session:person:begun" in history.text


async def test_five_wrong_codes_burn_the_right_one(api: Api) -> None:
    code = await code_for(api, "sandbox-borrower")
    wrong = f"{(int(code) + 1) % 10**8:08d}"
    before = await api.entries()
    async with browser(api) as visitor:
        pages = set()
        for account, offered in [("sandbox-borrower", wrong)] * 5 + [("sandbox-borrower", code), ("nobody", code)]:
            reply = await visitor.with_code(account, offered)
            assert reply.status_code == 403
            pages.add(reply.text.replace(_ticket(reply), ""))
        # An account that does not exist is told like a wrong code.
        assert len({REFUSED in page for page in pages}) == 1
        assert visitor.session() is None
    assert await sessions(api) == []
    # Each wrong try is recorded; a name that nobody has leaves nothing, so strangers cannot fill the log.
    assert await api.entries() - before == 5


def _ticket(reply: httpx.Response) -> str:
    return reply.text.partition('name="ticket" value="')[2].partition('"')[0] or "no ticket"


async def test_a_role_that_needs_two_factors_is_not_let_in_with_a_code(api: Api) -> None:
    code = await code_for(api, "sandbox-steward")
    async with browser(api) as visitor:
        reply = await visitor.with_code("sandbox-steward", code)
        assert reply.status_code == 403
        assert "通行密钥" in reply.text
        assert visitor.session() is None
    assert await sessions(api) == []


async def test_codes_are_the_sandboxs_alone(api: Api) -> None:
    for account in ("head", "regulator", "sandbox-nobody"):
        with pytest.raises(RefusedError):
            await code_for(api, account)
    with pytest.raises(asyncpg.CheckViolationError):
        await api.owner.execute("INSERT INTO auth.one_time_code VALUES ('head', '\\x00', 5, now() + interval '1 hour')")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with api.hub.accounts.pool.acquire() as app:
            await app.execute("SELECT auth.put_code('sandbox-borrower', '\\x00')")


@pytest.mark.parametrize("algorithm", [ES256, EDDSA, RS256])
async def test_a_passkey_signs_in_and_its_answer_is_good_once(api: Api, algorithm: int) -> None:
    passkey = Authenticator(algorithm)
    await enrol(api, passkey, "regulator")
    async with browser(api) as visitor:
        await visitor.open("/sign-in?next=/explorer")
        answer = passkey.get(visitor.options("/sign-in/passkey"), ORIGIN)
        form = visitor.forms["/sign-in/passkey"] | {"answer": answer}
        reply = await visitor.http.post("/sign-in/passkey", data=form)
        assert (reply.status_code, reply.headers["location"]) == (303, "/explorer")
        found = await signed_in(api, visitor)
        assert found is not None
        assert (found.account_id, found.factors, found.amr) == ("regulator", 2, ("pop", "user", "mfa"))
        again = await visitor.http.post("/sign-in/passkey", data=form)
        assert again.status_code == 403
    assert len(await sessions(api)) == 1


async def test_answers_that_sign_nobody_in(api: Api) -> None:
    passkey = Authenticator()
    await enrol(api, passkey, "regulator")
    stranger, other = Authenticator(), Authenticator()
    await enrol(api, other, "head")
    before = await api.entries()

    async def attempt(visitor: Browser, who: Authenticator, origin: str = ORIGIN, **changes: object) -> int:
        reply = await visitor.with_passkey(who, origin, **changes)
        return reply.status_code

    async with browser(api) as visitor:
        assert await attempt(visitor, stranger) == 403
        for origin in ("http://localhost:8001", "https://localhost:8000", "http://evil.example", "null"):
            assert await attempt(visitor, passkey, origin) == 403, origin
        assert await attempt(visitor, passkey, rp_id="evil.example") == 403
        assert await attempt(visitor, passkey, crossOrigin=True) == 403
        assert await attempt(visitor, passkey, type="webauthn.create") == 403
        assert await attempt(visitor, passkey, challenge=urlsafe_b64encode(bytes(32)).decode().rstrip("=")) == 403
        passkey.flags = PRESENT
        assert await attempt(visitor, passkey) == 403
        passkey.flags = VERIFIED
        assert await attempt(visitor, passkey) == 403
        passkey.flags = PRESENT | VERIFIED
        passkey.handle, kept = other.handle, passkey.handle
        assert await attempt(visitor, passkey) == 403
        passkey.handle = b""
        assert await attempt(visitor, passkey) == 403
        passkey.handle = kept
        # A ticket of another browser, of another use, an altered and an old one.
        await visitor.open("/sign-in")
        answer = passkey.get(visitor.options("/sign-in/passkey"), ORIGIN)
        form = visitor.forms["/sign-in/passkey"]
        async with browser(api) as foreign:
            await foreign.open("/sign-in")
            mark = foreign.forms["/sign-in/passkey"]["mark"]
            reply = await foreign.http.post("/sign-in/passkey", data=form | {"answer": answer, "mark": mark})
            assert reply.status_code == 403
            reply = await foreign.http.post("/sign-in/passkey", data=form | {"answer": answer})
            assert reply.status_code == 403
        challenge, expires, seal = form["ticket"].split(".")
        for ticket in (
            "", "a.b", f"{challenge}.{int(expires) + 60}.{seal}", f"{challenge}.{expires}.{seal[:-2]}",
            f"{challenge}.é.{seal}",
        ):  # fmt: skip
            assert (await visitor.send("/sign-in/passkey", answer=answer, ticket=ticket)).status_code == 403, ticket
        for rubbish in ("", "{}", "[]", "7", '{"response": 7}', "{" * 40_000, '{"response":{"clientDataJSON":"e30"}}'):
            assert (await visitor.send("/sign-in/passkey", answer=rubbish)).status_code == 403, rubbish[:40]
        assert visitor.session() is None
    assert await sessions(api) == []
    assert await api.owner.fetchval("SELECT count(*) FROM auth.used_challenge") == 0
    assert await api.owner.fetchval("SELECT sign_count FROM auth.passkey WHERE account_id = 'regulator'") == 0
    assert await api.entries() == before


async def test_a_counter_that_goes_back_is_a_copy_and_recorded(api: Api) -> None:
    passkey = Authenticator(count=10)
    await enrol(api, passkey, "regulator")
    async with browser(api) as visitor:
        assert (await visitor.with_passkey(passkey)).status_code == 303
    before = await api.entries()
    for step in (0, -5):
        passkey.step = step
        async with browser(api) as visitor:
            reply = await visitor.with_passkey(passkey)
            assert reply.status_code == 403
            assert "复制" in reply.text
            assert visitor.session() is None
    assert await api.entries() - before == 2
    assert len(await sessions(api)) == 1
    # Passkeys that are kept by a phone's maker do not count at all.
    uncounted = Authenticator(count=0, step=0)
    await enrol(api, uncounted, "head")
    for _ in range(2):
        async with browser(api) as visitor:
            assert (await visitor.with_passkey(uncounted)).status_code == 303


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE auth.account SET status = 'SUSPENDED' WHERE account_id = 'regulator'",
        "UPDATE auth.account SET status = 'CLOSED' WHERE account_id = 'regulator'",
        "UPDATE auth.session SET seen_at = now() - interval '31 minutes'",
        "UPDATE auth.session SET begun_at = now() - interval '9 hours', ends_at = now() - interval '1 hour'",
        "SELECT auth.end_sessions_of('regulator', NULL, 'CLOSED')",
    ],
    ids=["suspended", "closed", "idle", "too long", "ended"],
)
async def test_what_ends_a_session(api: Api, change: str) -> None:
    passkey = Authenticator()
    await enrol(api, passkey, "regulator")
    async with browser(api) as visitor:
        await visitor.with_passkey(passkey)
        found = await signed_in(api, visitor)
        assert found is not None
        await api.owner.execute(change)
        assert await signed_in(api, visitor) is None
        later = system_clock() + timedelta(minutes=5)
        assert not await bind_token(api, "jti-1", found.session_id, later)
        assert not await api.owner.fetchval("SELECT auth.session_stands($1)", found.session_id)
        assert await api.owner.fetchval("SELECT count(*) FROM auth.session_token") == 0


async def test_an_app_that_goes_on_keeps_no_browser_signed_in(api: Api) -> None:
    passkey = Authenticator()
    await enrol(api, passkey, "regulator")
    async with browser(api) as visitor:
        await visitor.with_passkey(passkey)
        found = await signed_in(api, visitor)
        assert found is not None
        later = system_clock() + timedelta(minutes=5)
        assert await bind_token(api, "jti-1", found.session_id, later)
        await api.owner.execute("UPDATE auth.session SET seen_at = seen_at - interval '31 minutes'")
        assert await signed_in(api, visitor) is None
        assert await bind_token(api, "jti-2", found.session_id, later)
        await api.owner.execute("UPDATE auth.session SET token_at = token_at - interval '31 minutes'")
        assert not await bind_token(api, "jti-3", found.session_id, later)


async def test_a_second_factor_opens_what_asks_for_one_and_ends_with_the_session(api: Api) -> None:
    """The gate reads from its own tables whether the token's session showed two factors."""
    # Everybody is ruled by the same table, so a resident's own record stands in for what stewards see.
    await api.owner.execute("UPDATE access.decision SET needs_second_factor = true WHERE role = 'RESIDENT'")
    query = "{ household { ... on OwnRecord { tax { grades { grade } } withheld { reason } } } }"
    passkey = Authenticator()
    await enrol(api, passkey, "head")
    async with browser(api) as visitor:
        await visitor.with_passkey(passkey)
        strong = await signed_in(api, visitor)
        assert strong is not None
        issued = api.hub.issuer.issue_for_account("head")
        without = api.account_token("head")
        assert await bind_token(api, issued.token_id, strong.session_id, issued.expires_at)
        for token, is_open in ((without, False), (issued.token, True)):
            reply = await api.ask(token, query)
            assert ("CANARY" in reply.text) is is_open, reply.text
            assert ("STEP_UP_REQUIRED" in reply.text) is not is_open
        await visitor.open("/sign-in")
        await visitor.send("/sign-out")
    assert (await api.ask(issued.token, query)).status_code == 401
    assert (await api.ask(without, query)).status_code == 200


async def test_forms_of_other_sites_and_pages_in_frames_do_nothing(api: Api) -> None:
    code = await code_for(api, "sandbox-borrower")
    async with browser(api) as visitor:
        page = await visitor.open("/sign-in")
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        good = visitor.forms["/sign-in/code"] | {"account": "sandbox-borrower", "code": code}
        for changed in ({"mark": ""}, {"mark": "x" * 44}, {"mark": "é"}):
            assert (await visitor.http.post("/sign-in/code", data=good | changed)).status_code == 403
        async with browser(api) as foreign:
            assert (await foreign.http.post("/sign-in/code", data=good)).status_code == 403
        for body, kind in _not_forms(good):
            reply = await visitor.http.post("/sign-in/code", content=body, headers={"content-type": kind})
            assert reply.status_code == 400
        for method, path in (("GET", "/sign-out"), ("GET", "/sign-in/code"), ("GET", "/sign-in/passkey")):
            assert (await visitor.http.request(method, path)).status_code == 405
        assert await sessions(api) == []
        for name, kind in (("sign_in.js", "text/javascript"), ("pages.css", "text/css")):
            file = await visitor.http.get(f"/sign-in/{name}")
            assert file.headers["content-type"].startswith(kind)
            assert f"/sign-in/{name}" in page.text


def _not_forms(good: dict[str, str]) -> Iterable[tuple[bytes, str]]:
    encoded = httpx.QueryParams(good).__str__().encode()
    yield b"{}", "application/json"
    yield encoded, "text/plain"
    yield encoded + b"&code=1", "application/x-www-form-urlencoded"
    yield b"%", "application/x-www-form-urlencoded"
    yield "é".encode(), "application/x-www-form-urlencoded"
    yield encoded + b"&x=%00", "application/x-www-form-urlencoded"
