"""The clinics' and civil affairs' samples from the wire to the ledger: the numbers that their papers promise."""

from pathlib import Path
from typing import Any

import pytest

from hub.connectors.agencies import civil
from hub.core.rows import Step
from hub.records.intake.ledger import SourceInRun, merge_step
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from tests.connectors import civil_agency, clinic_agency
from tests.connectors.clinic_agency import Remembered
from tests.ledger.conftest import LedgerUnderTest


async def _merge(ledger: LedgerUnderTest, steps: list[Step]) -> dict[str, Any]:
    await ledger.start_run()
    for step in steps:
        async with ledger.connection.transaction():
            source = SourceInRun("s", ledger.kind, "DH-SJ-2026-003", ledger.run_id)
            await merge_step(ledger.connection, ledger.keys, source, step, ledger.now)
    return dict(await ledger.report())


async def test_clinic_samples(database: Database, keys: KeyService, tmp_path: Path) -> None:
    connection = await database.connect(DbRole.INGEST)
    ledger = LedgerUnderTest(connection, keys, "clinic-sftp")
    memory = Remembered()
    async with clinic_agency.serve(tmp_path) as agency:
        agency.put_samples()
        report = await _merge(ledger, await agency.pull(memory))
        again = await _merge(ledger, await agency.pull(memory))
    await connection.close()
    assert (report["fetched"], report["accepted"], report["superseded"]) == (5, 2, 2)
    assert report["quarantined"] == {"ID_PRECISION_LOST": 1}
    assert report["dropped_fields"] == {"科室": 5, "诊断": 5}
    assert report["files"] == {
        "processed": 2,
        "refused": [{"name": "ARR_533103Y00117_20261017_01.csv", "reason": "HASH_MISMATCH"}],
    }
    assert (again["fetched"], again["files"]) == (0, {"processed": 0, "refused": []})


async def test_civil_samples(
    database: Database, keys: KeyService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(civil, "CALLS_PER_SECOND", 500)
    connection = await database.connect(DbRole.INGEST)
    ledger = LedgerUnderTest(connection, keys, "civil-soap")
    async with civil_agency.serve(tmp_path) as agency:
        samples = clinic_agency.SAMPLES
        agency.raw = {feed: (samples / f"civil_{feed}.xml").read_bytes() for feed in civil_agency.FEEDS}
        steps = await agency.pull()
        report = await _merge(ledger, steps)
        again = await _merge(ledger, await agency.pull(steps[-1].watermark))
    await connection.close()
    assert (report["fetched"], report["accepted"], report["unchanged"]) == (10, 8, 0)
    assert report["quarantined"] == {"FORBIDDEN_RECORD": 1, "BAD_DATE": 1}
    assert report["dropped_fields"] == {"mz": 1, "sfzjhm_tail": 1}
    assert (again["fetched"], again["unchanged"], again["accepted"]) == (10, 10, 0)
