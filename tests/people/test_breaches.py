"""After a breach: whom it reaches, who decides, who is told by when, and what happens if nobody does it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from hub.access.breaches import BreachKind, breach_duties
from hub.audit.history import list_accesses
from hub.cli.doctor_people import check_people
from hub.core.errors import InputError, RefusedError
from hub.core.names import Category
from hub.flows.duties.breaches import (
    BreachAssessment,
    BreachDesk,
    BreachNotice,
    Reach,
    assess_breach,
    close_breach,
    notify,
    open_breach,
    watch_breaches,
)
from hub.store.database import DbRole
from tests.api.test_consent_story import done
from tests.api.world import BANK_A, BANK_B, COUNTY, HEAD, WIFE, Api, borrower

from .authenticator import Authenticator
from .browser import Browser, browser
from .test_sign_in import enrol

NOTICES = """{ notices { ... on Notices { breaches { id what toldAt categories cause harm measures advice contact } }
  ... on UserError { code } } }"""
PROFILE = """query P($input: BorrowerProfileInput!) { borrowerProfile(input: $input) {
  ... on BorrowerProfile { tax { grades { grade } } } } }"""
TEXTS = {name: f"{name} 说明" for name in ("cause", "harm", "measures", "advice", "contact")}


@asynccontextmanager
async def desk_of(api: Api) -> AsyncIterator[BreachDesk]:
    connection = await api.hub.database.connect(DbRole.INGEST)
    try:
        yield BreachDesk(connection, api.hub.accounts.receipts, api.hub.accounts.clock, "operator wang")
    finally:
        await connection.close()


async def at_page(api: Api, visitor: Browser) -> None:
    """A security administrator has the page before him."""
    await api.owner.execute("INSERT INTO auth.account (account_id, role) VALUES ('security-1', 'SECURITY_ADMIN')")
    made = Authenticator()
    await enrol(api, made, "security-1")
    await visitor.with_passkey(made)
    await visitor.open("/breaches")


async def shown_profile(api: Api) -> None:
    """Bank A was shown the head's profile, and refused the wife's."""
    await api.basis(HEAD, BANK_A)
    for person in (HEAD, WIFE):
        reply = await api.ask(await api.system_token(), PROFILE, borrower(person))
        assert "errors" not in reply.json(), reply.text


def assessed(reach: Reach, **changes: Any) -> BreachAssessment:
    facts: dict[str, Any] = {
        "categories": (Category.TAX_GRADE,), "organisations": (BANK_A,), "tell_persons": True,
        "notice": BreachNotice.read(TEXTS),
    }  # fmt: skip
    return BreachAssessment(reach, **(facts | changes))


async def refused(code: str, step: Any) -> None:
    with pytest.raises((RefusedError, InputError)) as error:
        await step
    assert error.value.code == code


async def cannot_decide_unseen(api: Api, visitor: Browser) -> None:
    """What he decides is what he saw: not what was assessed anew behind his page, which he sees now."""
    assert (await visitor.send("/breaches", decision="approve")).status_code == 403
    assert await api.owner.fetchval("SELECT state FROM access.breach") == "ASSESSED"
    assert "Not to be told" in visitor.page.text


async def cannot_rewrite(desk: BreachDesk) -> None:
    """What was decided stays."""
    for change in ("tell_persons = false", "state = 'OPEN'", "assessed_by = 'li'", "notice = '{}'"):
        with pytest.raises(asyncpg.PostgresError, match="never rewritten"):
            await desk.connection.execute(f"UPDATE access.breach SET {change}")
    with pytest.raises(asyncpg.PostgresError, match="was decided"):
        await desk.connection.execute(
            "SELECT access.reach_of_breach(breach_id, NULL, NULL, NULL, $1) FROM access.breach", COUNTY
        )


async def test_a_breach_is_assessed_from_the_ledger_decided_by_a_second_person_and_told(api: Api) -> None:
    await shown_profile(api)
    now = api.hub.accounts.clock()
    span = Reach(now - timedelta(hours=1), now + timedelta(hours=1), BANK_A)
    async with desk_of(api) as desk, browser(api) as visitor:
        await refused(
            "BREACH_TIME", open_breach(desk, BreachKind.LEAKED, now + timedelta(days=1), public_interest=True)
        )
        breach = await open_breach(desk, BreachKind.LEAKED, now, public_interest=True)
        hours = {duty.name: duty.due_at - breach.discovered_at for duty in breach.duties}
        assert hours["AUTHORITY_PUBLIC_INTEREST"] == timedelta(hours=24)
        assert set(hours) == {"REMEDY", "AUTHORITY", "AUTHORITY_PUBLIC_INTEREST"}

        other = await assess_breach(desk, breach.breach_id, assessed(Reach(span.since, span.until, BANK_B)))
        assert other.persons == 0
        found = await assess_breach(desk, breach.breach_id, assessed(span))
        assert (found.persons, found.minors, found.state) == (1, 0, "ASSESSED")  # the head; his wife was not shown
        assert {duty.name for duty in found.duties} == {*hours, "PERSONS", "ORGANISATIONS"}
        everybody = await assess_breach(desk, breach.breach_id, assessed(Reach(county=COUNTY)))
        assert everybody.persons == 2
        await assess_breach(desk, breach.breach_id, assessed(span))

        # Nobody is told, nothing is closed, before a second person has decided; the authority is told at once.
        await refused("BREACH_STATE", notify(desk, breach.breach_id, "PERSONS", channel="PORTAL", reference=None))
        await refused("BREACH_STATE", close_breach(desk, breach.breach_id))
        assert (await notices(api))["breaches"] == []
        await notify(desk, breach.breach_id, "AUTHORITY", channel="letter", reference="2026-7")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await desk.connection.execute("UPDATE access.breach SET decided_by = 'li', state = 'DECIDED'")
        await visitor.open("/breaches")
        assert visitor.page.headers["location"] == "/sign-in?next=/breaches"
        await at_page(api, visitor)
        assert "cause 说明" in visitor.page.text
        assert BANK_A in visitor.page.text
        await assess_breach(desk, breach.breach_id, assessed(span, tell_persons=False, organisations=()))
        await cannot_decide_unseen(api, visitor)
        await assess_breach(desk, breach.breach_id, assessed(span))
        await visitor.open("/breaches")
        await visitor.send("/breaches", decision="refuse")
        await refused("BREACH_STATE", notify(desk, breach.breach_id, "PERSONS", channel="PORTAL", reference=None))
        await assess_breach(desk, breach.breach_id, assessed(span))
        await visitor.open("/breaches")
        assert (await visitor.send("/breaches", decision="approve")).status_code == 200
        await cannot_rewrite(desk)

        told = await notify(desk, breach.breach_id, "PERSONS", channel="PORTAL", reference=None)
        assert (told.told, told.decided_by) == (1, "security-1")
        await refused("BREACH_DUTY", notify(desk, breach.breach_id, "PERSONS", channel="PORTAL", reference=None))
        await refused("BREACH_DUTY", close_breach(desk, breach.breach_id))
        for duty in ("REMEDY", "AUTHORITY_PUBLIC_INTEREST", "ORGANISATIONS"):
            await notify(desk, breach.breach_id, duty, channel="telephone", reference=None)
        assert (await close_breach(desk, breach.breach_id)).state == "CLOSED"
    (notice,) = (await notices(api))["breaches"]
    assert {name: notice[name] for name in TEXTS} == TEXTS
    assert (notice["what"], notice["categories"]) == ("LEAKED", ["tax.grade"])
    assert (await notices(api, "sandbox-borrower"))["breaches"] == []
    assert (await notices(api, "regulator"))["code"] == "NOT_ALLOWED"
    read = await api.owner.fetch("SELECT person_id, read_at IS NOT NULL AS read FROM access.breach_person")
    assert [(row["person_id"], row["read"]) for row in read] == [(HEAD.person_id, True)]
    events = [each.event for each in await list_accesses(api.hub.ports.auditor, api.keys, HEAD.person_id)]
    assert events.count("breach:hub:told") == 1
    (body,) = await api.owner.fetch("SELECT recipient, body FROM consent.delivery WHERE topic = 'BREACH'")
    assert (body["recipient"], json.loads(body["body"])["facts"]["notice"]) == (BANK_A, TEXTS)


async def notices(api: Api, account: str = "head") -> Any:
    found, _ = await done(api, api.account_token(account), NOTICES)
    return found


async def test_what_is_not_done_in_time_is_an_alarm(api: Api) -> None:
    now = api.hub.accounts.clock()
    async with desk_of(api) as desk:
        breach = await open_breach(desk, BreachKind.LOST, now - timedelta(hours=5), public_interest=False)
        doctor = {each.check: each for each in await check_people(api.owner)}
        assert not doctor["breaches"].good  # the remedy, within four hours
        receipts, clock = api.hub.accounts.receipts, api.hub.accounts.clock
        assert await watch_breaches(desk.connection, receipts, clock) == 1
        assert await watch_breaches(desk.connection, receipts, clock) == 0
        assert await watch_breaches(desk.connection, receipts, lambda: now + timedelta(days=2)) == 1
        done_late = await notify(desk, breach.breach_id, "REMEDY", channel="keys changed", reference=None)
        assert [duty.name for duty in done_late.duties if duty.done_at] == ["REMEDY"]
        assert {each.check: each for each in await check_people(api.owner)}["breaches"].good
    alerts = await api.owner.fetch("SELECT kind, officer FROM access.alert")
    assert {(row["kind"], row["officer"]) for row in alerts} == {("BREACH", str(breach.breach_id))}


def test_notice_reach_and_the_table_of_duties() -> None:
    for wrong in (
        {},
        TEXTS | {"more": "x"},
        TEXTS | {"harm": " "},
        TEXTS | {"harm": "x" * 501},
        TEXTS | {"harm": "a\nb"},
    ):
        with pytest.raises(InputError):
            BreachNotice.read(wrong)
    for reach in (Reach(), Reach(county=COUNTY, organisation=BANK_A)):
        with pytest.raises(InputError):
            reach.check()
    assert all(duty.law and duty.hours > 0 for duty in breach_duties())
    assert {duty.name for duty in breach_duties() if duty.statutory} == {"AUTHORITY_PUBLIC_INTEREST"}
