"""Past answers are made again byte for byte, whatever was loaded, corrected, merged, moved or decided since.

Where that is not possible or lawful any more the refusal says why; and no reply is kept from which it could be copied.
"""

import base64
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from hub.audit.data_keys import destroy_person_keys
from hub.core.clock import system_clock
from hub.core.errors import RefusedError
from hub.core.ids import uuid7
from hub.core.names import Category
from hub.flows.readings import past_fold, replay_answer
from hub.flows.readings.obstacles import Obstacle, Outcome
from hub.records.adverse_items.adverse import purge_marks, regimes
from hub.records.adverse_items.adverse_notes import NewRepair, write_repair
from hub.store.database import Database, DbRole
from tests.done.opened import audit_details, tables
from tests.done.past_answers import PEOPLE, Kept, PastAnswers, past_answers
from tests.done.queries import OWN_RECORD, PROFILE, REQUEST
from tests.done.served import profile_input, request_input


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
    told = Counter(kept.receipt.leaf().decision for kept in past.kept)
    assert told["allow"] + told["mask"] > len(past.kept) / 3, "most answers say nothing"
    for number, kept in enumerate(past.kept):
        if await past.replay(kept) != kept.data:
            wrong.append((number, kept.kind))
    assert wrong == []


@pytest.mark.long
async def test_past_answers_replay_after_everything_that_came_since(database: Database, tmp_path: Path) -> None:
    async with past_answers(database, tmp_path / "home", seed=4) as past:
        await live(past, rounds=5, answers=5)
        for _ in range(3):
            await past.change()
        await check_all(past)
        assert set(Counter(kept.kind for kept in past.kept)) == {"bank", "own", "staff", "show"}


async def test_no_reply_is_kept_anywhere(database: Database, tmp_path: Path) -> None:
    async with past_answers(database, tmp_path / "home", seed=5) as past:
        await past.served.grant(PEOPLE[0], "risk-a")
        for _ in range(12):
            await past.ask()
        await ask_profile(past)
        held = [text for rows in (await tables(past.served.owner)).values() for text in rows]
        held += await audit_details(past.served.owner, past.served.keys)
        files = [file.read_bytes() for file in past.home.rglob("*") if file.is_file() and "postgres" not in file.parts]
        for kept in past.kept:
            answer = kept.data.decode()
            packed = base64.b64encode(kept.data[1:-1]).decode()[8:-8]
            assert not any(answer in text or packed in text or kept.data.hex() in text for text in held), kept.kind
            assert not any(kept.data in content for content in files), kept.kind


async def ask_profile(past: PastAnswers) -> Kept:
    """The whole profile of the first person, as a bank that may see it gets it."""
    await past.keep("risk-a", PROFILE, profile_input(PEOPLE[0]), "bank")
    kept = past.kept[-1]
    assert PEOPLE[0].name.encode() in kept.data
    return kept


async def refusal(past: PastAnswers, kept: Kept, **more: Callable[..., object]) -> str:
    with pytest.raises(RefusedError) as error:
        await past.replay(kept, **more)
    return error.value.code


async def household_of(past: PastAnswers, n: int) -> UUID:
    person = await past.world.person(PEOPLE[n].number)
    household: UUID = person["household_id"]
    return household


async def outcomes(past: PastAnswers) -> list[str]:
    """What the log says of every replay."""
    details = await audit_details(past.served.owner, past.served.keys)
    return [line.partition('"')[2].rstrip('"') for line in details if line.startswith("facts.outcome")]


