from collections import Counter
from datetime import date, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.core.areas import COUNTIES, TOWNSHIPS, county_name, township_name
from hub.core.errors import InputError
from hub.core.identifiers import check_id_number, clean_id_number, is_uscc
from hub.core.names import ConflictType, LinkState, QuarantineReason, RefusalReason
from hub.core.text import has_lost_characters, normalise_name, repair_mojibake
from hub.sandbox.feeds.clinic import DAYS
from hub.sandbox.feeds.dirt import DirtPlan, lose_characters, misspell
from hub.sandbox.feeds.roster import VillageRoster
from hub.sandbox.numbers import (
    ID_DAMAGES,
    IdNumbers,
    break_trader_code,
    damage,
    draw_trader_code,
    dress,
    has_short_form,
    mojibake,
    short_form,
)
from hub.sandbox.population import COUNTY_WEIGHTS, SIZE_WEIGHTS, draw_population, draw_villages, largest_remainder
from hub.sandbox.prefecture import Prefecture

TODAY = date(2026, 11, 10)
rngs = st.builds(Random, st.integers(0, 2**32))
births = st.dates(date(1925, 1, 1), date(2024, 1, 1))


@given(rngs, births, st.sampled_from(sorted(COUNTY_WEIGHTS)), st.booleans())
def test_id_numbers_have_right_check_characters_and_a_sex(rng: Random, born: date, county: str, male: bool) -> None:
    numbers = IdNumbers()
    first, second = (numbers.draw(rng, county, born, male=male) for _ in range(2))
    assert first != second
    assert check_id_number(first, TODAY) == first
    assert first[6:14] == f"{born:%Y%m%d}"
    assert int(first[16]) % 2 == (1 if male else 0)


@given(rngs, births, st.sampled_from(ID_DAMAGES))
def test_each_damage_of_a_number_has_exactly_the_fate_it_names(
    rng: Random, born: date, reason: QuarantineReason
) -> None:
    number = IdNumbers().draw(rng, "533103", born, male=True)
    cleaned = clean_id_number(damage(rng, number, reason))
    assert (QuarantineReason.ID_MISSING if cleaned is None else check_id_number(cleaned, TODAY)) is reason


@given(rngs, births)
def test_dressed_and_short_numbers_mean_the_same_number(rng: Random, born: date) -> None:
    number = IdNumbers().draw(rng, "533123", born, male=False)
    assert check_id_number(clean_id_number(dress(rng, number)) or "", TODAY) == number
    if has_short_form(number):
        assert check_id_number(short_form(number), TODAY) == number


@given(rngs, st.sampled_from(["92", "93", "91", "N2"]))
def test_trader_codes_are_valid_until_broken(rng: Random, head: str) -> None:
    code = draw_trader_code(rng, "533103", head)
    assert is_uscc(code)
    assert not is_uscc(break_trader_code(code))


@given(st.integers(5, 245208))
def test_households_are_split_over_the_counties_without_loss(total: int) -> None:
    parts = largest_remainder(total, COUNTY_WEIGHTS, 1)
    assert sum(parts.values()) == total
    assert min(parts.values()) >= 1
    assert all(abs(parts[c] - total * w) <= 1 + len(parts) for c, w in COUNTY_WEIGHTS.items())


@given(st.integers(0, 50), st.integers(5, 340))
@settings(max_examples=15)
def test_villages_have_codes_and_names_that_an_address_can_be_resolved_by(seed: int, count: int) -> None:
    villages = draw_villages(str(seed), count)
    assert len({v.code for v in villages}) == count
    assert {v.county for v in villages} == set(COUNTIES)
    every_township = "".join(TOWNSHIPS.values())
    for village in villages:
        assert len(village.code) == 12
        assert village.code.startswith("5331")
        assert village.name.endswith("村")
        assert township_name(village.code) == village.township
        assert village.name[:-1] not in every_township
    assert len({v.name for v in villages}) == count


def test_areas_outside_the_prefecture_have_no_name() -> None:
    assert county_name("533103102203") == "芒市"
    assert county_name("530102") is None
    assert township_name("533103999") is None


