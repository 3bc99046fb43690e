"""The database function: what leaves, what is kept back and why, and that nothing else can be read."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from hub.audit.events import check_event
from tests.done.test_main_job_4_database import MAY_CALL

from .world import (
    ALL_PARTS,
    BANK_A,
    BANK_B,
    BANK_C,
    CHILD,
    COUNTY,
    DEAD,
    FAR,
    HEAD,
    HOUSEHOLD_PARTS,
    NOBODY,
    SON,
    STRANGER,
    WIFE,
    World,
    canary,
)  # fmt: skip

OFFICER_OPEN = {
    "roster/VALUE", "identity/VALUE", "tax.registration/VALUE", "tax.grade/VALUE", "tax.arrears/YES_NO",
    "social.insurance/VALUE", "civil.relief/YES_NO", "bank.line/VALUE", "bank.line/TOTAL", "bank.loan/VALUE",
    "bank.loan/TOTAL", "adverse/VALUE", "conflict/VALUE",
}  # fmt: skip


async def test_a_lender_with_consent_sees_what_his_role_may(world: World) -> None:
    basis = await world.basis(HEAD)
    reply = await world.ask("officer-a", HEAD)
    assert reply.parts == OFFICER_OPEN
    assert reply.withheld == dict.fromkeys(set(ALL_PARTS) - OFFICER_OPEN, "NEVER_DISCLOSED")
    assert (reply.person, reply.basis, reply.absent) == (HEAD.person_id, basis, {})


async def test_the_risk_desk_sees_bands_that_an_officer_does_not(world: World) -> None:
    await world.basis(HEAD)
    reply = await world.ask("risk-a", HEAD)
    assert reply.parts - OFFICER_OPEN == {"tax.arrears/VALUE", "tax.band/BAND", "clinic.arrears/BAND"}
    assert reply.withheld == dict.fromkeys(("clinic.arrears/VALUE", "civil.relief/VALUE"), "NEVER_DISCLOSED")


async def test_no_canary_of_an_ungranted_section_leaves_or_is_recorded(world: World) -> None:
    await world.basis(HEAD, parts=["identity/VALUE", "bank.loan/TOTAL", "bank.loan/VALUE", "civil.relief/YES_NO"])
    await world.basis(WIFE, parts=["tax.grade/VALUE", "identity/VALUE"])
    await world.basis(SON, parts=["tax.grade/VALUE"])
    reply = await world.ask("officer-a", HEAD, others=True)
    allowed = {
        canary(HEAD.person_id, "identity/VALUE"), canary(HEAD.person_id, "bank.loan/VALUE", BANK_A),
        canary(NOBODY, "civil.relief/YES_NO"), canary(WIFE.person_id, "identity/VALUE"),
    }  # fmt: skip
    pending = await world.pending(reply.ev)
    stored = [row["body"] for row in await world.owner.fetch("SELECT body FROM record.section")]
    marks = {json.loads(body)["mark"] for body in stored}
    assert len(marks) > 80
    assert {mark for mark in marks if mark in reply.text} == allowed
    assert not [mark for mark in marks if mark in repr(dict(pending))]


async def test_other_lenders_appear_as_one_total_and_own_contracts_in_detail(world: World) -> None:
    await world.basis(HEAD)
    reply = await world.ask("officer-a", HEAD)
    totals = {part: json.loads(body) for _, part, _, body in reply.sections if part.endswith("/TOTAL")}
    assert totals["bank.loan/TOTAL"] == {"lenders": 2, "loans": 4, "totalBalance": "4000.50", "worstClass": "4"}
    assert totals["bank.line/TOTAL"] == {"lenders": 2, "totalAmount": "2001.00"}
    owners = {owner for _, part, owner, _ in reply.sections if part == "bank.loan/VALUE"}
    assert owners == {BANK_A}
    assert BANK_B not in reply.text
    assert BANK_C not in reply.text


async def test_a_lender_without_any_contract_sees_none_of_the_others(world: World) -> None:
    await world.owner.execute("DELETE FROM record.section WHERE owner = $1", BANK_B)
    await world.basis(HEAD, BANK_B)
    reply = await world.ask("officer-b", HEAD)
    assert reply.absent == {"bank.line/VALUE": "NOT_REPORTED", "bank.loan/VALUE": "NOT_REPORTED"}
    assert "bank.loan/VALUE" not in reply.parts


async def test_unknown_denied_wrong_name_dead_minor_and_far_look_the_same(world: World) -> None:
    await world.basis(FAR)  # consented, but lives outside the area of this client
    replies = [
        await world.ask("officer-a", STRANGER),
        await world.ask("officer-a", HEAD),
        await world.ask("officer-a", WIFE, name="玉相"),
        await world.ask("officer-a", FAR),
        await world.ask("officer-a", DEAD),
        await world.ask("officer-a", CHILD),
        await world.ask("officer-a", person_id=uuid4()),
        await world.ask("officer-a", person_id=SON.person_id),
    ]
    assert len({reply.content() for reply in replies}) == 1
    assert all(reply.all_withheld("NO_BASIS") for reply in replies)
    assert set(replies[0].withheld) == set(ALL_PARTS)
    causes = [json.loads((await world.pending(reply.ev))["facts"])["reason"] for reply in replies]
    assert causes == [
        "UNKNOWN", "NO_BASIS", "NOT_THE_PERSON", "OTHER_AREA", "NOT_THE_PERSON", "NO_BASIS", "UNKNOWN", "NO_BASIS",
    ]  # fmt: skip
    subjects = [(await world.pending(reply.ev))["subjects"] for reply in replies[:3]]
    assert subjects == [[], [HEAD.person_id], [WIFE.person_id]]
    assert {(await world.pending(reply.ev))["decision"] for reply in replies} == {"deny"}


async def test_a_wrong_name_gets_nothing_although_there_is_a_consent(world: World) -> None:
    basis = await world.basis(HEAD)
    reply = await world.ask("officer-a", HEAD, name="岩罕二")
    assert reply.all_withheld("NO_BASIS")
    assert await world.uses(basis) == 0


async def test_names_are_compared_without_white_space(world: World) -> None:
    await world.basis(HEAD)
    assert (await world.ask("officer-a", HEAD, name="岩罕")).person == HEAD.person_id


@pytest.mark.parametrize("hours", [-48, 2])
async def test_a_basis_counts_only_while_it_is_in_force(world: World, hours: int) -> None:
    await world.basis(HEAD, start=datetime.now(UTC) + timedelta(hours=hours), days=1)
    assert (await world.ask("officer-a", HEAD)).all_withheld("NO_BASIS")


async def test_a_basis_is_of_one_organisation_and_one_purpose(world: World) -> None:
    await world.basis(HEAD)
    assert (await world.ask("officer-b", HEAD)).all_withheld("NO_BASIS")
    assert (await world.ask("officer-a", HEAD, purpose="POST_LOAN_REVIEW")).all_withheld("NO_BASIS")


async def test_what_the_consent_does_not_name_is_not_in_the_basis(world: World) -> None:
    await world.basis(HEAD, parts=["identity/VALUE"])
    reply = await world.ask("officer-a", HEAD, parts=["identity/VALUE", "tax.grade/VALUE"])
    assert reply.withheld == {"tax.grade/VALUE": "CATEGORY_NOT_IN_BASIS"}
    assert reply.parts == {"identity/VALUE"}


async def test_tax_bands_need_the_heightened_notice(world: World) -> None:
    await world.basis(HEAD, heightened=False)
    reply = await world.ask("risk-a", HEAD, parts=["tax.band/BAND", "tax.grade/VALUE"])
    assert reply.withheld == {"tax.band/BAND": "CATEGORY_NOT_IN_BASIS"}


async def test_a_purpose_that_was_not_registered_is_refused_for_everybody_alike(world: World) -> None:
    await world.basis(HEAD, purpose="CARD_APPLICATION")
    known = await world.ask("officer-a", HEAD, purpose="CARD_APPLICATION")
    unknown = await world.ask("officer-a", STRANGER, purpose="CARD_APPLICATION")
    assert known.all_withheld("PURPOSE_MISMATCH")
    assert known.content() == unknown.content()


async def test_a_part_of_another_purpose_says_so(world: World) -> None:
    await world.basis(HEAD, purpose="POST_LOAN_REVIEW")
    reply = await world.ask("officer-a", HEAD, purpose="POST_LOAN_REVIEW", parts=["tax.grade/VALUE", "adverse/VALUE"])
    assert reply.withheld == {"tax.grade/VALUE": "PURPOSE_MISMATCH"}


async def test_a_bank_watches_only_people_who_owe_it_something(world: World) -> None:
    await world.owner.execute("DELETE FROM record.section WHERE category = 'bank.loan' AND owner = $1", BANK_A)
    await world.basis(HEAD, purpose="POST_LOAN_REVIEW")
    assert (await world.ask("officer-a", HEAD, purpose="POST_LOAN_REVIEW")).all_withheld("NO_BASIS")


async def test_a_loan_that_is_paid_off_is_nothing_to_watch(world: World) -> None:
    await world.owner.execute(
        "DELETE FROM record.section WHERE category = 'bank.loan' AND form = 'TOTAL' AND owner = $1", BANK_A
    )
    await world.basis(HEAD, purpose="POST_LOAN_REVIEW")
    assert (await world.ask("officer-a", HEAD, purpose="POST_LOAN_REVIEW")).all_withheld("NO_BASIS")


async def test_an_asker_without_area_is_out_of_area(world: World) -> None:
    await world.basis(HEAD)
    assert (await world.ask("nowhere-a", HEAD)).all_withheld("OUT_OF_AREA")
    assert (await world.ask("nowhere-a", STRANGER)).all_withheld("OUT_OF_AREA")


async def test_a_resident_sees_his_own_record_with_every_bank_and_nobody_elses(world: World) -> None:
    await world.basis(WIFE)
    reply = await world.ask("head", purpose="SELF_ACCESS", person_id=HEAD.person_id, others=True)
    assert reply.parts == set(ALL_PARTS)
    assert reply.withheld == {}
    assert {person for person, *_ in reply.sections} == {HEAD.person_id, NOBODY}
    assert {owner for _, part, owner, _ in reply.sections if part == "bank.loan/VALUE"} == {BANK_A, BANK_B, BANK_C}
    assert (reply.others, reply.not_shown) == ([], 2)


async def test_a_resident_cannot_ask_about_anybody_else(world: World) -> None:
    await world.basis(WIFE)
    for options in ({"person_id": WIFE.person_id}, {"person": WIFE}):
        reply = await world.ask("head", purpose="SELF_ACCESS", **options)
        assert not reply.sections, "nor is his own record the answer to a question about somebody else"
        assert canary(WIFE.person_id, "identity/VALUE") not in reply.text
        assert WIFE.person_id not in {person for person, *_ in reply.sections}


async def test_a_resident_account_serves_no_other_purpose(world: World) -> None:
    reply = await world.ask("head", purpose="LOAN_APPLICATION", person_id=HEAD.person_id)
    assert not reply.sections
    assert set(reply.withheld.values()) == {"NO_BASIS"}


async def test_a_minor_gets_the_reason(world: World) -> None:
    reply = await world.ask("child", purpose="SELF_ACCESS", person_id=CHILD.person_id)
    assert set(reply.withheld.values()) == {"MINOR"}
    assert not reply.sections


async def test_a_collector_sees_who_lives_where_in_his_villages_and_no_fact(world: World) -> None:
    reply = await world.ask("collector", HEAD, purpose="DATA_COLLECTION", others=True)
    assert reply.parts == {"roster/VALUE", "identity/VALUE"}
    assert set(reply.others) == {WIFE.person_id, SON.person_id}
    assert set(reply.withheld.values()) == {"NEVER_DISCLOSED"}
    await world.owner.execute("UPDATE auth.account SET village_codes = '{533103002}' WHERE account_id = 'collector'")
    assert (await world.ask("collector", HEAD, purpose="DATA_COLLECTION")).all_withheld("NO_BASIS")
    await world.owner.execute("UPDATE auth.account SET village_codes = '{}' WHERE account_id = 'collector'")
    assert (await world.ask("collector", HEAD, purpose="DATA_COLLECTION")).all_withheld("NO_BASIS")


async def test_a_steward_who_asks_about_a_canary_rings(world: World) -> None:
    await world.owner.execute("INSERT INTO access.canary VALUES ($1, $2, now(), 'op')", COUNTY, HEAD.person_id)
    rung = "SELECT organisation_id, officer, observed::int FROM access.alert WHERE kind = 'CANARY'"
    await world.ask("steward", WIFE, purpose="DATA_QUALITY")
    assert await world.owner.fetch(rung) == []
    await world.ask("steward", HEAD, purpose="DATA_QUALITY")
    assert [tuple(row) for row in await world.owner.fetch(rung)] == [("hub", "officer Li", 1)]


async def test_a_steward_needs_a_case_for_facts_and_a_second_factor_for_sensitive_ones(world: World) -> None:
    reply = await world.ask("steward", HEAD, purpose="DATA_QUALITY")
    assert reply.parts == {"roster/VALUE", "identity/VALUE", "conflict/VALUE"}
    assert set(reply.withheld.values()) == {"NO_BASIS"}
    await world.basis(HEAD, "hub", purpose="DATA_QUALITY", uses=None, kind="CASE")
    inside = await world.ask("steward", HEAD, purpose="DATA_QUALITY")
    assert set(inside.withheld) == {
        "tax.band/BAND", "clinic.arrears/VALUE", "clinic.arrears/BAND", "civil.relief/VALUE",
    }  # fmt: skip
    assert set(inside.withheld.values()) == {"STEP_UP_REQUIRED"}
    assert (await world.pending(inside.ev))["event"] == "household:steward:shown"


async def test_a_regulator_reads_no_content(world: World) -> None:
    assert (await world.ask("regulator", HEAD, purpose="SUPERVISION")).all_withheld("NO_BASIS")


@pytest.mark.parametrize(
    ("status", "last_ok", "reason"),
    [
        ("OK", "now()", "NOT_REPORTED"),
        ("OK", "now() - interval '46 days'", "STALE"),
        ("FAILED", "now()", "SOURCE_DOWN"),
        ("FAILED", "NULL", "SOURCE_DOWN"),
    ],
)
async def test_a_granted_part_without_value_says_why(world: World, status: str, last_ok: str, reason: str) -> None:
    await world.owner.execute("DELETE FROM record.section WHERE category = 'tax.grade'")
    await world.owner.execute(
        "INSERT INTO ingest.source_state (source, kind, last_ok_at, last_status)"
        f" VALUES ('t', 'tax-rest', {last_ok}, $1)",
        status,
    )
    await world.basis(HEAD)
    reply = await world.ask("officer-a", HEAD, parts=["tax.grade/VALUE", "adverse/VALUE"])
    assert reply.absent == {"tax.grade/VALUE": reason}
    assert (await world.ask("officer-b", HEAD, parts=["tax.grade/VALUE"])).absent == {}


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("UPDATE access.client SET status = 'SUSPENDED'", "ASKER_SUSPENDED"),
        ("INSERT INTO auth.revoked_token (jti, expires_at) VALUES ('t1', now() + interval '1 hour')", "TOKEN_REVOKED"),
        ("UPDATE access.client SET client_id = client_id || '2'", "ASKER_UNKNOWN"),
    ],
)
async def test_an_asker_who_may_not_ask_is_refused_and_recorded(world: World, change: str, refusal: str) -> None:
    basis = await world.basis(HEAD)
    await world.owner.execute(change)
    reply = await world.ask("officer-a", HEAD)
    assert (reply.refusal, reply.sections, reply.person, reply.withheld) == (refusal, [], None, {})
    assert await world.uses(basis) == 0
    pending = await world.pending(reply.ev)
    assert (pending["decision"], json.loads(pending["facts"])["reason"]) == ("deny", refusal)


async def test_the_record_holds_what_a_replay_needs_and_nothing_personal(world: World) -> None:
    basis = await world.basis(HEAD, parts=["tax.grade/VALUE", "bank.loan/TOTAL"])
    reply = await world.ask("officer-a", HEAD, parts=["tax.grade/VALUE", "bank.loan/TOTAL", "adverse/VALUE"], key="k1")
    pending = await world.pending(reply.ev)
    facts = json.loads(pending["facts"])
    assert (pending["decision"], pending["event"], pending["kind"]) == ("mask", "profile:client:queried", "query")
    assert facts["asked"] == [["tax.grade", "VALUE"], ["bank.loan", "TOTAL"], ["adverse", "VALUE"]]
    assert facts["withheld"] == [["adverse", "VALUE", "CATEGORY_NOT_IN_BASIS"]]
    assert (facts["client"], facts["role"], facts["token"], facts["idempotencyKey"]) == (
        "officer-a", "LOAN_OFFICER", "t1", "k1",
    )  # fmt: skip
    mine = facts["persons"][str(HEAD.person_id)]
    assert mine["basis"] == str(basis)
    assert [line[:4] for line in mine["sections"]] == [
        ["tax.grade", "VALUE", "", 3], ["bank.loan", "TOTAL", BANK_B, 3], ["bank.loan", "TOTAL", BANK_C, 3],
    ]  # fmt: skip
    check_event(pending["event"], pending["kind"], facts, [str(one) for one in pending["subjects"]])
    assert HEAD.number not in repr(dict(pending))


async def test_every_reply_satisfies_the_closed_list_of_events(world: World) -> None:
    await world.basis(HEAD)
    for reply in (
        await world.ask("officer-a", HEAD),
        await world.ask("officer-a", STRANGER),
        await world.ask("head", purpose="SELF_ACCESS", person_id=HEAD.person_id),
        await world.ask("steward", HEAD, purpose="DATA_QUALITY"),
    ):
        pending = await world.pending(reply.ev)
        subjects = [str(one) for one in pending["subjects"]]
        check_event(pending["event"], pending["kind"], json.loads(pending["facts"]), subjects)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM record.section", "SELECT * FROM record.person", "SELECT * FROM record.directory",
        "SELECT * FROM consent.basis", "SELECT * FROM consent.record", "SELECT * FROM access.client",
        "SELECT * FROM access.decision", "SELECT * FROM audit.pending", "UPDATE consent.quota SET uses = 0",
        "INSERT INTO access.decision SELECT * FROM access.decision", "DELETE FROM access.subject_day",
        "SELECT * FROM access.find_asker('officer-a')", "SELECT * FROM consent.person_of('head', 't', now())",
    ],
)  # fmt: skip
async def test_the_application_may_do_nothing_but_ask(world: World, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await world.app.execute(statement)


async def test_no_step_of_the_gate_can_be_called_by_itself(world: World) -> None:
    steps = await world.owner.fetch(
        "SELECT format('SELECT %s(%s)', oid::regproc, (SELECT string_agg(format('NULL::%s', t::regtype), ', ')"
        " FROM unnest(proargtypes) AS t)) AS call FROM pg_proc"
        " WHERE pronamespace IN ('access'::regnamespace, 'benefit'::regnamespace)"
        " AND format('%s.%s', pronamespace::regnamespace, proname) <> ALL ($1)",
        sorted(MAY_CALL),
    )
    assert len(steps) > 10
    for step in steps:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await world.app.execute(step["call"])


async def test_no_rules_no_answer(world: World) -> None:
    await world.basis(HEAD)
    await world.owner.execute("UPDATE access.policy_set SET retired_at = now()")
    with pytest.raises(asyncpg.PostgresError) as refused:
        await world.ask("officer-a", HEAD)
    assert refused.value.sqlstate == "HB110"


@pytest.mark.parametrize("count", [0, 33])
async def test_a_call_takes_from_1_to_32_requests(world: World, count: int) -> None:
    with pytest.raises(asyncpg.PostgresError) as refused:
        await world.disclose(*[world.wire("officer-a", HEAD) for _ in range(count)])
    assert refused.value.sqlstate == "HB111"


async def test_the_function_knows_which_parts_are_of_the_household(world: World) -> None:
    found = await world.owner.fetchval(
        "SELECT array_agg(part) FROM unnest($1::text[]) AS p (part) WHERE access.is_household_part(part)", ALL_PARTS
    )
    assert set(found) == HOUSEHOLD_PARTS


@pytest.mark.parametrize("part", ['tax.grade/VALUE","x', "tax.grade/VALUE=NO", "税/VALUE", ""])
async def test_a_part_that_could_disturb_the_record_is_refused(world: World, part: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as refused:
        await world.ask("officer-a", HEAD, parts=[part])
    assert refused.value.sqlstate == "HB111"
    assert await world.owner.fetchval("SELECT count(*) FROM audit.pending") == 0
