"""Repair, release, discard, recheck: a row is never lost, the counts add up, and what the source says later wins."""

import asyncio
import base64
from collections.abc import Awaitable
from datetime import date, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from hub.audit.leaf import Leaf
from hub.core.clock import day_of
from hub.core.errors import HubError, InputError
from hub.core.names import QuarantineReason
from hub.core.rows import CheckedRow, FileRead
from hub.flows.duties.purge_quarantine import purge_quarantine
from hub.flows.intake.pull import PULL_LOCK, PullRunningError
from hub.flows.stewards.discard_quarantined import discard_row
from hub.flows.stewards.export_quarantine import ExportFormat, export
from hub.flows.stewards.quarantined_entry import EntryClosedError
from hub.flows.stewards.readmit_quarantined import (
    NotKeptError,
    StillBreaksError,
    release_row,
    repair_row,
)
from hub.flows.stewards.recheck_quarantine import recheck_source
from hub.flows.stewards.show_quarantined import show_row
from hub.flows.stewards.steward_desk import StewardAct
from hub.records.held_back.quarantine_age import count_aged
from hub.records.held_back.quarantine_summary import summarise_quarantine
from hub.store.database import Database, DbRole
from tests.done.agencies import MINOR_BORN, citizen
from tests.done.cases_bank_clinic import consent, line, loan
from tests.done.opened import audit_details
from tests.quarantine.deliveries import ACT, BANK_FILE, CIVIL, LIST_FILE, Hub, bank, clinic, social, tax
from tests.records.world import household, member, number

COLLEAGUE = StewardAct("steward-2", "case 18", "test", {})
PERSON = "533103198503124417"


async def log_of(database: Database) -> list[tuple[str, str]]:
    """Event and decision of every entry in the signed log, in order."""
    connection = await database.connect(DbRole.OWNER)
    try:
        assert await connection.fetchval("SELECT count(*) FROM audit.pending WHERE event LIKE 'quarantine:%'") == 0
        records = await connection.fetch("SELECT entry FROM audit.entry ORDER BY seq")
    finally:
        await connection.close()
    leaves = [Leaf.parse(record["entry"]) for record in records]
    return [(leaf.what, leaf.decision) for leaf in leaves if leaf.what.startswith("quarantine:")]


async def refused(error: type[HubError], act: Awaitable[Any]) -> HubError:
    with pytest.raises(error) as caught:
        await act
    return caught.value


async def state(hub: Hub) -> list[Any]:
    """Everything that an act may change."""
    tables = ("ingest.held_row", "ingest.quarantine", "ingest.quarantine_act", "ingest.run", "record.observation")
    return [sorted(map(str, await hub.connection.fetch(f"SELECT t.* FROM {table} t"))) for table in tables]


async def test_a_repaired_row_counts_and_its_bad_delivery_is_recognised(hub: Hub, database: Database) -> None:
    bad = tax(jyzsfzjhm="533103198503124418")
    await hub.pull("tax", bad)
    done, receipt = await repair_row(hub.desk, ACT, 1, {"jyzsfzjhm": PERSON})
    assert (done.outcome, done.corrected, done.contract) == ("CURRENT", ("jyzsfzjhm",), "tax-rest/1.3")
    assert receipt is not None
    assert await hub.open() == {}
    assert list((await hub.current()).values()) == [("1", {"grade_year": 2025, "tax_credit_grade": "B"})]
    again = await hub.pull("tax", bad)
    assert (again["unchanged"], again["fetched"], again["accepted"]) == (1, 1, 0)
    assert (again["quarantined"], again["superseded"], again["withdrawn"], again["released"]) == ({}, 0, 0, 0)
    assert (await hub.pull("tax", tax()))["unchanged"] == 1, "the source's own correction says the same"
    await hub.add_up()
    assert await log_of(database) == [("quarantine:steward:repaired", "allow")]


