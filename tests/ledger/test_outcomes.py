"""Every row ends in exactly one outcome (docs/CONTRACTS.md 1.2)."""

from datetime import date
from itertools import permutations

from hub.core.names import QuarantineReason
from hub.core.rows import CheckedRow, FileRead, Guarantor, RowKind
from tests.ledger.conftest import LedgerUnderTest
from tests.ledger.rows import OTHER_PERSON, a_bad_row, a_consent, a_row, a_tombstone


async def test_versions_in_any_order_give_one_accepted_and_one_superseded(ledger: LedgerUnderTest) -> None:
    for n, order in enumerate(permutations([1, 2, 3])):
        report = await ledger.run(*(a_row(f"k{n}", version, f"v{version}") for version in order))
        assert (report["accepted"], report["superseded"]) == (1, 2)
        assert (await ledger.current())[f"k{n}"] == "3"


async def test_a_second_delivery_changes_nothing(ledger: LedgerUnderTest) -> None:
    rows = [a_row("a"), a_row("b", 2), a_row("b", 1, "old"), a_bad_row("c"), a_tombstone("d", 4)]
    first = await ledger.run(*rows)
    before = await ledger.connection.fetch("SELECT * FROM record.observation ORDER BY observation_id")
    again = await ledger.run(*rows)
    assert (first["accepted"], first["superseded"], first["quarantined"]) == (3, 1, {"ID_CHECK_DIGIT": 1})
    assert again["unchanged"] == again["fetched"] == 5
    assert again["withdrawn"] == 0
    assert await ledger.connection.fetch("SELECT * FROM record.observation ORDER BY observation_id") == before


async def test_a_row_repeated_within_one_step_is_unchanged(ledger: LedgerUnderTest) -> None:
    report = await ledger.run(a_row("a"), a_row("a"))
    assert (report["accepted"], report["unchanged"]) == (1, 1)


async def test_the_row_received_first_stays_when_content_differs(ledger: LedgerUnderTest) -> None:
    report = await ledger.run(a_row("a", 1, "first"), a_row("a", 1, "second"))
    assert report["quarantined"] == {"DUP_CONFLICT": 1}
    again = await ledger.run(a_row("a", 1, "second"), a_row("a", 1, "third"))
    assert (again["unchanged"], again["quarantined"]) == (1, {"DUP_CONFLICT": 1})
    assert await ledger.current() == {"a": "1"}


async def test_the_smallest_reason_wins_and_the_others_are_listed(ledger: LedgerUnderTest) -> None:
    bad = a_bad_row("a", 1, "x", QuarantineReason.ID_CHECK_DIGIT, QuarantineReason.UNKNOWN_CODE)
    await ledger.run(bad)
    record = await ledger.connection.fetchrow("SELECT * FROM ingest.quarantine")
    assert (record["reason"], record["other_reasons"]) == (7, [15])
    assert record["sealed_row"] is not None


async def test_of_some_reasons_only_the_count_is_kept(ledger: LedgerUnderTest) -> None:
    await ledger.run(a_bad_row("a", 1, "x", QuarantineReason.MINOR_SUBJECT))
    assert await ledger.connection.fetchval("SELECT sealed_row FROM ingest.quarantine") is None
    assert await ledger.connection.fetchval("SELECT count(*) FROM record.observation") == 0


async def test_a_minor_is_judged_anew_when_he_has_come_of_age(ledger: LedgerUnderTest) -> None:
    await ledger.run(a_bad_row("a", 1, "x", QuarantineReason.MINOR_SUBJECT))
    assert (await ledger.run(a_bad_row("a", 1, "x", QuarantineReason.MINOR_SUBJECT)))["unchanged"] == 1
    report = await ledger.run(a_row("a", 1, "x"))
    assert report["accepted"] == 1
    assert await ledger.open_quarantine() == {}
    assert (await ledger.run(a_row("a", 1, "x")))["unchanged"] == 1


