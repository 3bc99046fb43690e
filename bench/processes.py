"""Child processes: servers that are measured, and workers that take jobs as JSON lines and answer in JSON lines."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

import psutil

_LINE_MAX = 64 * 1024 * 1024
_ANSWER_SECONDS = 120


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """A child process of this run, ended by :meth:`stop`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> "Child":
        """Run a module with this Python. Standard error is shared, standard input and output are ours."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            limit=_LINE_MAX,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def rss(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    async def ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Give a job, wait for its result. Raises :class:`RuntimeError` if the child ends instead."""
        assert self._process.stdin is not None, "standard input was asked for"
        assert self._process.stdout is not None, "standard output was asked for"
        self._process.stdin.write(json.dumps(job, ensure_ascii=False).encode() + b"\n")
        await self._process.stdin.drain()
        line = await asyncio.wait_for(self._process.stdout.readline(), _ANSWER_SECONDS)
        if not line:
            raise RuntimeError(f"a child process ended with code {await self._process.wait()} instead of answering")
        result: dict[str, Any] = json.loads(line)
        return result

    async def listening(self, port: int, seconds: float = 60) -> None:
        """Wait until it answers on a port. Raises :class:`RuntimeError` if it ends or does not in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._process.returncode is not None:
                raise RuntimeError(f"a server ended with code {self._process.returncode} before it listened")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
        raise RuntimeError("a server did not listen in time")

    async def stop(self) -> None:
        """End it in order, or by force after ten seconds."""
        if self._process.returncode is None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 10)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
