"""What stands in the stored sections, and when it is written again."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import orjson

from hub.core.clock import SHANGHAI, midnight
from hub.core.names import Category
from hub.core.rows import RowKind
from hub.records.folding.sections import refresh_sections
from tests.records.world import (
    BANK,
    CONSENT,
    World,
    a_row,
    bill,
    consent,
    grade,
    household,
    insurance,
    loan,
    member,
    number,
    relief,
)

DAO = number("19850312")
OTHER_BANK = "402739000022"


async def _home(world: World) -> None:
    await world.pull(civil=[household("H1"), member("C1", "H1", "刀岩保", DAO)])


async def _stored(world: World) -> list[Any]:
    return await world.connection.fetch("SELECT s::text, xmin::text FROM record.section s ORDER BY 1")


async def test_the_household_and_its_members(world: World) -> None:
    child = member("C2", "H1", "刀小保", None, birth_date="2015-06-01", relation="20")
    await world.pull(civil=[household("H1"), member("C1", "H1", "刀岩保", DAO), child])
    assert await world.sections("H1") == {
        "roster/VALUE": {
            "countyCode": "533103", "countyName": "芒市", "townshipName": "遮放镇", "villageName": "弄坎村",
            "villageCode": "533103102203", "groupNo": "03", "size": 2, "minors": 1, "status": "ACTIVE",
        },
        "civil.relief/YES_NO": {"value": False},
    }  # fmt: skip
    assert await world.sections("H1", DAO) == {
        "identity/VALUE": {
            "name": "刀岩保", "maskedIdNumber": f"533103********{DAO[-4:]}", "relation": "02", "ageBand": "35-44",
            "status": "ACTIVE",
            "statements": [["name", "roster", "刀岩保", 1, 0], ["membership", "roster", "THIS_HOUSEHOLD", 1, 0]],
            "origins": [
                {
                    "source": "civil", "recordedAt": "2026-10-20T08:00:00+08:00",
                    "sourceTime": "2026-10-01T02:00:00+08:00", "validFrom": "2012-05-01",
                }
            ],
        }
    }  # fmt: skip
    assert DAO not in str(await _stored(world))


async def test_an_end_beyond_all_time_hinders_nothing(world: World) -> None:
    """9999-12-31 is how agencies write "no end" (长期)."""
    endless = date.max
    band = {"tax_paid_band": "1", "declared_income_band": "2", "authorisation_no": "A"}
    line = {"line_no": "L1", "line_amount": "1.00", "consent_id": CONSENT}
    of_dao: dict[str, Any] = {"id_number": DAO, "name": "刀岩保", "valid_from": date(2025, 1, 1), "valid_to": endless}
    child = member("C2", "H1", "刀小保", None, birth_date=endless.isoformat(), relation="20")
    granted, plan, arrears = consent(DAO), bill("K|1", "刀岩保", DAO), bill("K|2", "刀岩保", DAO, adverse=True)
    await world.pull(
        civil=[household("H1"), member("C1", "H1", "刀岩保", DAO), child, relief("R1", "H1", ends=endless.isoformat())],
        clinic=[
            replace(plan, value=plan.value | {"repay_plan_until": endless.isoformat()}),
            replace(arrears, valid_to=endless),
        ],
        tax=[
            a_row(RowKind.FACT, "t|QJ|1", 1, band, category=Category.TAX_BAND, source_time=midnight(endless), **of_dao)
        ],
        bank=[
            replace(granted, value=granted.value | {"expires_on": endless.isoformat()}),
            a_row(RowKind.FACT, f"line|{BANK}|L1", 1, line, category=Category.BANK_LINE, consent_id=CONSENT, **of_dao),
            loan("J1", DAO, adverse=True, value={"overdue_days": 2**45}, source_time=world.now),
        ],
    )
    sections = await world.sections("H1", DAO)
    assert sections[f"bank.line/TOTAL/{BANK}"] == {"amount": "1.00"}
    assert sections["clinic.arrears/BAND"]["items"][0]["planInForce"] is True
    assert [item["expiresOn"] for item in sections["adverse/VALUE"]["items"]] == [None, None]
    assert (await world.sections("H1"))["civil.relief/YES_NO"] == {"value": True}
    assert (await world.sections("H1"))["roster/VALUE"]["minors"] == 1
    assert await world.connection.fetchval("SELECT count(*) FROM record.stale_household") == 0


async def test_a_fact_carries_its_provenance(world: World) -> None:
    await _home(world)
    await world.pull(tax=[grade("a|XY|2025", DAO)])
    assert (await world.sections("H1", DAO))["tax.grade/VALUE"] == {
        "items": [
            {
                "gradeYear": 2025,
                "grade": "B",
                "provenance": {
                    "source": "tax", "sourceTime": "2026-10-18T09:12:33.123+08:00",
                    "recordedAt": "2026-10-20T09:00:00+08:00", "sourceVersion": "1", "validFrom": "2026-04-30",
                    "validTo": None,
                },
            }
        ]
    }  # fmt: skip


async def test_banks_see_their_own_contracts_and_totals_by_owner(world: World) -> None:
    await _home(world)
    loans = [
        loan("J1", DAO), loan("J2", DAO, value={"balance": "0.10", "five_class": "3"}),
        loan("J3", DAO, valid_to=date(2026, 1, 1), value={"balance": "0.00"}), loan("J4", DAO, bank=OTHER_BANK),
    ]  # fmt: skip
    await world.pull(bank=[consent(DAO), *loans])
    sections = await world.sections("H1", DAO)
    assert sections[f"bank.loan/TOTAL/{BANK}"] == {"balance": "15000.10", "loans": 2, "worstClass": "3"}
    assert sections[f"bank.loan/TOTAL/{OTHER_BANK}"] == {"balance": "15000.00", "loans": 1, "worstClass": "1"}
    assert [item["receiptNo"] for item in sections[f"bank.loan/VALUE/{BANK}"]["items"]] == ["J1", "J2", "J3"]


async def test_a_withdrawn_consent_takes_every_section_that_rests_on_it_away(world: World) -> None:
    await _home(world)
    await world.pull(bank=[consent(DAO), loan("J1", DAO)])
    assert f"bank.loan/VALUE/{BANK}" in await world.sections("H1", DAO)
    await world.pull(bank=[consent(DAO, version=2, withdrawn_on="2026-10-19")])
    assert set(await world.sections("H1", DAO)) == {"identity/VALUE"}


async def test_an_adverse_item_tells_nothing_of_the_contract_and_ends_after_five_years(world: World) -> None:
    await _home(world)
    trouble = {"notice_date": "2021-01-01", "writeoff_date": "2021-02-01", "adverse_ended_on": "2021-10-25"}
    await world.pull(bank=[consent(DAO), loan("J1", DAO, adverse=True, value=trouble)])
    sections = await world.sections("H1", DAO)
    item = sections["adverse/VALUE"]["items"][0]
    assert (item["kind"], item["since"], item["endedOn"], item["expiresOn"]) == (
        "bank.loan", "2021-02-01", "2021-10-25", "2026-10-25",
    )  # fmt: skip
    assert "J1" not in str(item)
    assert "HT1" not in str(item)
    assert (item["provenance"]["validFrom"], item["statement"]) == (None, None)
    assert item["provenance"]["source"] == "bank", "which bank it is stays that bank's to know"
    for day, is_there in ((25, True), (26, False)):
        await refresh_sections(world.connection, world.keys, datetime(2026, 10, day, tzinfo=SHANGHAI))
        assert ("adverse/VALUE" in await world.sections("H1", DAO)) is is_there
    assert set(await world.sections("H1", DAO)) == {"identity/VALUE"}


async def test_suppressed_values_enter_no_section(world: World) -> None:
    await _home(world)
    await world.pull(clinic=[bill("K|1", "刀岩保", DAO, suppressed=True)])
    assert set(await world.sections("H1", DAO)) == {"identity/VALUE"}


async def test_time_alone_ends_a_relief_and_changes_an_age_band(world: World) -> None:
    await world.pull(
        civil=[household("H1"), member("C1", "H1", "刀岩保", number("20011025")), relief("J1", "H1", ends="2026-10-23")]
    )
    assert (await world.sections("H1"))["civil.relief/YES_NO"] == {"value": True}
    assert await world.connection.fetchval("SELECT changes_on FROM record.household_fold") == date(2026, 10, 24)
    assert await refresh_sections(world.connection, world.keys, datetime(2026, 10, 23, tzinfo=SHANGHAI)) == 0
    assert await refresh_sections(world.connection, world.keys, datetime(2026, 10, 24, tzinfo=SHANGHAI)) == 1
    assert (await world.sections("H1"))["civil.relief/YES_NO"] == {"value": False}
    assert (await world.sections("H1", number("20011025")))["identity/VALUE"]["ageBand"] == "18-24"
    assert await refresh_sections(world.connection, world.keys, datetime(2026, 10, 26, tzinfo=SHANGHAI)) == 1
    assert (await world.sections("H1", number("20011025")))["identity/VALUE"]["ageBand"] == "25-34"


async def test_only_what_changed_is_written(world: World) -> None:
    await _home(world)
    await world.pull(tax=[grade("a|XY|2025", DAO)], social=[insurance("s|390", DAO, "刀岩保", "2026-09")])
    before = {row["s"]: row["xmin"] for row in await _stored(world)}
    await world.pull(tax=[grade("a|XY|2025", DAO, version=2, letter="A")])
    after = {row["s"]: row["xmin"] for row in await _stored(world)}
    assert len(set(after.items()) - set(before.items())) == 1
    folded = await world.connection.fetchval("SELECT count(*) FROM record.household_fold")
    ids = [r["household_id"] for r in await world.connection.fetch("SELECT household_id FROM record.household")]
    assert await refresh_sections(world.connection, world.keys, world.now + timedelta(hours=1), ids) == folded == 1
    assert {row["s"]: row["xmin"] for row in await _stored(world)} == after


async def test_a_taxpayer_number_that_is_an_id_number_is_masked(world: World) -> None:
    await _home(world)
    row = grade("a|DJ|0", DAO)
    value = {"taxpayer_id": DAO, "taxpayer_name": "刀岩保", "taxpayer_status": "NORMAL"}
    await world.pull(tax=[replace(row, category=Category.TAX_REGISTRATION, value=value, content=b"dj")])
    body = (await world.sections("H1", DAO))["tax.registration/VALUE"]
    assert body["items"][0]["taxpayerId"] == f"533103********{DAO[-4:]}"
    assert DAO.encode() not in orjson.dumps(body)