async def test_the_observation_says_who_repaired_what_and_why_and_both_values_stay_sealed(hub: Hub) -> None:
    await hub.pull("tax", tax(xyjb="E"))
    await repair_row(hub.desk, ACT, 1, {"xyjb": "C"})
    record = await hub.connection.fetchrow("SELECT * FROM record.observation")
    payload = orjson.loads(hub.keys.open("payload", record["payload"], record["row_id"].bytes))
    told = payload["repaired"]
    assert payload["value"]["tax_credit_grade"] == "C"
    assert (told["entry"], told["by"], told["why"], told["fields"]) == ("q-000001", "steward-1", "case 17", ["xyjb"])
    shown, _ = await show_row(hub.desk, ACT, 1)
    assert shown["row"] is None
    assert shown["acts"][0]["corrected"] == {"xyjb": {"sent": "E", "used": "C"}}
    stored = str(await hub.connection.fetch("SELECT * FROM ingest.quarantine_act"))
    assert "case 17" not in stored


async def test_a_repaired_value_is_shown_as_such(hub: Hub) -> None:
    await hub.pull("civil", household("H1"), member("C1", "H1", "刀岩保", PERSON))
    await hub.pull("tax", tax(xyjb="E"), tax("DJ", 2))
    await repair_row(hub.desk, ACT, 1, {"xyjb": "C"})
    records = await hub.connection.fetch(
        "SELECT category, body FROM record.section WHERE starts_with(category, 'tax.') AND form = 'VALUE'"
    )
    items = {record["category"]: orjson.loads(record["body"])["items"][0] for record in records}
    assert (items["tax.grade"]["grade"], items["tax.grade"]["provenance"]["repaired"]) == ("C", True)
    assert "repaired" not in items["tax.registration"]["provenance"]


async def test_a_later_version_of_the_source_wins_over_a_repair(hub: Hub) -> None:
    await hub.pull("tax", tax(xyjb="E"))
    await repair_row(hub.desk, ACT, 1, {"xyjb": "C"})
    report = await hub.pull("tax", tax(xyjb="A", ver=2))
    assert report["accepted"] == 1
    assert [version for version, _ in (await hub.current()).values()] == ["2"]
    ranges = await hub.connection.fetch("SELECT version FROM record.observation ORDER BY recorded_from")
    assert [record["version"] for record in ranges] == ["1", "2"]
    await hub.add_up()


async def test_of_social_rows_the_one_read_after_a_repair_wins_at_an_equal_version(hub: Hub) -> None:
    await hub.pull("social", social(aae140="170", aac030="20120230"))
    await repair_row(hub.desk, ACT, 1, {"aac030": "20120228"})
    assert (await hub.pull("social", social(aac030="20120230")))["unchanged"] == 1
    assert (await hub.pull("social", social(aac030="20120229", aae201=7)))["accepted"] == 1
    ((_, value),) = (await hub.current()).values()
    assert value["paid_months"] == 7


async def test_a_repair_that_heals_not_all_changes_nothing_and_is_recorded(hub: Hub, database: Database) -> None:
    await hub.pull("tax", tax(xyjb="E", fbrq="2026-02-30"))
    before = await state(hub)
    error = await refused(StillBreaksError, repair_row(hub.desk, ACT, 1, {"xyjb": "B"}))
    assert isinstance(error, StillBreaksError)
    assert error.reasons == (QuarantineReason.BAD_DATE,)
    assert await state(hub) == before
    assert await log_of(database) == [("quarantine:steward:repaired", "deny")]


@pytest.mark.parametrize(
    "corrections", [{}, {"nonsense": "x"}, {"mz": "18"}, {"xyjb": ["B"]}, {"xyjb": "B\n"}, {"cy.1.yhzgx": "02"}]
)
async def test_a_repair_of_what_is_no_field_of_the_row_is_refused(hub: Hub, corrections: dict[str, Any]) -> None:
    await hub.pull("tax", tax(xyjb="E"))
    before = await state(hub)
    await refused(InputError, repair_row(hub.desk, ACT, 1, corrections))
    await refused(InputError, repair_row(hub.desk, StewardAct("steward-1", " ", "test", {}), 1, {"xyjb": "B"}))
    await refused(InputError, repair_row(hub.desk, ACT, 2, {"xyjb": "B"}))
    assert await state(hub) == before


