"""What every request passes: a limit on its body, an id, and the headers that keep browsers out of trouble."""

import re
from uuid import uuid4

import orjson
import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_MAX = 256 * 1024
"""Bytes of a request body; the largest lawful operation is a small part of it."""

EVIDENCE_PATH = "/evidence/"
EVIDENCE_MAX = 1024 * 1024
"""Bytes of a picture, which is sent by itself (docs/CAPTURE.md)."""

_ID = re.compile(r"(?!.*[0-9]{15})[A-Za-z0-9._-]{8,64}")  # it is logged, so never what may be an ID number


class BodyLimit:
    """Reads the body whole before anybody parses it: :data:`BODY_MAX` bytes at most, of a picture more."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = EVIDENCE_MAX if scope["path"].startswith(EVIDENCE_PATH) else BODY_MAX
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > most:
                await _too_large(send, most)
                return
            if not message.get("more_body", False):
                break
        body: bytes | None = b"".join(chunks)

        async def replay() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            whole, body = body, None
            return {"type": "http.request", "body": whole, "more_body": False}

        await self._app(scope, replay, send)


class RequestFrame:
    """Gives every request an id (the caller's ``X-Request-Id`` if it is a plain one) and every reply its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Frame one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id

        async def framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cross-origin-resource-policy"] = "same-origin"
                headers.setdefault("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
                headers.setdefault("cache-control", "no-store")
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, framed)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            return given if _ID.fullmatch(given) else uuid4().hex
    return uuid4().hex


async def _too_large(send: Send, most: int) -> None:
    message = f"The body is larger than {most // 1024} KiB."
    body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": "BAD_REQUEST"}}]})
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
