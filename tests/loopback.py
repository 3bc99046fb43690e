"""Small servers of the tests on the loopback interface, which end with the test that began them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_SECONDS = 5.0


@asynccontextmanager
async def listening(handle: Handler) -> AsyncIterator[int]:
    """The port of a server that hands each connection to ``handle``.

    A server's own ``wait_closed`` does not wait for its connections (Python 3.11), so one that is left over would be
    found unclosed in a later test. Here each is closed, and its handling has ended, before the block is left.
    """
    under_way: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side hung up: what it was sent is the test's to judge
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            under_way.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        if under_way:
            _, left = await asyncio.wait(under_way, timeout=_SECONDS)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