@given(st.integers(0, 1000))
@settings(max_examples=3, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_sizes_and_ages_follow_the_census(seed: int) -> None:
    population = draw_population(str(seed), 1500, TODAY)
    sizes = Counter(len(h.members) for h in population.households)
    assert sum(sizes.values()) == 1500
    mean = sum(k * n for k, n in sizes.items()) / 1500
    assert abs(mean - sum(k * w for k, w in enumerate(SIZE_WEIGHTS, start=1))) < 0.2
    ages = [p.age(TODAY) for p in population.people]
    assert 0.12 < sum(age < 15 for age in ages) / len(ages) < 0.27
    assert max(ages) < 100
    majority = date(TODAY.year - 18, TODAY.month, TODAY.day)
    assert all(abs((p.born - majority).days) > 20 for p in population.people)


@given(rngs, st.text("刀岩团李明凤曩腊", min_size=2, max_size=4))
def test_names_are_misspelt_lost_and_garbled_as_meant(rng: Random, name: str) -> None:
    assert normalise_name(misspell(name)) != normalise_name(name)
    assert has_lost_characters(lose_characters(rng, name))
    garbled = mojibake(name)
    if garbled is not None:
        assert repair_mojibake(garbled) == name


def test_a_dirt_plan_shows_every_kind_early() -> None:
    plan = DirtPlan(Random(1), dict.fromkeys("abcdef", 0.0), every=2)
    drawn = [plan.draw() for _ in range(20)]
    assert sorted(kind for kind in drawn if kind) == list("abcdef")
    picky = DirtPlan(Random(1), {"a": 0.0, "b": 0.0}, every=1)
    assert picky.draw(("b",)) == "b"
    assert picky.draw(("b",)) is None


def _everything(p: Prefecture) -> tuple[object, ...]:
    return (
        [r.json for r in p.tax.records],
        p.social.lines,
        [r.xml for rows in (p.civil.households, p.civil.members, p.civil.relief, p.civil.events) for r in rows],
        [(f.name, [line.values for line in f.lines]) for f in p.clinic.files],
        [(f.name, f.content) for feed in p.banks.values() for f in feed.files],
        p.truth,
    )


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (Prefecture(seed, 200, TODAY) for seed in (5, 5, 6))
    assert _everything(first) == _everything(again)
    assert _everything(first)[0] != _everything(other)[0]
    assert _everything(first) != _everything(other)
    next_day = TODAY + timedelta(days=1)
    one, two = first.advance(next_day), again.advance(next_day)
    assert one.truth == two.truth
    assert _everything(first) == _everything(again)


def test_a_prefecture_too_small_or_going_back_is_refused(prefecture: Prefecture) -> None:
    with pytest.raises(InputError, match="too small"):
        Prefecture(1, 50, TODAY)
    with pytest.raises(InputError, match="already lives"):
        prefecture.advance(prefecture.as_of)


def test_every_reason_and_refusal_is_produced_somewhere(prefecture: Prefecture) -> None:
    truth = prefecture.truth
    assert {q.reason for q in truth.quarantined} == set(QuarantineReason)
    assert {r.reason for r in truth.refused} == set(RefusalReason)
    assert {c.type for c in truth.conflicts} == set(ConflictType)
    assert set(truth.of("clinic").links) == {"ID", "PROBABLE", "REVIEW"}
    assert len({(q.source, q.source_key, q.version) for q in truth.quarantined}) == len(truth.quarantined)


def test_the_story_household_is_full_and_untouched(prefecture: Prefecture) -> None:
    story, truth = prefecture.story, prefecture.truth
    assert [m.relation for m in story.household.members] == ["02", "12", "51", "22", "32"]
    assert story.household.village is prefecture.population.villages[0]
    assert story.daughter.age(TODAY) < 18 < story.son.age(TODAY)
    borrower = story.borrower.number
    records = b"".join(r.json for r in prefecture.tax.records if borrower.encode() in r.json)
    assert all(f'"sjlx":"{kind}"'.encode() in records for kind in ("DJ", "XY", "QJ"))
    assert sum(borrower.encode() in line for line in prefecture.social.lines) == 2
    bills = [x for f in prefecture.clinic.files for x in f.lines if x.values["证件号码"] == borrower]
    assert [bill.values["欠费余额"] for bill in bills] == ["860.00"]
    assert sum(f"<hubh>{story.household.number}</hubh>".encode() in r.xml for r in prefecture.civil.relief) > 0
    held = {q.source_key for q in truth.quarantined}
    assert not held & {f"member|{m.member_no}" for m in story.household.members}
    mine = [c for c in truth.conflicts if c.member_no == story.borrower.member_no]
    assert [(c.type, c.source) for c in mine] == [(ConflictType.NAME_DIFFERS, "bank_vb")]


def test_clinic_links_follow_the_exact_rule(prefecture: Prefecture) -> None:
    roster = VillageRoster(prefecture.population.households, prefecture.civil.hidden, prefecture.as_of)
    groups = roster.namesakes()
    assert groups
    person = groups[0][0]
    state, candidates = roster.link(person.household.village.code, f" {person.name} ", "")
    assert state is LinkState.REVIEW
    assert person in candidates
    assert roster.link(person.household.village.code, "没有此人", "") == (LinkState.UNLINKED, [])
    days = {f.day for f in prefecture.clinic.files if f.refusal is None and f.complete}
    assert min(days) >= prefecture.as_of - timedelta(days=DAYS)
    assert max(days) < prefecture.as_of
