"""The rules themselves: exact, monotone, lawful, and refused when they are not in order."""

import json
import random
from itertools import product
from pathlib import Path

import pytest

from hub.access.compile import CIRCUMSTANCES, Cell, Need, compile_rules, compiled, question
from hub.access.legal_mode import LegalMode, bases_of
from hub.access.matrix import as_csv
from hub.access.parts import PART_FACTS, PARTS, WRITTEN_NOTICE_PARTS, part_key, part_of
from hub.access.rules import POLICY_FOLDER, RuleSet
from hub.core.disclosure import Part
from hub.core.errors import SettingsError
from hub.core.names import Category, Form, Purpose, Role, WithheldReason

CELLS = {(cell.role, cell.purpose, cell.part): cell for cell in compiled().cells}
LENDERS = (Role.LOAN_OFFICER, Role.BANK_RISK)
FIELD = (Role.COLLECTOR, Role.VILLAGE_REVIEWER, Role.TOWNSHIP)
SCHEMA = (POLICY_FOLDER / "hub.cedarschema").read_text(encoding="utf-8")
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in POLICY_FOLDER.glob("*.cedar")}


def opened(*roles: Role) -> list[Cell]:
    return [cell for cell in CELLS.values() if cell.closed is None and cell.role in roles]


def differences(keys: list[tuple[Role, Purpose, Part]]) -> list[tuple[Role, Purpose, Part]]:
    asked = list(product(keys, CIRCUMSTANCES))
    answers = RuleSet.load().ask([question(*key, case) for key, case in asked])
    return [
        key for (key, case), answer in zip(asked, answers, strict=True) if answer.allowed != CELLS[key].allows(case)
    ]


def test_the_table_has_every_cell_once() -> None:
    assert len(CELLS) == len(compiled().cells) == len(Role) * len(Purpose) * len(PARTS)


def test_the_table_is_what_cedar_says_in_every_open_cell() -> None:
    keys = [key for key, cell in CELLS.items() if cell.closed is None]
    assert len(keys) > 150
    assert differences(keys) == []


def test_the_table_is_what_cedar_says_in_a_sample_of_closed_cells() -> None:
    closed = [key for key, cell in CELLS.items() if cell.closed is not None]
    assert differences(random.sample(closed, 250)) == []


@pytest.mark.long
def test_the_table_is_what_cedar_says_in_every_case_of_every_cell() -> None:
    assert differences(list(CELLS)) == []


def test_the_committed_matrix_is_the_compiled_one() -> None:
    committed = (Path(__file__).parents[2] / "docs" / "ACCESS-MATRIX.csv").read_text(encoding="utf-8")
    assert committed == as_csv(compiled()), "run: python -m hub.access.matrix > docs/ACCESS-MATRIX.csv"


def test_more_of_any_circumstance_never_denies() -> None:
    for cell, case in product(opened(*Role), CIRCUMSTANCES):
        for need in Need:
            assert cell.allows(case | {need}) >= cell.allows(case)


def test_every_permit_opens_a_cell_and_every_forbid_alone_closes_one() -> None:
    rules = RuleSet.load()
    keys = [key for key, cell in CELLS.items() if cell.closed is None]
    asked = list(product(keys, CIRCUMSTANCES))
    answers = rules.ask([question(*key, case) for key, case in asked])
    decisive = {answer.rule_ids[0] for answer in answers if len(answer.rule_ids) == 1}
    opening = {name for answer in answers if answer.allowed for name in answer.rule_ids}
    for rule in rules.rules:
        assert rule.rule_id in (opening if rule.effect == "permit" else decisive), rule.rule_id


@pytest.mark.parametrize("role", LENDERS)
def test_a_lender_needs_consent_area_and_adult_for_everything(role: Role) -> None:
    cells = opened(role)
    assert cells
    assert all(cell.needs >= {Need.BASIS, Need.AREA, Need.ADULT} for cell in cells)


