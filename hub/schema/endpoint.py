"""The guarded endpoint: no token, no schema. Everything behind it has a bearer whose token is good at this moment."""

from collections.abc import Awaitable, Callable

import orjson
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.core.errors import HubError, RefusedError
from hub.schema.context import Bearer
from hub.schema.messages import language_of, text

Authenticate = Callable[[Request], Awaitable[Bearer | None]]
"""The bearer of a request, ``None`` without a token. Raises :class:`RefusedError` for a token or proof that cannot be
used; its code, in lower case, is the error of RFC 6750 or RFC 9449 that is told.
"""

_ALGORITHMS = "ES256 PS256 Ed25519 EdDSA"
_ERRORS = frozenset({"invalid_token", "invalid_dpop_proof", "use_dpop_nonce"})


class Guarded:
    """Authenticates, then hands on with the bearer in ``request.state.bearer``.

    ``nonce`` gives the server's present nonce (RFC 9449 section 9); ``told`` hears of each refusal by its error.
    """

    def __init__(
        self, app: ASGIApp, authenticate: Authenticate, nonce: Callable[[], str], told: Callable[[str], None]
    ) -> None:
        self._app = app
        self._authenticate = authenticate
        self._nonce = nonce
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 (RFC 6750, RFC 9449) without a usable token and proof, 503 where the database cannot say."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if "dpop" in request.headers:
            send = self._with_nonce(send)
        try:
            bearer = await self._authenticate(request)
        except RefusedError as error:
            name = error.code.lower()
            if name != "use_dpop_nonce":
                self._told(name)
            await refused(request, name)(scope, receive, send)
            return
        except HubError as error:
            await _unavailable(request, error)(scope, receive, send)
            return
        if bearer is None:
            await refused(request, None)(scope, receive, send)
            return
        scope.setdefault("state", {})["bearer"] = bearer
        await self._app(scope, receive, send)

    def _with_nonce(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["dpop-nonce"] = self._nonce()
            await send(message)

        return sending


def refused(request: Request, error: str | None) -> Response:
    """The answer to a request without a usable token (``error`` ``None``: without any) or proof."""
    language = language_of(request.headers.get("accept-language", ""))
    body = {"errors": [{"message": text("UNAUTHENTICATED", language), "extensions": {"code": "UNAUTHENTICATED"}}]}
    named = "" if error is None else f', error="{error if error in _ERRORS else "invalid_token"}"'
    response = Response(orjson.dumps(body), 401, {"cache-control": "no-store"}, "application/json; charset=utf-8")
    if error is None or "dpop" not in error:  # who speaks DPoP is told of DPoP alone: some clients read one challenge
        response.headers.append("www-authenticate", f'Bearer realm="credit-hub"{named}')
    response.headers.append("www-authenticate", f'DPoP realm="credit-hub", algs="{_ALGORITHMS}"{named}')
    return response


def _unavailable(request: Request, error: HubError) -> Response:
    language = language_of(request.headers.get("accept-language", ""))
    extensions = {"code": "INTERNAL_SERVER_ERROR", "reason": error.code}
    body = {"errors": [{"message": text("INTERNAL", language), "extensions": extensions}]}
    return Response(orjson.dumps(body), 503, {"retry-after": "5"}, "application/json; charset=utf-8")
