"""The server process: opens the hub, listens, and ends cleanly on a signal.

uvicorn with uvloop and httptools serves one process; the disclosure shares round trips among the requests of a process,
so a second one on the same two cores gains little (docs/PLAN.md).
"""

import asyncio
import socket

import uvicorn
from starlette.applications import Starlette

from hub.app import build_app, build_metrics, open_hub, publish_rules
from hub.core.errors import SettingsError
from hub.settings import Settings
from hub.store.prepare import prepare

STOP_SECONDS = 5
"""How long requests in hand may take after a signal."""


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises :class:`SettingsError` in one sentence if the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise _refusal(host, port, error) from None
    bound.setblocking(False)
    return bound


def _refusal(host: str, port: int, error: OSError) -> SettingsError:
    if isinstance(error, PermissionError):
        return SettingsError(
            f"port {port} may not be used by this user.",
            remedy="Choose one above 1023 with HUB_PORT.",
            code="PORT_DENIED",
        )
    if isinstance(error, socket.gaierror):
        return SettingsError(
            "HUB_HOST is no address of this machine.", remedy="Use 127.0.0.1, or an address of a network card."
        )
    return SettingsError(
        f"port {port} on {host} cannot be listened on ({error.strerror}).",
        remedy="Stop the program that uses it, or choose another with HUB_PORT.",
        code="PORT_IN_USE",
    )


async def serve(settings: Settings, bound: socket.socket, metrics: socket.socket | None = None) -> None:
    """Answer requests until a signal comes; ``metrics`` is the socket of the metrics listener, if there is one.

    Raises :class:`~hub.core.errors.HubError` where the hub is not fit.
    """
    database = await prepare(settings.store_options())
    await publish_rules(settings, database)
    async with open_hub(settings, database) as hub:
        server = uvicorn.Server(_config(build_app(hub)))
        if metrics is None:
            await server.serve(sockets=[bound])
            return
        beside = uvicorn.Server(_config(build_metrics(hub)))
        offering = asyncio.create_task(beside._serve(sockets=[metrics]))  # signals are the API server's to take
        try:
            await server.serve(sockets=[bound])
        finally:
            beside.should_exit = True
            await offering


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",  # the loop is running already, see `run`
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def run(settings: Settings) -> None:
    """Bind first, so that a port in use is told before anything is started; then serve."""
    import uvloop

    bound = listen(settings.host, settings.port)
    metrics = None
    try:
        if settings.metrics_port is not None:
            metrics = listen(settings.metrics_host, settings.metrics_port)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, bound, metrics))
    finally:
        for each in (bound, metrics):
            if each is not None:
                each.close()
