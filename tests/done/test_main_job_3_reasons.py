"""Every quarantine reason, from every kind of source whose document names it, over the real protocols."""

from hub.core.names import QuarantineReason
from tests.done.agencies import Agencies
from tests.done.cases_bank_clinic import (
    BANK_SOUND,
    BUSINESS_DATE,
    CLINIC_DAY,
    CLINIC_SOUND,
    CONSENTS,
    bank_cases,
    clinic_cases,
)
from tests.done.cases_civil import ROSTER, civil_cases
from tests.done.cases_tax_social import TAX_SOUND, social_cases, social_row, tax_cases
from tests.done.outcomes import assert_cases, assert_nothing_new, members_of
from tests.done.samples import HubUnderTest


def test_the_tables_leave_no_reason_out() -> None:
    """The five tests below together produce the whole closed list."""
    produced = members_of([*tax_cases(), *social_cases(), *bank_cases(), *clinic_cases("f")])
    produced |= members_of([case for _, case in civil_cases()])
    assert produced == set(QuarantineReason)


async def test_tax(hub: HubUnderTest, agencies: Agencies) -> None:
    cases = tax_cases()
    agencies.tax_records += [*TAX_SOUND, *(case.row for case in cases)]
    report = await hub.pull(*agencies.sources("tax"))
    await assert_cases(hub, report, "tax", cases)
    assert report["sources"]["tax"]["accepted"] == len(TAX_SOUND)
    assert report["sources"]["tax"]["dropped_fields"] == {"mz": 1, "sjnse": 1}
    again = await hub.pull(*agencies.sources("tax"))
    assert_nothing_new(again)
    assert again["sources"]["tax"]["fetched"] == len(cases) + len(TAX_SOUND)


async def test_social_security(hub: HubUnderTest, agencies: Agencies) -> None:
    cases = social_cases()
    for row in (social_row(900), social_row(901, aac003="ÀîÃ÷"), *(case.row for case in cases)):
        await agencies.social.insert(**row)
    report = await hub.pull(*agencies.sources("social"))
    await assert_cases(hub, report, "social", cases)
    assert report["sources"]["social"]["accepted"] == 2
    assert report["sources"]["social"]["repaired_fields"] == {"aac003": 1}
    again = await hub.pull(*agencies.sources("social"))
    assert_nothing_new(again)
    assert again["sources"]["social"]["fetched"] == len(cases) + 2


async def test_bank(hub: HubUnderTest, agencies: Agencies) -> None:
    cases = bank_cases()
    agencies.put_bank_file(1, BUSINESS_DATE, [*CONSENTS, *BANK_SOUND, *(case.row for case in cases)])
    report = await hub.pull(*agencies.sources("bank"))
    await assert_cases(hub, report, "bank", cases)
    assert report["sources"]["bank"]["accepted"] == len(CONSENTS) + len(BANK_SOUND)
    assert_nothing_new(await hub.pull(*agencies.sources("bank")))
    agencies.put_bank_file(2, BUSINESS_DATE, [*CONSENTS, *BANK_SOUND, *(case.row for case in cases if case.key)])
    repeated = await hub.pull(*agencies.sources("bank"))
    assert_nothing_new(repeated)
    assert repeated["sources"]["bank"]["files"]["processed"] == 1


async def test_clinic(hub: HubUnderTest, agencies: Agencies) -> None:
    agencies.put_roster({"cybh": "C1"})
    cases = clinic_cases(f"ARR_533103Y00117_{CLINIC_DAY}_01.csv")
    agencies.put_clinic_list(CLINIC_DAY, [*CLINIC_SOUND, *(case.row for case in cases)])
    report = await hub.pull(*agencies.sources("clinic", "civil"))
    await assert_cases(hub, report, "clinic", cases)
    assert report["sources"]["clinic"]["links"] == {"ID": len(CLINIC_SOUND), "PROBABLE": 0, "REVIEW": 0}
    assert_nothing_new(await hub.pull(*agencies.sources("clinic", "civil")))


async def test_a_line_with_too_few_cells(hub: HubUnderTest, agencies: Agencies) -> None:
    """The broken line alone is held back; what stood in it is kept nowhere."""
    name = agencies.put_clinic_list(CLINIC_DAY, [CLINIC_SOUND[0]])
    path = agencies.clinic.outbox / "533103Y00117" / CLINIC_DAY / name
    data = path.read_bytes() + "533103Y00117,Q2,刀岩保\r\n".encode("gb18030")
    agencies.clinic.put(name, data, RECORDS="2", AMOUNT_TOTAL="60.00")
    report = await hub.pull(*agencies.sources("clinic"))
    assert report["sources"]["clinic"]["quarantined"] == {"ROW_UNREADABLE": 1}
    assert report["sources"]["clinic"]["accepted"] == 1
    assert_nothing_new(await hub.pull(*agencies.sources("clinic")))


async def test_civil_affairs(hub: HubUnderTest, agencies: Agencies) -> None:
    cases = civil_cases()
    for feed, rows in ROSTER.items():
        agencies.civil.rows[feed] += rows
    for feed, case in cases:
        agencies.civil.rows[feed].append(case.row)
    report = await hub.pull(*agencies.sources("civil"))
    await assert_cases(hub, report, "civil", [case for _, case in cases])
    civil = report["sources"]["civil"]
    assert civil["accepted"] == sum(len(rows) for rows in ROSTER.values())
    assert civil["dropped_fields"] == {"mz": 1, "zzmm": 1, "cjlb": 1, "cjdj": 1, "sfzjhm_tail": 1}
    again = await hub.pull(*agencies.sources("civil"))
    assert_nothing_new(again)
    assert again["sources"]["civil"]["fetched"] == civil["fetched"]
