"""Challenges: opened, kept, closed and answered with the rows of the real store, each with its entry in the log."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hub.core.clock import SHANGHAI
from hub.core.errors import AuditError, InputError, RefusedError
from hub.core.names import Attribute, Category, ChallengeOutcome
from hub.core.rows import CheckedRow
from hub.flows.intake.challenge_sources import challenging
from hub.flows.intake.refresh_day import refresh_day
from hub.flows.receipts import receipt_desk
from hub.flows.stewards.close_challenge import close, export, list_for_operators
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.records.folding.challenge_store import Challenge, ChallengeFilter
from hub.records.folding.sections import refresh_sections
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from tests.records.world import (
    CONSENT,
    World,
    bill,
    consent,
    grade,
    household,
    insurance,
    loan,
    member,
    number,
)

DAO, SI = number("19850312"), number("19870607", 442)
HOME = [household("H1"), member("C1", "H1", "刀岩保", DAO)]
ACT = StewardAct("steward-1", "case 9", "hub challenge close", {})
ALL = ChallengeFilter()


@pytest.fixture
async def desk(database: Database, keys: KeyService, tmp_path: Path, world: World) -> AsyncIterator[StewardDesk]:
    async with receipt_desk(database, keys, tmp_path) as receipts:
        yield StewardDesk(database, keys, receipts, lambda: world.now)


async def found(desk: StewardDesk, wanted: ChallengeFilter = ALL) -> list[Challenge]:
    return await list_for_operators(desk, wanted)


async def told(desk: StewardDesk) -> list[tuple[Any, ...]]:
    return [(c.source, c.source_key, c.attribute, c.cause, c.outcome) for c in await found(desk)]


async def events(desk: StewardDesk) -> list[str]:
    """The log's entries about challenges, written or waiting, seen at one moment."""
    owner = await desk.database.connect(DbRole.OWNER)
    try:
        rows = await owner.fetch(
            """SELECT event FROM (
                   SELECT convert_from(entry, 'UTF8')::jsonb ->> 'what' AS event, seq AS place FROM audit.entry
                   UNION ALL
                   SELECT event, 1000000 + row_number() OVER (ORDER BY queued_at) FROM audit.pending) AS known
               WHERE event LIKE 'challenge:%' ORDER BY place"""
        )
    finally:
        await owner.close()
    return [row["event"] for row in rows]


def employed(key: str, id_number: str = DAO, *, kind: str = "310", at: datetime, version: int = 1) -> CheckedRow:
    row = insurance(key, id_number, "刀岩保", "2026-09")
    value = {**row.value, "insurance_type": kind}  # type: ignore[dict-item]
    content = f"{key}{kind}{version}".encode()
    return replace(row, value=value, source_time=at, version=str(version), version_rank=version, content=content)


async def test_a_row_that_lost_is_challenged_once_until_a_later_version_agrees(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=HOME, tax=[grade("a|XY|2025", DAO, "刀岩宝"), grade("b|XY|2024", DAO)])
    (challenge,) = await found(desk)
    assert (challenge.source, challenge.source_key, challenge.version) == ("tax", "a|XY|2025", "1")
    assert (challenge.attribute, challenge.cause, challenge.status) == ("name", "LOST", "OPEN")
    assert challenge.due_on == world.now.date() + timedelta(days=20)
    assert await events(desk) == ["challenge:hub:opened"]
    await world.pull(tax=[grade("a|XY|2025", DAO, "刀岩宝", version=2, letter="C")])
    assert await found(desk) == [challenge], "a new version that says the same is the same challenge"
    await world.pull(tax=[grade("a|XY|2025", DAO, "刀 岩保", version=3)])
    assert await told(desk) == [("tax", "a|XY|2025", "name", "LOST", "CORRECTED")]
    assert await events(desk) == ["challenge:hub:opened", "challenge:hub:closed"]


async def test_a_disagreement_that_others_ended_is_dissolved(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=HOME, tax=[grade("a|XY|2025", DAO, "刀岩宝")])
    await world.pull(civil=[member("C1", "H1", "刀岩宝", DAO, version=2)])
    assert await told(desk) == [("tax", "a|XY|2025", "name", "LOST", "DISSOLVED")]