async def test_acts_are_done_once(hub: Hub, database: Database) -> None:
    await hub.pull("tax", tax(xyjb="E"), tax("DJ", 2, nsrzt_dm="99"))
    _, first = await repair_row(hub.desk, ACT, 1, {"xyjb": "C"})
    await discard_row(hub.desk, ACT, 2)
    before = await state(hub)
    repeated, receipt = await repair_row(hub.desk, ACT, 1, {"xyjb": "C"})
    assert (repeated.repeated, repeated.outcome, receipt.as_json()) == (True, "CURRENT", first.as_json())
    assert (await discard_row(hub.desk, ACT, 2))[0].repeated
    # What somebody else put in place is not to be guessed: right and wrong are refused alike, and recorded.
    await refused(EntryClosedError, repair_row(hub.desk, COLLEAGUE, 1, {"xyjb": "C"}))
    await refused(EntryClosedError, discard_row(hub.desk, COLLEAGUE, 2))
    await refused(EntryClosedError, repair_row(hub.desk, ACT, 1, {"xyjb": "D"}))
    await refused(EntryClosedError, release_row(hub.desk, ACT, 1))
    await refused(EntryClosedError, discard_row(hub.desk, ACT, 1))
    await refused(EntryClosedError, repair_row(hub.desk, ACT, 2, {"nsrzt_dm": "03"}))
    assert await state(hub) == before
    done, tried = (await log_of(database))[:2], (await log_of(database))[2:]
    assert done == [("quarantine:steward:repaired", "allow"), ("quarantine:steward:discarded", "allow")]
    assert [(event.rpartition(":")[2], decision) for event, decision in tried] == [
        ("repaired", "deny"), ("discarded", "deny"), ("repaired", "deny"), ("released", "deny"), ("discarded", "deny"),
        ("repaired", "deny"),
    ]  # fmt: skip


async def test_what_was_said_about_a_row_is_not_in_the_log_that_outlives_it(hub: Hub, database: Database) -> None:
    ended = {"jqrq": "2023-01-01", "qsye": "0.00", "ggrq": "2019-03-01", "qsfsrq": "2019-01-05"}
    await hub.pull("tax", tax("QS", jyzsfzjhm="533103198503124418", **ended))
    corrections = {"jyzsfzjhm": PERSON, "jqrq": "2022-12-30"}
    reason = "欠税CANARY已于2022年底结清"
    said = StewardAct("steward-1", reason, f'repair(reason: "{reason}")', {"corrections": corrections})
    await repair_row(hub.desk, said, 1, corrections)
    await refused(EntryClosedError, discard_row(hub.desk, said, 1))
    shown, _ = await show_row(hub.desk, ACT, 1)
    assert "CANARY" in shown["acts"][0]["why"], "it stands beside the row"
    owner = await database.connect(DbRole.OWNER)
    told = await audit_details(owner, hub.keys)
    await owner.close()
    sealed = [base64.b64decode(text.split(": ", 1)[1].strip('"')) for text in told if text.startswith("request")]
    written = "".join(told) + b"".join(sealed).decode()
    assert all(text in written for text in ("q-000001", "jqrq", "reasonHash"))
    assert not any(text in written for text in ("CANARY", "结清", "2022-12-30", PERSON))


async def test_two_stewards_cannot_both_decide(hub: Hub) -> None:
    await hub.pull("tax", tax(xyjb="E"))
    other = StewardAct("steward-2", "case 18", "test", {})
    results = await asyncio.gather(
        repair_row(hub.desk, ACT, 1, {"xyjb": "C"}),
        repair_row(hub.desk, other, 1, {"xyjb": "D"}),
        discard_row(hub.desk, other, 1),
        return_exceptions=True,
    )
    done = [result for result in results if not isinstance(result, BaseException)]
    assert len(done) == 1
    assert {type(result) for result in results if isinstance(result, BaseException)} <= {
        EntryClosedError,
        PullRunningError,
    }
    assert await hub.connection.fetchval("SELECT count(*) FROM ingest.quarantine_act") == 1


