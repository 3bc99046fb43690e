"""Rows without ID number, and rows that come again in other clothes, over the real protocols."""

import pytest

from hub.core.names import LinkState
from tests.connectors.civil_agency import element
from tests.connectors.clinic_agency import line as clinic_line
from tests.done.agencies import ADULT, Agencies, citizen
from tests.done.cases_bank_clinic import consent, consent_id, line, loan
from tests.done.cases_tax_social import social_row, tax_record
from tests.done.outcomes import assert_nothing_new, reasons
from tests.done.samples import HubUnderTest
from tests.done.test_main_job_3_later import counts, links

KEY = "533103Y00117|"
CADRE, OWN = "13900000000", "13800000001"


def _namesakes(agencies: Agencies) -> None:
    """Two women called 思月 in one village; one household has a phone of its own, and six share the cadre's."""
    for number, phone in ((1, OWN), (2, CADRE), (3, CADRE), (4, CADRE), (5, CADRE), (6, CADRE), (7, CADRE)):
        agencies.civil.rows["households"].append(element("household", hubh=f"H{number}", lxdh=phone))
        name, relation = ("思月", "10") if number <= 2 else ("岩旺", "02")
        agencies.civil.rows["members"].append(
            element(
                "member", cybh=f"C{number}", hubh=f"H{number}", xm=name, yhzgx=relation, sfzjhm=citizen(serial=number)
            )
        )


async def test_every_state_of_a_link(hub: HubUnderTest, agencies: Agencies) -> None:
    """One candidate, a phone that tells two apart, a lent phone, no phone, an old way to write the village, nobody."""
    _namesakes(agencies)
    unnumbered = {"证件号码": "无", "欠费人姓名": "思月"}
    agencies.put_roster({"cybh": "C9", "hubh": "H9", "xm": "思月", "sfzjhm": citizen("20100101")},
                        household={"hubh": "H9"})  # fmt: skip
    agencies.put_roster({"cybh": "C8", "hubh": "H8", "xm": "排三"}, household={"hubh": "H8"})
    agencies.put_clinic_list("20261018", [
        clinic_line(**unnumbered, 欠费单号="1", 联系电话=OWN),
        clinic_line(**unnumbered, 欠费单号="2", 联系电话=CADRE),
        clinic_line(**unnumbered, 欠费单号="3"),
        clinic_line(证件号码="0", 欠费人姓名="排 三", 欠费单号="4", 现住址="潞西市遮放镇 弄坎村民委员会3组"),
        clinic_line(**unnumbered, 欠费单号="5", 现住址="弄坎村"),
        clinic_line(欠费单号="6"),
    ])  # fmt: skip
    report = await hub.pull(*agencies.sources("clinic", "civil"))
    clinic = report["sources"]["clinic"]
    assert clinic["links"] == {"ID": 1, "PROBABLE": 2, "REVIEW": 2}
    assert clinic["quarantined"] == {"ID_MISSING_UNLINKED": 1}
    both = ["member|C1", "member|C2"]
    expected = [
        ("1", LinkState.PROBABLE, ["member|C1"]), ("2", LinkState.REVIEW, both), ("3", LinkState.REVIEW, both),
        ("4", LinkState.PROBABLE, ["member|C8"]), ("5", LinkState.UNLINKED, []),
    ]  # fmt: skip
    assert await links(hub) == [
        {"source": "clinic", "source_key": KEY + number, "state": state.value, "candidates": candidates}
        for number, state, candidates in expected
    ]
    first, second = await hub.show(citizen(serial=1), citizen(serial=2))
    assert [(fact["source_key"], fact["link"]) for fact in first["facts"]] == [(KEY + "1", "PROBABLE")]
    assert second["facts"] == [], "what a reviewer must decide stands in no record"


async def test_a_link_stays_when_the_roster_changes(hub: HubUnderTest, agencies: Agencies) -> None:
    """A namesake who moves in later does not unmake a link; a new version of the row is linked anew."""
    agencies.put_roster({"cybh": "C1", "xm": "思月", "sfzjhm": citizen(serial=1)})
    row = clinic_line(证件号码="", 欠费人姓名="思月")
    agencies.put_clinic_list("20261017", [row])
    await hub.pull(*agencies.sources("clinic", "civil"))
    agencies.put_roster({"cybh": "C2", "hubh": "H2", "xm": "思月", "sfzjhm": citizen(serial=2)},
                        household={"hubh": "H2"})  # fmt: skip
    await hub.pull(*agencies.sources("clinic", "civil"))
    assert [link["state"] for link in await links(hub)] == ["PROBABLE"]
    agencies.put_clinic_list("20261018", [row])
    report = await hub.pull(*agencies.sources("clinic", "civil"))
    assert report["sources"]["clinic"]["links"] == {"ID": 0, "PROBABLE": 0, "REVIEW": 1}
    assert [link["state"] for link in await links(hub)] == ["REVIEW"]


