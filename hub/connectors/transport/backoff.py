"""Trying again: exponential backoff with full jitter, as long as the failure may pass."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hub.core.errors import RetryableError

_T = TypeVar("_T")
FIRST_DELAY = 0.2
"""Upper bound of the wait before the first repetition, in seconds."""
LONGEST_DELAY = 30.0
"""Upper bound of any wait that the agency did not ask for itself, in seconds."""
LONGEST_RETRY_AFTER = 300.0
"""An agency that asks for a longer wait, in seconds, is left for the next run."""


async def with_retries(call: Callable[[], Awaitable[_T]], *, max_retries: int) -> _T:
    """The answer of ``call``, repeated after :class:`RetryableError` up to ``max_retries`` times.

    Waits as long as the agency asks (``retry_after``), otherwise a random time below a bound that doubles each time.
    The last failure is raised as it came.
    """
    attempt = 0
    while True:
        try:
            return await call()
        except RetryableError as error:
            if attempt >= max_retries or (error.retry_after or 0) > LONGEST_RETRY_AFTER:
                raise
            bound = min(LONGEST_DELAY, FIRST_DELAY * 2**attempt)
            delay = random.uniform(bound / 2, bound)  # noqa: S311  spreads load, keeps no secret
            await asyncio.sleep(max(delay, error.retry_after or 0))
            attempt += 1
