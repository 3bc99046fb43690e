"""The peer's server: uvicorn with uvloop and httptools over Strawberry's own ASGI application, two paths."""

import argparse
import asyncio
import contextlib
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from strawberry.asgi import GraphQL

from bench.documents import PURPOSE
from bench.peer.loaders import Loaders
from bench.peer.schema import CACHED, NAIVE
from hub.core.clock import SHANGHAI
from hub.store.database import DbRole
from hub.store.prepare import StoreOptions, embedded_database
from hub.store.server import EmbeddedServer

POOL = 8
"""Connections, as many as the hub has for its queries."""


class Peer(GraphQL[dict[str, Any], None]):
    """Strawberry's view with a context per request."""

    pool: asyncpg.Pool
    bank: str

    async def get_context(self, request: Any, response: Any) -> dict[str, Any]:
        assert isinstance(request, Request)
        assert response is None or isinstance(response, Response)
        today = datetime.now(SHANGHAI).date().isoformat()
        return {
            "pool": self.pool,
            "bank": self.bank,
            "loaders": Loaders(self.pool, self.bank, PURPOSE, today),
        }


async def serve(options: argparse.Namespace) -> None:
    """Serve until terminated."""
    store = StoreOptions(options.home)
    database = embedded_database(EmbeddedServer(options.home), store).named(options.database)
    pool = await database.pool(DbRole.APP, size=POOL)
    views = {"/naive": Peer(NAIVE), "/cached": Peer(CACHED)}
    for view in views.values():
        view.pool, view.bank = pool, options.bank
    app = Starlette(routes=[Route(path, view) for path, view in views.items()])
    config = uvicorn.Config(
        app,
        port=options.port,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    with contextlib.suppress(asyncio.CancelledError):
        await uvicorn.Server(config).serve()
    await pool.close()


def main() -> None:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="bench.peer")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--bank", required=True)
    parser.add_argument("--port", type=int, required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
