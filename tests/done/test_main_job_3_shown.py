"""Conflicts, locks, aliases and lineage: what `hub household show` makes of rows that disagree, over real protocols."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from hub.core.clock import SHANGHAI
from hub.core.names import ConflictType
from tests.connectors.civil_agency import element
from tests.connectors.clinic_agency import line as clinic_line
from tests.done.agencies import ADULT, Agencies, citizen
from tests.done.cases_bank_clinic import bank_key, consent, line, loan
from tests.done.cases_tax_social import social_row, tax_record
from tests.done.outcomes import assert_nothing_new, reasons
from tests.done.samples import HubUnderTest

SPOUSE = citizen("19880808", 20)
MOTHER = citizen("19620705", 302)
SHORT_MOTHER = MOTHER[:6] + MOTHER[8:17]


def two_households(agencies: Agencies) -> None:
    """H1 with 刀岩保 and 思月, H2 with 余阿妮."""
    agencies.put_roster({"cybh": "C1"}, {"cybh": "C2", "xm": "思月", "sfzjhm": SPOUSE, "yhzgx": "10"})
    agencies.put_roster({"cybh": "C3", "hubh": "H2", "xm": "余阿妮", "sfzjhm": MOTHER}, household={"hubh": "H2"})


def conflict(kind: ConflictType, member_no: str, source: str | None) -> dict[str, Any]:
    return {"type": kind.value, "member_no": member_no, "source": source}


async def test_names_that_differ(hub: HubUnderTest, agencies: Agencies) -> None:
    """One conflict for each source whose name differs after normalisation; the fact stays linked."""
    two_households(agencies)
    agencies.tax_records += [
        tax_record("XY", 1, jyzxm="刀岩宝"), tax_record("XY", 2, jyzxm="刀岩宝"),
        tax_record("XY", 3, jyzxm="思 月", jyzsfzjhm=SPOUSE),
    ]  # fmt: skip
    await agencies.social.insert(**social_row(1, aac003="刀保"))
    agencies.put_clinic_list("20261018", [clinic_line(欠费人姓名="岩保")])
    agencies.put_bank_file(1, "2026-10-19", [consent(name="刀·岩保"), line(1, name="刀.岩保")])
    await hub.pull(*agencies.sources())
    (shown,) = await hub.show(ADULT)
    assert shown["conflicts"] == [
        conflict(ConflictType.NAME_DIFFERS, "C1", source) for source in ("bank", "clinic", "social", "tax")
    ]
    assert {fact["link"] for fact in shown["facts"]} == {"ID"}
    assert len(shown["facts"]) == 6
    assert_nothing_new(await hub.pull(*agencies.sources()))


async def test_memberships_that_overlap(hub: HubUnderTest, agencies: Agencies) -> None:
    """Two current memberships: the later joining day decides, the other household still lists the member."""
    two_households(agencies)
    agencies.civil.rows["members"].append(
        element("member", cybh="C9", hubh="H2", xm="思　月", sfzjhm=SPOUSE, yhzgx="30", rhrq="2020-01-01")
    )
    await hub.pull(*agencies.sources("civil"))
    spouse, borrower, mother = await hub.show(SPOUSE, ADULT, MOTHER)
    assert spouse["household"]["household_no"] == "H2"
    assert [(m["member_no"], m["overlap"]) for m in spouse["members"]] == [("C3", False), ("C9", True)]
    assert [(m["member_no"], m["overlap"]) for m in borrower["members"]] == [("C1", False), ("C2", True)]
    assert spouse["conflicts"] == mother["conflicts"] == [conflict(ConflictType.MEMBERSHIP_OVERLAP, "C9", None)]
    assert borrower["conflicts"] == [conflict(ConflictType.MEMBERSHIP_OVERLAP, "C2", None)]
    assert await reasons(hub) == {}


async def test_the_dead_who_still_pay(hub: HubUnderTest, agencies: Agencies) -> None:
    """Only an active insurance with a month paid after the month of death is a conflict."""
    two_households(agencies)
    dead = "<cybh>C2</cybh><yhzgx></yhzgx>"
    agencies.civil.rows["events"].append(
        element("event", sjlx="04", yhubh="", xhubh="", cy=dead, sjrq="2026-08-31", djsj="2026-10-05T09:00:00+08:00")
    )
    await agencies.social.insert(**social_row(1, aac002=SPOUSE, aac003="思月", aae002=202608))
    await agencies.social.insert(**social_row(2, aac002=SPOUSE, aac003="思月", aae002=202609, aac031="2"))
    await agencies.social.insert(**social_row(3, aae002=202609))
    await hub.pull(*agencies.sources("civil", "social"))
    (shown,) = await hub.show(ADULT)
    assert [(m["member_no"], m["status"], m["deceased_on"]) for m in shown["members"]] == [
        ("C1", "ACTIVE", None), ("C2", "DECEASED", "2026-08-31"),
    ]  # fmt: skip
    assert shown["conflicts"] == []
    await agencies.social.insert(**social_row(4, aac002=SPOUSE, aac003="思月", aae002=202609))
    await hub.pull(*agencies.sources("social"))
    (shown,) = await hub.show(ADULT)
    assert shown["conflicts"] == [conflict(ConflictType.DECEASED_ACTIVE, "C2", "social")]


async def test_two_people_under_one_number(hub: HubUnderTest, agencies: Agencies) -> None:
    """The member held stays, whatever the numbers; of two new ones the smaller number stays."""
    two_households(agencies)
    rows = agencies.civil.rows["members"]
    rows += [element("member", cybh=number, xm=name, sfzjhm=citizen(serial=77))
             for number, name in (("C8", "岩二"), ("C7", "岩一"))]  # fmt: skip
    await hub.pull(*agencies.sources("civil"))
    assert await reasons(hub) == {"member|C8": "DUP_CONFLICT"}
    rows.append(element("member", cybh="C0", xm="别人", sfzjhm=ADULT))
    report = await hub.pull(*agencies.sources("civil"))
    assert report["sources"]["civil"]["quarantined"] == {"DUP_CONFLICT": 1}
    assert await reasons(hub) == {"member|C8": "DUP_CONFLICT", "member|C0": "DUP_CONFLICT"}
    assert [member["name"] for member in (await hub.show(ADULT))[0]["members"]] == ["刀岩保", "思月", "岩一"]


async def test_a_consent_taken_back_locks_what_rests_on_it(hub: HubUnderTest, agencies: Agencies) -> None:
    two_households(agencies)
    agencies.put_bank_file(1, "2026-10-18", [consent(), line(1), loan(2)])
    await hub.pull(*agencies.sources("civil", "bank"))
    agencies.put_bank_file(2, "2026-10-19", [consent(rev=2, withdrawn_on="2026-10-19"), loan(2, rev=2)])
    later = await hub.pull(*agencies.sources("civil", "bank"))
    assert later["sources"]["bank"]["quarantined"] == {"CONSENT_INVALID": 1}
    assert later["sources"]["bank"]["withdrawn"] == 0
    (shown,) = await hub.show(ADULT)
    assert [(f["source_key"], f["source_version"], f["status"], f["value"]) for f in shown["facts"]] == [
        (bank_key(line(1)), "1", "LOCKED", None), (bank_key(loan(2)), "1", "LOCKED", None),
    ]  # fmt: skip
    assert [(c["member_no"], c["status"]) for c in shown["consents"]] == [("C1", "WITHDRAWN")]


async def test_an_expired_consent_is_shown_as_expired(hub: HubUnderTest, agencies: Agencies) -> None:
    """Its expiry keeps new rows out; what came in before stays (only a withdrawal locks)."""
    two_households(agencies)
    agencies.put_bank_file(1, "2026-10-18", [consent(expires_on="2026-10-25"), line(1)])
    await hub.pull(*agencies.sources("civil", "bank"))
    after = replace(hub, clock=lambda: datetime(2026, 10, 26, 7, 0, tzinfo=SHANGHAI))
    ((now,), (later,)) = (await hub.show(ADULT), await after.show(ADULT))
    assert [record["consents"][0]["status"] for record in (now, later)] == ["ACTIVE", "EXPIRED"]
    assert [record["facts"][0]["status"] for record in (now, later)] == ["CURRENT", "CURRENT"]


async def test_waived_arrears_are_suppressed(hub: HubUnderTest, agencies: Agencies) -> None:
    two_households(agencies)
    agencies.put_clinic_list("20261018", [clinic_line(欠费单号=mark, 减免标志=mark) for mark in ("1", "是", "√", "否")])
    await hub.pull(*agencies.sources("civil", "clinic"))
    (shown,) = await hub.show(ADULT)
    states = {fact["source_key"].rpartition("|")[2]: (fact["status"], fact["value"] is None) for fact in shown["facts"]}
    assert states == {"1": ("SUPPRESSED", True), "是": ("SUPPRESSED", True), "√": ("SUPPRESSED", True),
                      "否": ("CURRENT", False)}  # fmt: skip


async def test_old_and_corrected_numbers_lead_to_one_person(hub: HubUnderTest, agencies: Agencies) -> None:
    """15 digits, and a number the police corrected: facts under each belong to the person, who is found by each."""
    two_households(agencies)
    corrected = citizen("19880809", 20)
    old_and_new = f"<cybh>C2</cybh><ysfzjhm>{SPOUSE}</ysfzjhm><xsfzjhm>{corrected}</xsfzjhm>"
    agencies.civil.rows["events"].append(element("event", sjlx="05", yhubh="", xhubh="", cy=old_and_new))
    await agencies.social.insert(**social_row(1, aac002=SHORT_MOTHER, aac003="余阿妮"))
    agencies.tax_records += [
        tax_record("XY", 1, jyzsfzjhm=SPOUSE, jyzxm="思月"), tax_record("XY", 2, jyzsfzjhm=corrected, jyzxm="思月"),
    ]  # fmt: skip
    await hub.pull(*agencies.sources("tax", "social"))
    await hub.pull(*agencies.sources("civil"))
    long, short, old, new = await hub.show(MOTHER, SHORT_MOTHER, SPOUSE, corrected)
    assert long | {"query": 0} == short | {"query": 0}
    assert [fact["member_no"] for fact in long["facts"]] == ["C3"]
    assert old | {"query": 0} == new | {"query": 0}
    assert [fact["member_no"] for fact in new["facts"]] == ["C2", "C2"]
    spouse = next(member for member in new["members"] if member["member_no"] == "C2")
    assert spouse["id_masked"] == f"{corrected[:6]}********{corrected[-4:]}"


async def test_lineage_of_split_and_merge(hub: HubUnderTest, agencies: Agencies) -> None:
    """Members go with the events; a revoked event is as if it had never been."""
    two_households(agencies)
    rows = agencies.civil.rows
    rows["households"].append(element("household", hubh="H3", zh="04"))
    split = {"sjbh": "E1", "yhubh": "H1", "xhubh": "H3", "cy": "<cybh>C2</cybh><yhzgx>02</yhzgx>"}
    merge = {"sjbh": "E2", "sjlx": "02", "yhubh": "H2", "xhubh": "H3", "cy": "<cybh>C3</cybh><yhzgx>52</yhzgx>"}
    rows["events"] += [element("event", **split), element("event", **merge)]
    await hub.pull(*agencies.sources("civil"))
    borrower, spouse, mother = await hub.show(ADULT, SPOUSE, MOTHER)
    assert spouse["household"] | {"x": 0} == mother["household"] | {"x": 0}
    assert spouse["household"]["household_no"] == "H3"
    assert spouse["household"]["predecessors"] == ["H1", "H2"]
    assert borrower["household"]["successors"] == ["H3"]
    assert [(m["member_no"], m["relation"], m["joined_on"]) for m in spouse["members"]] == [
        ("C2", "02", "2026-10-03"), ("C3", "52", "2026-10-03"),
    ]  # fmt: skip
    rows["events"].append(element("event", **(merge | {"bbh": "2", "cxbz": "1"})))
    report = await hub.pull(*agencies.sources("civil"))
    assert report["sources"]["civil"]["withdrawn"] == 1
    (mother,) = await hub.show(MOTHER)
    assert (mother["household"]["household_no"], mother["household"]["status"]) == ("H2", "ACTIVE")
    assert mother["household"]["successors"] == []
