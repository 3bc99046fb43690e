"""The written contracts and the code say the same: reasons in their order, forbidden fields, categories, codes."""

import re
from pathlib import Path

import pytest

from hub.connectors.formats import bank_rows, clinic_rows, social_rows, tax_rows
from hub.connectors.registry import connector_for
from hub.core.names import FACT_CATEGORIES, QuarantineReason, RefusalReason

DOCS = Path(__file__).parents[2] / "docs"
COMMON = (DOCS / "CONTRACTS.md").read_text(encoding="utf-8")


def paper(name: str) -> str:
    return (DOCS / "contracts" / f"{name}.md").read_text(encoding="utf-8")


def test_the_table_of_reasons_is_the_closed_list_in_its_order() -> None:
    rows = re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|.*\| (row|count) \|$", COMMON, re.MULTILINE)
    assert [(int(number), name, kept == "row") for number, name, kept in rows] == [
        (reason.value, reason.name, reason.keeps_row) for reason in QuarantineReason
    ]


def test_refusal_reasons_are_listed_in_their_order() -> None:
    section = COMMON.partition("### 1.7")[2].partition("### 1.8")[0]
    assert re.findall(r"`([A-Z]+_[A-Z]+)`", section) == [reason.value for reason in RefusalReason]


def test_sections_keep_their_numbers() -> None:
    numbers = re.findall(r"^### (\d\.\d) ", COMMON, re.MULTILINE)
    assert numbers == [f"1.{n}" for n in range(1, 9)] + [f"2.{n}" for n in range(1, 8)]


def test_fact_categories_are_listed_in_their_order() -> None:
    section = COMMON.partition("### 2.7")[2]
    found = re.findall(r"`((?:tax|social|clinic|civil|bank)\.[a-z]+)`", section)
    assert found == [category.value for category in FACT_CATEGORIES]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("tax", tax_rows.FORBIDDEN | tax_rows.DOCUMENTED | tax_rows.STATUSES.keys()),
        ("bank", bank_rows.FORBIDDEN | bank_rows.DOCUMENTED | bank_rows.PRODUCTS),
        ("social_security", set(social_rows.COLUMNS) | social_rows.INSURANCE_TYPES),
        ("clinic_arrears", clinic_rows.FORBIDDEN),
    ],
)
def test_every_field_and_code_the_check_knows_is_written_down(name: str, fields: set[str]) -> None:
    text = paper(name)
    assert sorted(field for field in fields if field not in text) == []


def test_every_kind_of_source_has_a_connector_of_that_kind() -> None:
    kinds = set(re.findall(r'^kind = "([a-z-]+)"', COMMON, re.MULTILINE))
    annotated = connector_for.__annotations__["source"]
    assert kinds == {member.__struct_config__.tag for member in annotated.__args__}
