"""What the purge destroys, what it leaves, and that what went does not come back."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from hub.audit.receipts import Receipts
from hub.core.clock import SHANGHAI
from hub.core.ids import uuid7
from hub.core.names import Category, QuarantineReason
from hub.flows.duties.purge_adverse import Purged, list_expired, purge_adverse
from hub.records.adverse_items.adverse import purge_marks, regimes
from hub.store.database import Database, DbRole
from hub.worker.daily import JOBS, Day
from tests.adverse.items import DAO, TAX_KEY, arrears, decision, troubled_loan
from tests.records.world import World, a_row, consent, household, loan, member, tombstone

HOME = (household("H1"), member("C1", "H1", "刀岩保", DAO))


async def purge(world: World, receipts: Receipts, **more: Any) -> dict[str, int]:
    world.now += timedelta(minutes=1)
    done = await purge_adverse(world.connection, world.keys, receipts, lambda: world.now, **more)
    return {part.category.value: part.rows for part in done}


async def held(world: World) -> dict[str, int]:
    """How many observations are left under each key."""
    records = await world.connection.fetch(
        "SELECT source_key, count(*) AS n FROM record.observation WHERE kind = 'FACT' GROUP BY 1"
    )
    return {record["source_key"]: record["n"] for record in records}


async def test_what_is_over_goes_and_what_is_not_stays(world: World, receipts: Receipts) -> None:
    await world.pull(
        civil=HOME,
        tax=[
            arrears("2023-10-19"),
            arrears("2023-10-20", key="b|QS|2"),
            arrears(None, key="c|QS|3", amount="9.00"),
        ],
        bank=[consent(DAO), troubled_loan("2021-10-19"), troubled_loan("2021-10-20", receipt="J2")],
        clinic=[decision("2022-01-01")],
    )
    before = await world.connection.fetchval("SELECT count(*) FROM ingest.held_row")
    would = await list_expired(world.connection, lambda: world.now)
    assert would == [Purged(category, 1, 0) for category in ("bank.loan", "clinic.arrears", "tax.arrears")]
    assert await purge(world, receipts) == {"bank.loan": 1, "clinic.arrears": 1, "tax.arrears": 1}
    home = (await world.person(DAO))["household_id"]
    marks = {mark for category in regimes().by_category for mark in purge_marks(world.keys, home, category)}
    assert {row["mark"] for row in await world.connection.fetch("SELECT mark FROM record.adverse_mark")} == marks
    assert set(await held(world)) == {"b|QS|2", "c|QS|3", "loan|402739000011|HT1|J2"}
    assert await world.connection.fetchval("SELECT count(*) FROM ingest.held_row") == before, "hashes stay"
    left = await world.connection.fetch("SELECT * FROM ingest.held_row WHERE purged_at IS NOT NULL")
    assert {(row["subject_index"], row["adverse"], row["adverse_ended_on"]) for row in left} == {(None, None, None)}
    assert await purge(world, receipts) == {}
    old = "INSERT INTO record.adverse_mark VALUES ('old', $1::timestamptz - interval '3 years 1 day')"
    await world.connection.execute(old, world.now)
    await purge(world, receipts)
    assert await world.connection.fetchval("SELECT count(*) FROM record.adverse_mark") == len(marks)


async def test_the_day_of_the_end_counts_and_a_day_that_has_not_come_is_refused(
    world: World, receipts: Receipts
) -> None:
    await world.pull(civil=HOME, tax=[arrears("2023-10-20")])
    world.now = datetime(2026, 10, 20, 23, 58, tzinfo=SHANGHAI)
    assert await purge(world, receipts) == {}
    world.now = datetime(2026, 10, 21, tzinfo=SHANGHAI)
    assert await purge(world, receipts) == {"tax.arrears": 1}
    tomorrow = datetime.now(SHANGHAI).date() + timedelta(days=1)
    with pytest.raises(asyncpg.PostgresError) as refused:
        await world.connection.fetch("SELECT * FROM record.purge_adverse($1, now(), 10)", tomorrow)
    assert refused.value.sqlstate == "HB130"


async def test_every_version_of_the_item_goes_with_it_and_versions_without_it_stay(
    world: World, receipts: Receipts
) -> None:
    """Before the trouble, in it, its end, and a clean row after it: the two in the middle are the item."""
    key = "loan|402739000011|HT1|J1"
    await world.pull(civil=HOME, bank=[consent(DAO), loan("J1", DAO)])
    await world.pull(bank=[troubled_loan(None, version=2)])
    await world.pull(bank=[troubled_loan("2021-02-01", version=3)])
    assert (await held(world))[key] == 3
    assert await purge(world, receipts) == {"bank.loan": 2}
    assert [r["version"] for r in await world.connection.fetch("SELECT version FROM record.observation")
            if r["version"] != "1"] == []  # fmt: skip
    assert "adverse/VALUE" not in await world.sections("H1", DAO)
    await world.pull(bank=[loan("J1", DAO, version=4)])
    assert (await held(world))[key] == 2
    assert "bank.loan/VALUE/402739000011" in await world.sections("H1", DAO), "the loan itself is told of again"


async def test_a_challenge_about_the_item_goes_with_it_where_a_clean_version_stays(
    world: World, receipts: Receipts
) -> None:
    """That a challenge about version 2 was open would tell that there was one."""
    stale = {"source_time": datetime(2020, 5, 4, tzinfo=SHANGHAI)}
    await world.pull(civil=HOME, bank=[consent(DAO), loan("J1", DAO, **stale)])
    await world.pull(bank=[troubled_loan(None, version=2, **stale)])
    await world.connection.execute(
        """INSERT INTO record.challenge SELECT c.county, uuidv7(), c.person_id, c.household_id, c.source, c.source_key,
               'loan.other', version.no, c.cause, c.rule_version, c.stated, c.opened_at, c.due_on, 'UPHELD',
               c.opened_at, 'hub'
           FROM record.challenge c, (VALUES ('1'), ('2')) AS version (no)"""
    )
    await world.pull(bank=[troubled_loan("2021-02-01", version=3)])
    assert await purge(world, receipts) == {"bank.loan": 2}
    left = await world.connection.fetch("SELECT version FROM record.challenge")
    assert {row["version"] for row in left} == {"1"}


async def test_an_end_that_only_a_later_version_tells_counts_for_the_earlier_ones(
    world: World, receipts: Receipts
) -> None:
    told = {"source_time": datetime(2020, 5, 4, tzinfo=SHANGHAI)}
    expired = {"reasons": (QuarantineReason.ADVERSE_EXPIRED,)}
    await world.pull(
        civil=HOME,
        tax=[
            arrears(None, key="taken back|QS|1", amount="1.00"),
            tombstone("taken back|QS|1", arrears(None).kind, 2, category=Category.TAX_ARREARS, **told),
            arrears(None, key="refused|QS|1", amount="1.00"),
            arrears("2019-01-01", key="refused|QS|1", version=2, **expired),
            arrears(None, key="lasts|QS|1", amount="1.00"),
            arrears(None, key="lasts|QS|1", version=2, amount="2.00", **told),
        ],
    )
    assert await purge(world, receipts) == {"tax.arrears": 2}
    assert await held(world) == {"taken back|QS|1": 1, "lasts|QS|1": 2}


async def test_what_was_purged_never_returns(world: World, receipts: Receipts) -> None:
    rows = [arrears(None, version=2, amount="5.00"), arrears("2023-01-01", version=3)]
    await world.pull(civil=HOME, tax=rows)
    assert await purge(world, receipts) == {"tax.arrears": 2}
    await world.pull(civil=HOME, tax=rows)
    assert await _counts(world) == (2, {}), "the same rows again are unchanged"
    await world.pull(tax=[arrears(None, version=1, amount="7.00"), arrears("2022-12-31", version=3)])
    assert await world.quarantine() == {TAX_KEY: QuarantineReason.ADVERSE_EXPIRED}
    assert await world.connection.fetchval("SELECT count(*) FROM ingest.quarantine WHERE sealed_row IS NULL") == 2
    assert await held(world) == {}
    await world.pull(tax=[arrears(None, version=4, amount="8.00")])
    assert await held(world) == {TAX_KEY: 1}, "a newer row tells of something new"
    assert await purge(world, receipts) == {}


async def _counts(world: World) -> tuple[int, dict[int, int]]:
    run = await world.connection.fetchrow(
        "SELECT s.unchanged, s.run_id FROM ingest.run_source s JOIN ingest.run r USING (run_id)"
        " WHERE s.source = 'tax' ORDER BY r.started_at DESC LIMIT 1"
    )
    new = await world.connection.fetch(
        "SELECT reason, count(*) AS n FROM ingest.held_row WHERE first_run = $1 AND source = 'tax' GROUP BY 1",
        run["run_id"],
    )
    return run["unchanged"], {row["reason"]: row["n"] for row in new}


async def test_rows_held_back_and_what_stewards_wrote_about_them_go_too(world: World, receipts: Receipts) -> None:
    damaged = (QuarantineReason.ID_CHECK_DIGIT,)
    await world.pull(civil=HOME, tax=[arrears("2023-01-01", reasons=damaged, id_number=None)])
    assert await world.connection.fetchval("SELECT count(*) FROM ingest.quarantine WHERE sealed_row IS NOT NULL") == 1
    done = await purge_adverse(world.connection, world.keys, receipts, lambda: world.now)
    assert done == [Purged(Category.TAX_ARREARS, 1, 1)]
    assert await world.quarantine() == {TAX_KEY: QuarantineReason.ADVERSE_EXPIRED}
    assert await world.connection.fetchval("SELECT count(*) FROM ingest.quarantine WHERE sealed_row IS NOT NULL") == 0
    await world.pull(tax=[arrears("2023-01-01", reasons=damaged, id_number=None)])
    assert await _counts(world) == (1, {})


async def test_batches_are_bounded_and_each_has_its_entry(world: World, receipts: Receipts, database: Database) -> None:
    await world.pull(civil=HOME, tax=[arrears("2020-01-01", key=f"k{n}|QS|1") for n in range(5)])
    assert await purge(world, receipts, rows_at_once=2) == {"tax.arrears": 5}
    purged = [
        r["rows"] for r in await world.connection.fetch("SELECT rows FROM record.adverse_purge ORDER BY purge_id")
    ]
    assert sorted(purged) == [1, 2, 2]
    owner = await database.connect(DbRole.OWNER)
    try:
        entries = await owner.fetch(
            "SELECT entry FROM audit.entry WHERE convert_from(entry, 'UTF8')::jsonb ->> 'what' = 'adverse:hub:purged'"
        )
    finally:
        await owner.close()
    assert len(entries) == 3


async def test_nobody_may_delete_observations_but_through_the_purge(world: World) -> None:
    await world.pull(civil=HOME, tax=[a_row(arrears(None).kind, "x", 1, {})])
    for statement in (
        "DELETE FROM record.observation",
        "DELETE FROM record.adverse_statement",
        "UPDATE record.adverse_repair SET repaired = false",
        "DELETE FROM record.adverse_purge",
        "DELETE FROM record.adverse_mark",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await world.connection.execute(statement)


async def test_the_worker_purges_once_a_day_and_leaves_the_fold_to_a_pull_under_way(
    world: World, receipts: Receipts
) -> None:
    await world.pull(civil=HOME, tax=[arrears("2023-10-25")])
    assert "adverse/VALUE" in await world.sections("H1", DAO)
    world.now += timedelta(days=7)
    (job,) = (job for job in JOBS if job.name == "purge-adverse")
    started = world.now - timedelta(hours=1)
    await world.connection.execute("INSERT INTO ingest.run (run_id, started_at) VALUES ($1, $2)", uuid7(), started)
    await job.work(Day(world.connection, world.keys, receipts, lambda: world.now))
    assert await held(world) == {}
    assert await world.connection.fetchval("SELECT count(*) FROM record.stale_household") == 1
    await world.pull(tax=[])
    assert set(await world.sections("H1", DAO)) == {"identity/VALUE"}
