"""Household roster, relief and life events of the prefecture's civil affairs bureau, over SOAP.

Four feeds are walked one after the other, each as pages of one snapshot: households, members, relief, events. The
watermark is ``{"<feed>": "<asOf of its last complete walk>"}``; a feed's next walk starts 24 hours before, because a
row may become visible that late. What the rows hold is documented in hub/connectors/formats/civil_rows.py.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lxml import etree

from hub.connectors.check import UnreadableKeys
from hub.connectors.formats.civil_rows import FEEDS, Feed, civil_row, local_name, parse_instant
from hub.connectors.port import Memory
from hub.connectors.sources import CivilSource, read_secret
from hub.connectors.transport.http import HttpCaller, Pace
from hub.connectors.transport.soap import SoapFault, SoapService
from hub.connectors.transport.tls import trust_only
from hub.core.clock import Clock, day_of, iso
from hub.core.errors import SourceError
from hub.core.phases import Phase, passing
from hub.core.rows import CheckedRow, Step

WSDL = Path(__file__).parent.parent / "wsdl" / "civil_affairs.wsdl"
"""The agency's published service description."""

PAGE_SIZE = 200
"""Rows per call, the most the agency allows."""

PAGES_PER_STEP = 10
"""Rows are merged in sets of this many pages: at ten calls a second that is one step a second."""

CALLS_PER_SECOND = 9.8
"""A little under the agency's ten, for clocks that disagree."""

LATE = timedelta(hours=24)
"""A row may become visible this long after its time of change."""

MAX_RESTARTS = 3
"""How often one walk starts again because its snapshot expired, before the source fails."""

_COUNT = re.compile(r"[0-9]{1,12}")
_BUSY = "CA-9001"
_SNAPSHOT_EXPIRED = "CA-1007"
_PERMANENT = {
    "CA-1001": (
        "does not accept the hub's user name, password digest or time",
        "Check username_file and password_file, and that the machine's clock is right to within 5 minutes.",
    ),
    "CA-1002": ("does not accept a parameter of the call", "Ask the agency whether its interface changed."),
}


class _SnapshotExpiredError(Exception):
    """The agency has forgotten the snapshot; the walk starts again from page 1."""


@dataclass(frozen=True, slots=True)
class _Page:
    """One answer: which snapshot it belongs to, how many rows that has, and the row elements."""

    snapshot: str
    total: int
    page_no: int
    as_of: datetime
    elements: tuple[etree._Element, ...]


@dataclass(slots=True)
class _Walk:
    """How far the walk through one snapshot has come."""

    feed: Feed
    since: datetime | None
    clock: Clock
    unreadable: UnreadableKeys
    received: int = 0
    page_no: int = 0
    first: _Page | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    """The rows of a few pages; ``ended`` if they were the last, ``failure`` if the agency could not be read further."""

    rows: tuple[CheckedRow, ...]
    ended: bool = False
    failure: SourceError | None = None


