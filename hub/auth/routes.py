"""The HTTP side of the authorization server."""

import logging
import re
from collections.abc import Awaitable, Callable
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.auth.authorize import AuthorizePages
from hub.auth.grant_endpoint import GrantEndpoint
from hub.auth.metadata import metadata
from hub.auth.server import Answer, AuthorizationEndpoints, Posted
from hub.core.errors import HubError
from hub.store.database import DATABASE_ERRORS

LOG = logging.getLogger("hub.auth")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PUBLIC = {"cache-control": "public, max-age=300"}


def auth_routes(endpoints: AuthorizationEndpoints, pages: AuthorizePages, grants: GrantEndpoint) -> list[Route]:
    """Routes of the back channel, of the consent page, and of the documents."""

    def posted(path: str, work: Callable[[Posted], Awaitable[Answer]]) -> Route:
        async def answer(request: Request) -> Response:
            given = Posted(
                path,
                await request.body(),
                request.headers.get("content-type", ""),
                tuple(request.headers.getlist("dpop")),
            )
            return await _answered(work(given))

        return Route(path, answer, methods=["POST"])

    async def grant(request: Request) -> Response:
        found = request.path_params["grant_id"]
        return await _answered(grants.answer(request, UUID(found) if _UUID.fullmatch(found) else None))

    async def keys(_: Request) -> Response:
        return _json(200, endpoints.issuer.jwks(), _PUBLIC)

    async def document(_: Request) -> Response:
        return _json(200, metadata(endpoints.issuer.issuer), _PUBLIC)

    return [
        posted("/oauth2/token", endpoints.token),
        posted("/oauth2/par", endpoints.push),
        posted("/oauth2/introspect", endpoints.introspect),
        posted("/oauth2/revoke", endpoints.revoke),
        Route("/oauth2/grants/{grant_id}", grant, methods=["GET", "DELETE"]),
        Route("/oauth2/authorize", pages.show, methods=["GET"]),
        Route("/oauth2/authorize", pages.decide, methods=["POST"]),
        Route("/oauth2/jwks", keys, methods=["GET"]),
        Route("/.well-known/oauth-authorization-server", document, methods=["GET"]),
    ]


async def _answered(work: Awaitable[Answer]) -> Response:
    try:
        return _json(*await work)
    except HubError as error:
        code = error.code
    except DATABASE_ERRORS as error:
        code = type(error).__name__
    LOG.error("the authorization server cannot answer: %s", code)
    return _json(503, {"error": "temporarily_unavailable"}, {"retry-after": "5", "cache-control": "no-store"})


def _json(status: int, body: dict[str, object], headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(body), status_code=status, media_type="application/json", headers=headers)
