"""What an operation asks for, compared with what the executor visits."""

from typing import Any

import pytest
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLResolveInfo,
    OperationDefinitionNode,
    build_schema,
    execute,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    parse,
    validate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.schema.schema import sdl
from hub.schema.selection import Selections, Walk, operation_of

SCHEMA = build_schema(sdl())
"""The schema without its resolvers."""

HEAD = 'borrowerProfile(input: {borrower: {borrowerId: "x"}, purpose: LOAN_APPLICATION})'


def asked(document: str, variables: dict[str, Any]) -> frozenset[str]:
    parsed = parse(document)
    fragments = {node.name.value: node for node in parsed.definitions if isinstance(node, FragmentDefinitionNode)}
    (operation,) = (node for node in parsed.definitions if isinstance(node, OperationDefinitionNode))
    nodes = [node for node in operation.selection_set.selections if isinstance(node, FieldNode)]
    return Walk(SCHEMA, fragments).selection(nodes, "BorrowerProfile").field_ids(variables)


def visited(document: str, variables: dict[str, Any]) -> set[str]:
    """The fields that graphql-core itself resolves on a profile that holds everything."""
    seen: set[str] = set()

    def resolve(_: Any, info: GraphQLResolveInfo, **__: Any) -> Any:
        if info.parent_type.name not in ("Query", "Mutation"):
            seen.add(f"{info.parent_type.name}.{info.field_name}")
        return _made(info.return_type)

    execute(SCHEMA, parse(document), field_resolver=resolve, variable_values=variables, middleware=None,
            type_resolver=lambda *_: "BorrowerProfile")  # fmt: skip
    return seen


def _made(kind: Any) -> Any:
    if is_non_null_type(kind):
        return _made(kind.of_type)
    if is_list_type(kind):
        return [_made(kind.of_type)]
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    return {"Int": 1, "Boolean": True}.get(kind.name, "x") if is_leaf_type(kind) else {}


@pytest.mark.parametrize(
    ("body", "variables", "expected"),
    [
        (
            "... on BorrowerProfile { t: tax { g: grades { x: grade } } }",
            {},
            {"tax", "TaxSection.grades", "TaxGrade.grade"},
        ),
        ("... on InvalidInput { code } ... on BorrowerProfile { asOf }", {}, {"asOf"}),
        ("... { ... on BorrowerProfile { asOf @skip(if: true) purpose @include(if: true) } }", {}, {"purpose"}),
        ("... on BorrowerProfile @include(if: $a) { asOf }", {"a": False}, set()),
        ("... on BorrowerProfile @include(if: $a) { asOf @skip(if: $b) purpose }", {"a": True, "b": True}, {"purpose"}),
        ("...F @skip(if: $a) ... on BorrowerProfile { purpose }", {"a": False}, {"asOf", "purpose"}),
        ("...F @skip(if: $a) ... on BorrowerProfile { purpose }", {"a": True}, {"purpose"}),
        ("... on UserError { message } __typename", {}, set()),
    ],
)  # fmt: skip
def test_known_selections(body: str, variables: dict[str, Any], expected: set[str]) -> None:
    document = (
        f"query($a: Boolean = false, $b: Boolean = false) {{ {HEAD} {{ {body} }} }}"
        " fragment F on BorrowerProfile { asOf }"
    )
    names = {name if "." in name else f"BorrowerProfile.{name}" for name in expected}
    assert asked(document, {"a": False, "b": False} | variables) == names


FIELDS = {
    "BorrowerProfile": ["asOf", "tax", "bank", "adverse", "withheld", "otherAdults"],
    "TaxSection": ["completeness", "grades", "arrears", "hasArrears"],
    "BankSection": ["ownLoans", "otherLoans"],
    "AdverseSection": ["items"],
    "Withheld": ["field", "reason"],
    "OtherAdult": ["ageBand", "relation"],
    "TaxGrade": ["grade", "provenance"],
    "TaxArrears": ["amount"],
    "Loan": ["balance", "provenance"],
    "LoansTotal": ["lenders"],
    "AdverseItem": ["kind", "provenance"],
    "Provenance": ["source", "validFrom"],
}
DIRECTIVES = [
    "",
    "",
    " @include(if: $a)",
    " @skip(if: $a)",
    " @skip(if: $b)",
    " @include(if: true)",
    " @skip(if: true)",
]


