"""Trying again: how often, how long, and when not."""

import asyncio

import pytest

from hub.connectors.transport import backoff
from hub.connectors.transport.backoff import with_retries
from hub.core.errors import RetryableError, SourceError


class Flaky:
    """Fails a number of times, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_DELAY", 0.001)


async def test_what_may_pass_is_tried_again() -> None:
    flaky = Flaky(*[RetryableError("busy")] * 3)
    assert await with_retries(flaky, max_retries=3) == "answer"
    assert flaky.calls == 4


async def test_the_last_failure_is_told_when_the_tries_are_used_up() -> None:
    flaky = Flaky(*[RetryableError(f"busy {n}") for n in range(9)])
    with pytest.raises(RetryableError, match="busy 2"):
        await with_retries(flaky, max_retries=2)
    assert flaky.calls == 3


async def test_what_will_not_pass_is_not_tried_again() -> None:
    flaky = Flaky(SourceError("no"))
    with pytest.raises(SourceError, match="no"):
        await with_retries(flaky, max_retries=8)
    assert flaky.calls == 1


async def test_the_wait_that_the_agency_asks_for_is_kept() -> None:
    start = asyncio.get_running_loop().time()
    await with_retries(Flaky(RetryableError("busy", retry_after=0.2)), max_retries=1)
    assert asyncio.get_running_loop().time() - start >= 0.2


async def test_an_agency_that_asks_for_too_long_is_left_for_the_next_run() -> None:
    flaky = Flaky(RetryableError("busy", retry_after=86_400))
    with pytest.raises(RetryableError):
        await with_retries(flaky, max_retries=8)
    assert flaky.calls == 1
