"""Selections over plain answers, compiled once: what a disclosed type shows is looked up, not resolved field by field.

An answer is made in one pass (hub/schema/answer.py); below it nothing is fetched, so the general executor would only
spend some microseconds on every value to find that out. The plan of a selection is kept for as long as the parsed
document is. Directives and fragment arguments, and every value that does not fit its type, are left to the general
executor, which also says what is wrong and where.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLLeafType,
    GraphQLObjectType,
    InlineFragmentNode,
    SelectionSetNode,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from hub.core.fields import FIELDS, STRUCTURE
from hub.schema.types.scalars import camel

Complete = Callable[[Any], Any]
"""Makes a value of the answer ready to be encoded; raises what :data:`UNFIT` names if it does not fit its type."""

UNFIT = (TypeError, ValueError, LookupError, AttributeError, GraphQLError)

PLANNED = frozenset(field_id.partition(".")[0] for field_id in (*FIELDS, *STRUCTURE))
"""Names of the types whose fields are read from the answer: all disclosed types."""

_HELD_MAX = 1024
_DEFINITION = "strawberry-definition"
_TEXTS = frozenset({"String", "ID", "Decimal", "Date", "DateTime", "Digest"})
_INT_MAX = 2**31 - 1


class _Held(NamedTuple):
    """A plan, with the nodes it was made of: while they are held, their ids belong to nobody else."""

    nodes: tuple[FieldNode, ...]
    plan: Complete | None


class PlannedExecutor(StrawberryGraphQLCoreExecutionContext):
    """The general executor, but for selections on disclosed types."""

    _plans: dict[tuple[GraphQLObjectType, tuple[int, ...]], _Held] = {}  # noqa: RUF012 - one for all, on purpose

    def collect_and_execute_subfields(
        self, return_type: Any, field_details_list: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """The completed object."""
        if position_context is None and return_type.name in PLANNED:
            plan = self._plan(return_type, field_details_list)
            if plan is not None:
                try:
                    return plan(result)
                except UNFIT:
                    pass  # the general executor comes to the same value and tells where it stands
        return super().collect_and_execute_subfields(return_type, field_details_list, path, result, position_context)

    def _plan(self, kind: GraphQLObjectType, group: Any) -> Complete | None:
        nodes = tuple(details.node for details in group)
        key = (kind, tuple(map(id, nodes)))
        held = self._plans.get(key)
        if held is None:
            if len(self._plans) >= _HELD_MAX:
                self._plans.clear()
            held = self._plans[key] = _Held(nodes, self._compile(kind, group))
        return held.plan

    def _compile(self, kind: GraphQLObjectType, group: Any) -> Complete | None:
        if any(details.fragment_variable_values is not None for details in group):
            return None
        if not all(self._is_static(details.node.selection_set, set()) for details in group):
            return None
        return self._object(kind, group)

    def _is_static(self, selections: SelectionSetNode | None, seen: set[str]) -> bool:
        """Whether the selection is the same for all variables: no directive and no argument anywhere."""
        for node in selections.selections if selections is not None else ():
            inner = getattr(node, "selection_set", None)
            if node.directives or getattr(node, "arguments", None):
                return False
            if isinstance(node, FragmentSpreadNode):
                name = node.name.value
                if name in seen:
                    continue
                seen.add(name)
                definition = self.fragment_definitions[name]
                if definition.directives:
                    return False
                inner = definition.selection_set
            elif not isinstance(node, FieldNode | InlineFragmentNode):
                return False
            if not self._is_static(inner, seen):
                return False
        return True

    def _object(self, kind: GraphQLObjectType, group: Any) -> Complete | None:
        fields = []
        for response_key, inner in self.collect_subfields(kind, group)[0].items():
            name = inner[0].node.name.value
            if name == "__typename":
                fields.append((response_key, "", "", _constant(kind.name)))
                continue
            field = kind.fields[name]
            complete = self._value(field.type, inner)
            if complete is None:
                return None
            attribute = field.extensions[_DEFINITION].python_name
            fields.append((response_key, camel(attribute), attribute, complete))
        return _object_of(fields)

    def _value(self, kind: Any, group: Any) -> Complete | None:
        if is_non_null_type(kind):
            inner = self._value(kind.of_type, group)
            return None if inner is None else _non_null(inner)
        if is_list_type(kind):
            inner = self._value(kind.of_type, group)
            return None if inner is None else _list(inner)
        if is_leaf_type(kind):
            return _leaf(kind)
        if is_object_type(kind) and kind.name in PLANNED:
            inner = self._object(kind, group)
            return None if inner is None else _plain(inner)
        return None


def _constant(value: str) -> Complete:
    return lambda _: value


def _object_of(fields: Iterable[tuple[str, str, str, Complete]]) -> Complete:
    """``fields``: response key, key in a plain object, name of an attribute, completion."""
    lines = tuple(fields)

    def complete(source: Any) -> dict[str, Any]:
        if type(source) is dict:
            get = source.get
            return {key: done(get(name)) for key, name, _, done in lines}
        return {key: done(getattr(source, attribute, None)) for key, _, attribute, done in lines}

    return complete


def _plain(inner: Complete) -> Complete:
    def complete(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not dict:
            raise TypeError("not a plain object")
        return inner(value)

    return complete


def _non_null(inner: Complete) -> Complete:
    def complete(value: Any) -> Any:
        done = inner(value)
        if done is None:
            raise TypeError("null where none may be")
        return done

    return complete


def _list(inner: Complete) -> Complete:
    def complete(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not list:
            raise TypeError("not a list")
        return [inner(item) for item in value]

    return complete


def _leaf(kind: GraphQLLeafType) -> Complete:
    """Values that leave as they are go through at once; all others as the type itself says."""
    coerce = kind.coerce_output_value

    def general(value: Any) -> Any:
        if value is None:
            return None
        done = coerce(value)
        if done is None:
            raise TypeError("the type has no form for the value")
        return done

    if isinstance(kind, GraphQLEnumType):
        known: dict[tuple[type, Any], Any] = {}

        def named(value: Any) -> Any:
            key = (type(value), value)
            done = known.get(key)
            if done is None and value is not None:
                done = known[key] = general(value)
            return done

        return named
    if kind.name in _TEXTS:
        return lambda value: value if type(value) is str else general(value)
    if kind.name == "Int":
        return lambda value: value if type(value) is int and -_INT_MAX <= value <= _INT_MAX else general(value)
    if kind.name == "Boolean":
        return lambda value: value if type(value) is bool else general(value)
    return general
