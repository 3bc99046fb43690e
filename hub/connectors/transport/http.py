"""Web services of agencies: one client per source, that trusts only the source's CA, keeps the agency's pace, and
tries again what may pass.

No system trust store, no proxies from the environment, no redirects: an agency's address is the one in the settings.
"""

import asyncio
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from hub.connectors.transport.backoff import with_retries
from hub.connectors.transport.tls import certificate_failure
from hub.core.errors import RetryableError, SourceError
from hub.core.phases import Phase, passing

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Largest answer that is read into memory, unless the caller allows more; a page has well under one megabyte."""

WHOLE_CALL_TIMEOUTS = 20
"""A call may last this many times ``timeout_seconds`` in all, so that a dripping answer does not hold the pull."""

CODINGS = frozenset({"gzip", "deflate"})
"""Content codings that are undone: a piece read from the network grows to a thousand times its size at most. Several on
top of one another, or stronger ones, would fill the memory before the size can be checked."""

_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that was read in full. ``place`` is host and path, for sentences; never the query."""

    status: int
    body: bytes
    place: str


class Pace:
    """Keeps calls under an agency's limit: at most ``burst`` at once, then ``per_second``."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._interval = 1 / per_second
        self._slack = self._interval * (burst - 1)
        self._next = 0.0

    async def wait(self) -> None:
        """Return when one more call may be made."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._next - self._slack)
        self._next = max(now, self._next) + self._interval
        if start > now:
            await asyncio.sleep(start - now)


class HttpCaller:
    """Makes the calls of one source.

    ``tls`` is the context of :func:`~hub.connectors.transport.tls.trust_only`; ``None`` only if the settings allow
    plain connections, it then refuses any https address.
    """

    def __init__(
        self, *, source: str, tls: ssl.SSLContext | None, pace: Pace, timeout_seconds: float, max_retries: int
    ) -> None:
        self._source = source
        self._pace = pace
        self._timeout_seconds = timeout_seconds
        self._max_retries = max_retries
        no_trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without a CA every certificate fails
        self._client = httpx.AsyncClient(
            verify=tls if tls is not None else no_trust,
            timeout=timeout_seconds,
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": "credit-hub", "Accept-Encoding": "gzip, deflate"},
        )

    async def call(
        self,
        method: str,
        url: str,
        judge: Callable[[Reply], _T],
        *,
        phase: Phase,
        expect: Collection[int] = (200,),
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        basic: tuple[str, str] | None = None,
        as_sent: bool = False,
        max_bytes: int = MAX_BODY_BYTES,
        content: Callable[[], tuple[bytes, Mapping[str, str]]] | None = None,
    ) -> _T:
        """What ``judge`` makes of the answer.

        A status in ``expect`` is given to ``judge``, which may raise :class:`RetryableError`; temporary failures are
        tried again with backoff, others raise :class:`SourceError` at once. ``as_sent`` gives the body's bytes
        untouched even if the server names a content encoding; there may be ``max_bytes`` of them. ``content`` makes the
        request's body and the headers that go with it, anew for each attempt (a signed envelope must not be sent
        twice). ``phase`` names each attempt, without the wait for the agency's pace.
        """

        async def attempt() -> _T:
            await self._pace.wait()
            body, body_headers = (None, {}) if content is None else content()
            request = self._client.build_request(
                method, url, params=params, headers={**(headers or {}), **body_headers}, data=form, content=body
            )
            with passing(phase):
                return judge(await self._send(request, expect, basic, as_sent, max_bytes))

        return await with_retries(attempt, max_retries=self._max_retries)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _send(
        self,
        request: httpx.Request,
        expect: Collection[int],
        basic: tuple[str, str] | None,
        as_sent: bool,
        max_bytes: int,
    ) -> Reply:
        place = _place(str(request.url))
        auth = None if basic is None else httpx.BasicAuth(*basic)
        try:
            async with asyncio.timeout(self._timeout_seconds * WHOLE_CALL_TIMEOUTS):
                response = await self._client.send(request, auth=auth, stream=True)
                try:
                    self._judge_status(response, expect, place)
                    body = await self._read(response, place, as_sent, max_bytes)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            raise self._transport_failure(error, place) from None
        return Reply(response.status_code, body, place)

    def _judge_status(self, response: httpx.Response, expect: Collection[int], place: str) -> None:
        status = response.status_code
        if status in expect:
            return
        if status in _TEMPORARY:
            raise RetryableError(
                f"{place} answered HTTP {status} for source `{self._source}`.",
                retry_after=_retry_after(response.headers.get("Retry-After")),
                remedy="Run the pull again later.",
            )
        raise SourceError(
            f"{place} answered HTTP {status} for source `{self._source}`.",
            remedy="Check the addresses and credentials of this source with the agency.",
        )

    async def _read(self, response: httpx.Response, place: str, as_sent: bool, max_bytes: int) -> bytes:
        codings = [name.strip().lower() for name in response.headers.get("Content-Encoding", "").split(",")]
        unusual = [name for name in codings if name not in {"", "identity"}]
        if not as_sent and (len(unusual) > 1 or not CODINGS.issuperset(unusual)):
            raise SourceError(
                f"{place} packs its answer in a way that was not asked for, for source `{self._source}`.",
                remedy="Ask the agency to send its answers plain or with gzip.",
            )
        body = bytearray()
        async for chunk in response.aiter_raw() if as_sent else response.aiter_bytes():
            body += chunk
            if len(body) > max_bytes:
                raise SourceError(f"{place} sent more than {max_bytes >> 20} MiB for source `{self._source}`.")
        return bytes(body)

    def _transport_failure(self, error: Exception, place: str) -> SourceError:
        failure = certificate_failure(error, source=self._source, host=place.partition("/")[0])
        if failure is not None:
            return failure
        slow = isinstance(error, httpx.TimeoutException | TimeoutError)
        what = "did not answer in time" if slow else "could not be reached or broke the connection"
        return RetryableError(
            f"{place} {what} for source `{self._source}`.", remedy="Check that the agency is up; run the pull again."
        )


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def _retry_after(header: str | None) -> float | None:
    """The seconds an agency asks to wait; ``None`` if it names none (the agencies do not use the date form)."""
    return float(header) if header is not None and header.strip().isdecimal() else None
