"""Builds checked rows for tests of the ledger, without an agency."""

from datetime import date
from typing import Any

from hub.core.names import Category, QuarantineReason
from hub.core.rows import CheckedRow, RowKind

PERSON = "533103198503124417"
OTHER_PERSON = "533121196207053021"


def a_row(key: str, version: int = 1, content: str = "a", **changes: Any) -> CheckedRow:
    """A clean tax grade; ``content`` tells rows of one key and version apart."""
    values: dict[str, Any] = {
        "kind": RowKind.FACT,
        "source_key": key,
        "version": str(version),
        "version_rank": version,
        "origin": "page 1",
        "content": content.encode(),
        "wire": {"content": content},
        "category": Category.TAX_GRADE,
        "value": {"grade_year": 2025, "tax_credit_grade": content},
        "id_number": PERSON,
        "name": "刀岩保",
        "valid_from": date(2026, 4, 30),
    }
    return CheckedRow(**(values | changes))


def a_tombstone(key: str, version: int) -> CheckedRow:
    """The agency takes the key back."""
    return a_row(key, version, "tombstone", tombstone=True, value={}, id_number=None, name=None, valid_from=None)


def a_bad_row(key: str, version: int = 1, content: str = "bad", *reasons: QuarantineReason) -> CheckedRow:
    """A row that broke a rule; by default its check digit is wrong."""
    return a_row(key, version, content, reasons=reasons or (QuarantineReason.ID_CHECK_DIGIT,), id_number=None)


def a_consent(consent_id: str, version: int = 1, **changes: Any) -> CheckedRow:
    """A furnishing consent of PERSON."""
    value = {"granted_on": "2025-03-01", "expires_on": "2028-02-29", "withdrawn_on": None}
    value |= {key: changes.pop(key) for key in list(changes) if key in value}
    return a_row(
        f"consent|{consent_id}",
        version,
        f"{sorted(value.items())}",
        **({"kind": RowKind.CONSENT, "category": None, "value": value} | changes),
    )
