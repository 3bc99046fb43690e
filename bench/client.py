"""The load client: closed loop over keep-alive connections, raw HTTP/1.1, in a process of its own.

A general HTTP client costs more than the servers it measures; this one sends bytes made beforehand and reads as much of
the reply as it must. Jobs come as JSON lines on standard input, results go out as JSON lines. Every reply must have
status 200 and hold all the marks of the job; others count as errors.
"""

import asyncio
import json
import sys
import time
from typing import Any, cast

import uvloop


class Loop:
    """One job: ``concurrency`` connections ask one after another until the time is over."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.host, self.port = job["host"], job["port"]
        self.marks = [mark.encode() for mark in job["marks"]]
        self.requests: list[bytes] = [_request(job, body) for body in job["bodies"]]
        self.next: int = job.get("first", 0)
        self.latencies: list[float] = []
        self.errors = 0
        self.bytes = 0
        self.first_error = ""
        self.until = 0.0
        self.left = job["concurrency"]
        self.done = asyncio.get_running_loop().create_future()

    def request(self) -> bytes:
        """The next request; borrowers go round in one order, so that none is asked about twice at one moment."""
        self.next += 1
        return self.requests[self.next % len(self.requests)]

    def closed(self) -> None:
        """One connection has ended."""
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


def _request(job: dict[str, Any], body: str) -> bytes:
    raw = body.encode()
    lines = [f"POST {job['path']} HTTP/1.1", f"Host: {job['host']}:{job['port']}", f"Content-Length: {len(raw)}"]
    lines += [f"{name}: {value}" for name, value in job["headers"].items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._buffer = b""
        self._began = 0.0
        self._need = -1
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        self._began = time.perf_counter()
        if self._began >= self._loop.until:
            self._transport.close()
            return
        self._buffer, self._need = b"", -1
        self._transport.write(self._loop.request())

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self._need < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._need = end + 4 + _length(self._buffer[:end])
        if len(self._buffer) < self._need:
            return
        loop = self._loop
        now = time.perf_counter()
        if self._buffer.startswith(b"HTTP/1.1 200") and all(mark in self._buffer for mark in loop.marks):
            loop.latencies.append(now - self._began)
            loop.bytes += len(self._buffer)
        else:
            loop.errors += 1
            loop.first_error = loop.first_error or self._buffer[:2000].decode("utf-8", "replace")
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None or time.perf_counter() < self._loop.until:
            self._loop.errors += 1
            self._loop.first_error = self._loop.first_error or f"connection lost: {error}"
        self._loop.closed()


def _length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.index(b"content-length:") + 15
    end = lowered.find(b"\r\n", start)
    return int(lowered[start : end if end >= 0 else None])


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job."""
    loop = Loop(job)
    began = time.perf_counter()
    loop.until = began + job["seconds"]
    running = asyncio.get_running_loop()
    for _ in range(job["concurrency"]):
        await running.create_connection(lambda: Connection(loop), loop.host, loop.port)
    await loop.done
    seconds = time.perf_counter() - began
    latencies = sorted(loop.latencies)
    return {
        "answered": len(latencies),
        "rate": len(latencies) / seconds,
        "p50_ms": quantile(latencies, 0.5) * 1000,
        "p99_ms": quantile(latencies, 0.99) * 1000,
        "bytes": loop.bytes / max(1, len(latencies)),
        "errors": loop.errors,
        "first_error": loop.first_error,
        "next": loop.next,
    }


def quantile(ordered: list[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed; 0 for none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def main() -> None:
    """Do the jobs that come in."""
    for line in sys.stdin:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(run(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
