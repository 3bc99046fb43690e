"""Withdrawals, quotas and retries when several ask at once."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from hub.store.database import DbRole

from .world import BANK_A, BANK_B, HEAD, SON, STRANGER, WIFE, Person, World, canary


async def test_withdrawal_stops_the_very_next_query(world: World) -> None:
    basis = await world.basis(HEAD)
    assert (await world.ask("officer-a", HEAD)).parts
    await world.end_basis(basis)
    assert (await world.ask("officer-a", HEAD)).all_withheld("NO_BASIS")


async def test_a_reader_that_meets_a_withdrawal_waits_and_gets_nothing(world: World) -> None:
    basis = await world.basis(HEAD)
    wire = world.wire("officer-a", HEAD)
    withdrawing = world.owner.transaction()
    await withdrawing.start()
    await world.end_basis(basis)
    reading = asyncio.create_task(world.disclose(wire))
    await asyncio.sleep(0.3)
    assert not reading.done()
    await withdrawing.commit()
    (row,) = await reading
    assert row["section_bodies"] is None
    assert {line.split("=")[1] for line in row["withheld"]} == {"NO_BASIS"}
    assert canary(HEAD.person_id, "identity/VALUE") not in repr(dict(row))


async def test_a_withdrawal_waits_for_a_reader_that_came_first(world: World) -> None:
    basis = await world.basis(HEAD)
    reading = world.app.transaction()
    await reading.start()
    assert (await world.ask("officer-a", HEAD)).parts
    ending = asyncio.create_task(world.end_basis(basis))
    await asyncio.sleep(0.2)
    assert not ending.done()
    await reading.commit()
    await ending
    assert (await world.ask("officer-a", HEAD)).all_withheld("NO_BASIS")


async def test_nothing_is_recorded_as_disclosed_after_the_withdrawal(world: World) -> None:
    basis = await world.basis(HEAD, uses=None)
    pool = await world.database.pool(DbRole.APP, size=4)
    try:

        async def read() -> None:
            for _ in range(15):
                await pool.fetch("SELECT access.disclose($1::jsonb)", json.dumps([world.wire("officer-a", HEAD)]))

        readers = [asyncio.create_task(read()) for _ in range(4)]
        while await world.owner.fetchval("SELECT count(*) FROM audit.pending") < 5:
            await asyncio.sleep(0.01)
        async with world.owner.transaction():
            await world.end_basis(basis)
        ended = await world.owner.fetchval("SELECT clock_timestamp()")
        await asyncio.gather(*readers)
    finally:
        await pool.close()
    rows = await world.owner.fetch("SELECT queued_at, decision FROM audit.pending")
    assert len(rows) == 60
    assert "mask" in {row["decision"] for row in rows}
    assert not [row for row in rows if row["decision"] != "deny" and row["queued_at"] > ended]


async def test_a_quota_gives_exactly_its_number(world: World) -> None:
    basis = await world.basis(HEAD, uses=3)
    pool = await world.database.pool(DbRole.APP, size=5)
    try:
        rows = await asyncio.gather(
            *(
                pool.fetchrow("SELECT * FROM access.disclose($1::jsonb)", json.dumps([world.wire("officer-a", HEAD)]))
                for _ in range(20)
            )
        )
    finally:
        await pool.close()
    assert sum(row["section_bodies"] is not None for row in rows) == 3
    refused = [row for row in rows if row["section_bodies"] is None]
    assert all("identity/VALUE=QUOTA" in row["withheld"] for row in refused)
    assert await world.uses(basis) == 3


async def test_one_call_cannot_use_more_than_is_left(world: World) -> None:
    basis = await world.basis(HEAD, uses=2)
    rows = await world.disclose(*[world.wire("officer-a", HEAD) for _ in range(5)])
    assert [row["section_bodies"] is not None for row in rows] == [True, True, False, False, False]
    assert await world.uses(basis) == 2


async def test_a_retry_under_the_same_key_burns_one_use(world: World) -> None:
    basis = await world.basis(HEAD, uses=1)
    answers = [(await world.ask("officer-a", HEAD, key="loan-17")).parts for _ in range(3)]
    assert answers[0]
    assert answers[0] == answers[1] == answers[2]
    assert await world.uses(basis) == 1
    assert (await world.ask("officer-a", HEAD, key="loan-18")).withheld["identity/VALUE"] == "QUOTA"


async def test_a_key_is_of_one_asker_and_one_day_and_ends_with_the_consent(world: World) -> None:
    basis = await world.basis(HEAD, uses=2)
    await world.ask("officer-a", HEAD, key="k")
    await world.ask("risk-a", HEAD, key="k")
    assert await world.uses(basis) == 2
    await world.owner.execute("UPDATE consent.use SET used_at = used_at - interval '25 hours'")
    assert (await world.ask("officer-a", HEAD, key="k")).withheld["identity/VALUE"] == "QUOTA"
    await world.owner.execute("UPDATE consent.use SET used_at = now()")
    await world.end_basis(basis)
    assert (await world.ask("officer-a", HEAD, key="k")).all_withheld("NO_BASIS")


async def test_a_denied_query_burns_nothing(world: World) -> None:
    basis = await world.basis(HEAD, parts=["identity/VALUE"])
    await world.ask("officer-a", HEAD, parts=["tax.grade/VALUE"])
    assert await world.uses(basis) == 0


@pytest.mark.parametrize("ways", [1, 5])
async def test_the_day_counts_people_known_or_not(world: World, ways: int) -> None:
    await world.owner.execute("UPDATE access.client SET max_subjects_per_day = 3 WHERE client_id = 'officer-a'")
    people = [STRANGER, HEAD, *(Person(SON.person_id, f"53310319900101{n}", "某人") for n in range(1000, 1003))]
    for person in people:
        await world.basis(person, uses=None) if person is HEAD else None
    wires = [world.wire("officer-a", person) for person in people]
    if ways == 1:
        rows = [(await world.disclose(wire))[0] for wire in wires]
    else:
        rows = await world.disclose(*wires)
    reasons = [{line.split("=")[1] for line in row["withheld"]} for row in rows]
    assert reasons == [{"NO_BASIS"}, {"NEVER_DISCLOSED"}, {"NO_BASIS"}, {"QUOTA"}, {"QUOTA"}]
    again = await world.ask("officer-a", HEAD)
    assert again.person == HEAD.person_id  # who was asked about today already costs nothing
    assert await world.owner.fetchval("SELECT subjects FROM access.subject_count WHERE asker = 'officer-a'") == 3
    assert (await world.ask("officer-b", STRANGER)).all_withheld("NO_BASIS")


async def test_the_day_limit_holds_when_many_ask_at_once(world: World) -> None:
    await world.owner.execute("UPDATE access.client SET max_subjects_per_day = 7 WHERE client_id = 'officer-a'")
    people = [Person(SON.person_id, f"53310319900101{n}", "某人") for n in range(1000, 1030)]
    pool = await world.database.pool(DbRole.APP, size=5)
    try:
        calls = [
            pool.fetch(
                "SELECT * FROM access.disclose($1::jsonb)",
                json.dumps([world.wire("officer-a", person) for person in people[at : at + 3]]),
            )
            for at in range(0, 30, 3)
        ]
        rows = [row for found in await asyncio.gather(*calls) for row in found]
    finally:
        await pool.close()
    assert sum(row["withheld"][0].endswith("=NO_BASIS") for row in rows) == 7
    assert sum(row["withheld"][0].endswith("=QUOTA") for row in rows) == 23


async def test_batches_in_opposite_order_do_not_deadlock(world: World) -> None:
    for person in (HEAD, WIFE, SON):
        for bank in (BANK_A, BANK_B):
            await world.basis(person, bank, uses=1000)
    pool = await world.database.pool(DbRole.APP, size=4)
    people = [HEAD, WIFE, SON]
    try:
        calls = [
            pool.fetch(
                "SELECT * FROM access.disclose($1::jsonb)",
                json.dumps([world.wire(f"officer-{'ab'[n % 2]}", person) for person in (people, people[::-1])[n % 2]]),
            )
            for n in range(24)
        ]
        rows = [row for found in await asyncio.gather(*calls) for row in found]
    finally:
        await pool.close()
    assert all(row["section_bodies"] for row in rows)


async def test_batch_and_single_give_the_same(world: World) -> None:
    await world.basis(HEAD, uses=None)
    await world.basis(WIFE, uses=None, parts=["tax.grade/VALUE", "identity/VALUE"])
    await world.basis(SON, BANK_B, uses=None)
    wires = [
        world.wire("officer-a", HEAD, others=True),
        world.wire("officer-a", HEAD),
        world.wire("risk-a", WIFE, others=True, parts=["tax.grade/VALUE"]),
        world.wire("officer-b", SON, others=True),
        world.wire("collector", HEAD, purpose="DATA_COLLECTION", others=True),
        world.wire("officer-a", STRANGER),
        world.wire("head", purpose="SELF_ACCESS", person_id=HEAD.person_id),
    ]
    together = await world.disclose(*wires)

    def bare(row: asyncpg.Record) -> dict[str, object]:
        return {name: value for name, value in row.items() if name not in {"as_of", "ordinal"}}

    for wire, row in zip(wires, together, strict=True):
        alone = (await world.disclose(wire | {"ev": world.wire("head")["ev"]}))[0]
        assert bare(alone) == bare(row)


async def test_without_the_record_there_is_no_answer(world: World) -> None:
    basis = await world.basis(HEAD)
    await world.owner.execute("ALTER TABLE audit.pending ADD CONSTRAINT broken CHECK (organisation <> '402739000011')")
    with pytest.raises(asyncpg.CheckViolationError):
        await world.ask("officer-a", HEAD)
    assert await world.uses(basis) == 0
    assert await world.owner.fetchval("SELECT count(*) FROM access.subject_day") == 0


async def test_an_event_id_serves_once(world: World) -> None:
    basis = await world.basis(HEAD)
    wire = world.wire("officer-a", HEAD)
    await world.disclose(wire)
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.disclose(wire)
    assert await world.uses(basis) == 1


async def test_a_basis_that_runs_out_while_waiting_is_not_in_force(world: World) -> None:
    start = datetime.now(UTC) - timedelta(days=1) + timedelta(seconds=1)
    basis = await world.basis(HEAD, start=start, days=1)
    holding = world.owner.transaction()
    await holding.start()
    await world.owner.execute("SELECT FROM consent.basis WHERE basis_id = $1 FOR UPDATE", basis)
    reading = asyncio.create_task(world.disclose(world.wire("officer-a", HEAD)))
    await asyncio.sleep(1.2)
    await holding.rollback()
    (row,) = await reading
    assert row["section_bodies"] is None
