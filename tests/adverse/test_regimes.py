"""The table of regimes, and the days it gives."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.errors import SettingsError
from hub.core.names import AdverseRegime, Category
from hub.records.adverse_items.adverse import FILE, ended_on, is_over, item_id, last_day, read_regimes, regimes
from hub.store.keys import FileKeys
from tests.records.world import World

TEXT = FILE.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Item:
    category: Category
    valid_to: date | None = None
    value: dict[str, Any] = field(default_factory=dict)
    adverse: bool = True


async def test_the_database_purges_by_the_same_table(world: World) -> None:
    known = {
        (category.value, regime.name.value, regime.years, bool(regime.repaired_by))
        for category, regime in regimes().by_category.items()
    }
    stored = await world.connection.fetch("SELECT * FROM record.adverse_regime")
    assert {tuple(row) for row in stored} == known


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.sampled_from(list(regimes().by_category)))
def test_an_item_is_shown_on_its_last_day_and_not_on_the_next(ended: date, category: Category) -> None:
    item = Item(category, ended, {"adverse_ended_on": ended.isoformat()})
    last = last_day(item)
    assert last is not None
    assert (last.year - ended.year, last.month) == (regimes().by_category[category].years, ended.month)
    assert (is_over(item, last), is_over(item, last + timedelta(days=1))) == (False, True)


async def test_database_and_program_agree_on_the_last_day(world: World) -> None:
    for ended in (date(2020, 2, 29), date(2020, 2, 28), date(2019, 12, 31)):
        for category, regime in regimes().by_category.items():
            stored = await world.connection.fetchval(
                "SELECT ($1::date + make_interval(years => $2))::date", ended, regime.years
            )
            assert stored == last_day(Item(category, ended, {"adverse_ended_on": ended.isoformat()}))


def test_neither_payment_nor_write_off_ends_a_loans_trouble() -> None:
    loan = Item(Category.BANK_LOAN, date(2020, 1, 1), {"writeoff_date": "2020-01-01", "adverse_ended_on": None})
    assert ended_on(loan) is None
    assert not is_over(loan, date(2099, 1, 1))
    assert ended_on(Item(Category.TAX_ARREARS, date(2020, 1, 1), adverse=False)) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("years = 5", "years = 6"),
        ("years = 5", 'years = "5"'),
        ("version = 1", "version = 0"),
        ('categories = ["bank.loan"]', 'categories = ["tax.arrears"]'),
        ('regime = "CREDIT_REPORTING"', 'regime = "PUBLIC_CREDIT"'),
        ('law = "征信业管理条例', 'laws = "征信业管理条例'),
        ("[[regime]]", "[[regime"),
    ],
)
def test_half_a_table_is_refused(old: str, new: str) -> None:
    assert {regime.name for regime in read_regimes(TEXT).by_category.values()} == set(AdverseRegime)
    assert old in TEXT
    with pytest.raises(SettingsError) as refused:
        read_regimes(TEXT.replace(old, new, 1))
    assert refused.value.code == "ADVERSE_REGIMES"


def test_an_items_id_outlives_the_rotation_of_keys_and_says_nothing(keys: FileKeys) -> None:
    before = item_id(keys, "bank", "loan|402739000011|HT1|J1")
    keys.rotate()
    assert item_id(keys, "bank", "loan|402739000011|HT1|J1") == before
    assert item_id(keys, "bank", "loan|402739000011|HT1|J2") != before
    assert len(bytes.fromhex(before)) == 16
