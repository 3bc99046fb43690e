"""How sections are reached: by the keys that were granted and no others, however the tables look to the planner."""

import json
from uuid import UUID

import asyncpg
import pytest

from hub.store.database import DbRole

from .world import ALL_PARTS, BANK_A, COUNTY, HEAD, HOUSEHOLD, HOUSEHOLD_PARTS, NOBODY, WIFE, Reply, World

WIDE = ["identity/VALUE", "tax.grade/VALUE", "tax.arrears/YES_NO", "roster/VALUE", "bank.loan/VALUE", "bank.loan/TOTAL"]


async def rows_fetched(world: World, reader: asyncpg.Connection) -> tuple[int, int]:
    """Rows of sections that indexes led to, and scans of the whole table, in the open transaction of this session."""
    table, indexes = await world.owner.fetchrow(
        "SELECT indrelid::int8, array_agg(indexrelid::int8) FROM pg_index"
        " WHERE indrelid = 'record.section'::regclass GROUP BY indrelid"
    )
    row = await reader.fetchrow(
        "SELECT sum(pg_stat_get_xact_tuples_fetched(oid(i))), sum(pg_stat_get_xact_tuples_returned(oid(i))),"
        " pg_stat_get_xact_numscans(oid($1::int8)) FROM unnest($2::int8[]) AS i",
        table, indexes,
    )  # fmt: skip
    assert row[0] == row[1], "every index entry that was read led to a row"
    return int(row[0]), int(row[2])


async def ask_counting(world: World, wire: dict[str, object]) -> tuple[Reply, int, int]:
    """An answer, the rows of sections fetched for it, and the scans of the table without an index."""
    reader = await world.database.connect(DbRole.APP)
    try:
        async with reader.transaction():
            before = await rows_fetched(world, reader)
            (row,) = await world.disclose(wire, by=reader)
            after = await rows_fetched(world, reader)
    finally:
        await reader.close()
    return Reply(row, UUID(str(wire["ev"]))), after[0] - before[0], after[1] - before[1]


def keys_of(parts: list[str], owners: int) -> int:
    """How many rows stand under these (category, form): contracts stand once per owner."""
    return sum(owners if part.startswith("bank.") else 1 for part in parts)


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("parts", [["tax.grade/VALUE"], WIDE, ALL_PARTS])
async def test_only_rows_of_granted_keys_are_fetched(world: World, parts: list[str], analysed: bool) -> None:
    if analysed:
        await world.owner.execute("ANALYZE record.section")
    await world.basis(HEAD, parts=WIDE, uses=None)
    reply, fetched, scans = await ask_counting(world, world.wire("officer-a", HEAD, parts=parts))
    granted = [part for part in parts if part in WIDE]
    assert reply.parts == set(granted)
    assert fetched == keys_of(granted, 3)
    assert scans == 0


async def test_of_another_adult_one_row_is_fetched(world: World) -> None:
    await world.basis(HEAD, parts=["identity/VALUE"], uses=None)
    await world.basis(WIFE, uses=None)
    wire = world.wire("officer-a", HEAD, parts=["identity/VALUE"], others=True)
    reply, fetched, scans = await ask_counting(world, wire)
    assert len(reply.sections) == fetched == 2
    assert scans == 0


async def test_a_denied_query_fetches_no_section(world: World) -> None:
    reply, fetched, scans = await ask_counting(world, world.wire("officer-a", HEAD, others=True))
    assert reply.all_withheld("NO_BASIS")
    assert (fetched, scans) == (0, 0)


async def test_a_connection_that_began_with_empty_tables_reads_by_keys_later(world: World) -> None:
    await world.owner.execute("CREATE TABLE kept AS SELECT * FROM record.section; TRUNCATE record.section")
    await world.owner.execute("ANALYZE record.section")
    await world.basis(HEAD, parts=WIDE, uses=None)
    reader = await world.database.connect(DbRole.APP)
    try:
        for _ in range(7):
            await world.disclose(world.wire("officer-a", HEAD), by=reader)
        await world.owner.execute("INSERT INTO record.section SELECT * FROM kept")
        async with reader.transaction():
            before = await rows_fetched(world, reader)
            (row,) = await world.disclose(world.wire("officer-a", HEAD), by=reader)
            after = await rows_fetched(world, reader)
    finally:
        await reader.close()
    assert after[0] - before[0] == keys_of(WIDE, 3)
    assert after[1] == before[1]
    assert len(row["section_parts"]) == len(WIDE)