def test_lenders_never_get_clinic_amounts_or_what_relief_it_is() -> None:
    seen = {part_key(cell.part) for cell in opened(*LENDERS)}
    assert not seen & {"clinic.arrears/VALUE", "civil.relief/VALUE"}
    officer = {part_key(cell.part) for cell in opened(Role.LOAN_OFFICER)}
    assert not {key for key in officer if key.startswith(("clinic.", "tax.band"))}
    assert "tax.arrears/VALUE" not in officer


def test_income_and_tax_bands_need_the_heightened_notice() -> None:
    cells = [cell for cell in opened(*LENDERS) if cell.part in WRITTEN_NOTICE_PARTS]
    assert {cell.role for cell in cells} == {Role.BANK_RISK}
    assert all(Need.HEIGHTENED_NOTICE in cell.needs for cell in cells)
    assert {cell.part.category for cell in cells} == {Category.TAX_BAND}


def test_village_and_township_never_see_bank_tax_or_clinic() -> None:
    cells = opened(*FIELD)
    assert {cell.part.category for cell in cells} == {Category.ROSTER, Category.IDENTITY, Category.CIVIL_RELIEF}
    assert {cell.part.form for cell in cells if cell.part.category is Category.CIVIL_RELIEF} == {Form.YES_NO}
    assert all(Need.AREA in cell.needs for cell in cells)


@pytest.mark.parametrize(
    "role",
    [
        Role.INSURER, Role.MUTUAL_SOCIETY, Role.FURNISHER, Role.AUDITOR,
        Role.SECURITY_ADMIN, Role.OPERATOR, Role.ANALYST, Role.PUBLIC,
    ],
)  # fmt: skip
def test_these_roles_read_no_content(role: Role) -> None:
    assert opened(role) == []


def test_a_provider_reads_one_answer_on_consent_and_nothing_of_a_record() -> None:
    (cell,) = opened(Role.PROVIDER)
    assert (cell.purpose, part_key(cell.part)) == (Purpose.BENEFIT_ELIGIBILITY, "eligibility/YES_NO")
    assert cell.needs == {Need.BASIS, Need.AREA, Need.ADULT}


def test_a_regulator_reads_content_on_a_declared_basis_only() -> None:
    cells = opened(Role.REGULATOR)
    assert {cell.purpose for cell in cells} == {Purpose.SUPERVISION, Purpose.JUDICIAL}
    assert all({Need.BASIS, Need.AREA, Need.ADULT} <= cell.needs for cell in cells)


def test_an_emergency_shows_who_somebody_is_and_nothing_else() -> None:
    cells = [cell for role in Role for cell in opened(role) if cell.purpose is Purpose.EMERGENCY]
    assert {part_key(cell.part) for cell in cells} == {"identity/VALUE"}
    assert {cell.role for cell in cells} == {Role.TOWNSHIP, Role.STEWARD}
    assert all(Need.BASIS in cell.needs for cell in cells)


def test_a_resident_sees_everything_of_his_own_and_for_nothing_else() -> None:
    cells = opened(Role.RESIDENT)
    assert {cell.part for cell in cells} == set(PARTS)
    assert {cell.purpose for cell in cells} == {Purpose.SELF_ACCESS, Purpose.OBJECTION}


def test_nothing_of_a_minor_is_open_to_anybody_but_his_guardians() -> None:
    assert all(Need.ADULT in cell.needs for cell in opened(*Role) if cell.role is not Role.GUARDIAN)


def test_a_guardian_sees_what_is_about_the_ward_alone_and_nothing_of_the_household() -> None:
    cells = opened(Role.GUARDIAN)
    assert {cell.purpose for cell in cells} == {Purpose.SELF_ACCESS}
    assert {cell.part for cell in cells} == {facts.part for facts in PART_FACTS if "person" in facts.classes}
    assert all(not cell.needs for cell in cells)  # the database gives the role, for one person


def test_a_closed_cell_says_whether_another_purpose_would_open_it() -> None:
    grade = Part(Category.TAX_GRADE, Form.VALUE)
    clinic = Part(Category.CLINIC_ARREARS, Form.VALUE)
    assert CELLS[Role.LOAN_OFFICER, Purpose.POST_LOAN_REVIEW, grade].closed is WithheldReason.PURPOSE_MISMATCH
    assert CELLS[Role.LOAN_OFFICER, Purpose.LOAN_APPLICATION, clinic].closed is WithheldReason.NEVER_DISCLOSED


