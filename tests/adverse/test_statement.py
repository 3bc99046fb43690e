"""Own statements and repairs: beside which item, for how long, who may, and what of them is recorded."""

import asyncio
import json
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.audit.receipts import Receipts
from hub.core.clock import day_of
from hub.core.disclosure import Asker
from hub.core.errors import HubError, InputError, RefusedError
from hub.core.identifiers import names_id_number
from hub.core.ids import uuid7
from hub.flows.duties.purge_adverse import purge_adverse
from hub.flows.intake.pull import PULL_LOCK
from hub.flows.stewards.repair_adverse import Repair, repair_adverse
from hub.flows.stewards.show_household import StewardQuery, show_households
from hub.flows.stewards.state_on_adverse import OwnStatement, state_on_adverse
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.records.adverse_items.adverse_notes import NewStatement, item_of_person, write_statement
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from tests.adverse.items import DAO, TAX_KEY, arrears, troubled_loan
from tests.records.world import World, consent, household, member, number

OTHER = number("19700101")
HOME = (household("H1"), member("C1", "H1", "刀岩保", DAO), member("C2", "H1", "刀二", OTHER))
ASKER, STRANGER = Asker("dao", "t1", "dao"), Asker("other", "t2", "other")
WORDS = "税款已于当年补缴，欠缴系家人住院所致。"
ACT = StewardAct("steward-1", "case 9", "a repair", {})


@pytest.fixture
async def desk(database: Database, keys: KeyService, world: World, receipts: Receipts) -> StewardDesk:
    await world.pull(civil=HOME, tax=[arrears(None, amount="9.00")], bank=[consent(DAO), troubled_loan("2021-10-25")])
    owner = await database.connect(DbRole.OWNER)
    for account, person in (("dao", DAO), ("other", OTHER)):
        await owner.execute(
            "INSERT INTO auth.account (account_id, role, person_id) VALUES ($1, 'RESIDENT', $2)",
            account,
            await world.person_id(person),
        )
    await owner.close()

    def clock() -> Any:
        world.now += timedelta(seconds=1)
        return world.now

    return StewardDesk(database, keys, receipts, clock)


async def items(world: World) -> dict[str, dict[str, Any]]:
    """The items in the section, by kind."""
    section = (await world.sections("H1", DAO)).get("adverse/VALUE", {"items": []})
    return {item["kind"]: item for item in section["items"]}


async def item_id(world: World, kind: str = "tax.arrears") -> str:
    return str((await items(world))[kind]["itemId"])


async def state(world: World) -> list[str]:
    found: list[str] = []
    for table in ("record.adverse_statement", "record.adverse_repair", "record.section", "record.stale_household"):
        found += [r["t"] for r in await world.connection.fetch(f"SELECT t::text AS t FROM {table} t ORDER BY 1")]
    return found


async def test_a_statement_stands_beside_the_item_through_corrections_until_it_is_taken_back(
    world: World, desk: StewardDesk
) -> None:
    item = await item_id(world)
    made, receipt = await state_on_adverse(desk, OwnStatement(ASKER, item, f"  {WORDS}\n"))
    assert (made.shows_at_once, made.is_withdrawn, receipt.index >= 0) == (True, False, True)
    shown = await items(world)
    assert (shown["tax.arrears"]["statement"], shown["tax.arrears"]["statedOn"]) == (WORDS, "2026-10-20")
    assert shown["bank.loan"]["statement"] is None
    assert {kind: one["regime"] for kind, one in shown.items()} == {
        "tax.arrears": "PUBLIC_CREDIT", "bank.loan": "CREDIT_REPORTING"
    }  # fmt: skip
    await world.pull(tax=[arrears(None, version=2, amount="8.00")])
    assert (await items(world))["tax.arrears"]["statement"] == WORDS
    assert await item_id(world) == item
    await state_on_adverse(desk, OwnStatement(ASKER, item, "改一下。"))
    assert (await items(world))["tax.arrears"]["statement"] == "改一下。"
    await state_on_adverse(desk, OwnStatement(ASKER, item, None))
    assert (await items(world))["tax.arrears"]["statement"] is None
    with pytest.raises(RefusedError) as refused:
        await state_on_adverse(desk, OwnStatement(ASKER, item, None))
    assert refused.value.code == "STATEMENT_MISSING"
    stored = await world.connection.fetch("SELECT number, sealed_text FROM record.adverse_statement ORDER BY 1")
    assert [row["number"] for row in stored] == [1, 2, 3]
    assert WORDS.encode() not in b"".join(row["sealed_text"] or b"" for row in stored)


