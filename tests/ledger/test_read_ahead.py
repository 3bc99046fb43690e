"""Steps keep their order and their watermarks however they are grouped; what was read before an error is stored."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.errors import SourceError
from hub.core.rows import FileRead, Step
from hub.flows.intake import read_ahead as module
from hub.flows.intake.read_ahead import ROWS_TOGETHER, STEPS_TOGETHER, read_ahead
from tests.ledger.rows import a_row

_FILE = FileRead("f", date(2026, 10, 19))
_ROW = a_row("a")


def _step(number: int, rows: int, *, is_file: bool, pause: int) -> tuple[Step, int]:
    mark = {"n": number} if number % 3 else None
    return Step(rows=(_ROW,) * rows, watermark=mark, file=_FILE if is_file else None), pause


steps_and_pauses = st.lists(
    st.builds(_step, st.integers(0, 9), st.integers(0, 5), is_file=st.booleans(), pause=st.integers(0, 2))
)


class Source:
    """Yields steps with pauses, then fails if told so; knows whether it was closed."""

    def __init__(self, steps: Sequence[tuple[Step, int]], *, fails: bool = False) -> None:
        self.steps, self.fails, self.given, self.closed = steps, fails, 0, False

    async def pull(self) -> AsyncGenerator[Step, None]:
        try:
            for step, pause in self.steps:
                for _ in range(pause):
                    await asyncio.sleep(0)
                self.given += 1
                yield step
            if self.fails:
                raise SourceError("gone")
        finally:
            self.closed = True


@given(steps_and_pauses, st.integers(0, 2))
def test_rows_files_and_watermarks_come_in_their_order(steps: list[tuple[Step, int]], pause: int) -> None:
    async def read() -> list[Step]:
        found = []
        async for group in read_ahead(Source(steps).pull()):
            assert len(group) == 1 or sum(len(step.rows) for step in group) <= 6
            found += group
            for _ in range(pause):
                await asyncio.sleep(0)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_TOGETHER", 6)
        found = asyncio.run(read())
    given_steps = [step for step, _ in steps]
    assert sum((step.rows for step in found), ()) == sum((step.rows for step in given_steps), ())
    assert [step for step in found if step.file] == [step for step in given_steps if step.file]
    marks = [step.watermark for step in given_steps if step.watermark]
    assert [step.watermark for step in found if step.watermark][-1:] == marks[-1:]


async def test_what_was_read_before_the_source_failed_comes_before_the_error() -> None:
    source = Source([(Step(rows=(_ROW,)), 0), (Step(rows=(_ROW,)), 1)], fails=True)
    rows = []

    async def read() -> None:
        async for group in read_ahead(source.pull()):
            rows.extend(row for step in group for row in step.rows)

    with pytest.raises(SourceError, match="gone"):
        await read()
    assert (len(rows), source.closed) == (2, True)


async def test_a_source_is_not_read_further_ahead_than_the_bound() -> None:
    page = Step(rows=(_ROW,) * (ROWS_TOGETHER // 2))
    source = Source([(page, 0)] * 50)
    stream = read_ahead(source.pull())
    await anext(stream)
    for _ in range(500):
        await asyncio.sleep(0)
    assert source.given <= 6
    await stream.aclose()
    assert source.closed


async def test_small_files_are_stored_together() -> None:
    source = Source([(Step(rows=(_ROW,), file=_FILE), 0)] * 1000)
    sizes = [len(group) async for group in read_ahead(source.pull())]
    assert sum(sizes) == 1000
    assert max(sizes) <= STEPS_TOGETHER
    assert len(sizes) <= 12
