"""Past answers are made again byte for byte, whatever was loaded, corrected, merged, moved or decided since."""

from collections import Counter
from pathlib import Path

import pytest

from hub.store.database import Database
from tests.done.past_answers import PastAnswers, past_answers


async def live(past: PastAnswers, rounds: int, answers: int) -> None:
    """Rounds of loads and changes, consents and questions."""
    for _ in range(rounds):
        for _ in range(4):
            await past.consented()
        for _ in range(answers):
            await past.ask()
        await past.change()


async def check_all(past: PastAnswers) -> None:
    wrong = []
    print(Counter((k.kind, len(k.data) // 1000) for k in past.kept))
    for number, kept in enumerate(past.kept):
        if await past.replay(kept) != kept.data:
            wrong.append((number, kept.kind))
    assert wrong == []


async def test_past_answers_replay_after_everything_that_came_since(database: Database, tmp_path: Path) -> None:
    async with past_answers(database, tmp_path / "home", seed=4) as past:
        await live(past, rounds=5, answers=5)
        for _ in range(3):
            await past.change()
        await check_all(past)
        assert set(Counter(kept.kind for kept in past.kept)) == {"bank", "own", "staff", "show"}


@pytest.mark.long
@pytest.mark.parametrize("seed", [11, 12])
async def test_a_hundred_past_answers_replay(database: Database, tmp_path: Path, seed: int) -> None:
    async with past_answers(database, tmp_path / "home", seed=seed) as past:
        await live(past, rounds=14, answers=10)
        for _ in range(5):
            await past.change()
        assert len(past.kept) > 100
        await check_all(past)
