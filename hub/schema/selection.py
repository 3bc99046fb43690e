"""What one operation asks for: the set of field ids that its execution will visit, no more and no less.

Aliases, fragments, inline fragments and ``@skip``/``@include`` are honoured as the executor honours them, because the
decision and the audit entry must name exactly what was asked. The walk is done once per document; conditions that
depend on variables are kept and judged for each request.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLAbstractType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_object_type,
    parse,
    print_ast,
    separate_operations,
)

Condition = tuple[str, bool]
"""A variable and the value it must have for the field to be visited."""


class Visit(NamedTuple):
    """A field that is visited if all conditions hold."""

    field_id: str
    conditions: frozenset[Condition]


class Selection:
    """The compiled selection of one root field."""

    def __init__(self, visits: Iterable[Visit]) -> None:
        kept = list(dict.fromkeys(visits))
        self._always = frozenset(visit.field_id for visit in kept if not visit.conditions)
        self._sometimes = [visit for visit in kept if visit.conditions and visit.field_id not in self._always]

    def field_ids(self, variables: Mapping[str, Any]) -> frozenset[str]:
        """Ids of the fields visited under these (coerced) variables."""
        if not self._sometimes:
            return self._always
        return self._always.union(
            visit.field_id
            for visit in self._sometimes
            if all(variables.get(name) is wanted for name, wanted in visit.conditions)
        )


class Walk:
    """Collects the visits below the nodes of one root field."""

    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._schema = schema
        self._fragments = fragments
        self._visits: dict[Visit, None] = {}

    def selection(self, nodes: Iterable[FieldNode], type_name: str) -> Selection:
        """The selection below ``nodes`` (all with one response key) for an answer of type ``type_name``.

        ``@skip`` and ``@include`` of a node itself count too: of several nodes with one key, one may be left out.
        """
        parent = self._schema.type_map[type_name]
        if not isinstance(parent, GraphQLObjectType):
            raise TypeError(f"`{type_name}` is not an object type")
        for node in nodes:
            conditions = _conditions(node.directives, frozenset())
            if node.selection_set is not None and conditions is not None:
                self._walk(node.selection_set, parent, conditions)
        return Selection(self._visits)

    def _walk(self, selections: SelectionSetNode, parent: GraphQLObjectType, outer: frozenset[Condition]) -> None:
        for node in selections.selections:
            conditions = _conditions(node.directives, outer)
            if conditions is None:
                continue
            match node:
                case FieldNode():
                    self._visit(node, parent, conditions)
                case InlineFragmentNode():
                    if node.type_condition is None or self._applies(node.type_condition.name.value, parent):
                        self._walk(node.selection_set, parent, conditions)
                case FragmentSpreadNode():
                    fragment = self._fragments[node.name.value]
                    if self._applies(fragment.type_condition.name.value, parent):
                        self._walk(fragment.selection_set, parent, conditions)

    def _visit(self, node: FieldNode, parent: GraphQLObjectType, conditions: frozenset[Condition]) -> None:
        name = node.name.value
        if name.startswith("__"):
            return
        self._visits[Visit(f"{parent.name}.{name}", conditions)] = None
        if node.selection_set is None:
            return
        child = get_named_type(parent.fields[name].type)
        if is_object_type(child):
            self._walk(node.selection_set, child, conditions)
        elif is_abstract_type(child):
            for possible in self._schema.get_possible_types(child):
                self._walk(node.selection_set, possible, conditions)

    def _applies(self, condition: str, parent: GraphQLObjectType) -> bool:
        if condition == parent.name:
            return True
        wanted = self._schema.type_map[condition]
        return isinstance(wanted, GraphQLAbstractType) and self._schema.is_sub_type(wanted, parent)


def _conditions(directives: Iterable[DirectiveNode] | None, outer: frozenset[Condition]) -> frozenset[Condition] | None:
    """The conditions of a node under those around it, ``None`` if it can never be visited."""
    conditions = set(outer)
    for directive in directives or ():
        wanted = {"include": True, "skip": False}.get(directive.name.value)
        if wanted is None:
            continue
        argument = next(argument.value for argument in directive.arguments or () if argument.name.value == "if")
        if isinstance(argument, VariableNode):
            conditions.add((argument.name.value, wanted))
        elif isinstance(argument, BooleanValueNode) and argument.value is not wanted:
            return None
    return frozenset(conditions)


class Operation(NamedTuple):
    """One operation as it is recorded: its text in one normal form, and the variables that it declares."""

    text: str
    variables: frozenset[str]


@lru_cache(maxsize=1024)
def operation_of(document: str, name: str | None) -> Operation:
    """The named operation (or the only one) with the fragments it uses, printed in one form.

    ``document`` has been validated and holds such an operation.
    """
    parsed = parse(document, no_location=True)
    chosen = _chosen(parsed, name)
    parts = separate_operations(parsed)
    text = print_ast(parts[chosen.name.value if chosen.name else ""])
    declared = frozenset(item.variable.name.value for item in chosen.variable_definitions or ())
    return Operation(text, declared)


def _chosen(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode) and (name is None or (node.name and node.name.value == name)):
            return node
    raise LookupError("the document holds no such operation")


class Selections:
    """Compiled selections of a schema, kept by the nodes that are executed.

    Not by document: ``@skip`` and ``@include`` around nodes of one response key decide which of them are executed, and
    that differs from request to request.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._held: dict[tuple[str, tuple[int, ...]], tuple[tuple[FieldNode, ...], Selection]] = {}

    def of(
        self, type_name: str, nodes: Iterable[FieldNode], fragments: Mapping[str, FragmentDefinitionNode]
    ) -> Selection:
        """The selection of one root field of an operation that is being executed; ``fragments`` of its document."""
        executed = tuple(nodes)
        key = (type_name, tuple(map(id, executed)))  # while the nodes are held, their ids belong to nobody else
        held = self._held.get(key)
        if held is None:
            if len(self._held) >= 1024:
                self._held.clear()
            held = self._held[key] = (executed, Walk(self._schema, fragments).selection(executed, type_name))
        return held[1]
