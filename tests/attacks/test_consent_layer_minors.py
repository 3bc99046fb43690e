"""Attack 33 on consent about minors: after majority, after a death, by one alone, by whoever is no guardian."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from hub.consent.minors import make_statement, side_of
from hub.consent.record import AGREEMENT_TYPE, sign_terms
from hub.core.clock import system_clock
from hub.core.errors import InputError, RefusedError
from hub.core.names import Role
from hub.flows.consent.check_consents import check_consents
from hub.flows.consent.register_guardian import end_guardian
from hub.flows.consent.withdraw_consent import ConsentWithdrawal, withdraw_consent
from hub.flows.people.change_account import NewAccount, open_account
from hub.records.people.guardians import EndCause
from hub.store.database import Database, DbRole
from tests.consent.minors_world import ASKER, HEAD, PARTS, TEEN, WIFE, Minors, act, minors_world, years_ago
from tests.disclosure.world import ALL_PARTS, CHILD, STRANGER, Person, Reply

from .consent_world import OPERATION, me, recorded, shows_nothing, written

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def minors(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Minors]:
    async with minors_world(module_database, tmp_path_factory.mktemp("minors")) as minors:
        await minors.guard(TEEN, WIFE)
        yield minors


async def asked(minors: Minors, person: Person) -> Reply:
    return await minors.world.ask(ASKER, person, purpose="BENEFIT_ELIGIBILITY", parts=list(PARTS))


async def told(minors: Minors, person: Person) -> int:
    """How many entries the person's list of accesses has, or will have when all are sequenced."""
    count = "SELECT (SELECT count(*) FROM audit.pending WHERE $1 = ANY (subjects)) + audit.subject_count($1)"
    return int(await minors.world.owner.fetchval(count, person.person_id))


async def test_33_a_guardians_consent_is_none_from_the_18th_birthday_on(minors: Minors) -> None:
    account, ward = await minors.newcomer(17)
    await minors.guard(ward, WIFE)
    consent = await minors.consent(ward, ("wife", ward), (account, None))
    assert (await asked(minors, ward)).parts == set(PARTS)
    await minors.born(ward, years_ago(18))
    before, entries = await written(minors.world), await recorded(minors.world)
    late, nobody = await asked(minors, ward), await asked(minors, STRANGER)
    assert shows_nothing(late)
    assert late.content() == nobody.content()
    assert await written(minors.world) == before
    assert await recorded(minors.world) == entries + 2
    # As guardian he is nobody any more: not for the record, not for the consent.
    own = await minors.world.ask("wife", purpose="SELF_ACCESS", person_id=ward.person_id)
    stranger = await minors.world.ask("wife", purpose="SELF_ACCESS", person_id=uuid4())
    assert shows_nothing(own)
    assert own.content() == stranger.content()
    with pytest.raises(RefusedError):
        await withdraw_consent(minors.desk, ConsentWithdrawal(me("wife"), consent, OPERATION))


async def test_33_the_death_of_a_ward_ends_consents_about_him_and_leaves_the_guardians_own(minors: Minors) -> None:
    _, ward = await minors.newcomer(8)
    aunt_account, aunt = await minors.newcomer(40)
    guardianship = await minors.guard(ward, aunt)
    consent = await minors.consent(ward, (aunt_account, ward))
    own = await minors.consent(aunt, (aunt_account, None))
    owner = minors.world.owner
    recording = owner.transaction()
    await recording.start()
    await owner.execute("UPDATE record.person SET status = 'DECEASED' WHERE person_id = $1", ward.person_id)
    reading = asyncio.create_task(asked(minors, ward))
    await asyncio.sleep(0.3)
    assert not reading.done()  # waits for the death
    await recording.commit()
    assert (await reading).content() == (await asked(minors, STRANGER)).content()
    assert await minors.standing(consent) == "INVALIDATED"
    assert await minors.standing(own) == "IN_FORCE"
    assert (await asked(minors, aunt)).parts == set(PARTS)
    ended = "SELECT state || ' ' || cause FROM record.guardianship WHERE guardianship_id = $1"
    assert await owner.fetchval(ended, guardianship) == "ENDED DEATH"


async def test_33_the_death_of_a_guardian_ends_what_rested_on_him_alone(minors: Minors) -> None:
    _, ward = await minors.newcomer(8)
    account, uncle = await minors.newcomer(40)
    await minors.guard(ward, uncle)
    await minors.guard(ward, WIFE)
    alone = await minors.consent(ward, (account, ward))
    before = await told(minors, uncle)
    owner = minors.world.owner
    recording = owner.transaction()
    await recording.start()
    await owner.execute("UPDATE record.person SET status = 'DECEASED' WHERE person_id = $1", uncle.person_id)
    reading = asyncio.create_task(asked(minors, ward))
    await asyncio.sleep(0.3)
    assert not reading.done()
    await recording.commit()
    assert shows_nothing(await reading)
    assert await minors.standing(alone) == "INVALIDATED"
    both = await minors.consent(ward, ("wife", ward))
    assert (await asked(minors, ward)).parts == set(PARTS)
    assert await minors.standing(both) == "IN_FORCE"
    assert await told(minors, uncle) == before + 1  # the end of his guardianship stands in his list


