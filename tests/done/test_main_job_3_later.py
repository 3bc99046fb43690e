"""What a later run makes of rows that were held back, and of rows that the agencies take back."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from hub.core.clock import SHANGHAI
from hub.records.linkage.links import list_links
from hub.store.database import DbRole
from tests.connectors.civil_agency import element
from tests.connectors.clinic_agency import line as clinic_line
from tests.done.agencies import ADULT, Agencies, citizen
from tests.done.cases_bank_clinic import bank_key, consent, consent_id, line, loan
from tests.done.cases_tax_social import social_row, tax_key, tax_record
from tests.done.outcomes import assert_counts_add_up, assert_nothing_new, reasons
from tests.done.samples import HubUnderTest

NEARLY_ADULT = citizen("20081025")
AFTER_BIRTHDAY = datetime(2026, 10, 25, 7, 0, tzinfo=SHANGHAI)


def counts(report: dict[str, Any], source: str) -> tuple[int, int, int, int, int, int]:
    """Accepted, unchanged, superseded, quarantined, withdrawn, released."""
    found = report["sources"][source]
    held_back = sum(found["quarantined"].values())
    return (
        found["accepted"], found["unchanged"], found["superseded"], held_back, found["withdrawn"], found["released"],
    )  # fmt: skip


async def links(hub: HubUnderTest) -> list[dict[str, Any]]:
    connection = await hub.database.connect(DbRole.INGEST)
    try:
        return await list_links(connection, "clinic")
    finally:
        await connection.close()


async def test_references_found_later(hub: HubUnderTest, agencies: Agencies) -> None:
    """A household that comes late releases its member and relief, and both the event that names them."""
    rows = agencies.civil.rows
    agencies.put_roster({"cybh": "C1"})
    rows["members"].append(element("member", cybh="C2", hubh="H2", xm="思月", sfzjhm=citizen()))
    rows["relief"].append(element("relief", hubh="H2"))
    rows["events"].append(element("event", yhubh="H1", xhubh="H2", cy="<cybh>C2</cybh><yhzgx>10</yhzgx>"))
    first = await hub.pull(*agencies.sources("civil"))
    assert counts(first, "civil") == (2, 0, 0, 3, 0, 0)
    assert await reasons(hub) == dict.fromkeys(("member|C2", "relief|J1", "event|E1"), "REF_MISSING")
    assert_nothing_new(await hub.pull(*agencies.sources("civil")))
    rows["households"].append(element("household", hubh="H2", zh="05"))
    later = await hub.pull(*agencies.sources("civil"))
    assert counts(later, "civil") == (1, 5, 0, 0, 0, 3)
    assert await reasons(hub) == {}
    assert await reasons(hub, "CLEARED") == dict.fromkeys(("member|C2", "relief|J1", "event|E1"), "REF_MISSING")
    (shown,) = await hub.show(citizen())
    assert (shown["household"]["household_no"], shown["household"]["predecessors"]) == ("H2", ["H1"])
    assert shown["members"][0]["relation"] == "10"
    assert [fact["category"] for fact in shown["facts"]] == ["civil.relief"]
    assert_nothing_new(await hub.pull(*agencies.sources("civil")))


async def test_a_debtor_found_later(hub: HubUnderTest, agencies: Agencies) -> None:
    """A list line without ID number waits for the roster, even if only civil affairs is pulled again."""
    agencies.put_clinic_list("20261018", [clinic_line(证件号码="", 欠费人姓名="思 月")])
    first = await hub.pull(*agencies.sources("clinic", "civil"))
    assert first["sources"]["clinic"]["quarantined"] == {"ID_MISSING_UNLINKED": 1}
    key = "533103Y00117|Q1"
    assert await links(hub) == [{"source": "clinic", "source_key": key, "state": "UNLINKED", "candidates": []}]
    assert_nothing_new(await hub.pull(*agencies.sources("clinic", "civil")))
    agencies.put_roster({"cybh": "C2", "xm": "思月", "sfzjhm": citizen()})
    await hub.pull(*agencies.sources("civil"))
    assert await reasons(hub) == {}
    assert await reasons(hub, "CLEARED") == {key: "ID_MISSING_UNLINKED"}
    assert [(link["state"], link["candidates"]) for link in await links(hub)] == [("PROBABLE", ["member|C2"])]
    (shown,) = await hub.show(citizen())
    assert [(fact["source_key"], fact["link"], fact["status"]) for fact in shown["facts"]] == [
        (key, "PROBABLE", "CURRENT")
    ]


async def test_released_is_the_only_count_of_a_released_row(hub: HubUnderTest, agencies: Agencies) -> None:
    agencies.put_clinic_list("20261018", [clinic_line(证件号码="", 欠费人姓名="思月")])
    await hub.pull(*agencies.sources("clinic"))
    agencies.put_roster({"cybh": "C2", "xm": "思月", "sfzjhm": citizen()})
    later = await hub.pull(*agencies.sources("clinic", "civil"))
    assert counts(later, "clinic") == (0, 0, 0, 0, 0, 1)
    assert later["sources"]["clinic"]["links"] == {"ID": 0, "PROBABLE": 0, "REVIEW": 0}
    assert_nothing_new(await hub.pull(*agencies.sources("clinic", "civil")))


async def test_a_minor_is_judged_anew_after_the_birthday(hub: HubUnderTest, agencies: Agencies) -> None:
    agencies.tax_records.append(tax_record("XY", 1, jyzsfzjhm=NEARLY_ADULT))
    await agencies.social.insert(**social_row(1, aac002=NEARLY_ADULT))
    agencies.put_clinic_list("20261018", [clinic_line(证件号码=NEARLY_ADULT)])
    of_minor = [consent(consent_id(9), id_no=NEARLY_ADULT), line(1, id_no=NEARLY_ADULT, consent_id=consent_id(9))]
    agencies.put_bank_file(1, "2026-10-19", of_minor)
    names = ("tax", "social", "clinic", "bank")
    first = await hub.pull(*agencies.sources(*names))
    assert {name: first["sources"][name]["quarantined"] for name in names} == {
        "tax": {"MINOR_SUBJECT": 1}, "social": {"MINOR_SUBJECT": 1}, "clinic": {"MINOR_SUBJECT": 1},
        "bank": {"MINOR_SUBJECT": 2},
    }  # fmt: skip
    before = replace(hub, clock=lambda: AFTER_BIRTHDAY.replace(day=24))
    assert_nothing_new(await before.pull(*agencies.sources(*names)))
    after = replace(hub, clock=lambda: AFTER_BIRTHDAY)
    agencies.put_bank_file(2, "2026-10-24", of_minor)
    agencies.put_clinic_list("20261024", [clinic_line(证件号码=NEARLY_ADULT)])
    report = await after.pull(*agencies.sources(*names))
    assert [counts(report, name)[0] for name in names] == [1, 1, 1, 2]
    assert await reasons(hub) == {}
    assert set((await reasons(hub, "CLEARED")).values()) == {"MINOR_SUBJECT"}
    assert_nothing_new(await after.pull(*agencies.sources(*names)))


async def test_what_the_agencies_take_back(hub: HubUnderTest, agencies: Agencies) -> None:
    """Each kind of source has its own way to withdraw; all are counted alike and leave no fact."""
    agencies.put_roster({"cybh": "C1"})
    agencies.civil.rows["relief"].append(element("relief"))
    agencies.tax_records.append(tax_record("XY", 1))
    await agencies.social.insert(**social_row(1))
    agencies.put_clinic_list("20261018", [clinic_line(欠费单号="Q1"), clinic_line(欠费单号="Q2")])
    agencies.put_bank_file(1, "2026-10-19", [consent(), line(1), loan(2)])
    first = await hub.pull(*agencies.sources())
    assert first["exit_code"] == 0
    assert len((await hub.show(ADULT))[0]["facts"]) == 7
    agencies.civil.rows["relief"] = [element("relief", bbh="2", scbz="1")]
    agencies.tax_records.append(tax_record("XY", 1, ver=2, zfbz="Y", jyzsfzjhm=None, fbrq="rubbish"))
    await agencies.social.owner.execute("UPDATE share.ac_insured_copy SET aae100 = '0', aae036 = '2026-10-20 02:00:00'")
    agencies.put_clinic_list("20261018", [clinic_line(欠费单号="Q2")], number="02")
    taken_back = [{key: row[key] for key in ("rt", "bank_code", "consent_id")} | {"rev": 2, "op": "D"} | rest
                  for row, rest in ((line(1), {"line_no": line(1)["line_no"]}),)]  # fmt: skip
    agencies.put_bank_file(2, "2026-10-19", taken_back)
    later = await hub.pull(*agencies.sources())
    assert_counts_add_up(later)
    assert {name: source["withdrawn"] for name, source in later["sources"].items()} == dict.fromkeys(
        ("tax", "social", "clinic", "civil", "bank"), 1
    )
    assert counts(later, "clinic") == (1, 0, 0, 0, 1, 0)
    (shown,) = await hub.show(ADULT)
    assert [fact["source_key"] for fact in shown["facts"]] == [bank_key(loan(2)), "533103Y00117|Q2"]
    again = await hub.pull(*agencies.sources())
    assert_nothing_new(again)


async def test_replacements_of_a_clinic_list(hub: HubUnderTest, agencies: Agencies) -> None:
    """What a replacement leaves out falls back to an older day; what it brings damaged keeps its earlier version."""
    agencies.put_clinic_list("20261015", [clinic_line(欠费单号="Q1", 已付金额="10", 欠费余额="90")])
    sound = [clinic_line(欠费单号=number) for number in ("Q1", "Q2", "Q3")]
    agencies.put_clinic_list("20261018", sound)
    agencies.put_roster({"cybh": "C1"})
    await hub.pull(*agencies.sources("clinic", "civil"))
    damaged = clinic_line(欠费单号="Q2", 应付金额="四百")
    agencies.put_clinic_list("20261018", [damaged], number="02")
    report = await hub.pull(*agencies.sources("clinic"))
    assert counts(report, "clinic") == (0, 0, 0, 1, 1, 0)
    (shown,) = await hub.show(ADULT)
    assert {fact["source_key"]: fact["source_version"] for fact in shown["facts"]} == {
        "533103Y00117|Q1": "20261015_01", "533103Y00117|Q2": "20261018_01",
    }  # fmt: skip
    agencies.put_clinic_list("20261018", sound[1:], number="03")
    report = await hub.pull(*agencies.sources("clinic"))
    assert counts(report, "clinic") == (2, 0, 0, 0, 0, 0)
    (shown,) = await hub.show(ADULT)
    assert {fact["source_key"]: fact["source_version"] for fact in shown["facts"]} == {
        "533103Y00117|Q1": "20261015_01", "533103Y00117|Q2": "20261018_03", "533103Y00117|Q3": "20261018_03",
    }  # fmt: skip
    assert await reasons(hub) == {}, "the damaged line is answered by the accepted one"


async def test_the_order_of_versions_does_not_matter(hub: HubUnderTest, agencies: Agencies) -> None:
    """In one run or in two, newer first or older first: the newest is current, the others are history."""
    newer, older = (lambda n: tax_record("XY", n, ver=7, xyjb="A")), (lambda n: tax_record("XY", n, ver=2, xyjb="C"))
    agencies.tax_records += [older(1), newer(1), newer(2), older(2), newer(3), newer(3)]
    first = await hub.pull(*agencies.sources("tax"))
    assert counts(first, "tax") == (3, 1, 2, 0, 0, 0)
    agencies.tax_records += [older(3), older(2), tax_record("XY", 1, ver=5, xyjb="Z"), tax_record("XY", 2, ver=8)]
    later = await hub.pull(*agencies.sources("tax"))
    assert counts(later, "tax") == (1, 7, 1, 1, 0, 0), "a row that breaks a rule is held back, however old it is"
    assert await reasons(hub) == {tax_key(newer(1)): "UNKNOWN_CODE"}
    agencies.tax_records.append(tax_record("XY", 1, ver=9))
    cleared = await hub.pull(*agencies.sources("tax"))
    assert counts(cleared, "tax") == (1, 10, 0, 0, 0, 0)
    assert await reasons(hub) == {}
    assert await reasons(hub, "CLEARED") == {tax_key(newer(1)): "UNKNOWN_CODE"}
