"""If a row breaks several rules the first of the closed list wins, for every kind of source, over real protocols."""

from typing import Any

from hub.core.names import QuarantineReason
from hub.store.database import DbRole
from tests.connectors.civil_agency import element
from tests.connectors.clinic_agency import line as clinic_line
from tests.done.agencies import ADULT, MINOR_BORN, Agencies, citizen, damaged_check_digit
from tests.done.cases_bank_clinic import bank_key, consent, loan
from tests.done.cases_tax_social import social_row, tax_key, tax_record
from tests.done.outcomes import quarantine
from tests.done.samples import HubUnderTest

Rungs = list[tuple[str, dict[str, Any]]]

TAX: Rungs = [
    ("TEXT_UNREADABLE", {"jyzxm": "刀\ufffd"}),
    ("ID_CHECK_DIGIT", {"jyzsfzjhm": damaged_check_digit()}),
    ("USCC_CHECK_DIGIT", {"nsrsbh": "92533103MA6K123459"}),
    ("MINOR_SUBJECT", {"jyzsfzjhm": citizen(MINOR_BORN)}),
    ("ADVERSE_EXPIRED", {"qsye": "0.00", "jqrq": "2011-01-01"}),
    ("ADVERSE_NOTICE_MISSING", {"ggrq": None}),
    ("UNKNOWN_CODE", {"zfbz": "Q"}),
    ("BAD_DATE", {"qsfsrq": "2024-02-30"}),
    ("BAD_AMOUNT", {"qsye": "-1"}),
]
SOCIAL: Rungs = [
    ("TEXT_UNREADABLE", {"aac003": "刀\ue4c6"}),
    ("ID_BIRTH_DATE", {"aac002": citizen("20990101")}),
    ("MINOR_SUBJECT", {"aac002": citizen(MINOR_BORN)}),
    ("UNKNOWN_CODE", {"aac031": "9"}),
    ("BAD_DATE", {"aac030": "20150230"}),
    ("BAD_AMOUNT", {"aae201": -1}),
]
BANK: Rungs = [
    ("TEXT_UNREADABLE", {"name": "刀\ufffd"}),
    ("ID_PRECISION_LOST", {"id_no": "5.33103E+17"}),
    ("CONSENT_MISSING", {"consent_id": None}),
    ("CONSENT_INVALID", {"consent_id": "10000000-0000-4000-8000-000000000000"}),
    ("ADVERSE_EXPIRED", {"adverse_ended_on": "2011-01-01"}),
    ("ADVERSE_NOTICE_MISSING", {"five_class": "5", "notice_date": "2026-10-20"}),
    ("UNKNOWN_CODE", {"product_code": "ABCD"}),
    ("BAD_DATE", {"maturity_date": "2027-02-30"}),
    ("DATE_INCONSISTENT", {"settled_date": "2025-03-04", "balance_fen": 0}),
    ("BAD_AMOUNT", {"overdue_fen": -1}),
    ("AMOUNT_INCONSISTENT", {"balance_fen": 3_000_001}),
]
CLINIC: Rungs = [
    ("TEXT_UNREADABLE", {"欠费人姓名": "刀\ue4c6"}),
    ("ID_FORMAT", {"证件号码": "12345"}),
    ("ADVERSE_EXPIRED", {"结清日期": "2011-01-01"}),
    ("ADVERSE_NOTICE_MISSING", {"恶意拖欠决定书号": "J1", "告知日期": ""}),
    ("UNKNOWN_CODE", {"减免标志": "2"}),
    ("BAD_DATE", {"延期协议到期日": "明年"}),
    ("DATE_INCONSISTENT", {"约定还款日": "2026-09-04"}),
    ("BAD_AMOUNT", {"应付金额": "四百"}),
    ("AMOUNT_INCONSISTENT", {"结清日期": "2026-10-01", "证件号码": ""}),
    ("ID_MISSING_UNLINKED", {"证件号码": ""}),
]
MEMBER: Rungs = [
    ("TEXT_UNREADABLE", {"xm": "刀\ufffd"}),
    ("ID_MISSING", {"sfzjhm": "无"}),
    ("ID_CHECK_DIGIT", {"sfzjhm": damaged_check_digit()}),
    ("UNKNOWN_CODE", {"yhzgx": "03"}),
    ("BAD_DATE", {"swrq": "2026-10-02"}),
    ("DATE_INCONSISTENT", {"lhrq": "2012-04-30"}),
    ("REF_MISSING", {"hubh": "H9", "sfzjhm": citizen(serial=90)}),
]
RELIEF: Rungs = [
    ("FORBIDDEN_RECORD", {"jzlx": "04"}),
    ("UNKNOWN_CODE", {"jzlx": "06"}),
    ("BAD_DATE", {"ksrq": ""}),
    ("DATE_INCONSISTENT", {"ksrq": "2025-01-01", "jsrq": "2024-12-31"}),
    ("BAD_AMOUNT", {"yjzje": "-1"}),
    ("REF_MISSING", {"hubh": "H9"}),
]