async def test_sections_keep_the_order_of_the_question(world: World) -> None:
    await world.basis(HEAD, parts=WIDE, uses=None)
    for parts in (WIDE, WIDE[::-1]):
        reply = await world.ask("officer-a", HEAD, parts=parts)
        assert [part for _, part, _, _ in reply.sections] == parts
        recorded = json.loads((await world.pending(reply.ev))["facts"])["persons"][str(HEAD.person_id)]["sections"]
        assert list(dict.fromkeys(f"{line[0]}/{line[1]}" for line in recorded)) == parts


async def test_a_person_without_household_has_only_sections_of_his_own(world: World) -> None:
    await world.owner.execute("UPDATE record.person SET household_id = NULL WHERE person_id = $1", HEAD.person_id)
    await world.owner.execute(
        "UPDATE record.section SET household_id = $1 WHERE household_id = $2 AND person_id = $3",
        NOBODY, HOUSEHOLD, HEAD.person_id,
    )  # fmt: skip
    await world.basis(HEAD, parts=WIDE, uses=None)
    reply = await world.ask("officer-a", HEAD, parts=WIDE, others=True)
    assert reply.parts == set(WIDE) - HOUSEHOLD_PARTS
    assert reply.absent == {"roster/VALUE": "NOT_REPORTED"}
    assert (reply.others, reply.not_shown) == ([], 0)


async def test_an_owner_that_is_no_plain_code_is_quoted_in_the_record(world: World) -> None:
    odd = 'a"],["x'
    await world.section(COUNTY, HOUSEHOLD, HEAD.person_id, "bank.loan/TOTAL", "402739000099")
    await world.owner.execute(
        "UPDATE record.section SET owner = $1 WHERE owner = '402739000099' AND person_id = $2", odd, HEAD.person_id
    )
    await world.basis(HEAD, parts=["bank.loan/TOTAL"], uses=None)
    reply = await world.ask("officer-a", HEAD, parts=["bank.loan/TOTAL"])
    facts = json.loads((await world.pending(reply.ev))["facts"])
    assert {line[2] for line in facts["persons"][str(HEAD.person_id)]["sections"]} > {odd}
    assert BANK_A not in {line[2] for line in facts["persons"][str(HEAD.person_id)]["sections"]}


async def test_texts_of_the_caller_are_quoted_in_the_record(world: World) -> None:
    odd = 'k"},{"a\\\u0001é中'
    await world.basis(HEAD, uses=3)
    wire = world.wire("officer-a", HEAD, key=odd, token=odd)
    await world.disclose(wire)
    facts = json.loads((await world.pending(UUID(wire["ev"])))["facts"])
    assert (facts["idempotencyKey"], facts["token"]) == (odd, odd)


async def test_the_commit_is_left_to_the_sequencers(world: World) -> None:
    """The answer waits for the sequencer's synchronous commit, which comes later in the same log."""
    await world.owner.execute(f"ALTER DATABASE {world.database.name} SET synchronous_commit = on")
    reader = await world.database.connect(DbRole.APP)
    try:
        async with reader.transaction():
            assert await reader.fetchval("SHOW synchronous_commit") == "on"
            await world.disclose(world.wire("officer-a", HEAD), by=reader)
            assert await reader.fetchval("SHOW synchronous_commit") == "off"
        assert await reader.fetchval("SHOW synchronous_commit") == "on"
    finally:
        await reader.close()


async def test_the_same_part_asked_twice_is_shown_once(world: World) -> None:
    await world.basis(HEAD, uses=None)
    reply = await world.ask("officer-a", HEAD, parts=["tax.grade/VALUE", "tax.grade/VALUE"])
    assert len(reply.sections) == 1
