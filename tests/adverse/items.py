"""Adverse rows for tests: a case of tax arrears, a clinic's decision, a loan in trouble."""

from datetime import date, datetime
from typing import Any

from hub.core.clock import SHANGHAI
from hub.core.names import Category
from hub.core.rows import CheckedRow, RowKind
from tests.records.world import a_row, bill, loan, member, number

DAO = number("19850312")
ROSTER_MEMBER = member("C1", "H1", "刀岩保", DAO)
TAX_KEY = "10253310300000000017|QS|1"


def arrears(
    cleared: str | None,
    *,
    key: str = TAX_KEY,
    version: int = 1,
    amount: str = "0.00",
    id_number: str = DAO,
    **more: Any,
) -> CheckedRow:
    """Tax arrears on public notice, cleared on a day or not yet."""
    value = {"arrears_no": "1", "arrears_amount": amount, "notice_date": "2019-03-01"}
    given: dict[str, Any] = {
        "category": Category.TAX_ARREARS, "id_number": id_number, "name": "刀岩保", "valid_from": date(2019, 1, 5),
        "valid_to": date.fromisoformat(cleared) if cleared else None, "adverse": True,
        "source_time": datetime(2026, 10, 18, 9, tzinfo=SHANGHAI),
    } | more  # fmt: skip
    return a_row(RowKind.FACT, key, version, value, **given)


def troubled_loan(ended: str | None, *, receipt: str = "J1", version: int = 1, **more: Any) -> CheckedRow:
    """A loan with an adverse item that ended on a day, or has not ended."""
    value = {"notice_date": "2020-01-01", "writeoff_date": "2020-02-01", "adverse_ended_on": ended, "five_class": "5"}
    return loan(receipt, DAO, version=version, adverse=True, value=value | more.pop("value", {}), **more)


def decision(settled: str | None, **more: Any) -> CheckedRow:
    """A clinic bill with a decision on wilful default."""
    return bill(
        "K|1", "刀岩保", more.pop("id_number", DAO), adverse=True,
        valid_to=date.fromisoformat(settled) if settled else None, **more,
    )  # fmt: skip