async def test_the_same_row_in_other_clothes_is_unchanged(hub: HubUnderTest, agencies: Agencies) -> None:
    """Full-width digits, blanks, null words, 15 digits, forbidden fields that were not there before: nothing is new."""
    mother = citizen("19620705", 302)
    agencies.tax_records.append(tax_record("XY", 1))
    await agencies.social.insert(**social_row(1, aac002=mother))
    agencies.put_bank_file(1, "2026-10-18", [consent(), line(1), loan(2)])
    await hub.pull(*agencies.sources("tax", "social", "bank"))
    wide = ADULT.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})
    agencies.tax_records[:] = [
        tax_record("XY", 1, jyzsfzjhm=f" {wide[:6]} {wide[6:]}", zxrq="无", mz="18", jyzxm=" 刀岩保　")
    ]
    await agencies.social.owner.execute(
        f"UPDATE share.ac_insured_copy SET aac002 = '{mother[:6] + mother[8:17]}', aab003 = '--'"
    )
    agencies.put_bank_file(2, "2026-10-19", [consent(ethnic="18"), line(1, id_no=f"'{ADULT}"), loan(2, phone="1")])
    again = await hub.pull(*agencies.sources("tax", "social", "bank"))
    assert_nothing_new(again)
    assert [again["sources"][name]["dropped_fields"] for name in ("tax", "bank")] == [{}, {}]


@pytest.mark.long
async def test_social_security_shows_only_the_newest(hub: HubUnderTest, agencies: Agencies) -> None:
    """What is read later is newer even within one second, also when an earlier state comes back."""
    agencies.put_roster({"cybh": "C1"})
    await agencies.social.insert(**social_row(1))
    change = "UPDATE share.ac_insured_copy SET aac031 = "
    await hub.pull(*agencies.sources("civil", "social"))
    for status, outcome in (("2", (1, 0, 0, 0, 0, 0)), ("1", (1, 0, 0, 0, 0, 0)), ("9", (0, 0, 0, 1, 0, 0)),
                            ("2", (1, 0, 0, 0, 0, 0))):  # fmt: skip
        await agencies.social.owner.execute(f"{change}'{status}'")
        assert counts(await hub.pull(*agencies.sources("social")), "social") == outcome
        assert_nothing_new(await hub.pull(*agencies.sources("social")))
        (shown,) = await hub.show(ADULT)
        wanted = {"1": "ACTIVE", "2": "PAUSED", "9": "ACTIVE"}[status]
        assert [fact["value"]["enrol_status"] for fact in shown["facts"]] == [wanted]
    assert await reasons(hub) == {}


async def test_a_guarantor_is_judged_once(hub: HubUnderTest, agencies: Agencies) -> None:
    """A repeated loan stays unchanged although the guarantor's consent has come in meanwhile."""
    agencies.put_roster({"cybh": "C1"})
    other, his = citizen(serial=5), consent_id(50)
    guarantors = [
        {"id_no": other, "name": "岩旺", "consent_id": his},
        {"id_no": other, "name": "岩旺", "consent_id": None},
    ]
    agencies.put_bank_file(1, "2026-10-18", [consent(), loan(1, guarantors=guarantors)])
    first = await hub.pull(*agencies.sources("bank", "civil"))
    assert first["sources"]["bank"]["dropped_fields"] == {"guarantors[]": 2}
    agencies.put_bank_file(2, "2026-10-19", [consent(his, id_no=other, name="岩旺"), loan(1, guarantors=guarantors)])
    second = await hub.pull(*agencies.sources("bank"))
    assert counts(second, "bank") == (1, 1, 0, 0, 0, 0)
    (shown,) = await hub.show(ADULT)
    assert shown["facts"][0]["value"]["guarantor_count"] == 0
    agencies.put_bank_file(3, "2026-10-19", [loan(1, rev=2, guarantors=guarantors)])
    third = await hub.pull(*agencies.sources("bank"))
    assert third["sources"]["bank"]["dropped_fields"] == {"guarantors[]": 1}
    (shown,) = await hub.show(ADULT)
    assert shown["facts"][0]["value"]["guarantor_count"] == 1


async def test_a_household_entered_in_error(hub: HubUnderTest, agencies: Agencies) -> None:
    """Its members have no household any more; when it comes back they do."""
    agencies.put_roster({"cybh": "C1"})
    await hub.pull(*agencies.sources("civil"))
    agencies.civil.rows["households"] = [element("household", bbh="2", scbz="1")]
    report = await hub.pull(*agencies.sources("civil"))
    assert report["sources"]["civil"]["withdrawn"] == 1
    assert (await hub.show(ADULT))[0]["error"] == "NOT_FOUND"
    agencies.civil.rows["households"] = [element("household", bbh="3")]
    await hub.pull(*agencies.sources("civil"))
    assert (await hub.show(ADULT))[0]["household"]["household_no"] == "H1"


async def test_a_refused_replacement_replaces_nothing(hub: HubUnderTest, agencies: Agencies) -> None:
    agencies.put_roster({"cybh": "C1"})
    agencies.put_clinic_list("20261018", [clinic_line(欠费单号="Q1"), clinic_line(欠费单号="Q2")])
    agencies.put_clinic_list("20261018", [clinic_line(欠费单号="Q2")], number="02", RECORDS="7")
    report = await hub.pull(*agencies.sources("clinic", "civil"))
    assert counts(report, "clinic") == (2, 0, 0, 0, 0, 0)
    assert [file["reason"] for file in report["sources"]["clinic"]["files"]["refused"]] == ["COUNT_MISMATCH"]
    agencies.put_clinic_list("20261018", [clinic_line(欠费单号="Q2")], number="02")
    report = await hub.pull(*agencies.sources("clinic", "civil"))
    assert counts(report, "clinic") == (1, 0, 0, 0, 1, 0)
