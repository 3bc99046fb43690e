"""Who decides about a minor at which age, to the day; what ends it; and that one yes alone opens nothing."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import uuid4

import pytest
import pytest_asyncio

from hub.consent.minors import Party
from hub.core.clock import SHANGHAI, full_years
from hub.core.errors import InputError, RefusedError
from hub.flows.consent.agree_for_minor import ConsentAgreed
from hub.flows.consent.grant_consent import ConsentGrant, ConsentGranted, grant_consent
from hub.flows.consent.list_wards import list_wards
from hub.flows.consent.my_consents import my_consents, my_requests
from hub.flows.consent.refuse_consent import ConsentRefusal, refuse_consent
from hub.flows.consent.register_guardian import decide_guardian, end_guardian, sought
from hub.flows.consent.suspend_consent import ConsentPause, suspend_consent
from hub.flows.consent.withdraw_consent import ConsentWithdrawal, withdraw_consent
from hub.flows.people.change_account import HOLDER_PURPOSE, Holder
from hub.records.people.guardians import EndCause
from hub.store.database import Database
from tests.attacks.consent_world import OPERATION, me, written
from tests.consent.minors_world import AUNT, HEAD, KID, PARTS, TEEN, WIFE, Minors, act, minors_world, years_ago
from tests.disclosure.world import COUNTY, FAR, HOUSEHOLD, Person

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def minors(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Minors]:
    async with minors_world(module_database, tmp_path_factory.mktemp("minors")) as minors:
        await minors.guard(TEEN, WIFE)
        await minors.guard(TEEN, AUNT)
        await minors.guard(KID, WIFE)
        yield minors


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def same_ages(minors: Minors) -> None:
    """Each test finds the same people at the same ages, and no consent of another test."""
    await minors.born(TEEN, years_ago(16))
    await minors.born(KID, years_ago(9))
    await minors.world.owner.execute("UPDATE consent.basis SET status = 'ENDED' WHERE status = 'IN_FORCE'")


async def refusal(minors: Minors, account: str, *arguments: object, **options: object) -> str:
    before = await written(minors.world)
    with pytest.raises((RefusedError, InputError)) as refused:
        await minors.agree(account, *arguments, **options)  # type: ignore[arg-type]
    assert await written(minors.world) == before
    return refused.value.code


async def test_under_14_a_guardian_alone_decides_after_the_notice_about_children(minors: Minors) -> None:
    request = await minors.asked(KID)
    (shown,) = [
        one for one in await my_requests(minors.desk, me("wife"), KID.person_id) if one.request.request_id == request
    ]
    assert "不满14周岁" in shown.notice
    assert await refusal(minors, "wife", request, KID, child_notice=False) == "CHILD_NOTICE_MISSING"
    assert await refusal(minors, "aunt", request, KID) == "NOT_AN_ADULT"  # no guardian of this one
    assert await refusal(minors, "kid", request) == "NOT_AN_ADULT"
    assert await minors.shows(KID) == set()
    made = await minors.agree("wife", request, KID)
    assert isinstance(made, ConsentGranted)
    assert await minors.shows(KID) == set(PARTS)
    terms = await minors.world.owner.fetchval(
        "SELECT convert_from(terms, 'UTF8')::jsonb FROM consent.record WHERE consent_id = $1", made.consent_id
    )
    assert f'"guardian": "{WIFE.person_id}"' in terms
    assert '"childNotice": true' in terms


async def test_from_14_to_18_neither_alone_opens_anything_and_both_do(minors: Minors) -> None:
    for first, second in ((("aunt", TEEN), ("teen", None)), (("teen", None), ("aunt", TEEN))):
        request = await minors.asked(TEEN)
        told = "SELECT count(*) FROM consent.delivery"
        before = await minors.world.owner.fetchval(told)
        agreed = await minors.agree(first[0], request, first[1], PARTS if first[1] else PARTS[:1])
        assert isinstance(agreed, ConsentAgreed)
        assert agreed.awaits == ((Party.MINOR,) if first[1] else (Party.GUARDIAN,))
        assert await minors.shows(TEEN) == set()
        assert await minors.world.owner.fetchval(told) == before  # the asker learns of no single yes
        assert await refusal(minors, first[0], request, first[1]) == "AGREED_ALREADY"
        made = await minors.agree(second[0], request, second[1], PARTS if second[1] else PARTS[:1])
        assert isinstance(made, ConsentGranted)
        # What one of them left out is left out.
        assert made.parts == PARTS[:1]
        assert await minors.shows(TEEN) == set(PARTS[:1])
        await withdraw_consent(minors.desk, ConsentWithdrawal(me("teen"), made.consent_id, OPERATION))


async def test_each_of_them_takes_it_back_at_once_and_nobody_else(minors: Minors) -> None:
    for account in ("teen", "wife", "aunt"):
        consent = await minors.consent(TEEN, ("aunt", TEEN), ("teen", None))
        assert await minors.shows(TEEN) == set(PARTS)
        for other in ("head", "kid"):
            with pytest.raises(RefusedError):
                await withdraw_consent(minors.desk, ConsentWithdrawal(me(other), consent, OPERATION))
        with pytest.raises(RefusedError):  # nobody pauses it, so that nobody alone lets it count again
            await suspend_consent(minors.desk, ConsentPause(me("teen"), consent, OPERATION))
        await withdraw_consent(minors.desk, ConsentWithdrawal(me(account), consent, OPERATION))
        assert await minors.shows(TEEN) == set()
        assert await minors.standing(consent) == "WITHDRAWN"


async def test_one_no_closes_the_request_for_all(minors: Minors) -> None:
    for account, ward in (("teen", None), ("aunt", TEEN.person_id)):
        request = await minors.asked(TEEN)
        await minors.agree("wife", request, TEEN)
        await refuse_consent(minors.desk, ConsentRefusal(me(account), request, OPERATION, ward))
        assert await refusal(minors, "teen", request) == "REQUEST_NOT_OPEN"


async def test_at_14_a_guardians_yes_stops_counting_until_the_minor_agrees(minors: Minors) -> None:
    await minors.born(TEEN, years_ago(14, days=1))
    consent = await minors.consent(TEEN, ("wife", TEEN))
    assert await minors.shows(TEEN) == set(PARTS)
    await minors.born(TEEN, years_ago(14))
    assert await minors.shows(TEEN) == set()
    assert await minors.standing(consent) == "UNAGREED"
    request = await minors.world.owner.fetchval("SELECT request_id FROM consent.record WHERE consent_id = $1", consent)
    assert await refusal(minors, "teen", request, None, PARTS[:1]) == "CONSENT_TERMS"  # it is agreed to as it stands
    agreed = await minors.agree("teen", request)
    assert isinstance(agreed, ConsentAgreed)
    assert (agreed.awaits, agreed.consent_id) == ((), consent)
    assert await minors.shows(TEEN) == set(PARTS)
    # To the day: on the 18th birthday nothing counts but what the person says as an adult.
    await minors.born(TEEN, years_ago(18, days=1))
    assert await minors.shows(TEEN) == set(PARTS)
    await minors.born(TEEN, years_ago(18))
    assert await minors.shows(TEEN) == set()
    assert not await minors.world.owner.fetchval("SELECT consent.in_force($1)", consent)


async def test_a_consent_about_a_minor_ends_with_majority_in_its_own_words(minors: Minors) -> None:
    await minors.born(TEEN, years_ago(18, days=5))
    consent = await minors.consent(TEEN, ("wife", TEEN), ("teen", None))
    until = await minors.world.owner.fetchval("SELECT expires_at FROM consent.basis WHERE basis_id = $1", consent)
    assert until.astimezone(SHANGHAI) == datetime.combine(
        datetime.now(SHANGHAI).date() + timedelta(days=5), datetime.min.time(), SHANGHAI
    )
    await minors.born(TEEN, years_ago(18))
    assert await minors.shows(TEEN) == set()
    request = await minors.asked(TEEN)
    assert await refusal(minors, "wife", request, TEEN) == "NOT_AN_ADULT"
    made = await minors.agree("teen", request)  # now his own affair
    assert isinstance(made, ConsentGranted)
    assert await minors.shows(TEEN) == set(PARTS)
    # A birth date that is corrected to that of a minor takes the adult's yes away again.
    await minors.born(TEEN, years_ago(17))
    assert await minors.shows(TEEN) == set()


async def test_nothing_of_a_minor_is_agreed_to_for_those_who_may_never_see_it(minors: Minors) -> None:
    request = await minors.asked(KID, ("tax.grade/VALUE",), client="risk-a")
    assert await refusal(minors, "wife", request, KID) == "NEVER_FOR_MINORS"
    for part in ("identity/VALUE", "roster/VALUE"):  # closed to minors, and the adults' own
        request = await minors.asked(KID, (part,))
        assert await refusal(minors, "wife", request, KID) == "NEVER_FOR_MINORS"
    with pytest.raises(RefusedError) as refused:  # the page for adults is none for minors
        await grant_consent(minors.desk, ConsentGrant(me("teen"), await minors.asked(TEEN), OPERATION))
    assert refused.value.code == "NOT_AN_ADULT"


async def test_the_end_of_a_guardianship_ends_what_rests_on_it_alone(minors: Minors) -> None:
    guardianship = await minors.guard(KID, AUNT)
    alone = await minors.consent(KID, ("aunt", KID))
    ended, _ = await end_guardian(minors.stewards, act("steward"), EndCause.COURT_ORDER, guardianship)
    assert ended == guardianship
    assert await minors.standing(alone) == "INVALIDATED"
    assert await minors.shows(KID) == set()
    with pytest.raises(RefusedError):
        await withdraw_consent(minors.desk, ConsentWithdrawal(me("aunt"), alone, OPERATION))
    second = await minors.guard(KID, AUNT)
    request = await minors.asked(KID)
    made = await minors.agree("aunt", request, KID)
    assert isinstance(made, ConsentGranted)
    await minors.agree("wife", request, KID)  # another guardian's yes to the same, while it stands
    await end_guardian(minors.stewards, act("steward"), EndCause.DOCUMENT_ENDED, second)
    assert await minors.shows(KID) == set(PARTS)


async def test_a_guardianship_runs_out_by_its_own_day(minors: Minors) -> None:
    tomorrow = datetime.now(SHANGHAI).date() + timedelta(days=1)
    guardianship = await minors.guard(KID, AUNT, until=tomorrow)
    consent = await minors.consent(KID, ("aunt", KID))
    held = "SELECT can_until FROM consent.capacity_of('CONSENT', 'GUARDIAN', $1, $2, $3)"
    until = await minors.world.owner.fetchval(held, consent, KID.person_id, datetime.now(UTC))
    assert until == datetime.combine(tomorrow, datetime.min.time(), SHANGHAI)
    later = datetime.now(UTC) + timedelta(days=2)
    assert (
        await minors.world.owner.fetchval("SELECT standing FROM consent.standing($1, $2)", consent, later) == "UNAGREED"
    )
    await end_guardian(minors.stewards, act("steward"), EndCause.REGISTERED_WRONGLY, guardianship)


async def test_no_steward_makes_or_ends_a_guardian_of_his_own_family(minors: Minors) -> None:
    _, kin = await minors.newcomer(40)  # of the wards' household
    for account, who in (("far-steward", FAR), ("kin-steward", kin)):
        await held_by(minors, account, who)
    registered = await minors.guard(KID, AUNT)
    waiting = await minors.guard(KID, FAR, approve=False)
    states = "SELECT array_agg(state ORDER BY guardianship_id) FROM record.guardianship"
    before = await written(minors.world), await minors.world.owner.fetchval(states)
    for what in (
        decide_guardian(minors.stewards, act("far-steward"), waiting, yes=True),  # he would be the guardian
        end_guardian(minors.stewards, act("far-steward"), EndCause.COURT_ORDER, waiting),
        decide_guardian(minors.stewards, act("kin-steward"), waiting, yes=True),  # of the household of the ward
        end_guardian(minors.stewards, act("kin-steward"), EndCause.COURT_ORDER, registered),
        minors.guard(TEEN, FAR, by="kin-steward"),
        minors.guard(TEEN, FAR, by="far-steward"),
    ):
        with pytest.raises(RefusedError) as refused:
            await what
        assert refused.value.code == "GUARDIANSHIP_NOT_YOURS"
    assert (await written(minors.world), await minors.world.owner.fetchval(states)) == before
    for each in (waiting, registered):
        await end_guardian(minors.stewards, act("steward"), EndCause.REGISTERED_WRONGLY, each)


async def held_by(minors: Minors, account: str, person: Person) -> None:
    """A steward's account of a real person."""
    keys, text = minors.world.keys, json.dumps({"id_number": person.number, "name": person.name}).encode()
    await minors.world.owner.execute(
        "INSERT INTO auth.account (account_id, role, county_codes, holder, sealed_holder)"
        " VALUES ($1, 'STEWARD', $2, $3, $4)",
        account, [COUNTY], keys.index(HOLDER_PURPOSE, person.number), keys.seal(HOLDER_PURPOSE, text, account.encode()),
    )  # fmt: skip


