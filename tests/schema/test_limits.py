"""Documents that are too large, in one way or another, and the time it takes to say so."""

import time

import pytest
from graphql import parse, validate
from graphql.validation import specified_rules

from hub.schema.limits import ALIASES_MAX, DIRECTIVES_MAX, RULES
from hub.schema.schema import build_schema

SCHEMA = build_schema().graphql
RULE_SET = [*specified_rules, *RULES]
PROFILE = "query($input: BorrowerProfileInput!) { borrowerProfile(input: $input) { ... on BorrowerProfile { %s } } }"


def messages(document: str) -> list[str]:
    return [error.message for error in validate(SCHEMA, parse(document), RULE_SET)]


def test_an_ordinary_operation_passes() -> None:
    assert messages(PROFILE % "tax { grades { grade provenance { source } } } withheld { field reason }") == []
    assert messages("{ __typename }") == []


def test_the_usual_introspection_passes() -> None:
    from graphql import get_introspection_query

    assert messages(get_introspection_query(descriptions=True)) == []


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (" ".join(f"a{n}: asOf" for n in range(ALIASES_MAX + 1)), "aliases"),
        (" ".join("asOf @include(if: true)" for _ in range(DIRECTIVES_MAX + 1)), "directives"),
        (" ".join(f"bank {{ ownLoans {{ a{n}: provenance {{ source }} }} }}" for n in range(40)), "aliases"),
    ],
)  # fmt: skip
def test_wide_documents_are_refused(body: str, word: str) -> None:
    assert any(word in message for message in messages(PROFILE % body))


def test_one_operation_is_one_act() -> None:
    two = "{ household { __typename } consents { __typename } }"
    assert any("more than one root field" in message for message in messages(two))
    aliased = "{ a: household { __typename } b: household { __typename } }"
    assert any("more than one root field" in message for message in messages(aliased))
    hidden = "{ household { __typename } ...F } fragment F on Query { consents { __typename } }"
    assert any("more than one root field" in message for message in messages(hidden))
    assert messages("{ __typename household { __typename } }") == []


def test_a_page_costs_what_it_asks_for() -> None:
    heavy = " ".join(f"a{n}: node {{ {' '.join(['index', 'kind', 'leaf', 'entry'])} }}" for n in range(30))
    query = "query($n: Int!) { auditEvents(first: %s) { ... on AuditEventConnection { edges { %s } } } }"
    assert any("points of cost" in message for message in messages(query % ("$n", heavy)))
    assert not any("points of cost" in message for message in messages(query % ("5", heavy)))


def test_fragments_that_spread_without_end_are_judged_at_once() -> None:
    """The limiters of the framework need seconds for this: each level doubles what is below it."""
    levels = 120
    parts = [f"fragment F{n} on BorrowerProfile {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels)]
    parts.append(f"fragment F{levels} on BorrowerProfile {{ asOf }}")
    document = parse(PROFILE % "...F0" + " ".join(parts))
    started = time.perf_counter()
    found = [error.message for error in validate(SCHEMA, document, list(RULES))]
    assert time.perf_counter() - started < 1
    assert any("points of cost" in message for message in found)


def test_a_cycle_of_fragments_ends() -> None:
    document = PROFILE % "...A" + " fragment A on BorrowerProfile { ...B } fragment B on BorrowerProfile { ...A }"
    assert any("Cannot spread fragment" in message for message in messages(document))


PERSON = "{borrower: {identity: {idNumber: %s, name: %s}}, purpose: LOAN_APPLICATION}"


@pytest.mark.parametrize(
    ("variables", "given"),
    [
        ("", PERSON % ('"5"', '"n"')),
        ("($n: String!)", PERSON % ("$n", '"n"')),
        ("($i: BorrowerProfileInput = " + PERSON % ('"5"', '"n"') + ")", "$i"),
        ('($n: String = "5", $m: String!)', PERSON % ("$n", "$m")),
    ],
    ids=["literal", "half", "default of the input", "default of the number"],
)
def test_personal_data_do_not_stand_in_documents(variables: str, given: str) -> None:
    document = f"query{variables} {{ borrowerProfile(input: {given}) {{ __typename }} }}"
    assert any("must be sent as a variable" in message for message in messages(document))


def test_personal_data_in_variables_pass() -> None:
    document = f"query($n: String!, $m: String!) {{ borrowerProfile(input: {PERSON % ('$n', '$m')}) {{ __typename }} }}"
    assert messages(document) == []
