"""Complete, fresh and verified files over a real database, pull after pull."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hub.core.clock import SHANGHAI
from hub.core.names import QuarantineReason
from hub.core.rows import RowKind
from hub.flows.readings.read_coverage import coverage_for_operator
from hub.flows.receipts import receipt_desk
from hub.records.folding.coverage import PREFECTURE, AreaCoverage, AreaLevel, derive_missing, read_coverage
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from tests.records.world import (
    OTHER_VILLAGE,
    VILLAGE,
    World,
    bill,
    grade,
    household,
    insurance,
    member,
    number,
    tombstone,
)

A, B, C = number("19800101", 1), number("19800101", 2), number("19800101", 3)
COUNTY, TOWNSHIP = VILLAGE[:6], VILLAGE[:9]


@pytest.fixture
async def world(database: Database, keys: KeyService) -> AsyncIterator[World]:
    connection = await database.connect(DbRole.INGEST)
    yield World(connection, keys)
    await connection.close()


async def heard(world: World, *sources: str) -> None:
    """The sources were read to their end just now, as `hub pull` notes it."""
    await world.connection.execute(
        "UPDATE ingest.source_state SET last_ok_at = $1 WHERE source = ANY($2)", world.now, list(sources)
    )


async def two_villages(world: World) -> None:
    await world.pull(
        civil=[
            household("H1"), member("C1", "H1", "岩一", A), member("C2", "H1", "岩二", B),
            household("H2"), member("C3", "H2", "岩三", C), member("C9", "H2", "岩小", None, birth_date="2015-01-01"),
            household("H3", village=OTHER_VILLAGE, township_name="章凤镇", village_name="户撒村"),
        ],
        social=[
            replace(insurance(key, person, name, "2026-09"), source_time=world.now - timedelta(days=30))
            for key, person, name in (("s1", A, "岩一"), ("s3", C, "岩三"))
        ],
        tax=[grade("t1", A, "岩一")],
    )  # fmt: skip
    await heard(world, "civil", "social", "tax")


async def line_of(world: World, area: str, later: timedelta = timedelta(0)) -> AreaCoverage:
    (line,) = await read_coverage(world.connection, area, AreaLevel(len(area)), world.now + later)
    return line


def counts(line: AreaCoverage) -> tuple[int, ...]:
    return line.households, line.complete, line.fresh, line.verified, line.covered


async def test_a_file_is_complete_when_every_source_that_should_speak_does(world: World) -> None:
    await two_villages(world)
    village, other = await line_of(world, VILLAGE), await line_of(world, OTHER_VILLAGE)
    assert counts(village) == (2, 1, 2, 2, 1)
    assert (village.missing, village.adults, village.adults_missing) == ({"social.insurance": 1}, 3, 1)
    assert village.reported == {"roster": 2, "social.insurance": 2, "tax.grade": 1}
    assert (counts(other), other.missing) == ((1, 0, 1, 1, 0), {"roster": 1})
    whole = await line_of(world, PREFECTURE)
    assert counts(whole) == (3, 1, 3, 3, 1)
    by_county = await read_coverage(world.connection, PREFECTURE, AreaLevel.COUNTY, world.now)
    assert [(line.area, line.households) for line in by_county] == [("533103", 2), ("533124", 1)]
    assert [line.name for line in by_county] == ["芒市", "陇川县"]
    below = await read_coverage(world.connection, COUNTY, AreaLevel.VILLAGE, world.now)
    assert [line.area for line in below] == [VILLAGE]
    await world.pull(social=[replace(insurance("s2", B, "岩二", "2026-09"), source_time=world.now)])
    assert counts(await line_of(world, TOWNSHIP)) == (2, 2, 2, 2, 2)


async def test_a_file_goes_stale_by_time_and_with_a_source_that_is_down(world: World) -> None:
    await two_villages(world)
    assert (await line_of(world, VILLAGE, timedelta(days=39))).stale == {}
    down = await line_of(world, VILLAGE, timedelta(days=41))
    assert (down.fresh, down.stale) == (0, {"roster": 2, "social.insurance": 2})
    world.now += timedelta(days=372)
    await heard(world, "civil", "social")
    old = await line_of(world, VILLAGE)
    assert (old.fresh, old.stale) == (0, {"social.insurance": 2}), "its newest statement is more than 400 days old"


async def test_a_file_is_verified_when_nothing_about_it_waits_for_a_person(world: World) -> None:
    await two_villages(world)
    await world.pull(
        clinic=[bill("Y|1", "岩一"), replace(bill("Y|2", "岩三", C), reasons=(QuarantineReason.BAD_AMOUNT,))]
    )
    village = await line_of(world, VILLAGE)
    assert (village.verified, village.unverified) == (0, {"LINK": 1, "QUARANTINE": 1})
    await world.pull(tax=[grade("t3", C, "另名")])
    assert (await line_of(world, VILLAGE)).unverified == {"LINK": 1, "QUARANTINE": 1, "CONFLICT": 1}
    await world.pull(tax=[tombstone("t3", RowKind.FACT, 2)], clinic=[bill("Y|2", "岩三", C, version=2)])
    assert (await line_of(world, VILLAGE)).unverified == {"LINK": 1}


async def test_the_roster_in_quarantine_counts_against_its_household(world: World) -> None:
    await two_villages(world)
    await world.pull(civil=[replace(member("C3", "H2", "岩三", C, version=2), reasons=(QuarantineReason.BAD_DATE,))])
    assert (await line_of(world, VILLAGE)).unverified == {"QUARANTINE": 1}


async def test_a_household_that_is_gone_has_no_file(world: World) -> None:
    await two_villages(world)
    await world.pull(civil=[household("H1", version=2, status="CANCELLED")])
    assert counts(await line_of(world, VILLAGE))[0] == 1
    assert await world.connection.fetchval("SELECT count(*) FROM record.household_coverage") == 2


async def test_files_are_worked_out_anew_under_later_rules(world: World, database: Database) -> None:
    await two_villages(world)
    owner = await database.connect(DbRole.OWNER)
    await owner.execute(
        """INSERT INTO record.coverage_rule
           SELECT 2, category, source_kind, per, required OR category = 'tax.grade', heard_days, stated_days, policy
           FROM record.coverage_rule WHERE version = 1"""
    )
    await owner.close()
    assert await derive_missing(world.connection, world.now) == 3
    assert await derive_missing(world.connection, world.now) == 0
    village = await line_of(world, VILLAGE)
    assert (village.rule_version, village.missing) == (2, {"social.insurance": 1, "tax.grade": 2})


async def test_what_the_fold_notes_is_what_working_out_everything_anew_gives(world: World) -> None:
    await two_villages(world)
    await world.pull(clinic=[bill("Y|1", "岩一")], civil=[member("C2", "H3", "岩二", B, version=2)])
    noted = await world.connection.fetch("SELECT * FROM record.household_coverage ORDER BY household_id")
    await world.connection.execute("DELETE FROM record.household_coverage")
    await derive_missing(world.connection, world.now)
    assert await world.connection.fetch("SELECT * FROM record.household_coverage ORDER BY household_id") == noted


async def test_a_reading_is_recorded_and_exact_numbers_are_for_stewards(
    world: World, database: Database, tmp_path: Path
) -> None:
    await two_villages(world)

    def clock() -> datetime:
        return world.now.astimezone(SHANGHAI)

    async with receipt_desk(database, world.keys, tmp_path) as receipts:
        rounded = await coverage_for_operator(
            database, world.keys, receipts, clock, VILLAGE, AreaLevel.VILLAGE, operator="op"
        )
        assert {line.households for line in rounded} <= {3}, "of two nought is told, or three"
        (line,) = await coverage_for_operator(
            database, world.keys, receipts, clock, VILLAGE, AreaLevel.VILLAGE, operator="op", steward="steward-1"
        )
        assert line.households == 2
        empty = await coverage_for_operator(
            database, world.keys, receipts, clock, "533122", AreaLevel.VILLAGE, operator="op"
        )
        assert empty == []
    owner = await database.connect(DbRole.OWNER)
    assert (
        await owner.fetchval(
            "SELECT count(*) FROM audit.entry WHERE position('coverage:official:queried'::bytea IN entry) > 0"
        )
        == 3
    )
    await owner.close()
