"""Attacks 34 and 35 on consent, and what every other basis than consent must refuse."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hub.access.parts import part_of
from hub.consent.bases import BasisKind, listed
from hub.consent.states import RevocationCause
from hub.core.clock import system_clock
from hub.core.disclosure import Asker, SubjectByNumber
from hub.core.errors import HubError
from hub.flows.consent.consent_change import ConsentDesk
from hub.flows.consent.declare_basis import (
    BasisDeclared,
    Declaration,
    decide_basis,
    declare_basis,
    end_basis,
    watch_bases,
)
from hub.flows.consent.revoke_consent import ConsentRevocation, revoke_consent
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.disclosure.world import BANK_A, COUNTY, FAR, HEAD, HOUSEHOLD, STRANGER, WIFE, Person, World

from .consent_world import OPERATION, given, me, open_desk, recorded, shows_nothing, written

WATCH = ["roster/VALUE", "identity/VALUE"]


@pytest.fixture
async def world(database: Database, keys: FileKeys) -> AsyncIterator[World]:
    world = await World.build(database, keys)
    for account, role in (("regulator-2", "REGULATOR"), ("township", "TOWNSHIP"), ("steward-2", "STEWARD")):
        await world.owner.execute(
            "INSERT INTO auth.account (account_id, role, county_codes) VALUES ($1, $2, $3)", account, role, [COUNTY]
        )
    await allow(world, "POST_LOAN", "EMERGENCY")
    yield world
    await world.close()


async def allow(world: World, *kinds: str) -> None:
    """The kinds that the hub's legal mode lets it rest on, besides those of every mode."""
    await world.owner.execute("DELETE FROM access.mode_basis WHERE kind IN ('POST_LOAN', 'EMERGENCY')")
    await world.owner.execute(
        "INSERT INTO access.mode_basis (digest, kind) SELECT s.digest, k FROM access.policy_set s, unnest($1::text[]) k"
        " WHERE s.retired_at IS NULL",
        list(kinds),
    )


@pytest.fixture
async def desk(world: World, tmp_path: Path) -> AsyncIterator[ConsentDesk]:
    async with open_desk(world, tmp_path) as desk:
        yield desk


async def declared(
    desk: ConsentDesk, asker: str, kind: BasisKind, person: Person = HEAD, reference: str = "文号〔2026〕7号",
    parts: tuple[str, ...] = ("identity/VALUE",),
) -> BasisDeclared:  # fmt: skip
    made, receipt = await declare_basis(
        desk,
        Declaration(
            Asker(asker, "t1", asker), kind, reference, SubjectByNumber(person.number, person.name),
            tuple(part_of(key) for key in parts), OPERATION,
        ),
    )  # fmt: skip
    assert receipt.index >= 0
    return made


async def loan(world: World, contract: str, settled: str | None = None, person: Person = HEAD) -> None:
    item = {"contractNo": contract, "receiptNo": f"R{contract}", "provenance": {"validTo": settled}}
    await world.owner.execute(
        "UPDATE record.section SET body = $1 WHERE person_id = $2 AND category = 'bank.loan' AND form = 'VALUE'"
        " AND owner = $3",
        json.dumps({"items": [item]}), person.person_id, BANK_A,
    )  # fmt: skip


async def refused(work: Any) -> str:
    with pytest.raises(HubError) as refusal:
        await work
    return refusal.value.code


async def test_34_no_review_of_a_loan_without_that_live_loan(world: World, desk: ConsentDesk) -> None:
    before, entries = await written(world), await recorded(world)
    review = {"purpose": "POST_LOAN_REVIEW", "parts": WATCH}
    for person, reference in ((HEAD, "C1"), (STRANGER, "C1"), (WIFE, "C1"), (FAR, "C1")):
        work = declared(desk, "risk-a", BasisKind.POST_LOAN, person, reference, tuple(WATCH))
        assert await refused(work) == "NO_LIVE_LOAN"
    await loan(world, "C1")
    assert await refused(declared(desk, "officer-b", BasisKind.POST_LOAN, HEAD, "C1", tuple(WATCH))) == "NO_LIVE_LOAN"
    assert (await written(world), await recorded(world)) == (before, entries)
    nobody = await world.ask("risk-a", STRANGER, **review)
    made = await declared(desk, "risk-a", BasisKind.POST_LOAN, HEAD, "C1", tuple(WATCH))
    assert (await world.ask("risk-a", HEAD, **review)).basis == made.basis_id
    # Once in a calendar month, whoever of the bank asks.
    assert (await world.ask("officer-a", HEAD, **review)).withheld == dict.fromkeys(WATCH, "QUOTA")
    await world.owner.execute("UPDATE consent.quota SET period = period - interval '1 month'")
    assert (await world.ask("officer-a", HEAD, **review)).parts == set(WATCH)
    # The moment the loan is settled there is nothing to watch.
    await world.owner.execute("UPDATE consent.quota SET period = period - interval '1 month'")
    await loan(world, "C1", "2026-11-01")
    gone = await world.ask("risk-a", HEAD, **review)
    assert gone.content() == nobody.content()
    assert shows_nothing(gone)
    assert shows_nothing(await world.ask("risk-a", HEAD))  # and no other purpose ever rested on it


