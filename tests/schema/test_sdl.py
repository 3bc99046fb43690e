"""The committed schema: up to date, not broken, every field about a person classified."""

from pathlib import Path

import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_list_type,
    is_non_null_type,
)
from graphql.utilities import find_breaking_changes

from hub.access.parts import PART_FACTS, PARTS, WRITTEN_NOTICE_PARTS, part_key
from hub.core.fields import FIELDS, STRUCTURE, Sensitivity, parts_of, places_of
from hub.core.names import Attribute
from hub.records.folding.statements import parts_carrying
from hub.schema.answer import BODY_PLACES, LENDER_PLACES, LIST_PLACES, VALUE_PLACES
from hub.schema.resolved import PREFIX
from hub.schema.schema import build_schema as hub_schema
from hub.schema.schema import sdl

COMMITTED = Path("hub/schema/schema.graphql")
ROOTS = ("BorrowerProfile", "OwnRecord", "BenefitEligibility")


@pytest.fixture
def schema() -> GraphQLSchema:
    return hub_schema().graphql


def disclosed_types(schema: GraphQLSchema) -> list[GraphQLObjectType]:
    """Every object type that an answer about a person can reach."""
    waiting, found = [schema.type_map[name] for name in ROOTS], {}
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, GraphQLObjectType) and kind.name not in found:
            found[kind.name] = kind
            waiting += [get_named_type(field.type) for field in kind.fields.values()]
    return list(found.values())


def test_the_committed_sdl_is_the_schema() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == sdl(), "run `make generated`"


def test_nothing_breaks_clients_of_the_committed_sdl(schema: GraphQLSchema) -> None:
    committed = build_schema(COMMITTED.read_text(encoding="utf-8"))
    assert find_breaking_changes(committed, schema) == []


def test_the_check_of_breaking_changes_finds_one() -> None:
    text = COMMITTED.read_text(encoding="utf-8")
    assert "  grades: [TaxGrade!]" in text
    changed = build_schema(text.replace("  grades: [TaxGrade!]", "  ratings: [TaxGrade!]"))
    (change,) = find_breaking_changes(build_schema(text), changed)
    assert "TaxSection.grades" in change.description


def test_every_field_about_a_person_is_classified(schema: GraphQLSchema) -> None:
    ids = {f"{kind.name}.{name}" for kind in disclosed_types(schema) for name in kind.fields}
    assert len(ids) > 150
    assert ids <= set(FIELDS) | STRUCTURE
    assert set(FIELDS) | STRUCTURE == ids, "the registry names a field that the schema does not have"
    assert not set(FIELDS) & STRUCTURE


def test_every_classified_field_can_be_held_back(schema: GraphQLSchema) -> None:
    for field_id in FIELDS:
        kind, name = field_id.split(".")
        field = schema.type_map[kind].fields[name]  # type: ignore[attr-defined]
        assert not is_non_null_type(field.type), field_id


def test_classification_is_printed_in_the_sdl() -> None:
    text = sdl()
    for field_id, entry in FIELDS.items():
        assert f'@classified(category: "{entry.part.category}", form: {entry.part.form.name}' in text
        assert entry.label in text, field_id


def test_every_part_of_the_rules_has_a_field_and_the_other_way_round() -> None:
    assert {entry.part for entry in FIELDS.values()} == set(PARTS)


def test_sensitivity_agrees_with_the_rules() -> None:
    sensitive = {facts.part for facts in PART_FACTS if "sensitive" in facts.classes}
    for field_id, entry in FIELDS.items():
        if not entry.place:
            continue
        assert (entry.sensitivity is Sensitivity.WRITTEN_CONSENT) == bool(WRITTEN_NOTICE_PARTS & {*entry.parts}), (
            field_id
        )
        guarded = entry.sensitivity in (Sensitivity.SENSITIVE, Sensitivity.WRITTEN_CONSENT)
        assert guarded == bool(sensitive & {*entry.parts}), field_id


def test_every_place_is_filled_from_its_own_part() -> None:
    filled = LIST_PLACES | VALUE_PLACES | LENDER_PLACES | BODY_PLACES
    for field_id, entry in FIELDS.items():
        if not entry.place or entry.place.split(".")[0] in ("otherAdults", "adultsNotShown", "answer"):
            continue
        if entry.place.startswith(PREFIX):
            root = "clinic.arrears/BAND" if field_id.startswith("ResolvedSection") else "clinic.arrears/VALUE"
            carrying = {part_key(part) for part in parts_carrying(Attribute(entry.place.removeprefix(PREFIX)))}
            assert {part_key(part) for part in entry.parts} <= carrying, entry.place
            assert not {key for key in carrying if key.startswith("clinic.")} or root in map(part_key, entry.parts)
            continue
        part = filled.get(entry.place) or filled[entry.place.split(".")[0]]
        assert part == entry.part, entry.place


def test_items_belong_to_the_part_of_their_list(schema: GraphQLSchema) -> None:
    for kind in disclosed_types(schema):
        for name, field in kind.fields.items():
            inner = get_named_type(field.type)
            entry = FIELDS.get(f"{kind.name}.{name}")
            if entry is None or not isinstance(inner, GraphQLObjectType) or name == "otherAdults":
                continue
            parts = {FIELDS[f"{inner.name}.{own}"].part for own in inner.fields if f"{inner.name}.{own}" in FIELDS}
            assert parts == {entry.part}, f"{kind.name}.{name}"


def test_parts_and_places_follow_the_registry_and_not_the_caller() -> None:
    asked = ["Loan.balance", "TaxSection.grades", "IdentitySection.name", "TaxSection.completeness"]
    assert parts_of(asked) == parts_of(reversed(asked))
    assert [place for place, _ in places_of(asked)] == ["identity.name", "tax.grades"]


def test_conventions(schema: GraphQLSchema) -> None:
    for root in (schema.query_type, schema.mutation_type):
        assert root is not None
        for name, field in root.fields.items():
            assert not name.startswith("get")
            assert field.description
            assert is_non_null_type(field.type)
            assert not is_list_type(field.type.of_type)
            assert field.type.of_type.name.endswith("Result")
    mutation = schema.mutation_type
    assert mutation is not None
    for name, field in mutation.fields.items():
        assert set(field.args) == {"input"}, name
        assert "idempotencyKey" in field.args["input"].type.of_type.fields
    for kind in schema.type_map.values():
        if kind.name.startswith("__") or not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            continue
        assert kind.description, kind.name
        assert all(field.description for field in kind.fields.values()), kind.name
