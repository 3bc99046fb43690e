"""Whose view changes between two sets of rules, and what the legal modes change."""

import json
from typing import get_args

import pytest

from hub.access.compare import Change, Effect, compare, in_words
from hub.access.compile import Decisions, compile_rules, compiled
from hub.access.law import check
from hub.access.legal_mode import LegalMode, legal_modes
from hub.access.mode_differences import as_markdown
from hub.access.parts import PART_FACTS, PARTS, part_key
from hub.access.rules import POLICY_FOLDER, RuleSet
from hub.connectors.sources import Source
from hub.core.names import Category, Form, Purpose, Role

SCHEMA = (POLICY_FOLDER / "hub.cedarschema").read_text(encoding="utf-8")
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in POLICY_FOLDER.glob("*.cedar")}


def changed(name: str, old: str, new: str) -> Decisions:
    assert old in TEXTS[name]
    return compile_rules(RuleSet(SCHEMA, TEXTS | {name: TEXTS[name].replace(old, new)}))


def differing(old: Decisions, new: Decisions) -> dict[tuple[Role, Purpose, str], Change]:
    return {(change.key[0], change.key[1], part_key(change.key[2])): change for change in compare(old, new)}


def test_nothing_differs_from_itself() -> None:
    assert compare(compiled(), compiled()) == ()
    assert in_words(()) == ["Nobody's view changes."]


@pytest.mark.long
def test_a_permit_that_is_widened_opens_cells_and_says_so() -> None:
    new = changed(
        "lenders.cedar",
        'action in Action::"ADMISSION", resource in Category::"tax.grade"',
        'action in [Action::"ADMISSION", Action::"FOLLOW_UP"], resource in Category::"tax.grade"',
    )
    found = differing(compiled(), new)
    expected = {(role, Purpose.POST_LOAN_REVIEW, "tax.grade/VALUE") for role in (Role.LOAN_OFFICER, Role.BANK_RISK)}
    assert set(found) == expected
    assert {change.effect for change in found.values()} == {Effect.OPENED}
    head, *lines = in_words(found.values())
    assert head.startswith("2 cells show more, 0 show less")
    assert lines[0].startswith("LOAN_OFFICER for POST_LOAN_REVIEW: tax.grade/VALUE opens, where there is: basis, area")
    back = differing(new, compiled())
    assert {change.effect for change in back.values()} == {Effect.CLOSED}
    assert not any(change.widens for change in back.values())


@pytest.mark.long
def test_a_condition_that_goes_is_an_easing_and_one_that_comes_a_tightening() -> None:
    new = changed(
        "limits.cedar", 'principal in RoleGroup::"assigned-area", action', 'principal == Role::"STEWARD", action'
    )
    found = differing(compiled(), new)
    assert {change.effect for change in found.values()} == {Effect.EASED}
    assert {key[0] for key in found} == {
        Role.LOAN_OFFICER, Role.BANK_RISK, Role.COLLECTOR, Role.VILLAGE_REVIEWER, Role.TOWNSHIP,
        Role.REGULATOR, Role.PROVIDER,
    }  # fmt: skip
    assert all("needs no longer: area" in change.in_words() for change in found.values())
    assert {change.effect for change in differing(new, compiled()).values()} == {Effect.TIGHTENED}


@pytest.mark.long
def test_a_rule_under_another_name_changes_nobodys_view() -> None:
    found = differing(compiled(), changed("residents.cedar", '@id("own-record")', '@id("ones-own-record")'))
    assert {change.effect for change in found.values()} == {Effect.RULES}
    assert not any(change.changes_view for change in found.values())
    sides = json.loads(json.dumps([change.as_json() for change in found.values()]))
    assert sides[0]["old"]["permits"] == ["own-record"]
    assert sides[0]["new"]["permits"] == ["ones-own-record"]


def test_rules_come_back_from_their_own_words() -> None:
    rules = RuleSet.load()
    again = RuleSet.of_source(rules.source)
    assert again.digest == rules.digest
    assert compare(compile_rules(again), compiled()) == ()