async def test_a_kind_that_the_legal_mode_does_not_know_cannot_be_declared(world: World, desk: ConsentDesk) -> None:
    await allow(world)
    await loan(world, "C1")
    before = await written(world)
    assert await refused(declared(desk, "risk-a", BasisKind.POST_LOAN, HEAD, "C1", tuple(WATCH))) == "BASIS_REFUSED"
    assert await refused(declared(desk, "township", BasisKind.EMERGENCY)) == "BASIS_REFUSED"
    assert await written(world) == before


async def test_34_a_new_declaration_does_not_begin_the_month_anew(world: World, desk: ConsentDesk) -> None:
    await loan(world, "C1")
    review = {"purpose": "POST_LOAN_REVIEW", "parts": WATCH}
    for _ in range(2):
        await declared(desk, "risk-a", BasisKind.POST_LOAN, HEAD, "C1", tuple(WATCH))
    assert (await world.ask("risk-a", HEAD, **review)).parts
    again = await declared(desk, "risk-a", BasisKind.POST_LOAN, HEAD, "C1", tuple(WATCH))
    assert (await world.ask("risk-a", HEAD, **review)).withheld == dict.fromkeys(WATCH, "QUOTA")
    await end_basis(desk, me("officer-a"), again.basis_id, OPERATION)
    assert shows_nothing(await world.ask("risk-a", HEAD, **review))


async def test_35_emergency_is_for_the_listed_roles_one_day_and_who_somebody_is(
    world: World, desk: ConsentDesk
) -> None:
    before = await written(world)
    for asker in ("risk-a", "collector", "head", "regulator", "nobody"):
        assert await refused(declared(desk, asker, BasisKind.EMERGENCY)) == "BASIS_REFUSED"
    work = declared(desk, "township", BasisKind.EMERGENCY, parts=("identity/VALUE", "bank.loan/VALUE"))
    assert await refused(work) == "PART_NOT_OPEN"
    assert await written(world) == before
    made = await declared(desk, "township", BasisKind.EMERGENCY)
    unknown = await declared(desk, "township", BasisKind.EMERGENCY, STRANGER)
    assert (made.state, made.expires_at - system_clock() <= timedelta(hours=24)) == ("IN_FORCE", True)
    assert unknown.state == made.state
    query = {"purpose": "EMERGENCY", "parts": ["identity/VALUE"]}
    assert (await world.ask("township", HEAD, **query)).parts == {"identity/VALUE"}
    assert (await world.ask("township", HEAD, purpose="EMERGENCY")).parts == {"identity/VALUE"}
    assert shows_nothing(await world.ask("township", STRANGER, **query))
    assert shows_nothing(await world.ask("steward", HEAD, **query))  # another holder
    assert (
        await refused(decide_basis(desk, me("township"), made.basis_id, yes=True, operation=OPERATION))
        == "BASIS_UNKNOWN"
    )
    # A day later it is over, and that nobody looked at it is an alarm; before that nothing is due.
    ingest = await world.database.connect(DbRole.INGEST)
    try:
        assert await watch_bases(ingest, desk.receipts, system_clock) == 0
        assert await watch_bases(ingest, desk.receipts, lambda: system_clock() + timedelta(hours=25)) == 3
        assert await watch_bases(ingest, desk.receipts, lambda: system_clock() + timedelta(hours=26)) == 0
    finally:
        await ingest.close()
    entries = "SELECT count(*) FROM audit.pending WHERE event = 'basis:hub:unreviewed'"
    told = "SELECT bool_and(told_at < declared_at + interval '72 hours') FROM consent.basis WHERE told_at IS NOT NULL"
    assert await world.owner.fetchval(told)
    late = await listed(world.owner, system_clock() + timedelta(hours=25), open_only=True)
    assert all(basis.review_late for basis in late)
    assert len(late) == 2
    assert await world.owner.fetchval(entries) in (0, 1, 2)  # the sequencer may have taken them already
    await world.owner.execute(
        "UPDATE consent.basis SET effective_from = effective_from - interval '25 hours',"
        " expires_at = expires_at - interval '25 hours'"
    )
    assert shows_nothing(await world.ask("township", HEAD, **query))


