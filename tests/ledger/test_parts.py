"""A large file comes in several steps and ends in the same state as in one."""

from datetime import date
from typing import Any

import pytest

from hub.core.rows import CheckedRow, FileRead, Step
from hub.records.intake.ledger import SourceInRun, merge_step
from tests.ledger.conftest import LedgerUnderTest
from tests.ledger.rows import a_bad_row, a_consent, a_row


async def _in_parts(ledger: LedgerUnderTest, file: FileRead, *parts: list[CheckedRow], ended: bool = True) -> None:
    source = SourceInRun("s", ledger.kind, "DH-SJ-2026-001", ledger.run_id)
    for number, rows in enumerate(parts, start=1):
        is_last = ended and number == len(parts)
        step = Step(rows=tuple(rows), file=file, file_ended=is_last, watermark={"n": 1} if is_last else None)
        async with ledger.connection.transaction():
            await merge_step(ledger.connection, ledger.keys, source, step, ledger.now)


async def _state(ledger: LedgerUnderTest) -> tuple[Any, ...]:
    held = await ledger.connection.fetch(
        "SELECT source_key, version, state, reason, is_current, file_name FROM ingest.held_row ORDER BY 1, 2, 3, 4"
    )
    files = await ledger.connection.fetch("SELECT name, state FROM ingest.file ORDER BY 1")
    return await ledger.current(), await ledger.open_quarantine(), held, files


async def test_a_banks_file_admits_rows_by_a_consent_in_an_earlier_part(bank_ledger: LedgerUnderTest) -> None:
    await bank_ledger.start_run()
    file = FileRead("CREDIT_1", date(2026, 10, 19))
    await _in_parts(bank_ledger, file, [a_consent("c1")], [a_row("loan", consent_id="c1")], [a_row("l2")])
    report = await bank_ledger.report()
    assert (report["accepted"], report["quarantined"], report["files"]) == (3, {}, {"processed": 1, "refused": []})


async def test_the_first_of_two_rows_stays_although_they_come_in_different_parts(bank_ledger: LedgerUnderTest) -> None:
    await bank_ledger.start_run()
    file = FileRead("CREDIT_1", date(2026, 10, 19))
    await _in_parts(bank_ledger, file, [a_row("a", 1, "first")], [a_row("a", 1, "second"), a_row("a", 1, "first")])
    report = await bank_ledger.report()
    assert (report["accepted"], report["unchanged"], report["quarantined"]) == (1, 1, {"DUP_CONFLICT": 1})


@pytest.mark.parametrize("killed", [False, True])
async def test_a_replacement_in_parts_takes_back_what_none_of_them_repeats(
    clinic_ledger: LedgerUnderTest, killed: bool
) -> None:
    first = FileRead("ARR_1", date(2026, 10, 18), "Y|20261018", 1)
    second = FileRead("ARR_2", date(2026, 10, 18), "Y|20261018", 2)
    await clinic_ledger.start_run()
    await _in_parts(clinic_ledger, first, [a_row("a", 1), a_row("b", 1)], [a_row("c", 1), a_row("d", 1)])
    assert await clinic_ledger.current() == dict.fromkeys("abcd", "1")
    parts = [a_row("a", 2)], [a_bad_row("b", 2), a_row("e", 2)], [a_row("d", 2)]
    if killed:
        await _in_parts(clinic_ledger, second, *parts[:2], ended=False)
        assert (await _state(clinic_ledger))[3] == [("ARR_1", "READ")]
    await clinic_ledger.start_run()
    await _in_parts(clinic_ledger, second, *parts)
    assert await clinic_ledger.current() == {"a": "2", "b": "1", "d": "2", "e": "2"}
    assert await clinic_ledger.open_quarantine() == {"b": "ID_CHECK_DIGIT"}
    in_parts = await _state(clinic_ledger)
    await clinic_ledger.step(*(row for part in parts for row in part), file=second)
    assert await _state(clinic_ledger) == in_parts