def test_part_keys_lead_back_to_their_parts() -> None:
    assert [part_of(part_key(part)) for part in PARTS] == list(PARTS)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('@reason("r") @law("l") permit (principal, action, resource);', "has no @id"),
        ('@id("x") @law("l") permit (principal, action, resource);', "has no @reason"),
        ('@id("x") @reason("r") permit (principal, action, resource);', "has no @law"),
        ('@id("adult") @reason("r") @law("l") permit (principal, action, resource);', "used twice"),
        (
            '@id("x") @reason("r") @law("l") permit (principal, action, resource) when { context.adult };',
            "has a condition",
        ),
        (
            '@id("x") @reason("r") @law("l") forbid (principal, action, resource) when { context.adult };',
            "must have one `unless`",
        ),
        (
            '@id("x") @reason("r") @law("l") forbid (principal, action, resource) unless { context.grownUp };',
            "does not fit the schema",
        ),
        (
            '@id("x") @reason("r") @law("l") permit (principal == Role::"A", action == Action::"LOAN", resource);',
            "does not fit the schema",
        ),
        ("permit (principal", "cannot be read"),
    ],
)
def test_rules_that_are_not_in_order_do_not_load(rule: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as refused:
        RuleSet(SCHEMA, TEXTS | {"extra.cedar": rule})
    assert refused.value.code == "RULES"


def test_a_rule_that_decides_nothing_is_refused() -> None:
    idle = (
        '@id("idle") @reason("a role name mistyped") @law("l")'
        ' permit (principal == Role::"LOAN_OFICER", action == Action::"LOAN_APPLICATION", resource);'
    )
    with pytest.raises(SettingsError, match="`idle` decides nothing"):
        compile_rules(RuleSet(SCHEMA, TEXTS | {"extra.cedar": idle}))


def test_a_rule_that_is_no_plain_list_of_needs_is_refused() -> None:
    either = (
        '@id("either") @reason("r") @law("l") forbid (principal == Role::"COLLECTOR", action, resource)'
        " unless { context.secondFactor || context.basisCovers };"
    )
    with pytest.raises(SettingsError, match="not a plain list"):
        compile_rules(RuleSet(SCHEMA, TEXTS | {"extra.cedar": either}))


def test_an_error_inside_cedar_is_never_passed_over() -> None:
    broken = question(Role.LOAN_OFFICER, Purpose.LOAN_APPLICATION, PARTS[0], CIRCUMSTANCES[0])
    without = json.loads(broken.circumstances)
    del without["basisCovers"]
    with pytest.raises(SettingsError):
        RuleSet.load().ask([type(broken)(broken.role, broken.purpose, broken.part, json.dumps(without))])


def test_the_digest_follows_every_word_of_the_rules() -> None:
    changed = TEXTS | {"limits.cedar": TEXTS["limits.cedar"].replace("is the default", "is  the default")}
    bases = bases_of(LegalMode.LICENSED_BUREAU)
    mine = RuleSet(SCHEMA, TEXTS, bases=bases)
    assert RuleSet(SCHEMA, changed, bases=bases).digest != mine.digest == RuleSet.load().digest
    assert RuleSet(SCHEMA, TEXTS, bases=(*bases, "POST_LOAN")).digest != mine.digest
    assert RuleSet(SCHEMA, TEXTS).digest != mine.digest, "before kinds of basis were part of the rules"
    for rules in (mine, RuleSet(SCHEMA, TEXTS)):
        assert RuleSet.of_source(rules.source).digest == rules.digest


def test_the_schema_and_the_frozen_purposes_are_the_same_list() -> None:
    rules = RuleSet.load()
    answers = rules.ask([question(Role.PUBLIC, purpose, PARTS[0], CIRCUMSTANCES[0]) for purpose in Purpose])
    assert [answer.allowed for answer in answers] == [False] * len(Purpose)