async def test_35_a_second_person_can_stop_an_emergency(world: World, desk: ConsentDesk) -> None:
    made = await declared(desk, "township", BasisKind.EMERGENCY)
    query = {"purpose": "EMERGENCY", "parts": ["identity/VALUE"]}
    assert (await world.ask("township", HEAD, **query)).parts
    decided, _ = await decide_basis(desk, me("steward"), made.basis_id, yes=False, operation=OPERATION)
    assert decided.status == "REVOKED"
    assert shows_nothing(await world.ask("township", HEAD, **query))
    assert (
        await refused(decide_basis(desk, me("steward-2"), made.basis_id, yes=True, operation=OPERATION))
        == "BASIS_UNKNOWN"
    )


@pytest.mark.parametrize("kind", [BasisKind.SUPERVISION, BasisKind.JUDICIAL])
async def test_supervision_and_courts_need_a_document_and_a_second_person(
    world: World, desk: ConsentDesk, kind: BasisKind
) -> None:
    query = {"purpose": kind.value, "parts": ["identity/VALUE", "bank.loan/TOTAL", "tax.band/BAND"]}
    parts = tuple(query["parts"])
    assert await refused(declared(desk, "regulator", kind, reference="")) == "BASIS_REFERENCE"
    assert await refused(declared(desk, "steward", kind)) == "BASIS_REFUSED"
    made = await declared(desk, "regulator", kind, parts=parts)
    assert made.state == "PROPOSED"
    assert shows_nothing(await world.ask("regulator", HEAD, **query))
    for decider in ("regulator", "steward", "risk-a", "head"):
        work = decide_basis(desk, me(decider), made.basis_id, yes=True, operation=OPERATION)
        assert await refused(work) == "BASIS_UNKNOWN"
    decided, _ = await decide_basis(desk, me("regulator-2"), made.basis_id, yes=True, operation=OPERATION)
    assert decided.status == "IN_FORCE"
    reply = await world.ask("regulator", HEAD, **query)
    assert reply.parts == {"identity/VALUE", "bank.loan/TOTAL"}
    assert reply.withheld == {"tax.band/BAND": "STEP_UP_REQUIRED"}
    assert shows_nothing(await world.ask("regulator-2", HEAD, **query))  # who approved may not look
    assert shows_nothing(await world.ask("regulator", WIFE, **query))
    await end_basis(desk, me("regulator"), made.basis_id, OPERATION)
    assert shows_nothing(await world.ask("regulator", HEAD, **query))


async def test_an_objection_opens_the_record_to_one_steward_while_its_case_is_open(
    world: World, desk: ConsentDesk
) -> None:
    query = {"purpose": "OBJECTION", "parts": ["identity/VALUE", "tax.grade/VALUE"]}
    assert shows_nothing(await world.ask("steward", HEAD, **query))
    made = await declared(desk, "steward", BasisKind.OBJECTION, parts=("identity/VALUE", "tax.grade/VALUE"))
    assert (await world.ask("steward", HEAD, **query)).parts == set(query["parts"])
    assert shows_nothing(await world.ask("steward-2", HEAD, **query))
    own = await world.owner.fetchval("SELECT household_id FROM record.person WHERE person_id = $1", HEAD.person_id)
    assert own == UUID(str(HOUSEHOLD))
    await end_basis(desk, me("steward"), made.basis_id, OPERATION)
    assert shows_nothing(await world.ask("steward", HEAD, **query))


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [(BasisKind.EMERGENCY, "TOWNSHIP", "STEWARD"), (BasisKind.JUDICIAL, "REGULATOR", "REGULATOR")],
)
async def test_one_person_with_two_accounts_is_one_person(
    world: World, desk: ConsentDesk, kind: BasisKind, one: str, two: str
) -> None:
    for account, role in (("li-1", one), ("li-2", two)):
        await world.owner.execute(
            "INSERT INTO auth.account (account_id, role, county_codes, holder, sealed_holder)"
            " VALUES ($1, $2, $3, $4, $5)",
            account, role, [COUNTY], b"L" * 33, b"sealed",
        )  # fmt: skip
        if account == "li-1":
            made = await declared(desk, account, kind)
            await world.owner.execute("UPDATE auth.account SET status = 'CLOSED' WHERE account_id = $1", account)
    before, entries = await written(world), await recorded(world)
    with pytest.raises(HubError) as refused:
        await decide_basis(desk, me("li-2"), made.basis_id, yes=True, operation=OPERATION)
    assert refused.value.code == "BASIS_UNKNOWN"
    assert (await written(world), await recorded(world)) == (before, entries)


