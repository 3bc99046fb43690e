"""The control endpoint of the sandbox: for partners who integrate and for tests in another process.

Plain HTTP on 127.0.0.1, with the bearer token of ``control.json`` in the sandbox's directory:

* ``GET /control`` - the day of the prefecture and how each agency misbehaves;
* ``POST /control/{source}`` - JSON object of changes (:mod:`hub.sandbox.misbehaviour`); answers with the whole state;
* ``POST /advance`` - ``{"day": "YYYY-MM-DD", "changes": 50}``; answers with what an incremental pull must see.
  ``changes`` may be left out: how many rows change at tax, social insurance and each bank;
* ``GET /truth`` - what the first pull must see.
"""

import asyncio
import contextlib
import hmac
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.core.errors import HubError, InputError, SettingsError
from hub.sandbox.agencies.agency import until_started
from hub.sandbox.truth import Truth

if TYPE_CHECKING:
    from hub.sandbox.sandbox import Sandbox

Handler = Callable[[Request], Awaitable[Response]]


class ControlServer:
    """Serves the control endpoint of one sandbox."""

    def __init__(self, sandbox: "Sandbox") -> None:
        self._sandbox = sandbox
        self._token = secrets.token_urlsafe(24)
        self._port = 0
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    def address(self) -> dict[str, str]:
        """Where it is, and the token."""
        return {"url": f"http://127.0.0.1:{self._port}", "token": self._token}

    async def open(self, port: int = 0) -> None:
        """Start serving. Raises :class:`SettingsError` if the port is taken."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            listener.close()
            raise SettingsError(
                f"Port {port} of 127.0.0.1 cannot be used: {error.strerror}.",
                remedy="End the program that uses it, or choose another base port.",
            ) from None
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(self._app(), lifespan="off", log_config=None, log_level="critical", access_log=False)
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        await until_started(self._server, self._task)

    async def close(self) -> None:
        """Stop serving."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            self._server.force_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/control", self._guarded(self._state), methods=["GET"]),
                Route("/control/{source}", self._guarded(self._change), methods=["POST"]),
                Route("/advance", self._guarded(self._advance), methods=["POST"]),
                Route("/truth", self._guarded(self._truth), methods=["GET"]),
            ]
        )

    def _guarded(self, handler: Handler) -> Handler:
        async def guard(request: Request) -> Response:
            given = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
                return _error(401, "TOKEN", "The token of control.json is missing or wrong.")
            try:
                return await handler(request)
            except HubError as error:
                return _error(400, error.code, str(error))

        return guard

    async def _state(self, _: Request) -> Response:
        agencies = {name: asdict(agency.misbehaviour) for name, agency in self._sandbox.agencies.items()}
        return JSONResponse({"as_of": self._sandbox.prefecture.as_of.isoformat(), "agencies": agencies})

    async def _change(self, request: Request) -> Response:
        changes = await _json_object(request)
        return JSONResponse(await self._sandbox.misbehave_here(request.path_params["source"], changes))

    async def _advance(self, request: Request) -> Response:
        asked = await _json_object(request)
        wanted, changes = asked.get("day"), asked.get("changes")
        try:
            day = date.fromisoformat(wanted) if isinstance(wanted, str) else None
        except ValueError:
            day = None
        if day is None:
            raise InputError("day is missing or no date.", remedy="Send the day as YYYY-MM-DD.")
        if changes is not None and (type(changes) is not int or changes < 0):
            raise InputError("changes is no count.", remedy="Send a whole number, or leave it out.")
        change = await self._sandbox.advance_here(day, changes)
        return JSONResponse({"as_of": day.isoformat()} | truth_as_json(change.truth))

    async def _truth(self, _: Request) -> Response:
        return JSONResponse(truth_as_json(self._sandbox.prefecture.truth))


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise InputError("The body is not a JSON object.", remedy="Send a JSON object.")
    return body


def truth_as_json(truth: Truth) -> dict[str, Any]:
    """The expected numbers of each source (names as in the pull report), conflicts counted by type."""
    names = sorted(set(truth.sources) | {q.source for q in truth.quarantined} | {r.source for r in truth.refused})
    sources = {}
    for name in names:
        numbers = truth.of(name)
        sources[name] = {
            "accepted": numbers.accepted,
            "superseded": numbers.superseded,
            "withdrawn": numbers.withdrawn,
            "quarantined": truth.quarantine_counts(name),
            "refused": truth.refused_files(name),
            "dropped_fields": dict(numbers.dropped_fields),
            "repaired_fields": dict(numbers.repaired_fields),
            "links": dict(numbers.links),
        }
    conflicts = [{"type": c.type.value, "member_no": c.member_no, "source": c.source} for c in truth.conflicts]
    return {"sources": sources, "conflicts": conflicts}


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message}, status_code=status)