async def test_no_act_comes_between_the_steps_of_a_pull(hub: Hub) -> None:
    await hub.pull("tax", tax(xyjb="E"))
    before = await state(hub)
    await hub.connection.execute("SELECT pg_advisory_lock($1)", PULL_LOCK)
    await refused(PullRunningError, repair_row(hub.desk, ACT, 1, {"xyjb": "C"}))
    await hub.connection.execute("SELECT pg_advisory_unlock($1)", PULL_LOCK)
    assert await state(hub) == before


async def test_a_discarded_row_leaves_nothing_but_the_count_and_stays_known(hub: Hub, database: Database) -> None:
    bad = tax(jyzxm="岩CANARY", xyjb="E")
    await hub.pull("tax", bad)
    await discard_row(hub.desk, ACT, 1)
    held = await hub.connection.fetchrow("SELECT * FROM ingest.held_row")
    assert (held["state"], held["reason"], held["subject_index"]) == ("CLOSED", 15, None)
    assert await hub.connection.fetchval("SELECT sealed_row FROM ingest.quarantine") is None
    again = await hub.pull("tax", bad)
    assert (again["unchanged"], again["quarantined"]) == (1, {})
    assert (await hub.pull("tax", tax(xyjb="A")))["quarantined"] == {"DUP_CONFLICT": 1}
    await hub.add_up()
    assert (await show_row(hub.desk, ACT, 1))[0]["acts"][0]["act"] == "DISCARDED"


async def test_of_what_waits_for_its_household_a_discard_destroys_the_observation_too(hub: Hub) -> None:
    await hub.pull("civil", CIVIL["member"](hubh="H9"))
    assert await hub.open() == {1: "REF_MISSING"}
    await discard_row(hub.desk, ACT, 1)
    assert await hub.connection.fetchval("SELECT payload FROM record.observation") == b""
    report = await hub.pull("civil", CIVIL["household"](hubh="H9"))
    assert report["released"] == 0
    assert list(await hub.current()) == ["household|H9"]
    await hub.add_up()


@pytest.mark.parametrize(
    "row",
    [
        tax(jyzsfzjhm=citizen(MINOR_BORN)),
        tax("QS", qsfsrq="2018-05-01", ggrq="2018-06-01", jqrq="2021-10-19", qsye="0.00"),
    ],
)
async def test_what_may_only_be_counted_is_never_let_in(hub: Hub, row: CheckedRow) -> None:
    await hub.pull("tax", row)
    await refused(NotKeptError, release_row(hub.desk, ACT, 1))
    await refused(NotKeptError, repair_row(hub.desk, ACT, 1, {"jyzsfzjhm": PERSON}))
    assert (await show_row(hub.desk, ACT, 1))[0]["row"] is None
    assert await hub.current() == {}


async def test_a_row_is_released_only_when_its_reason_is_gone(hub: Hub, database: Database) -> None:
    entry_line = bank(line(1, consent_id="00000000-0000-4000-8000-000000000001"))
    await hub.pull("bank", entry_line, file=BANK_FILE)
    assert await hub.open() == {1: "CONSENT_INVALID"}
    before = await state(hub)
    await refused(StillBreaksError, release_row(hub.desk, ACT, 1))
    assert await state(hub) == before
    await hub.pull("bank", bank(consent()), file=FileRead("CREDIT_2.jsonl.gz", BANK_FILE.business_date))
    done, _ = await release_row(hub.desk, ACT, 1)
    assert done.outcome == "CURRENT"
    assert (await hub.pull("bank", entry_line, file=BANK_FILE))["unchanged"] == 1
    await hub.add_up()
    assert [decision for _, decision in await log_of(database)] == ["deny", "allow"]