async def test_a_second_basis_takes_the_place_of_the_first_and_tells_nobody_who_exists(
    world: World, desk: ConsentDesk
) -> None:
    for person in (HEAD, STRANGER):
        for reference in ("文号〔2026〕7号", "文号〔2026〕8号"):
            made = await declared(desk, "regulator", BasisKind.SUPERVISION, person, reference)
            decided, _ = await decide_basis(desk, me("regulator-2"), made.basis_id, yes=True, operation=OPERATION)
            assert decided.status == "IN_FORCE"
    states = await world.owner.fetch(
        "SELECT status, count(*) FROM consent.basis WHERE kind = 'SUPERVISION' AND person_id = $1 GROUP BY 1",
        HEAD.person_id,
    )
    assert dict(map(tuple, states)) == {"ENDED": 1, "IN_FORCE": 1}


async def test_another_adult_is_not_shown_for_a_loan_of_his_that_is_settled(world: World, desk: ConsentDesk) -> None:
    await loan(world, "C1")
    await loan(world, "C2", person=WIFE)
    for person, reference in ((HEAD, "C1"), (WIFE, "C2")):
        await declared(desk, "risk-a", BasisKind.POST_LOAN, person, reference, tuple(WATCH))
    review = {"purpose": "POST_LOAN_REVIEW", "parts": WATCH, "others": True}
    assert WIFE.person_id in (await world.ask("risk-a", HEAD, **review)).others
    await loan(world, "C2", "2026-11-01", WIFE)
    assert WIFE.person_id not in (await world.ask("risk-a", HEAD, **review)).others


async def test_who_reviews_shares_the_area_of_who_declared(world: World, desk: ConsentDesk) -> None:
    await world.owner.execute("INSERT INTO auth.account (account_id, role) VALUES ('security-9', 'SECURITY_ADMIN')")
    for person in (HEAD, STRANGER):
        made = await declared(desk, "township", BasisKind.EMERGENCY, person)
        work = decide_basis(desk, me("security-9"), made.basis_id, yes=True, operation=OPERATION)
        assert await refused(work) == "BASIS_UNKNOWN"


async def test_a_proposal_lapses_and_ends_with_whoever_made_it(world: World, desk: ConsentDesk) -> None:
    late = await declared(desk, "regulator", BasisKind.JUDICIAL)
    await world.owner.execute("UPDATE consent.basis SET declared_at = declared_at - interval '8 days'")
    gone = await declared(desk, "regulator", BasisKind.JUDICIAL, WIFE)
    work = decide_basis(desk, me("regulator-2"), late.basis_id, yes=True, operation=OPERATION)
    assert await refused(work) == "BASIS_UNKNOWN"
    await world.owner.execute("UPDATE auth.account SET status = 'CLOSED' WHERE account_id = 'regulator'")
    work = decide_basis(desk, me("regulator-2"), gone.basis_id, yes=True, operation=OPERATION)
    assert await refused(work) == "BASIS_UNKNOWN"


async def test_only_registered_officers_act_once_there_is_one(world: World, desk: ConsentDesk) -> None:
    consent = await given(desk)
    await loan(world, "C1")
    await world.owner.execute(
        "UPDATE access.organisation SET officers_since = now() WHERE organisation_id = $1", BANK_A
    )
    before, entries = await written(world), await recorded(world)
    ghost = Asker("risk-a", "t1", "ghost")
    wanted = SubjectByNumber(HEAD.number, HEAD.name)
    watch = Declaration(ghost, BasisKind.POST_LOAN, "C1", wanted, tuple(part_of(key) for key in WATCH), OPERATION)
    assert await refused(declare_basis(desk, watch)) == "OFFICER_UNKNOWN"
    ending = ConsentRevocation(ghost, consent, RevocationCause.NO_LONGER_NEEDED, OPERATION)
    assert await refused(revoke_consent(desk, ending)) == "OFFICER_UNKNOWN"
    assert (await written(world), await recorded(world)) == (before, entries)
