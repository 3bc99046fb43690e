"""An item is gone on its day although nothing was folded: what the gate hands out then."""

from datetime import date, timedelta
from typing import Any

import orjson

from hub.core.names import QuarantineReason
from hub.records.folding.sections import refresh_sections
from hub.store.database import Database, DbRole
from tests.adverse.items import DAO, arrears, troubled_loan
from tests.records.world import BANK, World, consent, household, loan, member

HOME = (household("H1"), member("C1", "H1", "刀岩保", DAO))


async def _state(world: World) -> dict[str, Any]:
    return {
        f"{row['category']}/{row['form']}": row
        for row in await world.connection.fetch("SELECT * FROM record.section WHERE expires_on IS NOT NULL")
    }


async def test_a_section_carries_the_day_and_the_text_that_follows_as_the_next_fold_will_write_it(world: World) -> None:
    await world.pull(
        civil=HOME,
        tax=[arrears("2023-10-25", amount="7.70"), arrears("2023-11-03", key="b|QS|2"), arrears(None, key="c|QS|3")],
        bank=[consent(DAO), troubled_loan("2021-10-25"), loan("J2", DAO)],
    )
    carried = await _state(world)
    assert set(carried) == {
        "adverse/VALUE", "tax.arrears/VALUE", "tax.arrears/YES_NO", "bank.loan/VALUE", "bank.loan/TOTAL"
    }  # fmt: skip
    assert {row["expires_on"] for row in carried.values()} == {date(2026, 10, 26)}
    world.now += timedelta(days=6)
    await refresh_sections(world.connection, world.keys, world.now)
    folded = await world.sections("H1", DAO)
    for part, before in carried.items():
        owner = f"/{BANK}" if part.startswith("bank") else ""
        assert orjson.loads(before["body_after"]) == folded[part + owner]
        if part != "tax.arrears/YES_NO":  # something is owed before and after
            assert before["body_after"] != before["body"]
    assert (await _state(world))["adverse/VALUE"]["expires_on"] == date(2026, 11, 4)


async def test_the_gate_chooses_by_its_own_clock(world: World, database: Database) -> None:
    """Ends are moved to yesterday, to today and away, as if nothing had been folded since."""
    await world.pull(civil=HOME, tax=[arrears("2023-10-25", amount="7.70"), arrears(None, key="c|QS|3", amount="5.50")])
    today = await world.connection.fetchval("SELECT (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date")
    owner = await database.connect(DbRole.OWNER)
    try:
        for expires, after_expires, shown in (
            (today + timedelta(days=1), None, ["7.70", "5.50"]),
            (today, None, ["5.50"]),
            (today - timedelta(days=300), None, ["5.50"]),
            (today - timedelta(days=300), today, []),
        ):
            await owner.execute(
                "UPDATE record.section SET expires_on = $1, after_expires_on = $2 WHERE expires_on IS NOT NULL",
                expires,
                after_expires,
            )
            bodies = await _read(owner, await world.person(DAO))
            found = [item["amount"] for body in bodies for item in orjson.loads(body)["items"]]
            assert found == shown
        await owner.execute("UPDATE record.section SET body_after = NULL, after_expires_on = NULL")
        assert await _read(owner, await world.person(DAO)) == []
    finally:
        await owner.close()


async def _read(owner: Any, person: Any) -> list[str]:
    """What ``access.read_sections`` gives of the tax arrears of a person to a system that was granted them."""
    return list(
        await owner.fetchval(
            """SELECT (access.read_sections(jsonb_populate_record(NULL::access.asked, jsonb_build_object(
                   'person_id', $1::uuid, 'county', $2::text, 'household_id', $3::uuid, 'role', 'BANK_RISK',
                   'organisation_id', '402739000011')), '{tax.arrears/VALUE}')).bodies""",
            person["person_id"],
            person["county"],
            person["household_id"],
        )
        or []
    )


async def test_an_item_is_gone_when_its_end_is_refused_as_long_over(world: World) -> None:
    """Whether the end comes after the open version or before it; what is newer than the end is something new."""
    expired = {"version": 2, "reasons": (QuarantineReason.ADVERSE_EXPIRED,)}
    owed = [arrears(None, amount="1.00"), arrears(None, key="b|QS|2", amount="2.00")]
    await world.pull(civil=HOME, tax=[owed[0], arrears("2019-01-01", key="b|QS|2", **expired)])
    assert "tax.arrears/VALUE" in await world.sections("H1", DAO)
    await world.pull(tax=[owed[1], arrears("2019-01-01", **expired)])
    assert set(await world.sections("H1", DAO)) == {"identity/VALUE"}
    await world.pull(tax=[*owed, arrears(None, version=3, amount="4.00")])
    (item,) = (await world.sections("H1", DAO))["tax.arrears/VALUE"]["items"]
    assert item["amount"] == "4.00"


async def test_a_conflict_that_rests_on_an_item_goes_with_it(world: World) -> None:
    """That a tax row names the person otherwise would tell that there was such a row."""
    await world.pull(civil=HOME, tax=[arrears("2023-10-19", name="刀某")])
    assert "conflict/VALUE" not in await world.sections("H1", DAO)
    await world.pull(tax=[arrears("2023-10-25", key="b|QS|2", name="刀某")])
    carried = (await _state(world))["conflict/VALUE"]
    assert (carried["expires_on"], carried["body_after"]) == (date(2026, 10, 26), None)
    world.now += timedelta(days=6)
    await refresh_sections(world.connection, world.keys, world.now)
    assert set(await world.sections("H1", DAO)) == {"identity/VALUE"}