async def test_a_released_row_that_is_adverse_by_now_is_known_as_such(hub: Hub) -> None:
    """When it was refused the contract may not have called it adverse; the purge goes by the ledger."""
    trouble = {"five_class": "3", "adverse_ended_on": "2022-05-01", "notice_date": "2021-03-01"}
    consent_id = "00000000-0000-4000-8000-000000000001"
    await hub.pull("bank", bank(loan(1, consent_id=consent_id, **trouble)), file=BANK_FILE)
    await hub.connection.execute("UPDATE ingest.held_row SET adverse = NULL, adverse_ended_on = NULL")
    await hub.pull(
        "bank", bank(consent(consent_id=consent_id)), file=FileRead("CREDIT_2.jsonl.gz", BANK_FILE.business_date)
    )
    assert (await release_row(hub.desk, ACT, 1))[0].outcome == "CURRENT"
    noted = await hub.connection.fetchrow("SELECT adverse, adverse_ended_on FROM ingest.held_row WHERE adverse <> ''")
    assert tuple(noted) == ("bank.loan", date(2022, 5, 1))


async def test_what_was_kept_of_refused_rows_of_adverse_agencies_goes_after_five_years(
    hub: Hub, database: Database
) -> None:
    """Nobody can say whether an unreadable row told of something adverse that is over by then."""
    unreadable, unpaid = tax("QS", 2, ver=None), tax("QS", 3, qsye="1,200.50")
    ended = tax("QS", 4, jqrq="2026-10-01", qsye="0.00", ggrq=None)
    await hub.pull("tax", unreadable, unpaid, ended)
    await hub.pull("social", social(aac002="533103198503124418"))
    assert len(await hub.open()) == 4
    hub.now = hub.now.replace(year=2031)
    assert await purge_quarantine(hub.connection, hub.desk.receipts, hub.desk.clock) == 0
    hub.now += timedelta(days=1)
    assert await count_aged(hub.connection, day_of(hub.now)) == 2
    assert await purge_quarantine(hub.connection, hub.desk.receipts, hub.desk.clock) == 2
    assert await hub.open() == {3: "ADVERSE_NOTICE_MISSING", 4: "ID_CHECK_DIGIT"}
    gone = await hub.connection.fetch(
        "SELECT * FROM ingest.quarantine JOIN ingest.held_row USING (row_id) WHERE status = 'CLEARED' ORDER BY number"
    )
    assert [(row["state"], row["sealed_row"], row["subject_index"], row["adverse"]) for row in gone] == [
        ("CLOSED", None, None, None)
    ] * 2
    assert (await hub.pull("tax", unreadable, unpaid, ended))["unchanged"] == 3
    await hub.add_up()
    assert await purge_quarantine(hub.connection, hub.desk.receipts, hub.desk.clock) == 0
    assert ("quarantine:hub:purged", "allow") in await log_of(database)


async def test_a_repaired_consent_admits_what_was_refused_for_it(hub: Hub) -> None:
    broken = bank(consent(id_no="533103198503124418"))
    await hub.pull("bank", broken, bank(line(1)), file=BANK_FILE)
    assert await hub.open() == {1: "ID_CHECK_DIGIT", 2: "CONSENT_INVALID"}
    await repair_row(hub.desk, ACT, 1, {"id_no": PERSON})
    found, _ = await recheck_source(hub.desk, ACT, "bank")
    assert [(row.entry, row.remaining) for row in found.rows] == [("q-000002", ())]
    await release_row(hub.desk, ACT, 2)
    assert len(await hub.current()) == 2