async def test_two_stewards_make_a_guardian_and_one_is_not_enough(minors: Minors) -> None:
    waiting = await minors.guard(KID, HEAD, approve=False)
    assert await refusal(minors, "head", await minors.asked(KID), KID) == "NOT_AN_ADULT"
    codes = []
    for what in (
        decide_guardian(minors.stewards, act("steward"), waiting, yes=True),  # who registered it
        decide_guardian(minors.stewards, act("other-steward"), uuid4(), yes=True),
        minors.guard(KID, HEAD),  # one waits already
        minors.guard(HEAD, WIFE),  # no minor
        minors.guard(KID, TEEN),  # no adult
    ):
        with pytest.raises(RefusedError) as refused:
            await what
        codes.append(refused.value.code)
    assert codes == [
        "GUARDIANSHIP_NOT_YOURS", "GUARDIANSHIP_NOT_YOURS", "GUARDIANSHIP_EXISTS", "GUARDIANSHIP_AGE",
        "GUARDIANSHIP_AGE",
    ]  # fmt: skip
    assert (await decide_guardian(minors.stewards, act("other-steward"), waiting, yes=False))[0] == "DECLINED"
    assert await refusal(minors, "head", await minors.asked(KID), KID) == "NOT_AN_ADULT"


async def test_the_head_of_a_household_is_parent_of_its_own_children_until_that_is_ended(minors: Minors) -> None:
    owner = minors.world.owner
    for number, person, relation in (("M1", HEAD, "02"), ("M2", KID, "32"), ("M3", TEEN, "27")):
        await owner.execute(
            "INSERT INTO record.membership (county, membership_id, household_id, member_no, person_id, relation,"
            " birth_date, valid_from, name_index, sealed, digest, source, changed_at, recorded_from)"
            " VALUES ($1, $2, $3, $4, $5, $6, '2000-01-01', '2020-01-01', '', '', '', 's', now(), now())",
            COUNTY, uuid4(), HOUSEHOLD, number, person.person_id, relation,
        )  # fmt: skip
    wards, receipt = await list_wards(minors.desk, me("head"), OPERATION)
    assert [(ward.ward_id, ward.ground, ward.source, ward.needs_minor) for ward in wards] == [
        (KID.person_id, "PARENT", "CIVIL_AFFAIRS", False)  # an adopted or step child's guardian is registered
    ]
    assert receipt
    consent = await minors.consent(KID, ("head", KID))
    pair = (
        sought(minors.world.keys, Holder(KID.number, KID.name)),
        sought(minors.world.keys, Holder(HEAD.number, HEAD.name)),
    )
    await end_guardian(minors.stewards, act("steward"), EndCause.COURT_ORDER, pair)
    assert await minors.standing(consent) == "INVALIDATED"
    assert (await list_wards(minors.desk, me("head"), OPERATION))[0] == []
    with pytest.raises(RefusedError):
        await end_guardian(minors.stewards, act("steward"), EndCause.COURT_ORDER, pair)
    await owner.execute("DELETE FROM record.membership")


