"""In production no source is read whose impact assessment is not on record; elsewhere `hub doctor` warns."""

import hashlib
from collections.abc import AsyncGenerator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hub.cli.doctor import check_assessments
from hub.connectors.port import Memory
from hub.core.clock import Clock, system_clock
from hub.core.errors import InputError
from hub.core.rows import Step
from hub.flows.intake.pull import SourceToPull, pull
from hub.flows.receipts import receipt_desk
from hub.flows.rules.assessments import Assessment, list_assessments, not_assessed, record_assessment
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys


class Agency:
    """Answers with one empty step; counts how often it was spoken to."""

    kind = "clinic-sftp"

    def __init__(self) -> None:
        self.calls = 0

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        self.calls += 1
        yield Step(watermark={"files": self.calls})

    async def close(self) -> None:
        """Nothing to close."""


async def test_in_production_no_source_is_pulled_without_its_assessment(
    database: Database, keys: FileKeys, tmp_path: Path
) -> None:
    agencies = {"clinic": Agency(), "tax": Agency()}
    owner = await database.connect(DbRole.OWNER)
    record = await database.connect(DbRole.INGEST)

    async def pulled(assessed_only: bool) -> dict[str, tuple[str, str | None]]:
        sources = [SourceToPull(name, "clinic-sftp", "A", agency) for name, agency in agencies.items()]
        async with receipt_desk(database, keys, tmp_path) as receipts:
            report = await pull(
                database, keys, receipts, sources, system_clock, lambda *_: None, assessed_only=assessed_only
            )
        return {name: (entry["status"], entry["error"]) for name, entry in report["sources"].items()}

    try:
        first = await pulled(assessed_only=True)
        assert {status for status, _ in first.values()} == {"FAILED"}
        assert all("impact assessment" in (error or "") for _, error in first.values())
        assert [agency.calls for agency in agencies.values()] == [0, 0]
        good = Assessment("clinic", "PIA-7", date(2026, 1, 2), "法规科", hashlib.sha256(b"text").digest())
        async with receipt_desk(database, keys, tmp_path) as receipts:
            await record_assessment(record, receipts, good, operator="op", clock=system_clock)
            for wrong in ({"assessed_on": date(2999, 1, 1)}, {"reference": " "}, {"approved_by": "x" * 201}):
                with pytest.raises(InputError):
                    await record_assessment(
                        record, receipts, Assessment(**{**_fields(good), **wrong}), operator="op", clock=system_clock
                    )
        assert await not_assessed(record, ["tax", "clinic"]) == ["tax"]
        assert [row["reference"] for row in await list_assessments(record)] == ["PIA-7"]
        assert {name: status for name, (status, _) in (await pulled(assessed_only=True)).items()} == {
            "clinic": "OK", "tax": "FAILED",
        }  # fmt: skip
        assert [agency.calls for agency in agencies.values()] == [1, 0]
        assert {status for status, _ in (await pulled(assessed_only=False)).values()} == {"OK"}
        warned = await check_assessments(owner, production=False)
        assert (warned.good, "1 of 2 sources" in warned.message, bool(warned.remedy)) == (True, True, True)
        assert not (await check_assessments(owner, production=True)).good
        entries = await owner.fetch("SELECT convert_from(entry, 'UTF8') AS entry FROM audit.entry")
        assert sum("assessment:operator:recorded" in row["entry"] for row in entries) == 1
    finally:
        await record.close()
        await owner.close()


def _fields(assessment: Assessment) -> dict[str, Any]:
    return {name: getattr(assessment, name) for name in Assessment.__slots__}