@pytest.mark.parametrize(
    ("asker", "item", "text", "code"),
    [
        (STRANGER, None, WORDS, "ADVERSE_UNKNOWN"),
        (ASKER, "0" * 32, WORDS, "ADVERSE_UNKNOWN"),
        (Asker("nobody", "t", "nobody"), None, WORDS, "NOT_ALLOWED"),
        (ASKER, None, " \n", "STATEMENT_LENGTH"),
        (ASKER, None, "长" * 501, "STATEMENT_LENGTH"),
        (ASKER, None, "a\0b", "STATEMENT_TEXT"),
        (ASKER, None, "已还清\u202e", "STATEMENT_TEXT"),
        (ASKER, None, "\u200b".join(OTHER), "STATEMENT_TEXT"),
        (ASKER, None, f"找他：{OTHER[:6]} {OTHER[6:]}", "STATEMENT_NUMBER"),
    ],
)
async def test_what_is_refused_leaves_nothing(
    world: World, desk: StewardDesk, asker: Asker, item: str | None, text: str, code: str
) -> None:
    known, before = item or await item_id(world), await state(world)
    with pytest.raises((RefusedError, InputError)) as refused:
        await state_on_adverse(desk, OwnStatement(asker, known, text))
    assert (refused.value.code, await state(world)) == (code, before)
    assert text.strip() not in str(refused.value) or not text.strip()


@given(
    st.lists(st.sampled_from(["", " ", "-", ".", "，", "·", "年", "号", "z"]), min_size=17, max_size=17), st.booleans()
)
def test_a_number_is_found_however_it_is_spelt(between: list[str], is_spelt: bool) -> None:
    number = OTHER.translate(str.maketrans("0123456789", "〇一二三四五六七八九")) if is_spelt else OTHER
    assert names_id_number(f"他是{''.join(map(''.join, zip(number, [*between, ''], strict=True)))}。")


def test_dates_and_amounts_are_no_number_and_one_of_15_digits_is() -> None:
    for text in (
        "2019年3月5日至2019年12月30日住院，欠税12345.60元，2020年1月3日还清，电话13812345678。",
        "2019-03-05至2019-12-30，2020.06.01/2020.07.01，二〇一九年十二月三十日",
        "欠税12345.60，2019.03.05-2019.12.30",
    ):
        assert not names_id_number(text)
    assert names_id_number("533103-700101-441")
    assert names_id_number("１２３４５６７８９０１２３４５６")


async def test_a_statement_and_a_purge_of_its_item_come_one_after_the_other(
    world: World, desk: StewardDesk, receipts: Receipts, database: Database
) -> None:
    """At midnight the one may still see the item while the other takes it."""
    await world.pull(tax=[arrears("2023-10-20", version=2)])
    person, item = await world.person_id(DAO), await item_id(world)
    assert person is not None

    async def stated(connection: asyncpg.Connection) -> bool:
        found = await item_of_person(connection, world.keys, person, item, date(2026, 10, 20))
        if found is not None:
            await write_statement(connection, world.keys, NewStatement(found, person, WORDS, uuid7(), world.now))
        return found is not None

    other = await database.connect(DbRole.INGEST)
    async with other.transaction():
        assert await stated(other)
        world.now += timedelta(days=1)
        purge = asyncio.create_task(purge_adverse(world.connection, world.keys, receipts, lambda: world.now))
        assert not (await asyncio.wait([purge], timeout=0.5))[0], "it waits"
    assert sum(part.rows for part in await purge) == 2
    assert await other.fetchval("SELECT count(*) FROM record.adverse_statement") == 0
    assert not await stated(other)
    await other.close()


async def test_while_a_pull_is_under_way_a_statement_waits_for_its_end(
    world: World, desk: StewardDesk, database: Database
) -> None:
    item = await item_id(world)
    puller = await database.connect(DbRole.INGEST)
    await puller.execute("SELECT pg_advisory_lock($1)", PULL_LOCK)
    made, _ = await state_on_adverse(desk, OwnStatement(ASKER, item, WORDS))
    assert (made.shows_at_once, (await items(world))["tax.arrears"]["statement"]) == (False, None)
    await puller.close()
    await world.pull(tax=[])
    assert (await items(world))["tax.arrears"]["statement"] == WORDS


