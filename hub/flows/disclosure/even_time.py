"""The time of an answer says nothing about a person, neither the one asked about nor another.

For an unknown number the gate and the log have less to do than for a person who is known and denied: a difference that
2,000 questions show. Equal work on both paths would have to be kept equal in every function of the gate and of the log;
an equal time need not. So an answer leaves at a whole multiple of a step after its question came, and the step is so
long that nearly all are ready before the first multiple. An answer that shows something does so too: it shares its call
of the gate, its signature of the log and the machine with denials, and would carry their time.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

EVEN_STEP = 0.1
"""Seconds of one step: some ten times what the gate and the log take on a quiet machine."""


class Departure:
    """When an answer may leave whose question came now."""

    def __init__(self, step: float) -> None:
        """``step`` in seconds, more than nothing."""
        self._loop = asyncio.get_running_loop()
        self._came = self._loop.time()
        self._step = step

    async def wait(self) -> None:
        """Wait for the next whole multiple of the step after the question came."""
        taken = self._loop.time() - self._came
        await asyncio.sleep(math.ceil(taken / self._step) * self._step - taken)


@asynccontextmanager
async def in_even_time(step: float) -> AsyncIterator[None]:
    """Ends, with an answer or a refusal, at a whole multiple of ``step`` seconds after it began."""
    departure = Departure(step)
    try:
        yield
    finally:
        await departure.wait()
