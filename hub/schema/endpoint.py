"""The guarded endpoint: no token, no schema. Everything behind it has a bearer whose token is good at this moment."""

from collections.abc import Awaitable, Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.core.errors import HubError, RefusedError
from hub.schema.context import Bearer
from hub.schema.messages import language_of, text

Authenticate = Callable[[Request], Awaitable[Bearer | None]]
"""The bearer of a request, ``None`` without a token. Raises :class:`RefusedError` for a token that cannot be used."""


class Guarded:
    """Authenticates, then hands on with the bearer in ``request.state.bearer``."""

    def __init__(self, app: ASGIApp, authenticate: Authenticate) -> None:
        self._app = app
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 (RFC 6750) without a usable token, 503 where the database cannot say."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            bearer = await self._authenticate(request)
        except RefusedError:
            await _refused(request, ' error="invalid_token"')(scope, receive, send)
            return
        except HubError as error:
            await _unavailable(request, error)(scope, receive, send)
            return
        if bearer is None:
            await _refused(request, "")(scope, receive, send)
            return
        scope.setdefault("state", {})["bearer"] = bearer
        await self._app(scope, receive, send)


def _refused(request: Request, error: str) -> Response:
    language = language_of(request.headers.get("accept-language", ""))
    body = {"errors": [{"message": text("UNAUTHENTICATED", language), "extensions": {"code": "UNAUTHENTICATED"}}]}
    headers = {
        "www-authenticate": f'Bearer realm="credit-hub"{"," + error if error else ""}',
        "cache-control": "no-store",
    }
    return Response(orjson.dumps(body), 401, headers, "application/json; charset=utf-8")


def _unavailable(request: Request, error: HubError) -> Response:
    language = language_of(request.headers.get("accept-language", ""))
    extensions = {"code": "INTERNAL_SERVER_ERROR", "reason": error.code}
    body = {"errors": [{"message": text("INTERNAL", language), "extensions": extensions}]}
    return Response(orjson.dumps(body), 503, {"retry-after": "5"}, "application/json; charset=utf-8")