async def test_33_a_reading_that_meets_the_end_of_a_guardianship_waits_and_gets_nothing(minors: Minors) -> None:
    _, ward = await minors.newcomer(8)
    guardianship = await minors.guard(ward, WIFE)
    await minors.consent(ward, ("wife", ward))
    owner = minors.world.owner
    ending = owner.transaction()
    await ending.start()
    await owner.fetch(
        "SELECT * FROM record.end_guardianship($1, NULL, NULL, NULL, NULL, NULL, 'COURT_ORDER', 'steward', '{}',"
        " now())",
        guardianship,
    )
    reading = asyncio.create_task(asked(minors, ward))
    await asyncio.sleep(0.3)
    assert not reading.done()
    await ending.commit()
    assert shows_nothing(await reading)
    with pytest.raises(RefusedError):
        await end_guardian(minors.stewards, act("steward"), EndCause.COURT_ORDER, guardianship)


async def test_33_a_lender_sees_nothing_of_a_minor_whatever_stands_in_the_tables(minors: Minors) -> None:
    await minors.world.basis(CHILD)
    reply = await minors.world.ask("risk-a", CHILD)
    assert set(reply.withheld.values()) <= {"MINOR", "NEVER_DISCLOSED", "PURPOSE_MISMATCH"}
    assert not reply.sections
    assert "CANARY" not in reply.text


async def test_a_guardian_gets_the_ward_alone_whatever_he_asks_for(minors: Minors) -> None:
    reply = await minors.world.ask(
        "wife", purpose="SELF_ACCESS", person_id=TEEN.person_id, parts=list(ALL_PARTS), others=True
    )
    assert {person for person, _, _, _ in reply.sections} == {TEEN.person_id}
    assert reply.parts == set(PARTS)
    assert (reply.others, reply.not_shown) == ([], None)
    for purpose in ("OBJECTION", "LOAN_APPLICATION", "BENEFIT_ELIGIBILITY", "DATA_COLLECTION"):
        other = await minors.world.ask("wife", purpose=purpose, person_id=TEEN.person_id, parts=list(PARTS))
        assert not other.sections
    # Whoever is no resident is no guardian by naming somebody, nor is one whose account or token was stopped.
    for account in ("head", "collector", "risk-a"):
        assert not (await minors.world.ask(account, purpose="SELF_ACCESS", person_id=TEEN.person_id)).sections
    await minors.world.owner.execute("INSERT INTO auth.revoked_token VALUES ('gone', now() + interval '1 day')")
    stopped = await minors.world.ask("wife", purpose="SELF_ACCESS", person_id=TEEN.person_id, token="gone")
    assert stopped.refusal == "TOKEN_REVOKED"
    assert not stopped.sections