def ladder(rungs: Rungs) -> list[dict[str, Any]]:
    """For each rung the changes that break its rule and all rules after it."""
    steps: list[dict[str, Any]] = []
    for _, changes in reversed(rungs):
        steps.append((steps[-1] if steps else {}) | changes)
    return steps[::-1]


async def assert_ladder(hub: HubUnderTest, rungs: Rungs, keys: list[str]) -> None:
    found = {entry["source_key"]: entry for entry in await quarantine(hub)}
    assert [found[key]["reason"] for key in keys] == [reason for reason, _ in rungs]
    for key in keys:
        ranks = [QuarantineReason[name] for name in (found[key]["reason"], *found[key]["other_reasons"])]
        assert ranks == sorted(ranks)
    assert len(found[keys[0]]["other_reasons"]) > 1


async def test_tax(hub: HubUnderTest, agencies: Agencies) -> None:
    records = [tax_record("QS", number, **changes) for number, changes in enumerate(ladder(TAX))]
    agencies.tax_records += records
    await hub.pull(*agencies.sources("tax"))
    await assert_ladder(hub, TAX, [tax_key(record) for record in records])


async def test_social_security(hub: HubUnderTest, agencies: Agencies) -> None:
    rows = [social_row(number, **changes) for number, changes in enumerate(ladder(SOCIAL))]
    for row in rows:
        await agencies.social.insert(**row)
    await hub.pull(*agencies.sources("social"))
    await assert_ladder(hub, SOCIAL, [f"{row['aac001']}|170" for row in rows])


async def test_bank(hub: HubUnderTest, agencies: Agencies) -> None:
    rows = [loan(number, **changes) for number, changes in enumerate(ladder(BANK))]
    agencies.put_bank_file(1, "2026-10-19", [consent(), *rows])
    await hub.pull(*agencies.sources("bank"))
    await assert_ladder(hub, BANK, [bank_key(row) for row in rows])


async def test_clinic(hub: HubUnderTest, agencies: Agencies) -> None:
    rows = [clinic_line(欠费单号=f"Q{number}", **changes) for number, changes in enumerate(ladder(CLINIC))]
    agencies.put_clinic_list("20261018", rows)
    await hub.pull(*agencies.sources("clinic"))
    await assert_ladder(hub, CLINIC, [f"533103Y00117|Q{number}" for number in range(len(CLINIC))])


async def test_civil_affairs(hub: HubUnderTest, agencies: Agencies) -> None:
    agencies.put_roster({"cybh": "C1", "sfzjhm": ADULT})
    for number, changes in enumerate(ladder(MEMBER)):
        agencies.civil.rows["members"].append(element("member", cybh=f"X{number}", **changes))
    for number, changes in enumerate(ladder(RELIEF)):
        agencies.civil.rows["relief"].append(element("relief", jzbh=f"X{number}", **changes))
    await hub.pull(*agencies.sources("civil"))
    await assert_ladder(hub, MEMBER, [f"member|X{number}" for number in range(len(MEMBER))])
    await assert_ladder(hub, RELIEF, [f"relief|X{number}" for number in range(len(RELIEF))])


async def test_the_first_content_stays(hub: HubUnderTest, agencies: Agencies) -> None:
    """Another content of a version is a conflict, in this run or a later one; an earlier rule wins over it."""
    first, other = tax_record("XY", 1), tax_record("XY", 1, xyjb="C")
    agencies.tax_records += [first, other, tax_record("XY", 1, xyjb="Z")]
    await hub.pull(*agencies.sources("tax"))
    agencies.tax_records.append(tax_record("XY", 1, xyjb="D"))
    await hub.pull(*agencies.sources("tax"))
    entries = await quarantine(hub)
    assert [(entry["reason"], entry["other_reasons"]) for entry in entries] == [
        ("DUP_CONFLICT", []), ("UNKNOWN_CODE", ["DUP_CONFLICT"]), ("DUP_CONFLICT", []),
    ]  # fmt: skip
    agencies.put_roster({"cybh": "C1"})
    await hub.pull(*agencies.sources("civil"))
    assert [fact["value"]["tax_credit_grade"] for fact in (await hub.show(ADULT))[0]["facts"]] == ["B"]


async def test_of_count_only_rows_nothing_else_is_kept(hub: HubUnderTest, agencies: Agencies) -> None:
    """No content, no index of the subject: only key, version, origin and the keyed hash."""
    agencies.tax_records += [tax_record("XY", 1, jyzsfzjhm=citizen(MINOR_BORN)), tax_record("XY", 2, xyjb="E")]
    await hub.pull(*agencies.sources("tax"))
    connection = await hub.database.connect(DbRole.OWNER)
    try:
        rows = await connection.fetch(
            """SELECT h.reason, h.subject_index IS NULL AS no_index, q.sealed_row IS NULL AS no_row
               FROM ingest.held_row h JOIN ingest.quarantine q USING (row_id) ORDER BY h.reason"""
        )
        assert [tuple(row) for row in rows] == [
            (QuarantineReason.MINOR_SUBJECT, True, True), (QuarantineReason.UNKNOWN_CODE, False, False),
        ]  # fmt: skip
        assert await connection.fetchval("SELECT count(*) FROM record.observation") == 0
    finally:
        await connection.close()