async def test_a_member_repaired_to_a_household_that_is_not_held_stays_in_quarantine(hub: Hub) -> None:
    await hub.pull("civil", household("H1"), CIVIL["member"](hubh="H9"))
    assert await hub.open() == {1: "REF_MISSING"}
    before = await state(hub)
    error = await refused(StillBreaksError, repair_row(hub.desk, ACT, 1, {"hubh": "H8"}))
    assert isinstance(error, StillBreaksError)
    assert error.reasons == (QuarantineReason.REF_MISSING,)
    assert await state(hub) == before
    done, _ = await repair_row(hub.desk, ACT, 1, {"hubh": "H1"})
    assert done.outcome == "CURRENT"
    sections = await hub.connection.fetch("SELECT DISTINCT person_id FROM record.section")
    assert len(sections) == 2, "the household and its new member are folded at once"
    assert (await hub.pull("civil", CIVIL["member"](hubh="H9")))["unchanged"] == 1
    await hub.add_up()


async def test_a_clinic_bill_of_nobody_is_linked_by_its_corrected_name(hub: Hub) -> None:
    await hub.pull("civil", household("H1"), member("C1", "H1", "刀岩保", number("19850312")))
    bill = clinic(欠费人姓名="刀岩宝", 证件号码="", 现住址="遮放镇弄坎村")
    await hub.pull("clinic", bill, file=LIST_FILE)
    assert await hub.open() == {1: "ID_MISSING_UNLINKED"}
    await refused(StillBreaksError, release_row(hub.desk, ACT, 1))
    await repair_row(hub.desk, ACT, 1, {"欠费人姓名": "刀岩保"})
    link = await hub.connection.fetchval(
        "SELECT link FROM record.observation WHERE source = 'clinic' AND recorded_to = 'infinity'"
    )
    assert link == "PROBABLE"
    assert (await hub.pull("clinic", bill, file=LIST_FILE))["unchanged"] == 1
    await hub.add_up()


async def test_a_version_that_is_still_held_back_is_not_overtaken_by_a_repair_of_an_older_one(hub: Hub) -> None:
    await hub.pull("tax", tax(xyjb="E"))
    await hub.pull("tax", tax(xyjb="F", ver=2))
    await repair_row(hub.desk, ACT, 1, {"xyjb": "B"})
    assert await hub.open() == {2: "UNKNOWN_CODE"}
    await repair_row(hub.desk, ACT, 2, {"xyjb": "C"})
    assert [version for version, _ in (await hub.current()).values()] == ["2"]


async def test_a_row_of_another_content_under_a_used_version_stays_out(hub: Hub) -> None:
    await hub.pull("tax", tax(), tax(xyjb="C"))
    assert await hub.open() == {1: "DUP_CONFLICT"}
    await refused(StillBreaksError, release_row(hub.desk, ACT, 1))
    await refused(StillBreaksError, repair_row(hub.desk, ACT, 1, {"xyjb": "D"}))
    await refused(InputError, repair_row(hub.desk, ACT, 1, {"xyjb": "B"}))
    assert await hub.open() == {1: "DUP_CONFLICT"}


async def test_a_recheck_names_the_contracts_and_changes_nothing(hub: Hub, database: Database) -> None:
    await hub.pull("tax", tax(xyjb="E"), tax("XY", 2, fbrq="2026-10-21"), tax("XY", 3, jyzsfzjhm=citizen(MINOR_BORN)))
    before = await state(hub)
    found, _ = await recheck_source(hub.desk, ACT, "tax")
    assert found.contract == "tax-rest/1.3"
    assert {row.refused_by for row in found.rows} == {"tax-rest/1.3"}
    assert [[reason.name for reason in row.remaining] for row in found.rows] == [
        ["UNKNOWN_CODE"], ["BAD_DATE"], ["MINOR_SUBJECT"],
    ]  # fmt: skip
    assert await state(hub) == before
    error = await refused(InputError, recheck_source(hub.desk, ACT, "taxi"))
    assert "`tax`" in error.remedy