async def test_a_repaired_item_is_gone_until_the_repair_is_taken_back(world: World, desk: StewardDesk) -> None:
    decided = Repair("tax", TAX_KEY, True, "德税修〔2026〕7号", date(2026, 10, 19))
    item = await item_id(world)
    made, _ = await repair_adverse(desk, ACT, decided)
    assert (made.repaired, made.regime.value) == (True, "PUBLIC_CREDIT")
    assert set(await items(world)) == {"bank.loan"}
    assert "tax.arrears/VALUE" not in await world.sections("H1", DAO)
    for repeated, code in (
        (decided, "REPAIR_STANDS"),
        (Repair("tax", "x", True, "7", date(2026, 1, 1)), "ADVERSE_UNKNOWN"),
    ):
        with pytest.raises(RefusedError) as refused:
            await repair_adverse(desk, ACT, repeated)
        assert refused.value.code == code
    with pytest.raises(RefusedError) as hidden:
        await state_on_adverse(desk, OwnStatement(ASKER, item, WORDS))
    assert hidden.value.code == "ADVERSE_UNKNOWN"
    await repair_adverse(desk, ACT, Repair("tax", TAX_KEY, False, "德税修〔2026〕8号", date(2026, 10, 20)))
    assert set(await items(world)) == {"bank.loan", "tax.arrears"}
    stored = await world.connection.fetch("SELECT repaired FROM record.adverse_repair ORDER BY number")
    assert [row["repaired"] for row in stored] == [True, False]


async def test_a_reading_as_of_before_the_repair_does_not_show_the_item(
    world: World, desk: StewardDesk, receipts: Receipts
) -> None:
    before = world.now
    await repair_adverse(desk, ACT, Repair("tax", TAX_KEY, True, "7", date(2026, 10, 19)))
    query = StewardQuery("steward-1", "H", "case 9", as_of=day_of(before), recorded_at=before)
    (line,) = await show_households(desk.database, desk.keys, receipts, query, [DAO], desk.clock)
    assert {fact["category"] for fact in json.loads(line)["facts"]} == {"bank.loan"}
    await repair_adverse(desk, ACT, Repair("tax", TAX_KEY, False, "8", date(2026, 10, 20)))
    (line,) = await show_households(desk.database, desk.keys, receipts, query, [DAO], desk.clock)
    assert {fact["category"] for fact in json.loads(line)["facts"]} == {"bank.loan", "tax.arrears"}


async def test_credit_reporting_knows_no_repair_and_a_decision_has_a_number_and_a_day_that_has_come(
    world: World, desk: StewardDesk
) -> None:
    before = await state(world)
    for repair, code in (
        (Repair("bank", "loan|402739000011|HT1|J1", True, "7", date(2026, 1, 1)), "REPAIR_NOT_KNOWN"),
        (Repair("tax", TAX_KEY, True, " ", date(2026, 1, 1)), InputError.code),
        (Repair("tax", TAX_KEY, True, "7", date(2026, 10, 21)), InputError.code),
    ):
        with pytest.raises(HubError) as refused:
            await repair_adverse(desk, ACT, repair)
        assert refused.value.code == code
    assert await state(world) == before


async def test_the_purge_takes_statement_and_repair_with_the_item(
    world: World, desk: StewardDesk, receipts: Receipts
) -> None:
    await state_on_adverse(desk, OwnStatement(ASKER, await item_id(world), WORDS))
    await repair_adverse(desk, ACT, Repair("tax", TAX_KEY, True, "7", date(2026, 10, 19)))
    await world.pull(tax=[arrears("2023-01-01", version=2)])
    await purge_adverse(world.connection, world.keys, receipts, lambda: world.now)
    counts = [
        await world.connection.fetchval(f"SELECT count(*) FROM record.{table}")
        for table in ("adverse_statement", "adverse_repair")
    ]
    assert counts == [0, 0]
    assert set(await items(world)) == {"bank.loan"}


async def test_entries_name_neither_item_nor_words(world: World, desk: StewardDesk, database: Database) -> None:
    """Even opened, an entry of a statement or repair says only that something was added to the record."""
    await state_on_adverse(desk, OwnStatement(ASKER, await item_id(world), WORDS))
    await repair_adverse(desk, ACT, Repair("tax", TAX_KEY, True, "德税修7号", date(2026, 10, 19)))
    person: UUID | None = await world.person_id(DAO)
    owner: asyncpg.Connection = await database.connect(DbRole.OWNER)
    entries = await owner.fetch(
        "SELECT convert_from(entry, 'UTF8') AS entry FROM audit.entry"
        " WHERE convert_from(entry, 'UTF8') LIKE '%\"record:%:a%'"
    )
    links = await owner.fetchval("SELECT count(*) FROM audit.detail WHERE subject = $1", person)
    await owner.close()
    assert (len(entries), links >= 2) == (2, True)
    for told in (WORDS, TAX_KEY, "adverse", "arrears", "德税修7号"):
        assert all(told not in row["entry"] for row in entries)
