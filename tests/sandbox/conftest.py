"""One small sandbox for all tests of this folder; each test finds it well behaved and without rate limits."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path

import pytest

from hub.sandbox.prefecture import Prefecture
from hub.sandbox.sandbox import Sandbox

AS_OF = date(2026, 11, 10)


@pytest.fixture(scope="session")
def prefecture() -> Prefecture:
    """A prefecture that nothing changes."""
    return Prefecture(11, 700, AS_OF)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder: Path = tmp_path_factory.mktemp("sandbox")
    sandbox = asyncio.run(Sandbox.start(folder, Prefecture(11, 700, AS_OF)))
    yield sandbox
    asyncio.run(sandbox.stop(remove=True))


@pytest.fixture
async def sandbox(running: Sandbox) -> Sandbox:
    for name, agency in running.agencies.items():
        await running.misbehave(name, **asdict(type(agency.misbehaviour)()))
    await running.answer_at_once()
    return running
