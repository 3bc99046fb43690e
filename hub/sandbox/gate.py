"""The door of an agency: forwards connections to its server, and makes them fail on request.

All agencies stand behind such a door, so that being down, slow or cut works the same for HTTPS, SFTP and PostgreSQL.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from hub.core.errors import SettingsError
from hub.sandbox.misbehaviour import Misbehaviour

_CHUNK = 1 << 18

Target = Callable[[], int | Path]
"""Where the server listens now: a port on 127.0.0.1, or a Unix socket."""


class Gate:
    """Listens on 127.0.0.1 and forwards both ways."""

    def __init__(self, misbehaviour: Misbehaviour, target: Target) -> None:
        self._misbehaviour = misbehaviour
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self, port: int = 0) -> None:
        """Listen; port 0 means any free one. Raises :class:`SettingsError` if the port is taken."""
        try:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=_CHUNK)
        except OSError as error:
            raise SettingsError(
                f"Port {port} of 127.0.0.1 cannot be used: {error.strerror}.",
                remedy="End the program that uses it, or choose another base port.",
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut what is left."""
        if self._server is not None:
            self._server.close()
        self.cut_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_all(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        inner = None
        try:
            if self._misbehaviour.down:
                return
            target = self._target()
            if isinstance(target, Path):
                inner_reader, inner = await asyncio.open_unix_connection(str(target), limit=_CHUNK)
            else:
                inner_reader, inner = await asyncio.open_connection("127.0.0.1", target, limit=_CHUNK)
            self._writers.add(inner)
            pumps = [
                asyncio.create_task(self._pump(reader, inner, self._hold_back)),
                asyncio.create_task(self._pump(inner_reader, writer, _Cutter(self._misbehaviour))),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass  # the server behind is not there: to the client that is a broken connection
        finally:
            for end in (writer, inner):
                if end is not None:
                    self._writers.discard(end)
                    with contextlib.suppress(OSError):
                        await _finish(end, abort=self._misbehaviour.down)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Callable[[int], Awaitable[bool]]
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if not await look(len(chunk)):
                    writer.transport.abort()
                    return
                writer.write(chunk)
                await writer.drain()

    async def _hold_back(self, _: int) -> bool:
        if self._misbehaviour.slow_seconds:
            await asyncio.sleep(self._misbehaviour.slow_seconds)
        return not self._misbehaviour.down


class _Cutter:
    """Counts what one connection has sent to its client, and says when it is to be cut."""

    def __init__(self, misbehaviour: Misbehaviour) -> None:
        self._misbehaviour = misbehaviour
        self._sent = 0

    async def __call__(self, size: int) -> bool:
        m = self._misbehaviour
        self._sent += size
        if m.cut_after_bytes is not None and self._sent > m.cut_after_bytes:
            m.cut_times -= 1
            if m.cut_times <= 0:
                m.cut_after_bytes, m.cut_times = None, 1
            return False
        return not m.down


async def _finish(writer: asyncio.StreamWriter, *, abort: bool) -> None:
    if abort:
        writer.transport.abort()
    else:
        writer.close()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()
