"""The fold is pure: same observations, same record, in whatever order and however often they came."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hub.core.clock import days_after, years_after, years_before
from hub.core.names import Category, ConflictType, FactStatus, LinkState
from hub.records.folding.bodies import age_band, balance_band, next_change, sections_of
from hub.records.folding.fold import (
    HouseholdRecord,
    Seen,
    SeenConsent,
    SeenFact,
    SeenHousehold,
    SeenMembership,
    birthday,
    fold,
)
from tests.records.world import number

T0 = datetime(2026, 10, 1, tzinfo=UTC)
DAY = date(2026, 10, 20)
LATER = datetime(2026, 12, 31, tzinfo=UTC)
HOME, ELSEWHERE = UUID(int=1), UUID(int=2)
DAO, SI = UUID(int=11), UUID(int=12)
HOUSEHOLD = SeenHousehold(HOME, "H1", "533103102203", "03", "ACTIVE", "civil", T0)


def membership(no: str, person: UUID | None, born: date, **changes: Any) -> SeenMembership:
    values: dict[str, Any] = {
        "household_id": HOME, "member_no": no, "person_id": person, "name": "刀岩保", "id_number": number("19850312"),
        "relation": "02", "birth_date": born, "valid_from": date(2012, 5, 1), "valid_to": None, "died_on": None,
        "source": "civil", "changed_at": T0, "recorded_from": T0,
    }  # fmt: skip
    return SeenMembership(**(values | changes))


def fact(key: str, person: UUID | None = DAO, **changes: Any) -> SeenFact:
    values: dict[str, Any] = {
        "category": Category.TAX_GRADE, "source": "tax", "source_key": key, "version": "1", "person_id": person,
        "link": LinkState.ID, "name": "刀岩保", "value": {"grade_year": 2025, "tax_credit_grade": "B"},
        "valid_from": date(2026, 4, 30), "valid_to": None, "adverse": False, "suppressed": False, "consent_id": None,
        "source_time": T0, "recorded_from": T0,
    }  # fmt: skip
    return SeenFact(**(values | changes))


ADULT = membership("C1", DAO, date(1985, 3, 12))


def record_of(
    *facts: SeenFact, members: tuple[SeenMembership, ...] = (ADULT,), consents: tuple[SeenConsent, ...] = (),
    day: date = DAY,
) -> HouseholdRecord:  # fmt: skip
    return fold(Seen(HOUSEHOLD, members, facts, consents), day, LATER)


@st.composite
def _seen(draw: st.DrawFn) -> Seen:
    """Memberships and fact versions whose recorded ranges touch, as the ledger leaves them."""
    instants = [T0 + timedelta(days=n) for n in range(4)]
    facts = [
        fact(
            key, draw(st.sampled_from([DAO, SI])), version=str(n + 1), recorded_from=instants[n],
            recorded_to=draw(st.sampled_from([instants[n + 1], None])), suppressed=draw(st.booleans()),
            link=draw(st.sampled_from([LinkState.ID, LinkState.PROBABLE, LinkState.REVIEW])),
            name=draw(st.sampled_from(["刀岩保", "思月"])),
        )
        for key in draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True))
        for n in range(draw(st.integers(1, 3)))
    ]  # fmt: skip
    members = [
        membership(
            f"C{n}", draw(st.sampled_from([DAO, SI, None])), draw(st.dates(date(1940, 1, 1), date(2020, 1, 1))),
            household_id=draw(st.sampled_from([HOME, ELSEWHERE])), died_on=draw(st.sampled_from([None, DAY])),
            recorded_from=draw(st.sampled_from(instants)),
        )
        for n in range(draw(st.integers(0, 4)))
    ]  # fmt: skip
    return Seen(HOUSEHOLD, members, facts, ())


@given(_seen(), st.randoms(use_true_random=False), st.integers(0, 4))
def test_order_and_redelivery_make_no_difference(seen: Seen, random: Random, days: int) -> None:
    at = T0 + timedelta(days=days)
    members, facts = [*seen.memberships] * 2, [*seen.facts] * 2
    random.shuffle(members)
    random.shuffle(facts)
    again = fold(Seen(HOUSEHOLD, members, facts, ()), DAY, at)
    once = fold(seen, DAY, at)
    assert again == once
    assert sections_of(again) == sections_of(once)


@given(_seen())
def test_nothing_unconfirmed_or_suppressed_reaches_a_section(seen: Seen) -> None:
    marked = [
        f if f.link is LinkState.ID and not f.suppressed
        else fact(f.source_key, f.person_id, link=f.link, suppressed=f.suppressed, recorded_from=f.recorded_from,
                  recorded_to=f.recorded_to, version=f.version, value={"grade_year": 1, "tax_credit_grade": "CANARY"})
        for f in seen.facts
    ]  # fmt: skip
    record = fold(Seen(HOUSEHOLD, seen.memberships, marked, ()), DAY, LATER)
    assert "CANARY" not in "".join(section.body for section in sections_of(record))
    assert len(record.members) + record.minors <= record.size + sum(m.died_on is not None for m in record.members)


def test_an_earlier_answer_can_be_given_again() -> None:
    old = fact("a", version="1", recorded_to=T0 + timedelta(days=2))
    new = fact("a", version="2", recorded_from=T0 + timedelta(days=2), value={"grade_year": 2025})
    seen = Seen(HOUSEHOLD, [ADULT], [new, old], ())
    assert [f.seen.version for f in fold(seen, DAY, T0 + timedelta(days=1)).facts] == ["1"]
    assert [f.seen.version for f in fold(seen, DAY, LATER).facts] == ["2"]


def test_minors_are_counted_and_never_listed() -> None:
    child = membership("C2", SI, date(2010, 10, 20))
    record = record_of(fact("a", SI), members=(ADULT, child))
    assert ([m.member_no for m in record.members], record.minors, record.size, record.facts) == (["C1"], 1, 2, ())
    assert next_change(record, sections_of(record)) == date(2028, 10, 20)
    assert [m.member_no for m in record_of(members=(ADULT, child), day=date(2028, 10, 20)).members] == ["C1", "C2"]


def test_the_dead_are_listed_and_not_counted() -> None:
    record = record_of(members=(membership("C1", DAO, date(1985, 3, 12), died_on=date(2026, 9, 30)),))
    assert (record.members[0].died_on, record.size) == (date(2026, 9, 30), 0)


def test_the_three_conflicts() -> None:
    dead = membership("C1", DAO, date(1985, 3, 12), died_on=date(2026, 8, 31))
    other = membership("C7", DAO, date(1985, 3, 12), household_id=ELSEWHERE)
    active = {"enrol_status": "ACTIVE", "latest_period": "2026-09"}
    facts = [
        fact("a", name="刀岩宝"), fact("b", name="刀岩宝"), fact("c", name="刀 岩保"), fact("n", name=None),
        fact("d", name="别人", link=LinkState.PROBABLE, source="clinic"),
        fact("e", category=Category.SOCIAL_INSURANCE, source="social", value=active),
    ]  # fmt: skip
    found = [(c.type, c.member_no, c.source) for c in record_of(*facts, members=(dead, other)).conflicts]
    assert found == [
        (ConflictType.DECEASED_ACTIVE, "C1", "social"),
        (ConflictType.MEMBERSHIP_OVERLAP, "C1", ""),
        (ConflictType.NAME_DIFFERS, "C1", "tax"),
    ]
    same_month = fact("e", category=Category.SOCIAL_INSURANCE, value=active | {"latest_period": "2026-08"})
    assert record_of(same_month, members=(dead,)).conflicts == ()


def test_a_withdrawn_or_deleted_consent_locks_and_an_expired_one_does_not() -> None:
    def status(**changes: Any) -> FactStatus:
        consent = SeenConsent("bank", "k", DAO, date(2025, 3, 1), date(2028, 2, 29), None)
        values = {f: getattr(consent, f) for f in consent.__slots__} | changes
        loan = fact("a", source="bank", consent_id="k")
        return record_of(loan, consents=(SeenConsent(**values),)).facts[0].status

    assert status() is FactStatus.CURRENT
    assert status(expires_on=date(2026, 1, 1)) is FactStatus.CURRENT
    assert status(withdrawn_on=DAY) is FactStatus.LOCKED
    assert status(deleted=True) is FactStatus.LOCKED
    assert record_of(fact("a", consent_id="k")).facts[0].status is FactStatus.LOCKED


def test_consents_stand_on_the_day_of_display() -> None:
    consent = SeenConsent("bank", "k", DAO, date(2025, 3, 1), DAY, None)
    assert consent.status(DAY) == "ACTIVE"
    assert consent.status(DAY + timedelta(days=1)) == "EXPIRED"
    assert SeenConsent("bank", "k", DAO, date(2025, 3, 1), DAY, DAY).status(DAY) == "WITHDRAWN"


def test_bands_and_birthdays() -> None:
    from decimal import Decimal

    amounts = ("0.00", "499.99", "500.00", "1999.99", "2000.00", "10000.00", "10000.01")
    assert [balance_band(Decimal(a)) for a in amounts] == [
        "0", "<500", "500-2000", "500-2000", "2000-10000", "2000-10000", ">10000",
    ]  # fmt: skip
    assert [age_band(age)[0] for age in (18, 24, 25, 64, 65, 90)] == ["18-24", "18-24", "25-34", "55-64", "65+", "65+"]
    assert birthday(date(2004, 2, 29), 18) == date(2022, 3, 1)


@given(st.dates(), st.integers(0, 10_000), st.integers(-4_000_000, 4_000_000))
def test_no_sum_with_a_day_leaves_the_calendar(day: date, years: int, days: int) -> None:
    later, grown, other = years_after(day, years), birthday(day, years), days_after(day, days)
    assert (later is None) == (grown is None) == (day.year + years > date.max.year)
    if later is not None and grown is not None:
        assert (later.year, later.month) == (day.year + years, day.month)
        assert grown - later == timedelta(days=day.day - later.day)
        assert years_before(later, years) in (day, day - timedelta(days=1))
    assert other == (day + timedelta(days=days) if 1 <= day.toordinal() + days <= date.max.toordinal() else None)
