"""Builds a small prefecture row by row and pulls it through the ledger, as `hub pull` does."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.core.clock import SHANGHAI
from hub.core.identifiers import birth_date, id_check_character
from hub.core.ids import uuid7
from hub.core.names import Category
from hub.core.rows import CheckedRow, PlaceHint, RowKind, Step
from hub.flows.intake.settle_pull import settle
from hub.records.intake.ledger import SourceInRun, merge_step
from hub.store.keys import KeyService

VILLAGE = "533103102203"
OTHER_VILLAGE = "533124101201"
KINDS = {
    "civil": "civil-soap",
    "tax": "tax-rest",
    "social": "social-view",
    "clinic": "clinic-sftp",
    "bank": "bank-files",
}
BANK = "402739000011"
CONSENT = "7d0c5f0e-8a57-4c9e-9d0e-5b8a1f6f2c11"


def number(born: str, serial: int = 441) -> str:
    """An invented ID number with a correct check digit; ``born`` is YYYYMMDD."""
    first17 = f"533103{born}{serial:03d}"
    return first17 + id_check_character(first17)


def a_row(kind: RowKind, key: str, version: int, value: dict[str, Any], **more: Any) -> CheckedRow:
    content = orjson.dumps([key, version, value, str(sorted(more.items(), key=lambda item: item[0]))])
    base: dict[str, Any] = {"kind": kind, "source_key": key, "version": str(version), "version_rank": version}
    return CheckedRow(**base, origin="page 1", content=content, wire={"key": key}, value=value, **more)


def household(no: str, *, version: int = 1, village: str = VILLAGE, **more: Any) -> CheckedRow:
    value = {
        "household_no": no, "village_code": village, "township_name": "遮放镇", "village_name": "弄坎村",
        "group_no": "03", "phone": None, "status": "ACTIVE", "changed_at": "2026-10-01T02:00:00+08:00",
    } | more  # fmt: skip
    return a_row(RowKind.HOUSEHOLD, f"household|{no}", version, value, household_no=no)


def member(
    no: str, household_no: str, name: str, id_number: str | None, *, version: int = 1, **more: Any
) -> CheckedRow:
    born = birth_date(id_number).isoformat() if id_number else more.pop("birth_date")
    value = {
        "member_no": no, "household_no": household_no, "name": name, "id_number": id_number, "birth_date": born,
        "relation": "02", "joined_on": "2012-05-01", "left_on": None, "died_on": None,
        "changed_at": "2026-10-01T02:00:00+08:00",
    } | more  # fmt: skip
    return a_row(
        RowKind.MEMBER, f"member|{no}", version, value, household_no=household_no, name=name, id_number=id_number
    )


def event(no: str, kind: str, effective_on: str, *members: dict[str, Any], version: int = 1, **more: Any) -> CheckedRow:
    blank = {"relation": None, "old_id_number": None, "new_id_number": None}
    value = {
        "event_no": no, "event_type": kind, "effective_on": effective_on,
        "registered_at": f"{effective_on}T09:00:00+08:00", "from_household": None, "to_household": None,
        "to_village_code": None, "to_group_no": None, "members": [blank | person for person in members],
    } | more  # fmt: skip
    return a_row(RowKind.EVENT, f"event|{no}", version, value)


def tombstone(key: str, kind: RowKind, version: int, **more: Any) -> CheckedRow:
    base: dict[str, Any] = {"kind": kind, "source_key": key, "version": str(version), "version_rank": version}
    return CheckedRow(**base, origin="page 1", content=b"tombstone", wire={"key": key}, tombstone=True, **more)


def relief(no: str, household_no: str, starts: str = "2025-01-01", ends: str | None = None) -> CheckedRow:
    value = {"relief_type": "LOW_INCOME", "relief_household_size": 4, "monthly_amount": "420.50"}
    return a_row(
        RowKind.FACT, f"relief|{no}", 1, value, household_no=household_no, category=Category.CIVIL_RELIEF,
        valid_from=date.fromisoformat(starts), valid_to=date.fromisoformat(ends) if ends else None,
        source_time=datetime(2026, 10, 1, 2, tzinfo=SHANGHAI),
    )  # fmt: skip


def grade(key: str, id_number: str, name: str = "刀岩保", *, version: int = 1, letter: str = "B") -> CheckedRow:
    return a_row(
        RowKind.FACT, key, version, {"grade_year": 2025, "tax_credit_grade": letter}, category=Category.TAX_GRADE,
        id_number=id_number, name=name, valid_from=date(2026, 4, 30),
        source_time=datetime(2026, 10, 18, 9, 12, 33, 123000, tzinfo=SHANGHAI),
    )  # fmt: skip


def insurance(key: str, id_number: str, name: str, latest: str, status: str = "ACTIVE") -> CheckedRow:
    value = {
        "insurance_type": "390", "enrol_status": status, "paid_months": 12, "arrears_months": 0,
        "latest_period": latest, "employer_uscc": None,
    }  # fmt: skip
    return a_row(
        RowKind.FACT, key, 1, value, category=Category.SOCIAL_INSURANCE, id_number=id_number, name=name,
        valid_from=date(2010, 1, 1),
    )  # fmt: skip


def bill(key: str, name: str, id_number: str | None = None, *, version: int = 1, **more: Any) -> CheckedRow:
    hint = None
    if id_number is None:
        hint = PlaceHint(name, more.pop("address", "遮放镇弄坎村委会3组"), more.pop("phone", None))
    value = {
        "amount_due": "1234.50", "amount_paid": "334.50", "arrears_balance": "900.00", "bill_date": "2026-09-05",
        "due_date": "2026-12-31", "repay_plan_until": None, "malicious_decision_no": None, "notice_date": None,
        "settled_date": None,
    }  # fmt: skip
    return a_row(
        RowKind.FACT, key, version, value, category=Category.CLINIC_ARREARS, id_number=id_number, name=name,
        valid_from=date(2026, 9, 5), hint=hint, **more,
    )  # fmt: skip


def consent(id_number: str, *, version: int = 1, withdrawn_on: str | None = None) -> CheckedRow:
    value = {"granted_on": "2025-03-01", "expires_on": "2028-02-29", "withdrawn_on": withdrawn_on}
    return a_row(RowKind.CONSENT, f"consent|{CONSENT}", version, value, id_number=id_number, name="刀岩保")


def loan(receipt: str, id_number: str, *, version: int = 1, bank: str = BANK, **more: Any) -> CheckedRow:
    value = {
        "contract_no": "HT1", "receipt_no": receipt, "product_code": "NHXY", "principal": "30000.00",
        "balance": "15000.00", "overdue_amount": "0.00", "overdue_days": 0, "maturity_date": "2027-03-05",
        "rate_nominal": "4.35", "five_class": "1", "repay_status_24m": "N" * 24, "writeoff_date": None,
        "adverse_ended_on": None, "notice_date": None, "guarantor_count": 0, "consent_id": CONSENT,
    } | more.pop("value", {})  # fmt: skip
    return a_row(
        RowKind.FACT, f"loan|{bank}|HT1|{receipt}", version, value, category=Category.BANK_LOAN, id_number=id_number,
        name="刀岩保", valid_from=date(2025, 3, 5), consent_id=CONSENT, **more,
    )  # fmt: skip


class World:
    """A hub that pulls what a test hands it."""

    def __init__(self, connection: asyncpg.Connection, keys: KeyService) -> None:
        self.connection = connection
        self.keys = keys
        self.now = datetime(2026, 10, 20, 7, tzinfo=SHANGHAI)

    async def pull(self, **rows: Sequence[CheckedRow]) -> None:
        """One run: the rows of each source (its name is that of its kind) in one step, then the end of the pull."""
        self.now += timedelta(hours=1)
        run_id = uuid7()
        run = self.connection
        await run.execute("INSERT INTO ingest.run (run_id, started_at) VALUES ($1, $2)", run_id, self.now)
        for name, delivered in rows.items():
            kind = KINDS[name]
            await run.execute(
                "INSERT INTO ingest.source_state (source, kind) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, kind
            )
            await run.execute(
                "INSERT INTO ingest.run_source (run_id, source, started_at) VALUES ($1, $2, $3)", run_id, name, self.now
            )
            async with run.transaction():
                source = SourceInRun(name, kind, "DH-SJ-2026-001", run_id)
                await merge_step(run, self.keys, source, Step(rows=tuple(delivered)), self.now)
        await settle(run, self.keys, run_id, self.now)
        await run.execute("UPDATE ingest.run SET finished_at = $2, exit_code = 0 WHERE run_id = $1", run_id, self.now)

    async def person_id(self, id_number: str) -> UUID | None:
        found: UUID | None = await self.connection.fetchval(
            "SELECT person_id FROM record.directory WHERE blind_index = $1", self.keys.index("identity", id_number)
        )
        return found

    async def person(self, id_number: str) -> asyncpg.Record:
        return await self.connection.fetchrow(
            """SELECT p.*, h.household_no FROM record.person p
               LEFT JOIN record.household h ON h.household_id = p.household_id WHERE p.person_id = $1""",
            await self.person_id(id_number),
        )

    async def roster(self) -> dict[str, tuple[str, str, str | None]]:
        """Member number -> household, joined on, died on of the current memberships."""
        records = await self.connection.fetch(
            """SELECT m.member_no, h.household_no, m.valid_from, m.died_on FROM record.membership m
               JOIN record.household h USING (county, household_id)
               WHERE m.recorded_to = 'infinity' AND m.valid_to IS NULL AND h.held AND h.status = 'ACTIVE'"""
        )
        return {
            r["member_no"]: (r["household_no"], str(r["valid_from"]), str(r["died_on"]) if r["died_on"] else None)
            for r in records
        }

    async def quarantine(self) -> dict[str, int]:
        records = await self.connection.fetch("SELECT source_key, reason FROM ingest.quarantine WHERE status = 'OPEN'")
        return {record["source_key"]: record["reason"] for record in records}

    async def sections(self, household_no: str, id_number: str | None = None) -> dict[str, Any]:
        """``category/form[/owner]`` -> body of one person, or of the household itself."""
        person_id = UUID(int=0) if id_number is None else await self.person_id(id_number)
        records = await self.connection.fetch(
            """SELECT s.* FROM record.section s JOIN record.household_directory h
               ON h.household_id = s.household_id AND h.county = s.county
               WHERE h.household_no = $1 AND s.person_id = $2""",
            household_no,
            person_id,
        )
        return {
            "/".join(filter(None, (r["category"], r["form"], r["owner"]))): orjson.loads(r["body"]) for r in records
        }