@st.composite
def selections(draw: st.DrawFn, kind: str = "BorrowerProfile", depth: int = 4) -> str:
    """A selection set on ``kind`` in every dress that the language allows."""
    lines = []
    for number in range(draw(st.integers(1, 3))):
        directive = draw(st.sampled_from(DIRECTIVES))
        shape = draw(st.sampled_from(["field", "field", "alias", "inline", "bare", "fact"]))
        if shape in ("inline", "bare") and depth > 0:
            inner = draw(selections(kind, depth - 1))
            lines.append(f"...{f' on {kind}' if shape == 'inline' else ''}{directive} {{ {inner} }}")
            continue
        if shape == "fact" and "provenance" in FIELDS[kind]:
            lines.append(f"... on Fact{directive} {{ provenance {{ source }} }}")
            continue
        name = draw(st.sampled_from(FIELDS[kind]))
        inner_type = get_named_type(SCHEMA.type_map[kind].fields[name].type)  # type: ignore[attr-defined]
        body = "" if is_leaf_type(inner_type) else f" {{ {draw(selections(inner_type.name, max(depth - 1, 0)))} }}"
        alias = f"a{kind}{name}{number}: " if shape == "alias" else ""
        lines.append(f"{alias}{name}{directive}{body}")
    return " ".join(lines)


@pytest.mark.long
@given(selections(), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_asked_is_what_the_executor_visits(body: str, a: bool, b: bool) -> None:
    document = f"query($a: Boolean!, $b: Boolean!) {{ {HEAD} {{ ... on BorrowerProfile {{ {body} }} }} }}"
    variables = {"a": a, "b": b}
    assert asked(document, variables) == visited(document, variables)


@pytest.mark.parametrize(
    "second",
    [
        f"{HEAD} @include(if: $b) {{ ... on BorrowerProfile {{ asOf }} }}",
        f"... @include(if: $b) {{ {HEAD} {{ ... on BorrowerProfile {{ asOf }} }} }}",
        f"... @skip(if: $b) {{ {HEAD} {{ ... on BorrowerProfile {{ asOf }} }} }}",
    ],
)
@pytest.mark.parametrize("order", [(False, True), (True, False)])
def test_what_is_decided_does_not_depend_on_earlier_requests(second: str, order: tuple[bool, bool]) -> None:
    document = parse(
        f"query($b: Boolean!) {{ {HEAD} {{ ... on BorrowerProfile {{ tax {{ hasArrears }} }} }} {second} }}"
    )
    selections = Selections(SCHEMA)
    for b in order:
        decided: list[frozenset[str]] = []
        seen: set[str] = set()

        def resolve(
            _: Any,
            info: GraphQLResolveInfo[Any],
            decided: list[frozenset[str]] = decided,
            seen: set[str] = seen,
            **__: Any,
        ) -> Any:
            if info.parent_type.name == "Query":
                selection = selections.of("BorrowerProfile", info.field_nodes, info.fragments)
                decided.append(selection.field_ids(info.variable_values.coerced))
            else:
                seen.add(f"{info.parent_type.name}.{info.field_name}")
            return _made(info.return_type)

        execute(SCHEMA, document, field_resolver=resolve, variable_values={"b": b}, middleware=None,
                type_resolver=lambda *_: "BorrowerProfile")  # fmt: skip
        assert decided == [seen]


def test_generated_documents_are_valid() -> None:
    document = f"query($a: Boolean!) {{ {HEAD} {{ ... on BorrowerProfile {{ tax @skip(if: $a) {{ hasArrears }} }} }} }}"
    assert validate(SCHEMA, parse(document)) == []


def test_an_operation_has_one_normal_form() -> None:
    loose = "query A($x: Int, $y: Int) { b:f(a: $x) ...F }  fragment F on Q { c } fragment G on Q { d } query B { e }"
    tight = "fragment G on Q{d}\n#comment\nquery B{e} query A($x:Int,$y:Int){b:f(a:$x)...F} fragment F on Q{c}"
    first, second = operation_of(loose, "A"), operation_of(tight, "A")
    assert first.variables == {"x", "y"}
    assert sorted(first.text.split()) == sorted(second.text.split())
    assert "fragment G" not in first.text
    assert operation_of(loose, "B").text == "query B {\n  e\n}"