async def test_show_is_recorded_in_the_list_of_the_person_concerned(hub: Hub, database: Database) -> None:
    await hub.pull("civil", household("H1"), member("C1", "H1", "刀岩保", PERSON))
    await hub.pull("tax", tax(xyjb="E"))
    shown, _ = await show_row(hub.desk, ACT, 1)
    assert shown["row"]["jyzsfzjhm"] == PERSON
    assert shown["contract"] == {"refused_by": "tax-rest/1.3", "present": "tax-rest/1.3"}
    app = await database.connect(DbRole.APP)
    person = await hub.connection.fetchval("SELECT person_id FROM record.person")
    assert await app.fetchval("SELECT audit.subject_count($1)", person) == 1
    await app.close()


async def test_the_summary_counts_by_source_reason_and_age(hub: Hub) -> None:
    await hub.pull("tax", tax(xyjb="E"), tax("XY", 2, xyjb="E"), tax("XY", 3, jyzsfzjhm=citizen(MINOR_BORN)))
    await discard_row(hub.desk, ACT, 1)
    groups = {g.reason.name: g for g in await summarise_quarantine(hub.connection, hub.now, days=7)}
    codes, minors = groups["UNKNOWN_CODE"], groups["MINOR_SUBJECT"]
    assert (codes.open, codes.kept, codes.came, codes.came_before, codes.discarded) == (1, 1, 2, 0, 1)
    assert (codes.ages, codes.trend) == ({"day": 1, "week": 0, "month": 0, "older": 0}, "GROWING")
    assert (minors.open, minors.kept) == (1, 0)
    assert await summarise_quarantine(hub.connection, hub.now, days=7, source="bank") == []


async def test_the_agencys_own_format_comes_with_its_entries(hub: Hub, database: Database) -> None:
    await hub.pull("civil", household("H1"), member("C1", "H1", "刀岩保", PERSON))
    await hub.pull("tax", tax(xyjb="E"), tax("DJ", 2, nsrzt_dm="99"))
    written: list[tuple[bytes, bytes | None]] = []
    number_of_rows = await export(hub.desk, ACT, "tax", None, lambda *files: written.append(files), ExportFormat.NATIVE)
    ((content, index),) = written
    records = orjson.loads(content)["records"]
    entries = [orjson.loads(text) for text in (index or b"").splitlines()]
    assert number_of_rows == len(records) == len(entries) == 2
    assert [f"{r['djxh']}|{r['sjlx']}|{r['ywbh']}" for r in records] == [entry["source_key"] for entry in entries]
    person = await hub.connection.fetchval("SELECT person_id FROM record.person")
    app = await database.connect(DbRole.APP)
    assert await app.fetchval("SELECT audit.subject_count($1)", person) == 1, "it stands in the person's list"
    await app.close()


async def test_an_export_about_many_is_told_in_several_entries(
    hub: Hub, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.flows.stewards.export_quarantine.MAX_SUBJECTS", 2)
    monkeypatch.setattr("hub.flows.stewards.export_quarantine._CHUNK_BYTES", 1)
    people = [number("19800101", serial) for serial in range(101, 106)]
    await hub.pull("civil", household("H1"), *(member(f"C{n}", "H1", "刀岩保", one) for n, one in enumerate(people)))
    await hub.pull("tax", *(tax("XY", n, jyzsfzjhm=one, xyjb="E") for n, one in enumerate(people, start=1)))
    written = bytearray()
    assert await export(hub.desk, ACT, "tax", None, lambda rows, _: written.extend(rows)) == 5
    assert len({orjson.loads(text)["row"]["jyzsfzjhm"] for text in written.splitlines()}) == 5
    assert await log_of(database) == [("quarantine:steward:exported", "allow")] * 3


async def test_what_a_steward_did_is_never_changed(hub: Hub) -> None:
    await hub.pull("tax", tax(xyjb="E"))
    await discard_row(hub.desk, ACT, 1)
    with pytest.raises(asyncpg.PostgresError):
        await hub.connection.execute("UPDATE ingest.quarantine_act SET steward = 'another'")
    with pytest.raises(asyncpg.PostgresError):
        await hub.connection.execute("DELETE FROM ingest.quarantine_act")
