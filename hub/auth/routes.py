"""The HTTP side of the authorization server, and the check of a bearer's token (RFC 6750)."""

import logging
from collections.abc import Awaitable, Callable

import asyncpg
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.auth.server import Answer, AuthorizationEndpoints, metadata

LOG = logging.getLogger("hub.auth")


def auth_routes(endpoints: AuthorizationEndpoints) -> list[Route]:
    """Routes of the token, revocation, key and metadata documents."""

    async def answer(work: Callable[[bytes, dict[str, str]], Awaitable[Answer]], request: Request) -> Response:
        try:
            return _json(*await work(await request.body(), dict(request.headers)))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            LOG.error("the token endpoint cannot reach the database: %s", type(error).__name__)
            return _json(503, {"error": "temporarily_unavailable"}, {"retry-after": "5", "cache-control": "no-store"})

    async def token(request: Request) -> Response:
        return await answer(endpoints.token, request)

    async def revoke(request: Request) -> Response:
        return await answer(endpoints.revoke, request)

    async def keys(_: Request) -> Response:
        return _json(200, endpoints.issuer.jwks(), {"cache-control": "public, max-age=300"})

    async def document(_: Request) -> Response:
        return _json(200, metadata(endpoints.issuer.issuer), {"cache-control": "public, max-age=300"})

    return [
        Route("/oauth2/token", token, methods=["POST"]),
        Route("/oauth2/revoke", revoke, methods=["POST"]),
        Route("/oauth2/jwks", keys, methods=["GET"]),
        Route("/.well-known/oauth-authorization-server", document, methods=["GET"]),
    ]


def bearer_token(request: Request) -> str | None:
    """The token of the ``Authorization`` header; never one from a URL or a form. ``None`` if there is none."""
    values = request.headers.getlist("authorization")
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _json(status: int, body: dict[str, object], headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(body), status_code=status, media_type="application/json", headers=headers)
