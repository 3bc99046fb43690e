"""The time of an answer says nothing about a person, neither the one asked about nor another.

For an unknown number the gate and the log have less to do than for a person who is known and denied: a difference that
2,000 questions show. Equal work on both paths would have to be kept equal in every function of the gate and of the log;
an equal time need not. So such an answer leaves at a whole multiple of a step after its question came, and the step is
so long that nearly all are ready before the first multiple.

An answer that shows something would tell the same, if it were asked for beside questions about somebody else: it shares
its call of the gate, its signature of the log and the machine with denials, and would carry their time. So for a minute
after a denial all answers to the same organisation leave in even steps, those of the same call among them.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

EVEN_STEP = 0.1
"""Seconds of one step: some ten times what the gate and the log take on a quiet machine."""

WATCHED_SECONDS = 60.0
"""How long after a denial an organisation's answers all leave in even steps."""


class Denials:
    """Which organisations were denied something a moment ago."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def note(self, organisation: str) -> None:
        """Note that an organisation is denied something now."""
        now = time.monotonic()
        self._until[organisation] = now + WATCHED_SECONDS
        self._until.move_to_end(organisation)
        while next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)

    def is_watched(self, organisation: str) -> bool:
        """Whether its answers leave in even steps at this moment."""
        return self._until.get(organisation, 0.0) > time.monotonic()


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