async def test_what_a_steward_upheld_is_not_asked_again_before_the_row_says_something_else(
    world: World, desk: StewardDesk
) -> None:
    await world.pull(civil=HOME, tax=[grade("a|XY|2025", DAO, "刀岩宝")])
    (challenge,) = await found(desk)
    closed, receipt = await close(desk, ACT, challenge.challenge_id, ChallengeOutcome.UPHELD)
    assert (closed.outcome, closed.closed_by, receipt.index >= 0) == ("UPHELD", "steward-1", True)
    assert (await close(desk, ACT, challenge.challenge_id, ChallengeOutcome.UPHELD))[0] == closed
    for outcome, act in (("CORRECTED", ACT), ("UPHELD", replace(ACT, steward="steward-2"))):
        with pytest.raises(RefusedError) as refused:
            await close(desk, act, challenge.challenge_id, ChallengeOutcome(outcome))
        assert refused.value.code == "CHALLENGE_CLOSED"
    await world.pull(tax=[grade("a|XY|2025", DAO, "刀岩宝", version=2, letter="C")])
    assert [c.outcome for c in await found(desk)] == ["UPHELD"]
    await world.pull(tax=[grade("a|XY|2025", DAO, "刀保", version=3)])
    assert [c.outcome for c in await found(desk)] == ["UPHELD", None]


async def test_who_closes_needs_a_reason_an_outcome_of_his_own_and_a_challenge(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=HOME, tax=[grade("a|XY|2025", DAO, "刀岩宝")])
    (challenge,) = await found(desk)
    with pytest.raises(InputError):
        await close(desk, replace(ACT, reason=" "), challenge.challenge_id, ChallengeOutcome.UPHELD)
    with pytest.raises(InputError):
        await close(desk, ACT, challenge.challenge_id, ChallengeOutcome.DISSOLVED)
    with pytest.raises(RefusedError) as refused:
        await close(desk, ACT, uuid4(), ChallengeOutcome.UPHELD)
    assert refused.value.code == "CHALLENGE_UNKNOWN"
    assert await found(desk) == [challenge]
    assert await events(desk) == ["challenge:hub:opened"]


async def test_time_alone_makes_a_chosen_row_stale(world: World, desk: StewardDesk) -> None:
    said_on = datetime(2025, 11, 1, tzinfo=SHANGHAI)
    await world.pull(civil=HOME, social=[employed("s|310", at=said_on)])
    assert await found(desk) == []
    due = date(2025, 11, 1) + timedelta(days=401)
    assert await world.connection.fetchval("SELECT changes_on FROM record.household_fold") == due
    later = datetime(due.year, due.month, due.day, tzinfo=SHANGHAI)
    assert await refresh_day(world.connection, world.keys, desk.receipts, lambda: later) == 1
    assert await told(desk) == [("social", "s|310", "employment", "STALE", None)]
    world.now = later
    await world.pull(social=[employed("s|310", at=later, version=2)])
    assert await told(desk) == [("social", "s|310", "employment", "STALE", "CORRECTED")]


async def test_nothing_is_folded_while_rows_wait_to_be_settled(world: World, desk: StewardDesk) -> None:
    said_on = datetime(2025, 11, 1, tzinfo=SHANGHAI)
    await world.pull(civil=HOME, social=[employed("s|310", at=said_on)])
    later = said_on + timedelta(days=402)
    broken_off = "INSERT INTO ingest.run (run_id, started_at) VALUES (gen_random_uuid(), $1)"
    await world.connection.execute(broken_off, later - timedelta(hours=1))
    assert await refresh_day(world.connection, world.keys, desk.receipts, lambda: later) == 0
    assert await found(desk) == []
    world.now = later
    await world.pull()
    assert await told(desk) == [("social", "s|310", "employment", "STALE", None)]


async def test_nobody_is_insured_twice_and_an_employee_may_trade(world: World, desk: StewardDesk) -> None:
    at = datetime(2026, 10, 1, tzinfo=SHANGHAI)
    trade = replace(
        grade("a|DJ|0", DAO), category=Category.TAX_REGISTRATION, content=b"dj",
        value={"taxpayer_id": None, "taxpayer_name": "店", "taxpayer_status": "NORMAL"},
    )  # fmt: skip
    await world.pull(civil=HOME, tax=[trade], social=[employed("s|310", at=at), employed("s|390", kind="390", at=at)])
    assert await told(desk) == [("social", "s|390", "employment", "LOST", None)]