async def test_a_guardian_is_told_what_is_open_and_not_what_the_minor_refused(minors: Minors) -> None:
    refused, opened = await minors.asked(TEEN), await minors.asked(TEEN)
    await refuse_consent(minors.desk, ConsentRefusal(me("teen"), refused, OPERATION))
    shown = {one.request.request_id for one in await my_requests(minors.desk, me("wife"), TEEN.person_id)}
    assert opened in shown
    assert refused not in shown
    assert refused in {one.request.request_id for one in await my_requests(minors.desk, me("teen"))}
    assert await my_consents(minors.desk, me("head"), TEEN.person_id) == []  # no guardian of his


async def test_birthdays_in_the_database_are_those_of_the_code(minors: Minors) -> None:
    random = Random(7)
    born = [date(1999, 1, 1) + timedelta(days=random.randrange(9000)) for _ in range(400)] + [date(2004, 2, 29)]
    days = await minors.world.owner.fetch(
        "SELECT b, y, (record.of_age(b, y) AT TIME ZONE 'Asia/Shanghai')::date AS day"
        " FROM unnest($1::date[]) b, unnest('{14,18}'::int[]) y", born,
    )  # fmt: skip
    assert len(days) == 2 * len(born)
    for birth, years, day in days:
        assert full_years(birth, day) == years
        assert full_years(birth, day - timedelta(days=1)) == years - 1


async def test_agreements_and_guardianships_are_never_rewritten(minors: Minors) -> None:
    await minors.consent(KID, ("wife", KID))
    for change in (
        "UPDATE consent.agreement SET parts = '{a}'",
        "DELETE FROM consent.agreement",
        "DELETE FROM record.guardianship",
        "UPDATE record.guardianship SET guardian_id = gen_random_uuid()",
        "UPDATE record.guardianship SET from_day = '2000-01-01' WHERE state = 'IN_FORCE'",
    ):
        with pytest.raises(Exception, match="never"):
            await minors.world.owner.execute(change)
