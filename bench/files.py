"""Files as agencies deliver them: one bank's JSON Lines and one clinic's CSV of any number of rows, and how fast the
hub takes them in from their bytes to the last commit.
"""

import gzip
import itertools
import json
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from bench.ingest import open_source
from bench.stage import EMPTY, Stage
from hub.connectors.agencies.bank import rows_of_file
from hub.connectors.agencies.clinic import steps_of_list
from hub.connectors.formats.bank_rows import BankFile
from hub.connectors.formats.clinic_files import ClinicTable, ListName, open_list
from hub.connectors.formats.packed_lines import count_lines
from hub.core.clock import day_of, system_clock
from hub.core.ids import uuid7
from hub.core.rows import FileRead, Step
from hub.flows.intake.read_ahead import read_ahead
from hub.records.intake.ledger import SourceInRun, merge_step
from hub.sandbox.feeds.clinic_files import ClinicFile, written
from hub.sandbox.prefecture import Prefecture
from hub.store.database import Database, DbRole

_MONEY = ("应付金额", "已付金额", "欠费余额")


@dataclass
class Files:
    """Two files of ``rows`` rows each, and samples of taking them in; each sample works on a fresh database."""

    stage: Stage
    rows: int
    bank_lines: list[bytes] = field(default_factory=list)
    bank_code: str = ""
    packed: bytes = b""
    clinic: ClinicFile | None = None
    control: bytes = b""
    csv: bytes = b""
    day: date = field(default_factory=lambda: day_of(system_clock()))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def make(self, prefecture: Prefecture) -> None:
        """Fill both files with the rows of a prefecture, again and again under new numbers until there are enough."""
        feed = next(iter(prefecture.banks.values()))
        self.day, self.bank_code = prefecture.as_of, feed.bank.code
        lines = b"".join(gzip.decompress(f.content) for f in feed.files if f.refusal is None).split(b"\n")
        sound = [row for row in (_object(line) for line in lines) if row is not None]
        for number in itertools.count():
            for row in sound:
                if len(self.bank_lines) == self.rows:
                    break
                self.bank_lines.append(json.dumps(_renumbered(row, number), ensure_ascii=False).encode())
            else:
                continue
            break
        self.packed = gzip.compress(b"\n".join(self.bank_lines) + b"\n", 1)
        clinic = prefecture.clinic.files[0].clinic
        kept = [line for f in prefecture.clinic.files for line in f.lines if line.reason is None]
        self.clinic = ClinicFile(clinic, self.day, 1, [])
        for number, line in zip(range(self.rows), itertools.cycle(kept)):
            values = {column: line.values.get(column, "") for column in clinic.order}
            values |= {"机构编码": clinic.code, "欠费单号": f"Q{number:09d}"}
            self.clinic.lines.append(type(line)(values))
        paths = dict(written(self.clinic))
        self.control, self.csv = (
            next(content for path, content in paths.items() if path.endswith(end)) for end in (".ctl", ".csv")
        )

    def records(self, kind: str) -> list[dict[str, Any]]:
        """The rows of a file as flat Python records with money as decimals, as a peer is given them."""
        if kind == "bank":
            rows = [json.loads(line) for line in self.bank_lines]
            return [{**row, "guarantors": len(row.get("guarantors") or ()), "row_key": _key(row)} for row in rows]
        assert self.clinic is not None
        # The peer makes ASCII of the names of columns; theirs are given to it so.
        names = {name: f"c{number:02d}" for number, name in enumerate(self.clinic.clinic.order)}
        return [
            {names[name]: _decimal(cell) if name in _MONEY else cell for name, cell in line.values.items()}
            | {"row_key": line.item}
            for line in self.clinic.lines
        ]

    async def take_in(self, kind: str) -> dict[str, float]:
        """From the bytes of a file to the last commit: judged as a whole, checked, compared, sealed, merged."""
        name = f"bench_files_{next(self._numbers)}"
        steps, source_kind = (self._bank_steps, "bank-files") if kind == "bank" else (self._clinic_steps, "clinic-sftp")
        database = await self.stage.copy(name, EMPTY)
        try:
            return await self._take_in(database, kind, source_kind, steps())
        finally:
            await self.stage.drop(name)

    async def _take_in(
        self, database: Database, name: str, kind: str, steps: AsyncGenerator[Step, None]
    ) -> dict[str, float]:
        connection = await database.connect(DbRole.INGEST)
        run = uuid7()
        try:
            await connection.execute("INSERT INTO ingest.run (run_id, started_at) VALUES ($1, now())", run)
            await open_source(connection, run, name, kind)
            source = SourceInRun(name, kind, "bench", run)
            began, own = time.perf_counter(), time.process_time()
            async with aclosing(read_ahead(steps)) as groups:
                async for group in groups:
                    async with connection.transaction():
                        for step in group:
                            await merge_step(connection, self.stage.keys, source, step, system_clock())
            seconds, own = time.perf_counter() - began, time.process_time() - own
            held = await connection.fetchval("SELECT count(*) FROM ingest.held_row")
        finally:
            await connection.close()
        if held < self.rows * 0.9:
            raise RuntimeError("the hub did not keep the rows of a file")
        return {"rate": self.rows / seconds, "server_ms": own / self.rows * 1000}

    async def _bank_steps(self) -> AsyncGenerator[Step, None]:
        if count_lines(self.packed) != self.rows:
            raise RuntimeError("the bank's file is not as made")
        file = FileRead("bench.jsonl.gz", self.day)
        async with aclosing(
            rows_of_file(self.packed, BankFile(file.name, self.bank_code, self.day, self.day))
        ) as parts:
            async for rows in parts:
                yield Step(rows=rows, file=file, file_ended=False)
        yield Step(file=file)

    def _clinic_steps(self) -> AsyncGenerator[Step, None]:
        assert self.clinic is not None
        name = ListName(f"{self.clinic.day:%Y%m%d}", self.clinic.clinic.code, f"{self.clinic.number:02d}")
        table = open_list(name.csv, self.control, self.csv)
        if not isinstance(table, ClinicTable):
            raise TypeError(f"the clinic's list is refused: {table}")
        return steps_of_list(name, table, self.day, {"files": 1})


def _decimal(cell: str) -> Decimal:
    return Decimal(cell.replace(",", ""))


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and row.get("op") == "U" else None


def _renumbered(row: dict[str, Any], number: int) -> dict[str, Any]:
    changes = {name: f"{row[name]}{number}" for name in ("line_no", "contract_no", "receipt_no") if row.get(name)}
    if row["rt"] == "CONSENT":
        changes["consent_id"] = f"{row['consent_id'][:-4]}{number:04d}"
    return {**row, **changes}


def _key(row: dict[str, Any]) -> str:
    names = ("line_no", "contract_no", "receipt_no") if row["rt"] != "CONSENT" else ("consent_id",)
    return "|".join([row["rt"], *(str(row[name]) for name in names if row.get(name))])