async def test_of_two_memberships_the_earlier_is_challenged_once_for_both_households(
    world: World, desk: StewardDesk
) -> None:
    rows = [
        household("H1"), household("H2", village="533124101201"),
        member("C1", "H1", "刀岩保", DAO, joined_on="2001-01-01"), member("C2", "H2", "刀岩保", DAO),
    ]  # fmt: skip
    await world.pull(civil=rows)
    assert await told(desk) == [("civil", "member|C1", "membership", "LOST", None)]
    await world.pull(civil=[member("C1", "H1", "刀岩保", DAO, version=2, left_on="2012-05-01", joined_on="2001-01-01")])
    assert await told(desk) == [("civil", "member|C1", "membership", "LOST", "CORRECTED")]


async def test_insurance_that_goes_on_after_death_is_challenged(world: World, desk: StewardDesk) -> None:
    dead = member("C1", "H1", "刀岩保", DAO, died_on="2026-06-01")
    await world.pull(civil=[household("H1"), dead], social=[insurance("s|390", DAO, "刀岩保", "2026-09")])
    assert await told(desk) == [("social", "s|390", "life", "LOST", None)]


async def test_nothing_unconfirmed_locked_or_suppressed_and_no_relief_or_income_is_challenged(
    world: World, desk: StewardDesk
) -> None:
    other_name = replace(loan("J1", DAO), name="刀岩宝")
    await world.pull(civil=HOME, bank=[consent(DAO), other_name], clinic=[bill("K|1", "刀岩宝", DAO, suppressed=True)])
    assert [c.source for c in await found(desk)] == ["bank"]
    await world.pull(bank=[consent(DAO, version=2, withdrawn_on="2026-10-19")])
    assert await told(desk) == [("bank", other_name.source_key, "name", "LOST", "DISSOLVED")]
    assert CONSENT not in str(await told(desk))


async def test_a_household_that_is_no_more_is_not_asked_about(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=HOME, tax=[grade("a|XY|2025", DAO, "刀岩宝")])
    await world.pull(civil=[household("H1", version=2, status="CANCELLED")])
    assert [c.outcome for c in await found(desk)] == ["DISSOLVED"]


async def test_the_file_for_a_source_holds_its_own_keys_and_nobodys_value(world: World, desk: StewardDesk) -> None:
    await world.pull(
        civil=[*HOME, member("C2", "H1", "思月", SI)], tax=[grade("a|XY|2025", DAO, "刀岩宝")],
        social=[insurance("s|390", SI, "思玥", "2026-09")],
    )  # fmt: skip
    lines: list[str] = []
    assert await export(desk, ACT, "tax", lines.extend) == 1
    assert json.loads(lines[0]).keys() == {
        "schema", "challenge", "source", "source_key", "source_version", "attribute", "cause", "opened_at", "due_on",
    }  # fmt: skip
    assert json.loads(lines[0])["source_key"] == "a|XY|2025"
    for word in ("刀", "思", "social", "civil", DAO, SI, "s|390"):
        assert word not in lines[0], word
    with pytest.raises(InputError):
        await export(desk, ACT, "post office", lines.extend)
    assert len(lines) == 1
    assert [c.source for c in await found(desk, ChallengeFilter(source="social", attribute=Attribute.NAME))] == [
        "social"
    ]


async def test_without_its_entry_in_the_log_nothing_is_opened(world: World, desk: StewardDesk) -> None:
    await world.pull(civil=HOME)
    owner = await desk.database.connect(DbRole.OWNER)
    await owner.execute(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN IF NEW.event = 'challenge:hub:opened' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
           CREATE TRIGGER refuse BEFORE INSERT ON audit.pending FOR EACH ROW EXECUTE FUNCTION refuse()"""
    )
    with pytest.raises(AuditError):
        await world.pull(tax=[grade("a|XY|2025", DAO, "刀岩宝")])
    assert await found(desk) == []
    assert await world.connection.fetchval("SELECT count(*) FROM record.stale_household") == 1
    await owner.execute("DROP TRIGGER refuse ON audit.pending")
    await owner.close()
    await refresh_sections(world.connection, world.keys, world.now, then=challenging(world.keys))
    assert len(await found(desk)) == 1