async def test_an_accepted_row_clears_the_quarantine_of_its_key(ledger: LedgerUnderTest) -> None:
    await ledger.run(a_bad_row("a", 1))
    assert await ledger.open_quarantine() == {"a": "ID_CHECK_DIGIT"}
    await ledger.run(a_row("a", 2))
    assert await ledger.open_quarantine() == {}
    assert await ledger.connection.fetchval("SELECT sealed_row FROM ingest.quarantine") is None


async def test_a_tombstone_withdraws_and_a_newer_version_returns(ledger: LedgerUnderTest) -> None:
    await ledger.run(a_row("a", 1))
    report = await ledger.run(a_tombstone("a", 2))
    assert (report["accepted"], report["withdrawn"]) == (1, 1)
    assert await ledger.current() == {}
    report = await ledger.run(a_row("a", 3))
    assert (report["accepted"], report["withdrawn"]) == (1, 0)
    assert await ledger.current() == {"a": "3"}


async def test_history_keeps_every_range(ledger: LedgerUnderTest) -> None:
    await ledger.run(a_row("a", 1))
    await ledger.run(a_row("a", 2, "b"))
    records = await ledger.connection.fetch("SELECT * FROM record.observation ORDER BY recorded_from")
    assert [record["version"] for record in records] == ["1", "2"]
    assert records[0]["recorded_to"] == records[1]["recorded_from"]


async def test_social_rows_read_later_are_newer_at_an_equal_version(social_ledger: LedgerUnderTest) -> None:
    assert (await social_ledger.run(a_row("a", 5, "first"), a_row("a", 5, "second")))["superseded"] == 1
    assert (await social_ledger.run(a_row("a", 5, "second")))["unchanged"] == 1
    report = await social_ledger.run(a_row("a", 5, "first"))
    assert (report["accepted"], report["unchanged"]) == (1, 0)
    assert len(await social_ledger.current()) == 1


def _list(day: int, number: int) -> FileRead:
    return FileRead(f"ARR_Y_202610{day:02d}_{number:02d}.csv", date(2026, 10, day), f"Y|202610{day:02d}", number)


def _version(day: int, number: int) -> int:
    return (20261000 + day) * 1000 + number


async def test_a_replacement_takes_back_what_it_does_not_repeat(clinic_ledger: LedgerUnderTest) -> None:
    await clinic_ledger.start_run()
    first = [a_row(key, _version(18, 1), key) for key in ("kept", "gone", "damaged")]
    await clinic_ledger.step(*first, file=_list(18, 1))
    await clinic_ledger.report()
    await clinic_ledger.start_run()
    second = [a_row("kept", _version(18, 2), "kept"), a_bad_row("damaged", _version(18, 2))]
    await clinic_ledger.step(*second, file=_list(18, 2))
    report = await clinic_ledger.report()
    assert report["withdrawn"] == 1
    assert await clinic_ledger.current() == {"kept": str(_version(18, 2)), "damaged": str(_version(18, 1))}


async def test_a_replaced_file_that_comes_later_is_history(clinic_ledger: LedgerUnderTest) -> None:
    await clinic_ledger.start_run()
    await clinic_ledger.step(a_row("kept", _version(18, 2), "new"), file=_list(18, 2))
    await clinic_ledger.step(
        a_row("kept", _version(18, 1), "old"), a_row("gone", _version(18, 1), "old"), file=_list(18, 1)
    )
    report = await clinic_ledger.report()
    assert (report["accepted"], report["superseded"], report["withdrawn"]) == (1, 2, 0)
    assert await clinic_ledger.current() == {"kept": str(_version(18, 2))}