async def test_where_an_answer_cannot_be_made_again_the_reason_is_told_and_recorded(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with past_answers(database, tmp_path / "home", seed=6) as past:
        owner = past.served.owner
        await past.world.pull(tax=[past.arrears(0, date(2026, 5, 1))])
        consent = await past.served.grant(PEOPLE[0], "risk-a")
        kept = await ask_profile(past)
        assert await past.replay(kept) == kept.data

        with pytest.raises(RefusedError, match="信用修复管理办法") as over:  # three years, not five
            await past.replay(kept, now=four_years_later)
        assert over.value.code == Obstacle.ADVERSE_EXPIRED

        with monkeypatch.context() as changed:
            changed.setattr(replay_answer, "FOLD_VERSION", 99)
            assert await refusal(past, kept) == Obstacle.FOLD_RETIRED
        with monkeypatch.context() as changed:
            changed.setattr(past_fold, "FOLD_VERSION", 99)
            changed.setattr(past_fold, "sections_of", lambda record: [])
            assert await refusal(past, kept) == Obstacle.FOLD_RETIRED

        written = await past.served.change("risk-a", REQUEST, **request_input(PEOPLE[1]))
        entry = await owner.fetchval("SELECT ev FROM audit.entry WHERE seq = $1", written["index"])
        receipt = await past.served.hub.ports.consents.receipts.wait(entry, 10)
        assert await refusal(past, Kept(b"", receipt, "write")) == Obstacle.NOT_AN_ANSWER

        # Who has the owner's login changes what is held: the digests in the log do not fit.
        await owner.execute("UPDATE record.observation SET version = '77' WHERE source_key = 't0|XY|2025'")
        assert await refusal(past, kept) == Obstacle.RECORD_DIFFERS
        await owner.execute("UPDATE record.observation SET version = '1' WHERE source_key = 't0|XY|2025'")
        assert await past.replay(kept) == kept.data

        basis = "UPDATE consent.basis SET parts = $2 WHERE basis_id = $1::text::uuid"
        parts = await owner.fetchval("SELECT parts FROM consent.basis WHERE basis_id = $1::text::uuid", consent)
        await owner.execute(basis, consent, ["identity/VALUE"])
        assert await refusal(past, kept) == Obstacle.DECISION_DIFFERS
        await owner.execute(basis, consent, parts)

        rules = await owner.fetchval("SELECT digest FROM access.policy_set")
        for table in ("decision", "mode_basis"):
            await owner.execute(f"ALTER TABLE access.{table} DROP CONSTRAINT {table}_digest_fkey")
        await owner.execute("UPDATE access.policy_set SET digest = sha256(digest)")
        assert await refusal(past, kept) == Obstacle.RULES_UNKNOWN
        await owner.execute("UPDATE access.policy_set SET digest = $1", rules)
        assert await past.replay(kept) == kept.data

        told = await outcomes(past)
        sequencer = await database.connect(DbRole.SEQUENCER)
        person = await owner.fetchval("SELECT person_id FROM auth.account WHERE account_id = $1", PEOPLE[0].account)
        async with sequencer.transaction():
            await destroy_person_keys(sequencer, person)
        await sequencer.close()
        assert await refusal(past, kept) == Obstacle.DETAIL_DESTROYED
        # Time over, fold retired twice and no answer are one word in the log; what was altered is another.
        assert Counter(told) == {Outcome.REPLAYED: 3, Outcome.NOT_REPRODUCED: 4, Outcome.CONTRADICTED: 3}


def four_years_later() -> datetime:
    return system_clock() + timedelta(days=4 * 366)


async def test_law_and_tampering_are_told_apart_and_the_log_does_not_remember_the_law(
    database: Database, tmp_path: Path
) -> None:
    async with past_answers(database, tmp_path / "home", seed=7) as past:
        owner = past.served.owner
        consent = await past.served.grant(PEOPLE[0], "risk-a")
        kept = await ask_profile(past)
        mine, elsewhere = [await household_of(past, n) for n in (0, 2)]

        async def purged(household: UUID, category: Category) -> None:
            (mark,) = purge_marks(past.served.keys, household, category)
            await owner.execute("INSERT INTO record.adverse_mark VALUES ($1, clock_timestamp())", mark)

        arrears = ("tax", "t0|QS|1")
        for repaired, told in ((True, Obstacle.ADVERSE_EXPIRED), (False, None)):
            repair = NewRepair(arrears, "533103", repaired, date(2026, 10, 19), "7", "r", "s", uuid7(), system_clock())
            await write_repair(past.world.connection, past.served.keys, repair)
            assert (await refusal(past, kept) if told else None) == told
        assert await past.replay(kept) == kept.data

        for category in regimes().by_category:
            await purged(elsewhere, category)
        await purged(mine, Category.TAX_ARREARS)
        loan = "UPDATE record.observation SET suppressed = $1 WHERE source_key LIKE 'loan|%|R0'"
        assert await owner.execute(loan, True) != "UPDATE 0"
        assert await refusal(past, kept) == Obstacle.RECORD_DIFFERS, "the purge elsewhere, or of taxes, excuses nothing"
        assert await refusal(past, kept, now=four_years_later) == Obstacle.TOO_OLD_TO_TELL
        await owner.execute(loan, False)
        assert await past.replay(kept) == kept.data
        await past.world.pull(tax=[past.arrears(0, date(2023, 1, 1))])
        assert await refusal(past, kept) == Obstacle.ADVERSE_EXPIRED, "over by a later version, and not yet purged"
        await owner.execute("DELETE FROM record.observation WHERE source_key = 't0|QS|1'")
        assert await refusal(past, kept) == Obstacle.ADVERSE_EXPIRED
        assert Counter(await outcomes(past)) == {
            Outcome.CONTRADICTED: 1, Outcome.NOT_REPRODUCED: 4, Outcome.REPLAYED: 2
        }  # fmt: skip
        await owner.execute("ALTER TABLE consent.record DISABLE TRIGGER record_is_final")
        await owner.execute("ALTER TABLE consent.basis DROP CONSTRAINT basis_consent_id_fkey")
        await owner.execute("ALTER TABLE consent.event DROP CONSTRAINT event_consent_id_fkey")
        await owner.execute("DELETE FROM consent.record WHERE consent_id = $1::text::uuid", consent)
        assert await refusal(past, kept) == Obstacle.CONSENT_ERASED


async def test_an_answer_without_an_item_whose_day_had_come_replays(database: Database, tmp_path: Path) -> None:
    async with past_answers(database, tmp_path / "home", seed=3) as past:
        # Folded weeks ago; by the day of the question the time of one item was over, though nobody had folded again.
        over = date(2023, 11, 1)
        await past.world.pull(tax=[past.arrears(0, over, "8"), past.arrears(0, date(2026, 5, 1), "9")])
        sections = "SELECT body FROM record.section WHERE category = 'tax.arrears' AND form = 'VALUE'"
        assert any(str(over) in row["body"] for row in await past.served.owner.fetch(sections))
        await past.keep(PEOPLE[0].account, OWN_RECORD, {}, "own")
        kept = past.kept[-1]
        assert b'"clearedOn":"2026-05-01"' in kept.data
        assert str(over).encode() not in kept.data
        await past.world.pull(tax=[past.arrears(0, date(2026, 6, 1), "9")])
        assert await past.replay(kept) == kept.data


async def test_a_receipt_of_another_log_or_entry_is_refused(database: Database, tmp_path: Path) -> None:
    async with past_answers(database, tmp_path / "home", seed=8) as past:
        await past.served.grant(PEOPLE[0], "risk-a")
        kept = await ask_profile(past)
        entry = kept.receipt.entry.replace(b'"allow"', b'"mask"') if b'"allow"' in kept.receipt.entry else b"{}"
        for receipt in (
            replace(kept.receipt, entry=entry),
            replace(kept.receipt, index=kept.receipt.index - 1),
            replace(kept.receipt, note=kept.receipt.note.replace("\n", "x\n", 1)),
        ):
            assert await refusal(past, replace(kept, receipt=receipt)) == "RECEIPT_INVALID"
        assert await outcomes(past) == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [11, 12])
async def test_a_hundred_past_answers_replay(database: Database, tmp_path: Path, seed: int) -> None:
    async with past_answers(database, tmp_path / "home", seed=seed) as past:
        await live(past, rounds=12, answers=10)
        for _ in range(5):
            await past.change()
        assert len(past.kept) > 100
        await check_all(past)
