"""The peer's items: plain Strawberry types, made from rows."""

from decimal import Decimal
from typing import Any, TypeVar

import asyncpg
import strawberry


@strawberry.type
class Provenance:
    source: str
    source_time: str | None
    recorded_at: str | None
    source_version: str | None
    valid_from: str | None
    valid_to: str | None


@strawberry.type
class TaxRegistration:
    taxpayer_id: str | None
    taxpayer_name: str | None
    taxpayer_status: str | None
    provenance: Provenance | None


@strawberry.type
class TaxGrade:
    grade_year: int | None
    grade: str | None
    provenance: Provenance | None


@strawberry.type
class TaxArrears:
    arrears_no: str | None
    amount: Decimal | None
    notice_date: str | None
    cleared_on: str | None
    provenance: Provenance | None


@strawberry.type
class TaxBand:
    period_from: str | None
    period_to: str | None
    tax_paid_band: str | None
    declared_income_band: str | None
    authorisation_no: str | None
    provenance: Provenance | None


@strawberry.type
class SocialInsurance:
    insurance_type: str | None
    enrol_status: str | None
    paid_months: int | None
    arrears_months: int | None
    latest_period: str | None
    employer_uscc: str | None
    provenance: Provenance | None


@strawberry.type
class ClinicArrearsBand:
    balance_band: str | None
    due_date: str | None
    plan_in_force: bool | None
    settled: bool | None
    provenance: Provenance | None


@strawberry.type
class CreditLine:
    line_no: str | None
    amount: Decimal | None
    expires_on: str | None
    provenance: Provenance | None


@strawberry.type
class Loan:
    contract_no: str | None
    receipt_no: str | None
    product_code: str | None
    principal: Decimal | None
    balance: Decimal | None
    overdue_amount: Decimal | None
    overdue_days: int | None
    maturity_date: str | None
    rate_percent: Decimal | None
    five_class: str | None
    repay_status24m: str | None
    guarantor_count: int | None
    provenance: Provenance | None


@strawberry.type
class LinesTotal:
    lenders: int | None
    total_amount: Decimal | None


@strawberry.type
class LoansTotal:
    lenders: int | None
    total_balance: Decimal | None
    loans: int | None
    worst_class: str | None


@strawberry.type
class AdverseItem:
    kind: str | None
    since: str | None
    notice_date: str | None
    ended_on: str | None
    expires_on: str | None
    statement: str | None
    provenance: Provenance | None


@strawberry.type
class SourceConflict:
    type: str | None
    source: str | None


@strawberry.type
class OtherAdult:
    borrower_id: strawberry.ID
    completeness: str
    name: str | None
    masked_id_number: str | None
    relation: str | None
    age_band: str | None
    status: str | None


Item = TypeVar("Item")


def items(kind: type[Item], rows: list[asyncpg.Record]) -> list[Item] | None:
    """The rows as items of a type; null where there is none, as the hub says it."""
    return [_item(kind, row) for row in rows] or None


def _item(kind: Any, row: asyncpg.Record) -> Any:
    values = {name: value for name, value in row.items() if name != "person_id" and not name.startswith("p_")}
    if "p_source" in row.keys():  # noqa: SIM118 - a record is no mapping: `in` looks at its values
        values["provenance"] = Provenance(
            source=row["p_source"],
            source_time=row["p_source_time"],
            recorded_at=row["p_recorded_at"],
            source_version=row["p_source_version"],
            valid_from=row["p_valid_from"],
            valid_to=row["p_valid_to"],
        )
    return kind(**values)
