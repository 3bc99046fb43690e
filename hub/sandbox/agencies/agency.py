"""What all sandbox agencies share: a door, a way to misbehave, and HTTPS service where they speak HTTP."""

import asyncio
import contextlib
import socket
import ssl
from dataclasses import asdict, fields
from typing import Any, Generic, TypeVar

import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.core.errors import InputError
from hub.sandbox.gate import Gate
from hub.sandbox.misbehaviour import HttpMisbehaviour, Misbehaviour
from hub.sandbox.pki import KeyPair

M = TypeVar("M", bound=Misbehaviour)
H = TypeVar("H", bound=HttpMisbehaviour)

RUBBISH = b"<html><head><title>\xe6\xac\xa2\xe8\xbf\x8e</title></head><body>portal login \x00\x01</body>"
"""A body that is no answer to anything."""


class Agency(Generic[M]):
    """One agency. ``name`` is the name of its source."""

    name: str
    gate: Gate
    misbehaviour: M

    async def open(self, port: int = 0) -> None:
        """Start serving on ``port`` of 127.0.0.1 (0: any free one)."""
        raise TypeError(f"{type(self).__name__} does not say how it is opened")

    async def close(self) -> None:
        """Stop serving."""
        await self.gate.close()

    async def misbehave(self, **changes: Any) -> dict[str, Any]:
        """Change how the agency misbehaves; returns the whole state.

        Raises :class:`InputError` for a name or a kind of value that this agency does not know.
        """
        known = {f.name: getattr(self.misbehaviour, f.name) for f in fields(self.misbehaviour)}
        for name, value in changes.items():
            if name not in known:
                raise InputError(f"{self.name} knows no misbehaviour {name}.", remedy=f"Known: {', '.join(known)}.")
            kinds = _kinds_of(known[name])
            if type(value) not in kinds:
                raise InputError(f"{name} of {self.name} cannot be a {type(value).__name__}.")
        for name, value in changes.items():
            setattr(self.misbehaviour, name, value)
        await self.applied()
        return asdict(self.misbehaviour)

    async def applied(self) -> None:
        """Called after a change, for what cannot be looked up call by call."""


def _kinds_of(value: Any) -> tuple[type, ...]:
    if isinstance(value, bool):
        return (bool,)
    return (float, int) if isinstance(value, float) else (int, type(None))


class Front:
    """Stands before an agency's application: rubbish instead of an answer, and connections cut after some calls."""

    def __init__(self, app: ASGIApp, agency: "HttpAgency[Any]") -> None:
        self._app = app
        self._agency = agency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        m = self._agency.misbehaviour
        if m.cut_after_calls is not None:
            m.cut_after_calls -= 1
            if m.cut_after_calls < 0:
                m.cut_after_calls = None
                self._agency.gate.cut_all()
                return
        if m.rubbish > 0:
            m.rubbish -= 1
            await Response(RUBBISH, media_type="text/html")(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def until_started(server: uvicorn.Server, task: asyncio.Task[None]) -> None:
    """Wait until a server accepts connections; if it cannot, its own error is raised."""
    while not server.started:
        if task.done():
            await task
            return
        await asyncio.sleep(0.005)


class HttpAgency(Agency[H]):
    """An agency that serves an ASGI application over HTTPS with a certificate of the sandbox's authority."""

    def __init__(
        self,
        name: str,
        misbehaviour: H,
        identity: KeyPair,
        impostor: KeyPair,
        clients: bytes | None = None,
    ) -> None:
        """``impostor`` is shown while ``wrong_identity`` is on; ``clients``: PEM of the clients' authority, if any."""
        self.name = name
        self.misbehaviour = misbehaviour
        self.gate = Gate(misbehaviour, lambda: self._inner_port)
        self._inner_port = 0
        self._identity = identity
        self._impostor = impostor
        self._clients = clients
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    def app(self) -> ASGIApp:
        """The application to serve."""
        raise TypeError(f"{type(self).__name__} has no application")

    @property
    def origin(self) -> str:
        """Scheme, host and port as clients see them."""
        return f"https://127.0.0.1:{self.gate.port}"

    def _context(self, pair: KeyPair) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(pair.certificate, pair.key)
        if self._clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self._clients.decode())
        return context

    async def open(self, port: int = 0) -> None:
        own, other = self._context(self._identity), self._context(self._impostor)

        def choose(connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
            if self.misbehaviour.wrong_identity:
                connection.context = other

        own.sni_callback = choose
        config = uvicorn.Config(
            Front(self.app(), self),
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=120,
            ssl_context_factory=lambda _config, _default: own,
        )
        inner = socket.socket()
        inner.bind(("127.0.0.1", 0))
        self._inner_port = inner.getsockname()[1]
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[inner]))
        await until_started(self._server, self._task)
        await self.gate.open(port)

    async def close(self) -> None:
        await self.gate.close()
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            self._server.force_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