class CivilConnector:
    """Reads the four feeds of civil affairs, one call at a time."""

    kind = "civil-soap"

    def __init__(self, source: CivilSource, pace: Pace | None = None) -> None:
        self._name = source.name
        tls = None if source.ca_file is None else trust_only(source.ca_file, source=source.name)
        username = read_secret(source.username_file, source, "username_file")
        password = read_secret(source.password_file, source, "password_file")
        self._caller = HttpCaller(
            source=source.name,
            tls=tls,
            pace=pace or Pace(per_second=CALLS_PER_SECOND, burst=1),
            timeout_seconds=source.timeout_seconds,
            max_retries=source.max_retries,
        )
        self._service = SoapService(
            wsdl=WSDL,
            endpoint_url=source.endpoint_url,
            username=username,
            password=password,
            caller=self._caller,
            temporary=(_BUSY,),
            phase=Phase.CIVIL_CALL,
        )

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        marks: dict[str, str] = dict(watermark or {})
        for feed in FEEDS:
            since = datetime.fromisoformat(marks[feed.name]) - LATE if feed.name in marks else None
            for restarts_left in reversed(range(MAX_RESTARTS + 1)):
                walk = _Walk(feed, since, clock, UnreadableKeys(feed.name))
                try:
                    async with contextlib.aclosing(self._walk(walk, marks)) as steps:
                        async for step in steps:
                            yield step
                    break
                except _SnapshotExpiredError:
                    if not restarts_left:
                        raise SourceError(
                            f"The civil affairs service lost its snapshot of {feed.name} again and again.",
                            remedy="Run the pull again; if it stays so, ask the agency why snapshots expire.",
                        ) from None

    async def close(self) -> None:
        await self._caller.close()

    async def _walk(self, walk: _Walk, marks: dict[str, str]) -> AsyncGenerator[Step]:
        """All pages of a fresh snapshot; the next ones are read while the hub stores those before.

        The last step moves the feed's mark. A walk that is not whole has no such step, but what came is kept.
        """
        feed = walk.feed
        reading = asyncio.create_task(self._batch(walk))
        try:
            while True:
                batch = await reading
                if batch.ended:
                    break
                if batch.failure is None:
                    reading = asyncio.create_task(self._batch(walk))
                if batch.rows:
                    yield Step(rows=batch.rows)
                if batch.failure is not None:
                    raise batch.failure
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        assert walk.first is not None, "a walk ends with a page"
        if walk.received != walk.first.total:
            yield Step(rows=batch.rows)
            raise SourceError(
                f"The civil affairs service announced {walk.first.total} {feed.name} and delivered {walk.received}.",
                remedy="Ask the agency to check its service; what was delivered is kept and all is asked for again.",
            )
        # A time of snapshot in the future would make the next pull miss rows.
        marks[feed.name] = iso(min(walk.first.as_of, walk.clock()))
        yield Step(rows=batch.rows, watermark=dict(marks), walk_ended=feed.name)

    async def _batch(self, walk: _Walk) -> _Batch:
        rows: list[CheckedRow] = []
        for _ in range(PAGES_PER_STEP):
            try:
                page = await self._page(walk)
            except SourceError as failure:
                return _Batch(tuple(rows), failure=failure)
            origin, today = f"{walk.feed.name} page {walk.page_no}", day_of(walk.clock())
            with passing(Phase.CHECK):
                rows.extend(
                    civil_row(element, walk.feed, origin=origin, unreadable=walk.unreadable, today=today)
                    for element in page.elements
                )
            walk.received += len(page.elements)
            is_short = len(page.elements) < PAGE_SIZE
            if not page.elements or walk.received > page.total or (is_short and walk.received == page.total):
                return _Batch(tuple(rows), ended=True)
        return _Batch(tuple(rows))

    async def _page(self, walk: _Walk) -> _Page:
        """The next page of the walk, which must belong to the same snapshot as the first."""
        walk.page_no += 1
        arguments: dict[str, Any] = {"pageNo": walk.page_no, "pageSize": PAGE_SIZE}
        if walk.since is not None:
            arguments["since"] = walk.since
        if walk.first is not None:
            arguments["snapshotId"] = walk.first.snapshot
        try:
            answer = await self._service.call(walk.feed.operation, arguments, walk.clock)
        except SoapFault as fault:
            if fault.code == _SNAPSHOT_EXPIRED:
                raise _SnapshotExpiredError from None
            raise self._refused(fault.code) from None
        page = _read_page(answer, walk.feed)
        if (
            page is None
            or page.page_no != walk.page_no
            or len(page.elements) > PAGE_SIZE
            or not _fits(page, walk.first)
        ):
            raise SourceError(
                f"The civil affairs service answered page {walk.page_no} of {walk.feed.name} with something that is "
                "no such page of the snapshot.",
                remedy="Ask the agency to check its service; nothing of this page was used.",
            )
        walk.first = walk.first or page
        return page

    def _refused(self, code: str) -> SourceError:
        what, remedy = _PERMANENT.get(code, ("answered with an unexpected fault", "Ask the agency what it means."))
        return SourceError(f"The civil affairs service {self._service.place} {what} ({code}).", remedy=remedy)


def _fits(page: _Page, first: _Page | None) -> bool:
    """Whether a page belongs to the snapshot that the first page of the walk opened."""
    return first is None or (page.snapshot, page.total) == (first.snapshot, first.total)


def _read_page(answer: etree._Element, feed: Feed) -> _Page | None:
    """The page in an answer, or ``None`` if its snapshot, total, number or time is missing or malformed."""
    head = {local_name(child): (child.text or "").strip() for child in answer if len(child) == 0}
    as_of = parse_instant(head.get("asOf", ""))
    total, page_no = head.get("total", ""), head.get("pageNo", "")
    if not head.get("snapshotId") or as_of is None or not (_COUNT.fullmatch(total) and _COUNT.fullmatch(page_no)):
        return None
    elements = tuple(child for child in answer if local_name(child) == feed.element)
    return _Page(head["snapshotId"], int(total), int(page_no), as_of, elements)