def test_every_mode_compiles_and_says_what_differs() -> None:
    platform = differing(compiled(), compiled(LegalMode.PUBLIC_PLATFORM))
    assert {key[2] for key in platform} == {"bank.line/TOTAL", "bank.loan/TOTAL"}
    assert {change.effect for change in platform.values()} <= {Effect.CLOSED, Effect.REASON}
    database = differing(compiled(), compiled(LegalMode.FINANCIAL_DATABASE))
    assert {key[2] for key in database} == {"civil.relief/YES_NO"}
    assert not any(change.widens for change in (*platform.values(), *database.values()))
    assert len({compiled(mode).digest for mode in LegalMode}) == len(LegalMode)
    for row in (*legal_modes().modes, *legal_modes().bases, *legal_modes().retention):
        assert row.law
    assert all(mode in as_markdown() for mode in LegalMode)


def test_clinic_arrears_go_to_banks_as_a_band_and_never_as_an_amount() -> None:
    for mode in LegalMode:
        cells = [
            cell for cell in compiled(mode).cells
            if cell.closed is None and cell.role not in (Role.RESIDENT, Role.GUARDIAN)
            and cell.part.category is Category.CLINIC_ARREARS
        ]  # fmt: skip
        lenders = {cell.part.form for cell in cells if cell.role in (Role.LOAN_OFFICER, Role.BANK_RISK)}
        assert lenders == {Form.BAND}
        assert {cell.role for cell in cells} == {Role.BANK_RISK, Role.STEWARD, Role.REGULATOR}


def test_no_kind_of_source_reads_a_census() -> None:
    kinds = [str(table.__struct_config__.tag) for table in get_args(Source)]
    assert len(kinds) == 5
    assert not [kind for kind in kinds if "census" in kind or "statistic" in kind]


def test_ideas_that_were_refused_have_no_category() -> None:
    refused = ("health", "medical", "consum", "party", "birth", "face", "finger", "relig", "idle", "drug", "census")
    assert not [category for category in Category if any(word in category.value.lower() for word in refused)]


def test_no_adverse_item_is_about_a_household() -> None:
    assert not [facts for facts in PART_FACTS if facts.household and facts.part.category is Category.ADVERSE]


@pytest.mark.long
def test_nothing_is_open_to_the_public_or_for_publicity() -> None:
    for mode in LegalMode:
        cells = [cell for cell in compiled(mode).cells if cell.closed is None]
        assert not [cell for cell in cells if cell.role is Role.PUBLIC or cell.purpose is Purpose.PUBLICITY]
    assert {cell.part for cell in compiled().cells} == set(PARTS)


@pytest.mark.parametrize(
    ("kept", "not_yet", "says"),
    [
        ([{"code": [], "tests": ["tests/x.py::test_y"]}], [], "names no code or no test"),
        ([{"code": ["hub/core/names.py"], "tests": []}], [], "names no code or no test"),
        ([{"code": ["hub/core/gone.py"], "tests": ["tests/x.py::test_y"]}], [], "gone.py, which does not exist"),
        (
            [{"code": ["hub/core/names.py"], "tests": ["tests/access/test_compare.py::test_gone"]}],
            [],
            "test_gone, which",
        ),
        ([{"code": ["hub/core/names.py"], "tests": ["tests/access/test_compare.py"]}], [], "which does not exist"),
        ([], [{"missing": "all of it"}], "but open_rows says 0"),
    ],
)
def test_a_row_of_the_register_that_nothing_bears_out_fails_the_check(
    kept: list[dict[str, object]], not_yet: list[dict[str, object]], says: str
) -> None:
    name = {"law": "law", "article": "1", "rule": "rule"}
    register = {"kept": [name | row for row in kept], "not_yet": [name | row for row in not_yet], "open_rows": 0}
    with pytest.raises(LookupError, match=says):
        check(register, POLICY_FOLDER.parents[2])


def test_a_row_that_is_not_kept_yet_says_what_is_missing() -> None:
    row = {"law": "law", "article": "1", "rule": "rule", "missing": ""}
    with pytest.raises(LookupError, match="does not say what is missing"):
        check({"kept": [], "not_yet": [row], "open_rows": 1}, POLICY_FOLDER.parents[2])
