"""GraphQL over HTTP (specification draft of the GraphQL foundation), for callers with a verified token.

The framework's view answers most of the specification; this one adds the media type
``application/graphql-response+json`` with its status codes, an answer in JSON to every bad request, and limits on the
depth of what is sent. Bodies are limited in size by a middleware.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from cross_web import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from hub.schema.context import OperationContext
from hub.schema.endpoint import refused
from hub.schema.errors import clean, told
from hub.schema.messages import language_of
from hub.schema.schema import HubSchema

RESPONSE_TYPE = "application/graphql-response+json"
JSON_DEPTH_MAX = 20
"""Levels of objects and lists in a request; the deepest input of the schema has five."""

DOCUMENT_MAX = 40_000
"""Characters of a document. A thousand of them are remembered by their text, and 2,000 words need no more."""

_WHICH_OPERATION = ("Unknown operation named", "Can't get GraphQL operation type")
_NO_SUCH = "The document holds no such operation."

ContextMaker = Callable[[Request], Awaitable[OperationContext]]


class HubView(GraphQL[OperationContext, None]):
    """The endpoint. ``make_context`` gives the context of a request whose token was verified before."""

    def __init__(self, schema: HubSchema, make_context: ContextMaker) -> None:
        super().__init__(schema, graphql_ide=None, subscription_protocols=())
        self._make_context = make_context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; anything else is closed."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        try:
            response = await self.run(request)
        except HTTPException as error:
            response = _bad_request(request, error)
        response.headers["vary"] = "accept, accept-language"
        response.headers["cache-control"] = "no-store"
        await response(scope, receive, send)

    async def get_context(self, request: Any, response: Any) -> OperationContext:
        return await self._make_context(request)

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        reply: dict[str, Any] = {}
        # A request error (nothing was executed) has no `data` entry at all.
        executed = not isinstance(result, PreExecutionError)
        request_error = not executed or (
            result.data is None and bool(result.errors) and not any(error.path for error in result.errors or ())
        )
        if result.errors:
            language = language_of(request.headers.get("accept-language", ""))
            reply["errors"] = [told(error, language, validated=executed) for error in result.errors[:20]]
        if not request_error:
            reply["data"] = result.data
        if result.extensions:
            reply["extensions"] = result.extensions
        if request_error and _names_response_type(request):
            request.state.graphql_status = 400
        return reply  # type: ignore[return-value]

    def create_response(self, response_data: Any, sub_response: Response) -> Response:
        raise NotImplementedError("the reply is made in `run`, which knows the request")

    async def run(self, request: Any, context: Any = None, root_value: Any = None) -> Any:
        """Parse, execute, encode."""
        adapter = self.request_adapter_class(request)
        if not self.is_request_allowed(adapter):
            raise HTTPException(405, "GraphQL is served by GET and POST only.")
        request_data = await self._read(adapter)
        own_context = await self.get_context(request, None)
        result = await self.execute_single(request, adapter, None, own_context, None, request_data)  # type: ignore[arg-type]
        if own_context.challenge is not None:
            return refused(request, own_context.challenge)
        reply = await self.process_result(request, result)
        named = _names_response_type(request)
        return Response(
            self.encode_json(reply),
            status_code=getattr(request.state, "graphql_status", 200),
            media_type=f"{RESPONSE_TYPE}; charset=utf-8" if named else "application/json; charset=utf-8",
        )

    async def _read(self, adapter: Any) -> Any:
        try:
            data = await self.parse_http_body(adapter)
        except ValueError:
            raise HTTPException(400, "The body is not JSON in UTF-8.") from None
        if isinstance(data, list):
            raise HTTPException(400, "One request holds one operation; a list is not accepted.")
        if not data.query:
            raise HTTPException(400, "The request has no `query`.")
        if len(data.query) > DOCUMENT_MAX:
            raise HTTPException(400, f"The document is longer than {DOCUMENT_MAX} characters; split the operation.")
        if data.operation_name is not None and not isinstance(data.operation_name, str):
            raise HTTPException(400, "`operationName` must be text.")
        return data

    def decode_json(self, data: str | bytes) -> object:
        value = orjson.loads(data)
        if not isinstance(value, dict):
            raise HTTPException(400, "A request is one JSON object.")
        if _depth(value) > JSON_DEPTH_MAX:
            raise HTTPException(400, f"The request is nested deeper than {JSON_DEPTH_MAX} levels.")
        return value

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)


def _depth(value: Any) -> int:
    """Levels of nesting, counted without recursion and never beyond what is refused."""
    level, items = 0, [value]
    while items and level <= JSON_DEPTH_MAX:
        items = [
            inner
            for item in items
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        level += 1
    return level


def _names_response_type(request: Request) -> bool:
    """Whether the client names the newer media type, and not plain JSON (or anything) before it."""
    for item in request.headers.get("accept", "").split(","):
        name = item.partition(";")[0].strip().lower()
        if name == RESPONSE_TYPE:
            return True
        if name in ("application/json", "application/*", "*/*"):
            return False
    return False


def _bad_request(request: Request, error: HTTPException) -> Response:
    if error.reason.startswith(_WHICH_OPERATION):
        told_error = {"message": _NO_SUCH, "extensions": {"code": "OPERATION_RESOLUTION_FAILURE"}}
    else:
        told_error = {"message": clean(error.reason), "extensions": {"code": "BAD_REQUEST"}}
    body = {"errors": [told_error]}
    named = _names_response_type(request)
    response = Response(
        orjson.dumps(body),
        status_code=error.status_code,
        media_type=f"{RESPONSE_TYPE}; charset=utf-8" if named else "application/json; charset=utf-8",
    )
    if error.status_code == 405:
        response.headers["allow"] = "GET, POST"
    return response
