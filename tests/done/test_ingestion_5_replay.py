"""A wrongly linked clinic bill is unlinked and linked anew; what was answered meanwhile still replays."""

from pathlib import Path
from typing import Any

import orjson

from hub.core.names import LinkVerdict
from hub.flows.stewards.review_links import LinkChoice
from hub.store.database import Database
from tests.done.past_answers import PEOPLE, Kept, PastAnswers, past_answers
from tests.done.queries import OWN_RECORD

RIGHT, WRONG = 0, 3


async def bills(past: PastAnswers, n: int, answers: list[Kept]) -> int:
    """How many bills a person sees in his own record; the answer is kept."""
    data: dict[str, Any] = await past.keep(PEOPLE[n].account, OWN_RECORD, {}, "own")
    answers.append(past.kept[-1])
    return len(data["household"]["clinicArrears"]["bills"])


async def decide(past: PastAnswers, verdict: LinkVerdict, seen: int, member_no: str | None = None) -> None:
    row = await past.world.connection.fetchval(
        "SELECT row_id FROM record.observation WHERE source_key = $1 AND recorded_to = 'infinity'", f"L|{RIGHT}"
    )
    await past.decide(LinkChoice(row, verdict, seen, member_no))


async def test_answers_about_a_wrongly_linked_bill_replay(database: Database, tmp_path: Path) -> None:
    async with past_answers(database, tmp_path / "home", seed=1) as past:
        answers: list[Kept] = []
        seen = [(await bills(past, RIGHT, answers), await bills(past, WRONG, answers))]
        for verdict, decisions, member_no in (
            (LinkVerdict.LINK, 0, f"C{WRONG}"), (LinkVerdict.UNLINK, 1, None), (LinkVerdict.LINK, 2, f"C{RIGHT}"),
        ):  # fmt: skip
            await decide(past, verdict, decisions, member_no)
            seen.append((await bills(past, RIGHT, answers), await bills(past, WRONG, answers)))
        assert seen == [(1, 1), (1, 2), (1, 1), (2, 1)]
        for kept in answers:
            again = await past.replay(kept)
            assert again == kept.data
            assert orjson.loads(again)["household"]["__typename"] == "OwnRecord"
