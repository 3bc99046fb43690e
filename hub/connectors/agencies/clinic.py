"""Arrears lists of township clinics (county medical community offices), fetched as files over SFTP.

The connector walks ``<root>/<clinic>/<day>/`` and reads every list that the clinic has marked complete and the hub has
not read before, by day, clinic and number. What was read is remembered by name, because files come up to a week late:
the watermark is only the number of lists read so far, for the operator's eyes.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from datetime import date
from itertools import islice
from typing import Any

from hub.connectors.formats.clinic_files import (
    DAY,
    MAX_CONTROL_BYTES,
    MAX_LIST_BYTES,
    ORGANISATION,
    ClinicTable,
    ListName,
    fingerprint,
    list_of_marker,
    open_list,
)
from hub.connectors.formats.clinic_plain import ListRows
from hub.connectors.port import Memory
from hub.connectors.sources import ClinicSource
from hub.connectors.transport.sftp import Account, Outbox, Unreadable
from hub.core.clock import Clock, day_of
from hub.core.errors import SourceError
from hub.core.phases import Phase, passing
from hub.core.rows import CheckedRow, FileRead, FileRefused, Step

_LISTINGS_AT_ONCE = 8
_LISTS_AHEAD = 4

ROWS_PER_STEP = 4000
"""Rows of a list that are given on at once; few lists are as long."""

ROWS_IN_A_ROW = 250
"""Rows that are checked before others get their turn: a few milliseconds."""


class ClinicConnector:
    """Reads the outbox of one county's clinics.

    A folder or file that the agency does not let the hub read stops nothing else; the source then fails after
    everything readable was read, so that the operator learns of it.
    """

    kind = "clinic-sftp"

    def __init__(self, source: ClinicSource) -> None:
        self._root = source.root.rstrip("/")
        self._outbox = Outbox(
            Account(
                host=source.host,
                port=source.port,
                username=source.username,
                private_key_file=source.private_key_file,
                known_hosts_file=source.known_hosts_file,
                timeout_seconds=source.timeout_seconds,
                max_retries=source.max_retries,
            )
        )
        self._unreadable: list[str] = []

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        self._unreadable = []
        files_read = int(watermark["files"]) if watermark else 0
        today = day_of(clock())
        complete = await self._complete_lists()
        known = await memory.read_files({name.csv for name in complete})
        refused = await memory.refused_files()
        waiting = [name for name in sorted(complete) if name.csv not in known]
        async with contextlib.aclosing(self._contents(waiting)) as contents:
            async for name, control, data in contents:
                mark = fingerprint(control, data)
                if refused.get(name.csv) == mark:
                    continue
                with passing(Phase.VERIFY):
                    table = open_list(name.csv, control, data)
                if isinstance(table, ClinicTable):
                    files_read += 1
                    async with contextlib.aclosing(steps_of_list(name, table, today, {"files": files_read})) as steps:
                        async for step in steps:
                            yield step
                else:
                    yield Step(refused=FileRefused(name.csv, table, mark))
        if self._unreadable:
            raise SourceError(
                f"{len(self._unreadable)} folders or files in the clinics' outbox cannot be read, "
                f"the first is {self._unreadable[0]}; everything else was read.",
                remedy="Ask the medical community office to give the hub's account read access to them.",
            )

    async def close(self) -> None:
        await self._outbox.close()

    async def _complete_lists(self) -> list[ListName]:
        """Every list in the outbox with its marker. Only folders with documented names are looked into."""
        try:
            top = await self._outbox.entries(self._root or "/")
        except Unreadable as error:
            raise SourceError(
                f"The outbox folder {self._root or '/'} of the clinics cannot be listed.",
                remedy="Check root, and ask the medical community office whether the account may read it.",
            ) from error
        clinics = [name for name, is_file in top if not is_file and ORGANISATION.fullmatch(name)]
        days = await self._list_all(clinics)
        folders = [
            f"{clinic}/{name}"
            for clinic, entries in zip(clinics, days, strict=True)
            for name, is_file in entries
            if not is_file and DAY.fullmatch(name)
        ]
        found: list[ListName | None] = []
        for folder, entries in zip(folders, await self._list_all(folders), strict=True):
            clinic, _, day = folder.partition("/")
            found.extend(list_of_marker(clinic, day, name) for name, _ in entries)
        return [name for name in found if name is not None]

    async def _list_all(self, folders: Iterable[str]) -> list[list[tuple[str, bool]]]:
        """The entries of each folder below the root, several listings under way at once on the one session."""
        gate = asyncio.Semaphore(_LISTINGS_AT_ONCE)

        async def entries(folder: str) -> list[tuple[str, bool]]:
            async with gate:
                try:
                    return await self._outbox.entries(f"{self._root}/{folder}")
                except Unreadable:
                    self._unreadable.append(folder)
                    return []

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(entries(folder)) for folder in folders]
        except* SourceError as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _contents(self, names: Iterable[ListName]) -> AsyncGenerator[tuple[ListName, bytes | None, bytes | None]]:
        """Control file and list of each name, in this order; a few are fetched ahead while the hub stores rows."""
        waiting = deque(names)
        ahead: deque[tuple[ListName, asyncio.Task[tuple[bytes | None, bytes | None] | None]]] = deque()
        try:
            while waiting or ahead:
                while waiting and len(ahead) < _LISTS_AHEAD:
                    name = waiting.popleft()
                    ahead.append((name, asyncio.create_task(self._fetch(name))))
                name, task = ahead.popleft()
                files = await task
                if files is not None:
                    yield name, *files
        finally:
            for _, task in ahead:
                task.cancel()
            await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)

    async def _fetch(self, name: ListName) -> tuple[bytes | None, bytes | None] | None:
        """Both files of a list; ``None`` if the hub may not read them or the agency has just cleared them away."""
        folder = f"{self._root}/{name.organisation}/{name.day}"
        try:
            control = await self._outbox.read(f"{folder}/{name.stem}.ctl", limit=MAX_CONTROL_BYTES)
            data = await self._outbox.read(f"{folder}/{name.csv}", limit=MAX_LIST_BYTES)
            if data is None and await self._outbox.read(f"{folder}/{name.stem}.ok", limit=0) is None:
                return None
        except Unreadable:
            self._unreadable.append(name.csv)
            return None
        return control, data


async def steps_of_list(
    name: ListName, table: ClinicTable, today: date, watermark: dict[str, int]
) -> AsyncGenerator[Step]:
    """The rows of a list, a few thousand in a step; others get their turn in between."""
    file = FileRead(
        name=name.csv,
        business_date=name.business_date,
        group=f"{name.organisation}|{name.day}",
        number=int(name.number),
    )
    rows: list[CheckedRow] = []
    checked = ListRows(table.header, name, today)
    records = table.records()
    while some := list(islice(records, ROWS_IN_A_ROW)):
        if len(rows) >= ROWS_PER_STEP:
            yield Step(rows=tuple(rows), file=file, file_ended=False)
            rows = []
        with passing(Phase.CHECK):
            rows.extend(checked.check(record) for record in some)
        await asyncio.sleep(0)
    yield Step(rows=tuple(rows), watermark=watermark, file=file)
