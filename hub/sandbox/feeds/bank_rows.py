"""Single rows of a bank's export: how clean ones look, and how each rule is broken (bank.schema.json)."""

from datetime import date, timedelta
from random import Random
from typing import Any

from hub.core.clock import years_before
from hub.core.names import QuarantineReason
from hub.sandbox.feeds.dirt import lose_characters
from hub.sandbox.numbers import damage

Row = dict[str, Any]

_PRODUCTS = ("XEFP", "DMFB", "SYCY", "LDMJ", "HSXD", "WHLB", "NHXY", "NHXY", "NHXY")
_HEAPS = (5000, 10000, 20000, 30000, 50000, 100000)


def row_key(row: Row) -> str:
    """The source key (docs/CONTRACTS.md 1.1)."""
    match row["rt"]:
        case "CONSENT":
            return f"consent|{row['consent_id']}"
        case "LINE":
            return f"line|{row['bank_code']}|{row['line_no']}"
        case _:
            return f"loan|{row['bank_code']}|{row['contract_no']}|{row['receipt_no']}"


def consent_row(base: Row, day: date, rng: Random) -> Row:
    """A consent that holds for three years around ``day``."""
    granted = day - timedelta(days=rng.randrange(30, 600))
    return (
        {"rt": "CONSENT"}
        | base
        | {
            "granted_on": granted.isoformat(),
            "expires_on": (granted + timedelta(days=1095)).isoformat(),
            "withdrawn_on": None,
        }
    )


def _heap(rng: Random) -> int:
    """Yuan, lognormal with median 30,300, rounded to the sums that people ask for, at most 100,000."""
    drawn = min(100000.0, rng.lognormvariate(10.319, 0.72))
    return min(_HEAPS, key=lambda heap: abs(heap - drawn))


def draw_line(base: Row, number: str, day: date, rng: Random) -> Row:
    """A credit line; its amount is told in 10,000 yuan."""
    granted = day - timedelta(days=rng.randrange(1, 25))
    amount = f"{_heap(rng) / 10000:.4f}".rstrip("0").rstrip(".")
    return (
        {"rt": "LINE"}
        | base
        | {
            "line_no": number,
            "line_amount_wan": amount,
            "granted_on": granted.isoformat(),
            "line_expiry": (granted + timedelta(days=1095)).isoformat(),
        }
    )


def loan_row(base: Row, contract: str, receipt: str, *, principal: int, balance: int, day: date) -> Row:
    """A loan paid as agreed; amounts in fen."""
    start = day - timedelta(days=300)
    return (
        {"rt": "LOAN"}
        | base
        | {
            "contract_no": contract,
            "receipt_no": receipt,
            "product_code": "NHXY",
            "principal_fen": principal,
            "balance_fen": balance,
            "overdue_fen": 0,
            "overdue_days": 0,
            "start_date": start.isoformat(),
            "maturity_date": (start + timedelta(days=730)).isoformat(),
            "rate_bp": 435,
            "five_class": "1",
            "repay_24m": "*" * 14 + "N" * 10,
            "settled_date": None,
            "writeoff_date": None,
            "adverse_ended_on": None,
            "notice_date": None,
            "guarantors": [],
        }
    )


def draw_loan(base: Row, contract: str, receipt: str, day: date, rng: Random) -> Row:
    """A loan of a usual size, age and product."""
    principal = _heap(rng) * 100
    loan = loan_row(base, contract, receipt, principal=principal, balance=0, day=day)
    start = day - timedelta(days=rng.randrange(10, 900))
    months = min(24, (day - start).days // 30)
    loan |= {
        "product_code": rng.choice(_PRODUCTS),
        "balance_fen": principal * rng.randrange(10, 101) // 100,
        "start_date": start.isoformat(),
        "maturity_date": (start + timedelta(days=rng.choice((1095, 1460)))).isoformat(),
        "rate_bp": rng.randrange(385, 720, 5),
        "repay_24m": "*" * (24 - months) + "N" * months,
    }
    if rng.random() < 0.1:
        loan |= {"balance_fen": 0, "settled_date": (day - timedelta(days=1)).isoformat()}
    return loan


def make_adverse(loan: Row, day: date) -> None:
    """45 days overdue, and the borrower was told."""
    loan |= {
        "settled_date": None,
        "balance_fen": max(loan["balance_fen"], loan["principal_fen"] // 2),
        "overdue_fen": 62_000,
        "overdue_days": 45,
        "five_class": "2",
        "repay_24m": loan["repay_24m"][2:] + "12",
        "notice_date": (day - timedelta(days=10)).isoformat(),
    }


def pay_back(loan: Row) -> Row:
    """The next revision: one more instalment paid."""
    settled = loan["settled_date"] is not None
    balance = 0 if settled else loan["balance_fen"] * 9 // 10
    return loan | {"rev": loan["rev"] + 1, "balance_fen": balance, "repay_24m": loan["repay_24m"][1:] + "N"}


def add_forbidden(row: Row, rng: Random) -> tuple[str, ...]:
    """Fields that old branches still send; returns their names."""
    extra = {"account_no": "6217000000000000000", "phone": "13900000000", "ethnic": "18", "health_status": "良好"}
    names = tuple(rng.sample(sorted(extra), rng.randrange(1, 4)))
    for name in names:
        row[name] = extra[name]
    return names


def spoil_row(row: Row, reason: QuarantineReason, day: date, rng: Random) -> None:
    """Change a line or loan so that ``reason`` is its fate."""
    loan = row["rt"] == "LOAN"
    match reason:
        case QuarantineReason.ROW_UNREADABLE:
            return  # the line is cut when it is written
        case QuarantineReason.TEXT_UNREADABLE:
            row["name"] = lose_characters(rng, row["name"])
        case QuarantineReason.CONSENT_MISSING:
            row["consent_id"] = None
        case QuarantineReason.UNKNOWN_CODE:
            row |= {"product_code": "ABCD"} if loan else {"op": "X"}
        case QuarantineReason.BAD_DATE:
            row["start_date" if loan else "granted_on"] = rng.choice(("2015-02-30", "20250301", "1900-01-00"))
        case QuarantineReason.DATE_INCONSISTENT:
            earlier = years_before(day, 12).isoformat()
            row["maturity_date" if loan else "line_expiry"] = earlier
        case QuarantineReason.BAD_AMOUNT if loan:
            row["principal_fen"] = rng.choice((-5, "3000000", 3000.5))
        case QuarantineReason.BAD_AMOUNT:
            row["line_amount_wan"] = rng.choice(("30000", "0", "3.50000", "-1"))
        case QuarantineReason.AMOUNT_INCONSISTENT:
            row |= {"settled_date": None, "balance_fen": row["principal_fen"] + 100}
        case QuarantineReason.ADVERSE_NOTICE_MISSING:
            make_adverse(row, day)
            row["notice_date"] = rng.choice((None, (day + timedelta(days=1)).isoformat()))
        case QuarantineReason.ADVERSE_EXPIRED:
            make_adverse(row, day)
            row["adverse_ended_on"] = years_before(day, 6).isoformat()
        case _:
            row["id_no"] = damage(rng, row["id_no"], reason)
