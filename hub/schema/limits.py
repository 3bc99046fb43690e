"""How large an operation may be, judged before anything is executed.

One validation rule walks every fragment once and remembers its size, so the check itself takes time in proportion to
the document, whatever the fragments spread into. (The limiters that come with the framework walk spreads again and
again: a document of 800 bytes costs them seconds.) The rule class is made once, so validated documents stay cached.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    InlineFragmentNode,
    IntValueNode,
    ObjectFieldNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

DEPTH_MAX = 12
"""Levels of fields below the operation; introspection is not counted, the engine limits it itself."""
ALIASES_MAX = 30
DIRECTIVES_MAX = 30
COST_MAX = 10_000
"""About 50 ms of one processor core."""
TOKENS_MAX = 2_000
"""Words and signs in the document; the parser stops there."""
LIST_COST = 10
"""How many items a plain list is taken to have; a page is taken to have the ``first`` it asks for."""
PAGE_MAX = 100


class Size(NamedTuple):
    """How large a selection is, all fragments spread out."""

    depth: int = 0
    cost: int = 0
    aliases: int = 0
    directives: int = 0
    roots: frozenset[str] = frozenset()


class LimitsRule(ValidationRule):
    """Refuses operations that are too deep, too wide, too costly, or that do more than one thing.

    An operation is one act, recorded as one entry of the audit log: it has at most one root field, introspection apart.
    """

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._fragments: dict[str, FragmentDefinitionNode] = {}
        self._sizes: dict[str, Size] = {}

    def enter_document(self, node: DocumentNode, *_: Any) -> None:
        """Judge every operation of the document."""
        self._fragments = {
            item.name.value: item for item in node.definitions if isinstance(item, FragmentDefinitionNode)
        }
        for item in node.definitions:
            if isinstance(item, OperationDefinitionNode):
                self._judge(item)

    def _judge(self, operation: OperationDefinitionNode) -> None:
        root = self.context.schema.get_root_type(operation.operation)
        size = self._size(operation.selection_set, root)
        declared = sum(len(item.directives or ()) for item in operation.variable_definitions or ())
        directives = size.directives + len(operation.directives or ()) + declared
        for what, found, allowed in (
            ("levels", size.depth, DEPTH_MAX),
            ("aliases", size.aliases, ALIASES_MAX),
            ("directives", directives, DIRECTIVES_MAX),
            ("points of cost", size.cost, COST_MAX),
        ):
            if found > allowed:
                self.report_error(GraphQLError(f"The operation has more than {allowed} {what}; split it.", operation))
        if len(size.roots) > 1:
            self.report_error(
                GraphQLError(
                    "The operation has more than one root field; one operation is one recorded act.", operation
                )
            )

    def _size(self, selections: SelectionSetNode, parent: Any, *, root: bool = True) -> Size:
        depth = cost = aliases = directives = 0
        roots: set[str] = set()
        for node in selections.selections:
            directives += len(node.directives or ())
            match node:
                case FieldNode():
                    part = self._field(node, parent)
                    aliases += node.alias is not None
                    if root and not node.name.value.startswith("__"):
                        roots.add(node.alias.value if node.alias else node.name.value)
                case InlineFragmentNode():
                    inner = self._named(node.type_condition.name.value) if node.type_condition else parent
                    part = self._size(node.selection_set, inner, root=root)
                case FragmentSpreadNode():
                    part = self._fragment(node.name.value)
                case _:
                    continue
            depth, cost = max(depth, part.depth), cost + part.cost
            aliases, directives = aliases + part.aliases, directives + part.directives
            if root:
                roots |= part.roots
        return Size(depth, cost, aliases, directives, frozenset(roots))

    def _field(self, node: FieldNode, parent: Any) -> Size:
        name = node.name.value
        if name.startswith("__"):
            return Size(cost=1)
        declared = parent.fields.get(name) if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else None
        if node.selection_set is None or declared is None:
            return Size(depth=1, cost=1)
        inner = self._size(node.selection_set, get_named_type(declared.type), root=False)
        times = LIST_COST if is_list_type(get_nullable_type(declared.type)) and name != "edges" else 1
        if "first" in declared.args:
            times = self._page(node)
        return Size(inner.depth + 1, 1 + times * inner.cost, inner.aliases, inner.directives)

    def _page(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value == "first" and isinstance(argument.value, IntValueNode):
                return min(int(argument.value.value), PAGE_MAX) if len(argument.value.value) < 5 else PAGE_MAX
        return PAGE_MAX

    def _fragment(self, name: str) -> Size:
        """The size of a fragment, walked once; a cycle counts as empty here and is refused by another rule."""
        if name not in self._sizes:
            self._sizes[name] = Size()
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._sizes[name] = self._size(fragment.selection_set, self._named(fragment.type_condition.name.value))
        return self._sizes[name]

    def _named(self, name: str) -> Any:
        return self.context.schema.type_map.get(name)


class PersonalDataInVariablesRule(ValidationRule):
    """Refuses an identity number or a name written into the document.

    A document is kept in caches, compared and printed; variables are not. So personal data may only come as variables,
    and a variable's default value is part of the document too.
    """

    TYPES: Mapping[str, str] = {
        "IdentityKey": "identity number or name",
        "QuarantineCorrection": "corrected value",
        "CaptureConsentsInput": "signed batch",
    }

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._with_default: set[str] = set()

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> None:
        """Remember which variables have a default."""
        self._with_default = {
            item.variable.name.value for item in node.variable_definitions or () if item.default_value is not None
        }

    def enter_object_field(self, node: ObjectFieldNode, *_: Any) -> None:
        """Judge one field of an input object written in the document."""
        parent = get_named_type(self.context.get_parent_input_type())
        if not isinstance(parent, GraphQLInputObjectType) or parent.name not in self.TYPES:
            return
        value = node.value
        if not isinstance(value, VariableNode) or value.name.value in self._with_default:
            self.report_error(
                GraphQLError(f"The {self.TYPES[parent.name]} must be sent as a variable, never in the document.", node)
            )


RULES = (LimitsRule, PersonalDataInVariablesRule)
"""Added to the rules of the specification."""