async def test_the_item_of_an_older_day_is_current_again_after_a_withdrawal(clinic_ledger: LedgerUnderTest) -> None:
    await clinic_ledger.start_run()
    await clinic_ledger.step(a_row("a", _version(17, 1), "old"), file=_list(17, 1))
    await clinic_ledger.step(a_row("a", _version(18, 1), "new"), file=_list(18, 1))
    assert await clinic_ledger.current() == {"a": str(_version(18, 1))}
    await clinic_ledger.report()
    await clinic_ledger.start_run()
    await clinic_ledger.step(file=_list(18, 2))
    report = await clinic_ledger.report()
    assert report["withdrawn"] == 0
    assert await clinic_ledger.current() == {"a": str(_version(17, 1))}
    ranges = await clinic_ledger.connection.fetch(
        "SELECT version FROM record.observation WHERE recorded_from < recorded_to ORDER BY recorded_from"
    )
    versions = [_version(17, 1), _version(18, 1), _version(17, 1)]
    assert [record["version"] for record in ranges] == [str(version) for version in versions]


_FILE = FileRead("CREDIT_1.jsonl.gz", date(2026, 10, 19))
_LOAN = {"kind": RowKind.FACT, "consent_id": "c1"}


async def test_rows_enter_only_under_a_consent_of_the_same_person_in_force(bank_ledger: LedgerUnderTest) -> None:
    await bank_ledger.start_run()
    await bank_ledger.step(
        a_row("early", **_LOAN),
        a_consent("c1"),
        a_row("fine", **_LOAN),
        a_row("other person", **_LOAN | {"id_number": OTHER_PERSON}),
        a_consent("c2", expires_on="2026-10-18"),
        a_row("expired", **_LOAN | {"consent_id": "c2"}),
        a_consent("c3", withdrawn_on="2026-10-19"),
        a_row("withdrawn", **_LOAN | {"consent_id": "c3"}),
        a_consent("c4", expires_on="2026-10-19"),
        a_row("last day", **_LOAN | {"consent_id": "c4"}),
        file=_FILE,
    )
    report = await bank_ledger.report()
    assert report["quarantined"] == {"CONSENT_INVALID": 4}
    assert set(await bank_ledger.open_quarantine()) == {"early", "other person", "expired", "withdrawn"}
    assert {"fine", "last day"} <= set(await bank_ledger.current())


async def test_a_consent_taken_back_by_its_bank_admits_nothing_even_if_an_older_revision_follows(
    bank_ledger: LedgerUnderTest,
) -> None:
    await bank_ledger.start_run()
    await bank_ledger.step(a_consent("c1", 2), a_tombstone_of_consent("c1", 3), a_consent("c1", 1), file=_FILE)
    await bank_ledger.step(a_row("loan", **_LOAN), file=FileRead("CREDIT_2.jsonl.gz", date(2026, 10, 20)))
    assert await bank_ledger.open_quarantine() == {"loan": "CONSENT_INVALID"}


def a_tombstone_of_consent(consent_id: str, version: int) -> CheckedRow:
    return a_consent(consent_id, version, tombstone=True, id_number=None)


async def test_guarantors_without_a_valid_consent_are_dropped_and_counted(bank_ledger: LedgerUnderTest) -> None:
    await bank_ledger.start_run()
    guarantors = (
        Guarantor(OTHER_PERSON, None),
        Guarantor(OTHER_PERSON, "c1"),
        Guarantor(OTHER_PERSON, "g1"),
    )
    loan = a_row("loan", **_LOAN | {"guarantors": guarantors})
    await bank_ledger.step(a_consent("c1"), a_consent("g1", id_number=OTHER_PERSON), loan, file=_FILE)
    report = await bank_ledger.report()
    assert report["dropped_fields"] == {"guarantors[]": 2}
    await bank_ledger.start_run()
    await bank_ledger.step(a_consent("c9", id_number=OTHER_PERSON), loan, file=FileRead("C2", date(2026, 10, 20)))
    report = await bank_ledger.report()
    assert (report["unchanged"], report["dropped_fields"]) == (1, {})
