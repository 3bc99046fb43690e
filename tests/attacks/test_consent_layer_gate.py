"""Attacks 22 to 28 and 33 on consent: what is asked beyond, after or beside what a person agreed to."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from hub.consent.states import RevocationCause
from hub.core.errors import RefusedError
from hub.flows.consent.consent_change import ConsentDesk
from hub.flows.consent.revoke_consent import ConsentRevocation, revoke_consent
from hub.flows.consent.suspend_consent import ConsentPause, suspend_consent
from hub.flows.consent.withdraw_consent import ConsentWithdrawal, withdraw_consent
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.disclosure.world import HEAD, NOBODY, STRANGER, WIFE, World

from .consent_world import OPERATION, PARTS, given, me, open_desk, recorded, shows_nothing, written


@pytest.fixture
async def world(database: Database, keys: FileKeys) -> AsyncIterator[World]:
    world = await World.build(database, keys)
    yield world
    await world.close()


@pytest.fixture
async def desk(world: World, tmp_path: Path) -> AsyncIterator[ConsentDesk]:
    async with open_desk(world, tmp_path) as desk:
        yield desk


async def test_22_a_consent_serves_one_purpose(world: World, desk: ConsentDesk) -> None:
    await given(desk)
    before, entries = await written(world), await recorded(world)
    for purpose in ("POST_LOAN_REVIEW", "CARD_APPLICATION", "SUPERVISION"):
        reply = await world.ask("risk-a", HEAD, purpose=purpose, parts=list(PARTS))
        # A purpose that the system is not registered for is told before anybody is looked at.
        assert shows_nothing(reply, "NO_BASIS" if purpose == "POST_LOAN_REVIEW" else "PURPOSE_MISMATCH")
    assert await written(world) == before
    assert await recorded(world) == entries + 3


async def test_23_nothing_beyond_the_categories_agreed_to(world: World, desk: ConsentDesk) -> None:
    await given(desk, parts=("identity/VALUE",))
    reply = await world.ask("risk-a", HEAD, parts=["identity/VALUE", "tax.grade/VALUE", "bank.loan/TOTAL"])
    assert reply.parts == {"identity/VALUE"}
    assert reply.withheld == dict.fromkeys(("tax.grade/VALUE", "bank.loan/TOTAL"), "CATEGORY_NOT_IN_BASIS")
    pending = await world.owner.fetchval("SELECT facts::text FROM audit.pending WHERE ev = $1", reply.ev)
    assert pending is None or '["tax.grade", "VALUE", "CATEGORY_NOT_IN_BASIS"]' in pending


async def test_24_another_banks_consent_is_as_good_as_none(world: World, desk: ConsentDesk) -> None:
    consent = await given(desk)
    before = await written(world)
    other, nobody = await world.ask("officer-b", HEAD), await world.ask("officer-b", STRANGER)
    assert shows_nothing(other)
    assert other.content() == nobody.content()
    for unknown in (consent, uuid4()):
        with pytest.raises(RefusedError) as refused:
            await revoke_consent(
                desk, ConsentRevocation(me("officer-b"), unknown, RevocationCause.NO_LONGER_NEEDED, OPERATION)
            )
        assert refused.value.code == "CONSENT_NOT_IN_FORCE"
    assert await written(world) == before


async def test_25_expired_paused_revoked_and_future_consents_give_nothing(world: World, desk: ConsentDesk) -> None:
    parts, nobody = list(PARTS), await world.ask("risk-a", STRANGER, parts=list(PARTS))
    consent = await given(desk)
    assert (await world.ask("risk-a", HEAD, parts=parts)).parts
    await suspend_consent(desk, ConsentPause(me("head"), consent, OPERATION))
    assert (await world.ask("risk-a", HEAD, parts=parts)).content() == nobody.content()
    await suspend_consent(desk, ConsentPause(me("head"), consent, OPERATION, resume=True))
    assert (await world.ask("risk-a", HEAD, parts=parts)).parts
    now = datetime.now(UTC)
    for change in (
        ("effective_from = $2", now + timedelta(hours=1)),
        ("effective_from = $2::timestamptz - interval '2 days', expires_at = $2", now),
        ("expires_at = $2::timestamptz + interval '2 days', frozen_cause = 'SIGNATURE'", now),
        ("expires_at = $2::timestamptz + interval '2 days', frozen_cause = NULL, evidence_level = 1", now),
    ):
        await world.owner.execute(f"UPDATE consent.basis SET {change[0]} WHERE basis_id = $1", consent, change[1])
        assert (await world.ask("risk-a", HEAD, parts=parts)).content() == nobody.content()
        assert not await world.owner.fetchval("SELECT consent.in_force($1)", consent)
    await world.owner.execute("UPDATE consent.basis SET evidence_level = 3 WHERE basis_id = $1", consent)
    assert (await world.ask("risk-a", HEAD, parts=parts)).parts
    await world.owner.execute("UPDATE consent.purpose SET retired_at = now() WHERE purpose = 'LOAN_APPLICATION'")
    assert (await world.ask("risk-a", HEAD, parts=parts)).content() == nobody.content()


async def test_26_a_reading_that_meets_a_revocation_waits_and_gets_nothing(world: World, desk: ConsentDesk) -> None:
    consent = await given(desk)
    ending = world.owner.transaction()
    await ending.start()
    await world.owner.fetch("SELECT consent.step($1, 'revokeConsent', now(), 'x', $2)", consent, uuid4())
    reading = asyncio.create_task(world.ask("risk-a", HEAD, parts=list(PARTS)))
    await asyncio.sleep(0.3)
    assert not reading.done()
    await ending.commit()
    assert shows_nothing(await reading)


async def test_27_a_quota_of_three_serves_exactly_three_of_twenty(world: World, desk: ConsentDesk) -> None:
    consent = await given(desk)
    pool = await world.database.pool(DbRole.APP, size=5)
    sql = "SELECT section_bodies FROM access.disclose($1::jsonb)"
    wires = [world.wire("risk-a", HEAD, parts=list(PARTS)) for _ in range(20)]
    try:
        found = await asyncio.gather(*(pool.fetch(sql, json.dumps(wires[at : at + 2])) for at in range(0, 20, 2)))
    finally:
        await pool.close()
    assert sum(row["section_bodies"] is not None for rows in found for row in rows) == 3
    assert await world.uses(consent) == 3
    assert not await world.owner.fetchval("SELECT consent.in_force($1)", consent)


async def test_28_a_retry_is_one_use_and_another_person_is_another(world: World, desk: ConsentDesk) -> None:
    consent, wifes = await given(desk), await given(desk, WIFE, "wife")
    for _ in range(3):
        assert (await world.ask("risk-a", HEAD, parts=list(PARTS), key="k")).parts
    assert (await world.ask("risk-a", WIFE, parts=list(PARTS), key="k")).parts
    assert (await world.uses(consent), await world.uses(wifes)) == (1, 1)
    assert await world.owner.fetchval("SELECT count(*) FROM consent.use") == 2
    await withdraw_consent(desk, ConsentWithdrawal(me("head"), consent, OPERATION))
    assert shows_nothing(await world.ask("risk-a", HEAD, parts=list(PARTS), key="k"))


async def test_33_the_dead_have_no_consents_from_the_moment_it_is_recorded(world: World, desk: ConsentDesk) -> None:
    consent = await given(desk)
    nobody = await world.ask("risk-a", STRANGER, parts=list(PARTS))
    recording = world.owner.transaction()
    await recording.start()
    await world.owner.execute("UPDATE record.person SET status = 'DECEASED' WHERE person_id = $1", HEAD.person_id)
    reading = asyncio.create_task(world.ask("risk-a", HEAD, parts=list(PARTS)))
    await asyncio.sleep(0.3)
    assert not reading.done()  # waits for the death, as for any other end
    await recording.commit()
    assert (await reading).content() == nobody.content()
    assert await world.owner.fetchval("SELECT status FROM consent.basis WHERE basis_id = $1", consent) == "INVALIDATED"
    with pytest.raises(RefusedError):
        await withdraw_consent(desk, ConsentWithdrawal(me("head"), consent, OPERATION))
    # Alive again by mistake's correction, he has still ended: only a new consent counts.
    await world.owner.execute("UPDATE record.person SET status = 'ACTIVE' WHERE person_id = $1", HEAD.person_id)
    assert shows_nothing(await world.ask("risk-a", HEAD, parts=list(PARTS)))
    events = "SELECT facts ->> 'reason' FROM audit.pending WHERE event = 'consent:hub:ended'"
    assert await world.owner.fetchval(events) in {"DEATH", None}


async def test_33_one_adults_withdrawal_stops_what_is_joint_and_names_nobody(world: World, desk: ConsentDesk) -> None:
    await given(desk)
    wifes = await given(desk, WIFE, "wife")
    parts = list(PARTS)
    assert (await world.ask("risk-a", HEAD, parts=parts)).parts == set(PARTS)
    individual = await world.ask("risk-a", HEAD, parts=["identity/VALUE"])
    await withdraw_consent(desk, ConsentWithdrawal(me("wife"), wifes, OPERATION))
    stopped = await world.ask("risk-a", HEAD, parts=parts)
    assert stopped.parts == {"identity/VALUE", "tax.grade/VALUE"}
    joint = ("roster/VALUE", "civil.relief/YES_NO")
    assert stopped.withheld == dict.fromkeys(joint, "CATEGORY_NOT_IN_BASIS")
    assert str(WIFE.person_id) not in stopped.text
    assert stopped.not_shown is None
    # The answer is the one that a consent without these parts would get.
    await world.owner.execute("UPDATE consent.quota SET uses = 0")
    await world.owner.execute(
        "UPDATE consent.basis SET parts = $1 WHERE status = 'IN_FORCE'", sorted(individual.parts | {"tax.grade/VALUE"})
    )
    never = await world.ask("risk-a", HEAD, parts=parts)
    assert never.content() == stopped.content()


async def test_33_a_withdrawal_under_way_holds_up_joint_data(world: World, desk: ConsentDesk) -> None:
    await given(desk)
    wifes = await given(desk, WIFE, "wife")
    ending = world.owner.transaction()
    await ending.start()
    await world.owner.fetch("SELECT consent.step($1, 'withdrawConsent', now(), 'x', $2)", wifes, uuid4())
    reading = asyncio.create_task(world.ask("risk-a", HEAD, parts=list(PARTS)))
    await asyncio.sleep(0.3)
    assert not reading.done()
    await ending.commit()
    assert "roster/VALUE" not in (await reading).parts


async def test_members_learn_nothing_of_each_other_from_lists_of_accesses(world: World, desk: ConsentDesk) -> None:
    count = "SELECT count(*) FROM audit.pending WHERE $1 = ANY (subjects)"
    links = "SELECT audit.subject_count($1)"

    async def of(person: object) -> int:
        return int(await world.owner.fetchval(count, person)) + int(await world.owner.fetchval(links, person) or 0)

    before = await of(WIFE.person_id)
    consent = await given(desk)
    reply = await world.ask("risk-a", HEAD, parts=list(PARTS), others=True)
    assert reply.parts >= set(PARTS)
    assert reply.others == []
    await world.ask("head", purpose="SELF_ACCESS", person_id=HEAD.person_id)
    await withdraw_consent(desk, ConsentWithdrawal(me("head"), consent, OPERATION))
    assert await of(WIFE.person_id) == before
    own = await world.ask("wife", purpose="SELF_ACCESS", person_id=WIFE.person_id)
    assert {person for person, _, _, _ in own.sections} <= {WIFE.person_id, NOBODY}


async def test_a_withdrawal_that_meets_a_resumption_takes_effect(world: World, desk: ConsentDesk) -> None:
    consent = await given(desk)
    await suspend_consent(desk, ConsentPause(me("head"), consent, OPERATION))
    resuming = await world.database.connect(DbRole.APP)
    try:
        async with resuming.transaction():
            await resuming.fetch(
                "SELECT * FROM consent.change('head', 't1', $1, 'resumeConsent', clock_timestamp(), $2)",
                consent,
                uuid4(),
            )
            withdrawal = asyncio.create_task(withdraw_consent(desk, ConsentWithdrawal(me("head"), consent, OPERATION)))
            while not await world.owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
        assert (await withdrawal)[0].state == "WITHDRAWN"
    finally:
        await resuming.close()
    assert shows_nothing(await world.ask("risk-a", HEAD, parts=list(PARTS)))


async def test_a_withdrawal_goes_on_counting_when_two_people_turn_out_to_be_one(
    world: World, desk: ConsentDesk
) -> None:
    await given(desk)
    hers = await given(desk, WIFE, "wife")
    await withdraw_consent(desk, ConsentWithdrawal(me("wife"), hers, OPERATION))
    assert "roster/VALUE" not in (await world.ask("risk-a", HEAD)).parts
    new = uuid4()
    await world.owner.execute(
        """INSERT INTO record.person (county, person_id, identity_index, first_index, name_index, birth_date, status,
                                      household_id, sealed_identity)
           SELECT county, $2, identity_index, $3, name_index, birth_date, 'ACTIVE', household_id, ''
             FROM record.person WHERE person_id = $1""",
        WIFE.person_id, new, b"\x01" + b"n" * 32,
    )  # fmt: skip
    await world.owner.execute(
        "UPDATE record.person SET household_id = NULL, merged_into = $2 WHERE person_id = $1", WIFE.person_id, new
    )
    assert "roster/VALUE" not in (await world.ask("risk-a", HEAD)).parts
