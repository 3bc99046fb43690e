"""The executable schema: types, rules, caches, and what happens around one operation."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import strawberry
from graphql import DocumentNode, ExecutionResult, FieldNode, GraphQLError, GraphQLSchema, OperationDefinitionNode
from strawberry.extensions import AddValidationRules, MaxTokensLimiter, ParserCache, SchemaExtension
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import validate_document
from strawberry.types.execution import ExecutionContext

from hub.schema.borrower import plain
from hub.schema.context import OperationContext
from hub.schema.errors import log_errors
from hub.schema.limits import RULES, TOKENS_MAX
from hub.schema.messages import text
from hub.schema.mutation import Mutation
from hub.schema.plan import PlannedExecutor
from hub.schema.query import Query
from hub.schema.selection import operation_of
from hub.schema.types.scalars import SCALARS, resolve_plain

_CACHED_DOCUMENTS = 1000

_DISCLOSING = (["borrowerProfile"], ["benefitEligibility"])
"""The root fields whose answer is one call of the gate, which uses up the proof itself."""


class ValidatedTexts(SchemaExtension):
    """Remembers what validation found by the text of the document.

    The framework's own cache looks a document up by its whole tree, which is hashed anew for every request: a third of
    the time that everything around the execution takes.
    """

    _found: OrderedDict[str, list[GraphQLError]] = OrderedDict()  # noqa: RUF012 - one for all requests, on purpose

    def on_validate(self) -> Iterator[None]:
        execution, found = self.execution_context, self._found
        text = execution.query or ""
        errors = found.get(text)
        if errors is None:
            document = cast(DocumentNode, execution.graphql_document)
            errors = found[text] = validate_document(execution.schema._schema, document, execution.validation_rules)
            if len(found) > _CACHED_DOCUMENTS:
                found.popitem(last=False)
        execution.pre_execution_errors = errors
        yield


class OperationFrame(SchemaExtension):
    """Puts the normalised operation into the context before execution and the receipt into the reply after it."""

    def on_validate(self) -> Iterator[None]:
        # This extension stands behind the validation cache, whose findings are there already.
        execution = self.execution_context
        if not execution.pre_execution_errors and (refusal := self._refusal(execution)):
            execution.pre_execution_errors = [refusal]
        yield

    def _refusal(self, execution: ExecutionContext) -> GraphQLError | None:
        """Why a valid document is not executed in this request."""
        document, name = execution.graphql_document, execution._provided_operation_name
        if document is None:
            return None
        if name is None and sum(isinstance(node, OperationDefinitionNode) for node in document.definitions) > 1:
            return GraphQLError(
                "The document holds several operations; name the one to run.",
                extensions={"code": "OPERATION_RESOLUTION_FAILURE"},
            )
        if cast(OperationContext, execution.context).method == "GET" and _reads_data(document, name):
            return GraphQLError(
                "Data are read by POST only, so that nothing about a person stands in a URL.",
                extensions={"code": "BAD_REQUEST"},
            )
        return None

    async def on_execute(self) -> AsyncIterator[None]:
        execution = self.execution_context
        context = cast(OperationContext, execution.context)
        if context.bearer.is_system and (refusal := await _refused_system(context, execution)):
            execution.result = ExecutionResult(data=None, errors=[refusal])
        context.operation = operation_of(execution.query or "", execution.operation_name)
        context.variables = {
            name: plain(value)
            for name, value in (execution.variables or {}).items()
            if name in context.operation.variables
        }
        yield

    def get_results(self) -> dict[str, Any]:
        receipt = cast(OperationContext, self.execution_context.context).receipt
        return {} if receipt is None else {"receipt": receipt.as_json()}


async def _refused_system(context: OperationContext, execution: ExecutionContext) -> GraphQLError | None:
    """Why a system's operation is not executed: its proof is used up elsewhere than in a disclosure, and a token that
    stands for a consent reads one profile and does nothing else.
    """
    document = execution.graphql_document
    if document is None or _roots(document, execution.operation_name) in _DISCLOSING:
        return None
    bearer = context.bearer
    if bearer.proof is not None:
        if not await context.ports.proofs.spend(bearer.token_id, bearer.id, bearer.proof):
            context.challenge = "invalid_dpop_proof"
            return GraphQLError("The DPoP proof was used before.", extensions={"code": "UNAUTHENTICATED"})
        context.bearer = replace(bearer, proof=None)
    if bearer.grant is not None and _reads_data(document, execution.operation_name):
        message = text("NOT_ALLOWED", context.language)
        return GraphQLError(message, extensions={"code": "NOT_ALLOWED"})
    return None


def _roots(document: DocumentNode, name: str | None) -> list[str]:
    """Names of the root fields of the operation; a fragment at the root gives an empty name."""
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode) and (name is None or (node.name and node.name.value == name)):
            return [item.name.value if isinstance(item, FieldNode) else "" for item in node.selection_set.selections]
    return []


def _reads_data(document: DocumentNode, name: str | None) -> bool:
    """Whether the operation has any root field but introspection; a fragment at the root counts as one."""
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode) and (name is None or (node.name and node.name.value == name)):
            return any(
                not getattr(getattr(item, "name", None), "value", "").startswith("__")
                for item in node.selection_set.selections
            )
    return False


class HubSchema(strawberry.Schema):
    """The schema with an error log that holds no values."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        log_errors(errors)

    @property
    def graphql(self) -> GraphQLSchema:
        """The schema as the engine knows it."""
        return self._schema


@lru_cache(maxsize=1)
def build_schema() -> HubSchema:
    """The one schema; building it checks that every field is classified."""
    return HubSchema(
        query=Query,
        mutation=Mutation,
        execution_context_class=PlannedExecutor,
        config=StrawberryConfig(
            default_resolver=resolve_plain, disable_field_suggestions=True, scalar_map=SCALARS, relay_max_results=100
        ),
        extensions=[
            lambda: MaxTokensLimiter(max_token_count=TOKENS_MAX),
            lambda: AddValidationRules(list(RULES)),
            lambda: ParserCache(maxsize=_CACHED_DOCUMENTS),
            ValidatedTexts,
            OperationFrame,
        ],
    )


def sdl() -> str:
    """The text of ``schema.graphql``."""
    return print_schema(build_schema()) + "\n"