async def test_nobody_is_a_guardian_by_account_or_registration(minors: Minors) -> None:
    owner = minors.world.owner
    for insert in (
        "INSERT INTO auth.account (account_id, role, person_id, county_codes) VALUES ('g', 'GUARDIAN', $1, '{533103}')",
        "INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks,"
        " max_subjects_per_day) SELECT 'g', organisation_id, 'GUARDIAN', '{533103}', '{SELF_ACCESS}', '{}', 9"
        " FROM access.organisation WHERE $1::uuid IS NOT NULL LIMIT 1",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute(insert, WIFE.person_id)
    # And if one came about, he would be nobody.
    role = "SELECT (access.as_guardian(ROW('GUARDIAN', 'hub', 'ACTIVE', NULL, '{533103}', '{}', NULL, NULL), $1)).role"
    for person in (TEEN.person_id, None):
        assert await owner.fetchval(role, person) is None
    account = NewAccount("g", Role.GUARDIAN, person_id=WIFE.person_id)
    with pytest.raises(InputError) as refused:
        await open_account(None, account, operator="x")  # type: ignore[arg-type]
    assert refused.value.code == "GUARDIAN_ACCOUNT"


async def test_the_application_cannot_write_a_yes_that_was_not_said(minors: Minors) -> None:
    """As the application's role with any arguments: what is stored was signed, about whom and by whom it says."""
    request = await minors.asked(TEEN)
    app = await minors.world.database.connect(DbRole.APP)
    before = await written(minors.world)
    try:
        mine = "SELECT * FROM consent.requests_of('wife', 't1', now(), $1, $2)"
        side = side_of(dict(await app.fetchrow(mine, request, TEEN.person_id)), datetime.now(UTC))
        assert side is not None
        said = make_statement(
            request, TEEN.person_id, side, parts=PARTS, heightened=False, child_notice=True, account="wife", token="t1",
            notice_hash="0" * 64, now=datetime.now(UTC),
        )  # fmt: skip
        for change, account, ward in (
            ({"agreedBy": str(TEEN.person_id), "party": "MINOR"}, "wife", TEEN.person_id),
            ({"subject": str(HEAD.person_id)}, "wife", TEEN.person_id),
            ({"parts": ["tax.band/BAND"]}, "wife", TEEN.person_id),
            ({}, "head", TEEN.person_id),  # no guardian
            ({}, "wife", None),  # an adult for himself
            ({}, "teen", None),  # another's words
        ):
            signed = sign_terms(minors.world.keys, said | change, AGREEMENT_TYPE)
            with pytest.raises(asyncpg.PostgresError) as refused:
                await app.fetchval(
                    "SELECT consent.agree_for_minor($1, 't1', $2, $3, $4, false, $5, $6, $7, NULL, NULL, NULL, now(),"
                    " $8)",
                    account, request, ward, list(PARTS), signed.terms, signed.signature, signed.protected, uuid4(),
                )  # fmt: skip
            assert (refused.value.sqlstate or "").startswith("HB1"), account
        # One yes with terms of its own: nothing is put in force by it.
        signed = sign_terms(minors.world.keys, said, AGREEMENT_TYPE)
        with pytest.raises(asyncpg.PostgresError, match="meanwhile"):
            await app.fetchval(
                "SELECT consent.agree_for_minor('wife', 't1', $1, $2, $3, false, $4, $5, $6, $4, $5, $6, now(), $7)",
                request, TEEN.person_id, list(PARTS), signed.terms, signed.signature, signed.protected, uuid4(),
            )  # fmt: skip
        for table in ("record.guardianship", "consent.agreement"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.fetch(f"SELECT * FROM {table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.fetch("SELECT * FROM record.guardians_of($1, now())", TEEN.person_id)
    finally:
        await app.close()
    assert await written(minors.world) == before


async def test_31_a_basis_that_passes_for_an_adults_own_is_frozen(minors: Minors) -> None:
    account, ward = await minors.newcomer(17)
    await minors.guard(ward, WIFE)
    consent = await minors.consent(ward, ("wife", ward), (account, None))
    await minors.born(ward, years_ago(19))
    await minors.world.owner.execute("UPDATE consent.basis SET given_by = 'SELF' WHERE basis_id = $1", consent)
    forged_account, forged = await minors.newcomer(17)
    await minors.guard(forged, WIFE)
    request = await minors.asked(forged)
    await minors.agree("wife", request, forged)
    # A yes of the minor that nobody said: a row out of another one's.
    await minors.born(forged, years_ago(13))
    other = await minors.consent(forged, ("wife", forged))
    await minors.world.owner.execute(
        "INSERT INTO consent.agreement SELECT county, request_id, person_id, person_id, 'MINOR', NULL, $2, parts,"
        " heightened, agreed_at, ev, statement, signature, protected FROM consent.agreement a"
        " WHERE request_id = (SELECT request_id FROM consent.record WHERE consent_id = $1)",
        other, forged_account,
    )  # fmt: skip
    await minors.born(forged, years_ago(15))
    assert (await asked(minors, forged)).parts  # until the check of the day
    ingest = await minors.world.database.connect(DbRole.INGEST)
    try:
        await check_consents(ingest, minors.world.keys, minors.desk.receipts, system_clock)
    finally:
        await ingest.close()
    cause = "SELECT frozen_cause FROM consent.basis WHERE basis_id = $1"
    assert await minors.world.owner.fetchval(cause, consent) == "RECORD_ALTERED"
    assert await minors.world.owner.fetchval(cause, other) == "EVIDENCE_ALTERED"
    assert shows_nothing(await asked(minors, ward))
    assert shows_nothing(await asked(minors, forged))


async def test_more_agreement_never_takes_a_field_away_and_less_never_gives_one(minors: Minors) -> None:
    """Each age with each set of agreements: what is shown grows with them, and is what the age demands."""
    seen: dict[tuple[int, bool, bool], set[str]] = {}
    for years in (8, 13, 14, 17, 18):
        for guardian in (False, True):
            for minor in (False, True):
                account, person = await minors.newcomer(min(years, 15 if minor else years))
                if years < 18:
                    await minors.guard(person, WIFE)
                request = await minors.asked(person)
                for who, ward in [("wife", person)] * guardian + [(account, None)] * minor:
                    with suppress(RefusedError):  # the child itself, and the guardian of an adult
                        await minors.agree(who, request, ward)
                await minors.born(person, years_ago(years))
                seen[years, guardian, minor] = await minors.shows(person)
    for (years, guardian, minor), parts in seen.items():
        enough = guardian if years < 14 else guardian and minor if years < 18 else False
        assert parts == (set(PARTS) if enough else set()), (years, guardian, minor)
        assert seen[years, True, minor] >= parts
        assert seen[years, guardian, True] >= parts
