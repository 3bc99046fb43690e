"""Rows of every kind of source, checked as on delivery, and a hub that they are delivered to."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from hub.audit.receipts import Receipts
from hub.connectors.formats.bank_rows import BankFile
from hub.connectors.formats.clinic_files import ListName, Record
from hub.connectors.formats.clinic_rows import clinic_row
from hub.connectors.formats.social_rows import SocialRows
from hub.connectors.formats.tax_rows import TaxRows
from hub.connectors.kept_rows import KeptRow
from hub.core.clock import SHANGHAI
from hub.core.ids import uuid7
from hub.core.names import QuarantineReason
from hub.core.rows import CheckedRow, FileRead, Step
from hub.flows.intake.settle_pull import settle
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.records.intake.ledger import SourceInRun, merge_step
from hub.records.intake.report import source_report
from hub.store.database import Database
from hub.store.keys import KeyService
from tests.connectors import test_bank_rows, test_civil_rows, test_clinic_files
from tests.connectors.clinic_agency import line
from tests.done.cases_tax_social import tax_record
from tests.records.world import KINDS

TODAY = date(2026, 10, 20)
ACT = StewardAct("steward-1", "case 17", "test", {})
LIST = ListName("20261018", "533103Y00117", "01")
LIST_FILE = FileRead(LIST.csv, LIST.business_date, f"{LIST.organisation}|{LIST.day}", 1)
BANK_FILE = FileRead("CREDIT_1.jsonl.gz", date(2026, 10, 19))


def tax(kind: str = "XY", number: int = 1, **changes: Any) -> CheckedRow:
    return TaxRows(TODAY).check(tax_record(kind, number, **changes), 3)


def social(**changes: Any) -> CheckedRow:
    return SocialRows(TODAY).check(_SOCIAL | changes, "rows up to then")


def clinic(list_name: ListName = LIST, **cells: str) -> CheckedRow:
    return clinic_row(Record(2, line(**cells)), list_name, TODAY)


def bank(row: Mapping[str, Any]) -> CheckedRow:
    return test_bank_rows.bank_row(orjson.dumps(row).decode(), 7, FILE)


FILE = BankFile(BANK_FILE.name, "402739000011", BANK_FILE.business_date, TODAY)
CIVIL = {
    "household": test_civil_rows.household,
    "member": test_civil_rows.member,
    "relief": test_civil_rows.relief,
    "event": test_civil_rows.event,
}
CLINIC_ROW = test_clinic_files.row
_SOCIAL: dict[str, Any] = {
    "aac001": "53310000000001", "aac002": "533103198503124417", "aac003": "刀岩保", "aae140": "170", "aac031": "1",
    "aac030": "20120915", "aae201": 96, "bae701": None, "aae002": 202609, "aab003": None, "aae100": "1",
    "aae036": datetime.fromisoformat("2026-10-19T02:00:00"),
}  # fmt: skip


def kept(kind: str, row: CheckedRow, **more: Any) -> KeptRow:
    """The row as quarantine gives it back, through the JSON in which it is sealed."""
    wire = orjson.loads(orjson.dumps(row.wire))
    return KeptRow(kind, row.source_key, row.version, row.origin, wire, row.reasons, **more)


class Hub:
    """A hub that rows are delivered to, pull after pull, and a steward's desk at it."""

    def __init__(
        self, database: Database, connection: asyncpg.Connection, keys: KeyService, receipts: Receipts
    ) -> None:
        self.connection = connection
        self.keys = keys
        self.now = datetime(2026, 10, 20, 7, tzinfo=SHANGHAI)
        self.desk = StewardDesk(database, keys, receipts, lambda: self.now)
        self.runs: list[tuple[Any, str]] = []

    async def pull(self, source: str, *rows: CheckedRow, file: FileRead | None = None) -> dict[str, Any]:
        """One run of one step; its report, in which every row has one outcome."""
        self.now += timedelta(hours=1)
        run_id, kind = uuid7(), KINDS[source]
        run = self.connection
        await run.execute("INSERT INTO ingest.run (run_id, started_at) VALUES ($1, $2)", run_id, self.now)
        await run.execute(
            """INSERT INTO ingest.source_state (source, kind, agreement_no) VALUES ($1, $2, 'DH-SJ-2026-001')
               ON CONFLICT DO NOTHING""",
            source,
            kind,
        )
        await run.execute(
            "INSERT INTO ingest.run_source (run_id, source, started_at) VALUES ($1, $2, $3)", run_id, source, self.now
        )
        async with run.transaction():
            in_run = SourceInRun(source, kind, "DH-SJ-2026-001", run_id)
            await merge_step(run, self.keys, in_run, Step(rows=rows, file=file), self.now)
        settled = await settle(run, self.keys, run_id, self.now)
        self.runs.append((run_id, source))
        return await source_report(run, run_id, source, kind, settled.released.get(source, 0))

    async def add_up(self) -> None:
        """Every row of every run still has exactly one outcome."""
        for run_id, source in self.runs:
            report = await source_report(self.connection, run_id, source, KINDS[source], 0)
            told = report["accepted"] + report["unchanged"] + report["superseded"] + sum(report["quarantined"].values())
            assert report["fetched"] == told

    async def open(self) -> dict[int, str]:
        """Number -> reason of the open entries."""
        records = await self.connection.fetch("SELECT * FROM ingest.quarantine WHERE status = 'OPEN' ORDER BY number")
        return {record["number"]: QuarantineReason(record["reason"]).name for record in records}

    async def current(self) -> dict[str, tuple[str, Any]]:
        """Source key -> version and value of what counts."""
        records = await self.connection.fetch(
            "SELECT * FROM record.observation WHERE recorded_to = 'infinity' AND NOT tombstone ORDER BY source_key"
        )
        assert len({(r["source"], r["source_key"]) for r in records}) == len(records), "two current versions of a key"
        return {
            r["source_key"]: (
                r["version"],
                orjson.loads(self.keys.open("payload", r["payload"], r["row_id"].bytes))["value"],
            )
            for r in records
        }
