"""Reads a source ahead of the ledger: while some steps are stored, the next are read and checked.

What has come by the time the ledger is free again is stored together. So an agency that answers at once is stored in
large sets, one that answers slowly page by page, and neither the network nor the database waits for the other.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from hub.core.rows import Step

ROWS_TOGETHER = 4000
"""Rows that are stored in one transaction at most, unless one step alone has more; as many may wait meanwhile."""

STEPS_TOGETHER = 100
"""Steps that are stored in one transaction at most: a clinic's list has a dozen rows."""


async def read_ahead(steps: AsyncGenerator[Step, None]) -> AsyncGenerator[Sequence[Step], None]:
    """The steps in their order, in groups of what is there; pages that follow one another come as one step.

    What was read before the source failed comes before its error. Closes ``steps``.
    """
    waiting: deque[Step] = deque()
    arrived, taken = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        try:
            async with aclosing(steps) as stream:
                async for step in stream:
                    waiting.append(step)
                    arrived.set()
                    while len(waiting) >= STEPS_TOGETHER or sum(len(each.rows) for each in waiting) >= ROWS_TOGETHER:
                        taken.clear()
                        await taken.wait()
        finally:
            arrived.set()

    reading = asyncio.create_task(read())
    try:
        while True:
            await arrived.wait()
            group = _take(waiting)
            taken.set()
            if not waiting and not reading.done():
                arrived.clear()
            if group:
                yield group
            elif reading.done():
                await reading
                return
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def _take(waiting: deque[Step]) -> list[Step]:
    """What can be stored together out of what waits."""
    group: list[Step] = []
    rows = 0
    while waiting and (not group or rows + len(waiting[0].rows) <= ROWS_TOGETHER):
        step = waiting.popleft()
        rows += len(step.rows)
        if group and _is_page(group[-1]) and _is_page(step):
            before = group.pop()
            mark = before.watermark if step.watermark is None else step.watermark
            step = replace(step, rows=before.rows + step.rows, watermark=mark)
        group.append(step)
    return group


def _is_page(step: Step) -> bool:
    return step.file is None and step.refused is None and step.walk_ended is None
