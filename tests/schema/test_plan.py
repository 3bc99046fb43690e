"""Planned selections, compared with the general executor on the same answer."""

import asyncio
from typing import Any

import pytest
import strawberry
from graphql import GraphQLEnumType, get_named_type, is_leaf_type, is_list_type, is_non_null_type
from hypothesis import given, settings
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from hub.core.names import Purpose, WithheldReason
from hub.schema.plan import PLANNED, PlannedExecutor
from hub.schema.schema import build_schema
from hub.schema.types.profile import BorrowerProfile, BorrowerProfileResult
from hub.schema.types.scalars import SCALARS, camel, resolve_plain
from tests.schema.test_selection import SCHEMA, selections


def made(kind: Any, name: str = "") -> Any:
    """A value of every field of a type, as an answer holds it."""
    if is_non_null_type(kind):
        return made(kind.of_type, name)
    if is_list_type(kind):
        return [made(kind.of_type, name), made(kind.of_type, name)]
    if isinstance(kind, GraphQLEnumType):
        return WithheldReason.NO_BASIS if name == "reason" else next(iter(kind.values))
    if is_leaf_type(kind):
        return {"Int": 3, "Boolean": True}.get(kind.name, f"text of {name}")
    return {inner: made(field.type, inner) for inner, field in kind.fields.items()}


def profile(**changes: Any) -> BorrowerProfile:
    definition = BorrowerProfile.__strawberry_definition__  # type: ignore[attr-defined]
    fields = SCHEMA.type_map["BorrowerProfile"].fields  # type: ignore[attr-defined]
    values = {
        field.python_name: made(fields[camel(field.python_name)].type, camel(field.python_name))
        for field in definition.fields
    }
    return BorrowerProfile(**values | {"purpose": Purpose.LOAN_APPLICATION} | changes)


def schema_of(answer: Any, executor: type[Any]) -> strawberry.Schema:
    def resolve() -> Any:
        return answer

    resolve.__annotations__["return"] = BorrowerProfileResult

    @strawberry.type
    class Query:
        borrower_profile = strawberry.field(resolver=resolve)

    config = StrawberryConfig(default_resolver=resolve_plain, scalar_map=SCALARS)
    return strawberry.Schema(query=Query, config=config, execution_context_class=executor)


class Counting(PlannedExecutor):
    """Says how often the general executor had to do it."""

    general = 0

    def execute_collected_subfields(self, return_type: Any, *arguments: Any) -> Any:
        type(self).general += return_type.name in PLANNED
        return super().execute_collected_subfields(return_type, *arguments)


def both(answer: Any, document: str, **variables: Any) -> tuple[Any, Any]:
    results = []
    for executor in (PlannedExecutor, StrawberryGraphQLCoreExecutionContext):
        schema = schema_of(answer, executor)
        result = asyncio.run(schema.execute(document, variable_values=variables))
        errors = [(error.message, error.path) for error in result.errors or ()]
        results.append((result.data, errors))
    return results[0], results[1]


@given(selections())
@settings(max_examples=40, deadline=None)
def test_every_selection_shows_the_same(body: str) -> None:
    head = "query($a: Boolean = true, $b: Boolean = false)"
    document = f"{head} {{ borrowerProfile {{ ... on BorrowerProfile {{ {body} }} }} }}"
    planned, general = both(profile(), document)
    assert planned == general
    assert str(planned) == str(general)  # the order of fields too


WHOLE = """{ borrowerProfile { __typename ...P } }
fragment P on BorrowerProfile { asOf purpose bank { ...B } b: bank { ownLoans { x: balance ... on Fact { provenance
{ source } } __typename } } withheld { reason form canAskConsent } adultsNotShown }
fragment B on BankSection { completeness ownLoans { contractNo guarantorCount } otherLoans { lenders } }"""


def test_a_plain_operation_never_reaches_the_general_executor() -> None:
    Counting.general = 0
    result = asyncio.run(schema_of(profile(), Counting).execute(WHOLE))
    assert result.errors is None
    assert Counting.general == 0
    assert result.data is not None
    loan = result.data["borrowerProfile"]["b"]["ownLoans"][0]
    assert loan == {"x": "text of balance", "provenance": {"source": "text of source"}, "__typename": "Loan"}


@pytest.mark.parametrize("wanted", [True, False])
def test_directives_with_variables_are_judged_each_time(wanted: bool) -> None:
    document = "query($a: Boolean!) { borrowerProfile { ... on BorrowerProfile { asOf @include(if: $a) purpose } } }"
    planned, general = both(profile(), document, a=wanted)
    assert planned == general
    assert ("asOf" in planned[0]["borrowerProfile"]) is wanted


@pytest.mark.parametrize(
    "changes",
    [
        {"bank": None},
        {"bank": {"completeness": "COMPLETE", "ownLoans": [{"balance": 5, "guarantorCount": "four"}]}},
        {"bank": {"completeness": "NEITHER", "ownLoans": []}},
        {"bank": {"completeness": None}},
        {"bank": {"completeness": "PARTIAL", "ownLoans": "no list"}},
        {"withheld": [None]},
        {"adults_not_shown": 2**31},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_as_ever(changes: dict[str, Any]) -> None:
    planned, general = both(profile(**changes), WHOLE)
    assert planned == general


def test_planned_types_have_no_resolver_and_no_argument_of_their_own() -> None:
    types = build_schema().graphql.type_map
    assert {name for name in PLANNED if name not in types} == set()
    for name in PLANNED:
        for field in types[name].fields.values():  # type: ignore[attr-defined]
            assert field.args == {}
            assert field.extensions["strawberry-definition"].base_resolver is None
            assert get_named_type(field.type).name not in ("Query", "Mutation")
