"""A row that quarantine kept, put back into its agency's words, and checked again by that agency's own rules.

Quarantine keeps a row cleaned: forbidden fields gone, texts normalised, values of another type marked. The checks here
are those of a delivery (hub/connectors/formats), so what is released or repaired passes the very rules that a new row
must pass. What the cleaning took away cannot be judged anew: such a reason stays (:data:`LOST_WITH_THE_WIRE`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from lxml import etree

from hub.connectors.check import UnreadableKeys, in_precedence, unreadable_row
from hub.connectors.formats import bank_rows, civil_rows, social_rows, tax_rows
from hub.connectors.formats.bank_rows import BankFile, bank_row
from hub.connectors.formats.civil_rows import FEEDS, Feed, civil_row
from hub.connectors.formats.clinic_files import COLUMNS, ListName, Record
from hub.connectors.formats.clinic_rows import clinic_row
from hub.core.names import QuarantineReason
from hub.core.rows import CheckedRow

CIVIL_NAMESPACE = "urn:dh-mz:credit:1"
"""Namespace of the rows of civil affairs."""

EVENT_MEMBER = "cy"
"""The repeated element of an event of civil affairs."""

NAME_FIELDS = {
    "tax-rest": "jyzxm",
    "social-view": "aac003",
    "clinic-sftp": "欠费人姓名",
    "civil-soap": "xm",
    "bank-files": "name",
}
"""Where each kind of source writes the person's name."""

LOST_WITH_THE_WIRE = frozenset({QuarantineReason.ROW_UNREADABLE, QuarantineReason.TEXT_UNREADABLE})
"""Reasons that are judged on the row as it was sent, of which quarantine keeps less."""

_number_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A row as quarantine keeps it.

    ``kind`` is that of its source. ``reasons`` are all reasons found when it was delivered. ``file_name`` and
    ``business_date`` are those of its file, where it came in one. ``bank_code`` is the code under which the source's
    sound rows stand, ``None`` if there is none yet.
    """

    kind: str
    source_key: str
    version: str
    origin: str
    wire: Mapping[str, Any]
    reasons: tuple[QuarantineReason, ...]
    file_name: str | None = None
    business_date: date | None = None
    bank_code: str | None = None


def correctable_fields(row: KeptRow) -> frozenset[str]:
    """The documented fields of a row; those of an event's member have their place in front: ``cy.1.yhzgx``."""
    match row.kind:
        case "tax-rest":
            return tax_rows.DOCUMENTED
        case "social-view":
            return frozenset(social_rows.COLUMNS)
        case "clinic-sftp":
            return frozenset(COLUMNS)
        case "bank-files":
            return bank_rows.DOCUMENTED
    feed = _feed(row.source_key)
    if feed is None:
        return frozenset()
    members = range(1, len(row.wire.get(EVENT_MEMBER, ())) + 1)
    inner = {f"{EVENT_MEMBER}.{place}.{name}" for place in members for name in civil_rows.EVENT_MEMBER_FIELDS}
    return feed.fields | inner


def value_of(wire: Mapping[str, Any], field: str) -> Any:
    """The kept value of a field, ``None`` where there is none."""
    if "." not in field:
        return wire.get(field)
    _, place, name = field.split(".")
    return wire[EVENT_MEMBER][int(place) - 1].get(name)


def corrected(wire: Mapping[str, Any], corrections: Mapping[str, Any]) -> dict[str, Any]:
    """The kept row with other values in some of its fields; ``None`` takes a value away."""
    result = dict(wire)
    if EVENT_MEMBER in wire:
        result[EVENT_MEMBER] = [dict(member) for member in wire[EVENT_MEMBER]]
    for field, value in corrections.items():
        target, name = result, field
        if "." in field:
            _, place, name = field.split(".")
            target = result[EVENT_MEMBER][int(place) - 1]
        if value is None:
            target.pop(name, None)
        else:
            target[name] = value
    return result


def recheck(row: KeptRow, today: date, corrections: Mapping[str, Any] | None = None) -> CheckedRow:
    """The row checked by the present rules, as if it were delivered on ``today``, with the corrected values.

    A correction that makes another key, version or a tombstone of it leaves ``ROW_UNREADABLE``: those are the source's
    to say. Reasons that need the hub's memory are not judged here.
    """
    changes = corrections or {}
    if not row.version:
        return unreadable_row(key=row.source_key, origin=row.origin, content=b"", wire=row.wire)
    checked = _check(row, corrected(row.wire, changes), today)
    reasons = set(checked.reasons)
    if checked.tombstone or (checked.source_key, checked.version) != (row.source_key, row.version):
        reasons.add(QuarantineReason.ROW_UNREADABLE)
    lost = LOST_WITH_THE_WIRE.intersection(row.reasons)
    if lost:
        lost -= set((_check(row, row.wire, today) if changes else checked).reasons)
        if NAME_FIELDS[row.kind] in changes:
            lost -= {QuarantineReason.TEXT_UNREADABLE}
    return replace(checked, origin=row.origin, reasons=in_precedence(reasons | lost))


def as_sent(row: KeptRow, wire: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The row in the words of its agency: marked values are numbers again, days stand as the agency writes them."""
    sent = {name: _restored(value) for name, value in (row.wire if wire is None else wire).items()}
    if row.kind == "social-view" and row.version:
        sent["aae036"] = datetime.fromisoformat(row.version).replace(tzinfo=None)
        if isinstance(since := sent.get("aac030"), str):
            sent["aac030"] = since.replace("-", "")
    return sent


def json_line(sent: Mapping[str, Any]) -> str:
    """One JSON object, numbers as they were sent."""
    return _number_encoder.encode(sent).decode()


def civil_element(source_key: str, sent: Mapping[str, Any]) -> etree._Element:
    """The row element of civil affairs, in its namespace."""
    feed = _feed(source_key)
    element = etree.Element(
        f"{{{CIVIL_NAMESPACE}}}{'row' if feed is None else feed.element}", nsmap={None: CIVIL_NAMESPACE}
    )
    for name, value in sent.items():
        for one in value if isinstance(value, list) else [value]:
            child = etree.SubElement(element, f"{{{CIVIL_NAMESPACE}}}{name}")
            if isinstance(one, Mapping):
                for inner, text in one.items():
                    etree.SubElement(child, f"{{{CIVIL_NAMESPACE}}}{inner}").text = str(text)
            else:
                child.text = str(one)
    return element


def _feed(source_key: str) -> Feed | None:
    head = source_key.partition("|")[0]
    return next((feed for feed in FEEDS if feed.element == head), None)


def _restored(value: Any) -> Any:
    match value:
        case {"number": str() as text} if len(value) == 1:
            return Decimal(text)
        case {"structure": "object"} if len(value) == 1:
            return {}
        case {"structure": "array"} if len(value) == 1:
            return []
        case dict():
            return {name: _restored(item) for name, item in value.items()}
        case list():
            return [_restored(item) for item in value]
        case _:
            return value


def _check(row: KeptRow, wire: Mapping[str, Any], today: date) -> CheckedRow:
    sent = as_sent(row, wire)
    match row.kind:
        case "tax-rest":
            return tax_rows.TaxRows(today).check(sent, 0)
        case "social-view":
            columns = {column: sent.get(column) for column in social_rows.COLUMNS}
            return social_rows.SocialRows(today).check(columns, row.origin)
        case "clinic-sftp":
            cells = {column: str(sent.get(column, "")) for column in COLUMNS}
            day, _, number = row.version.partition("_")
            name = ListName(day=day, organisation=row.source_key.partition("|")[0], number=number)
            return clinic_row(Record(0, cells), name, today)
        case "bank-files":
            return _bank(row, sent, today)
    feed = _feed(row.source_key)
    if feed is None:
        return unreadable_row(key=row.source_key, origin=row.origin, content=b"", wire=wire)
    element = civil_element(row.source_key, sent)
    return civil_row(element, feed, origin=row.origin, unreadable=UnreadableKeys(feed.name), today=today)


def _bank(row: KeptRow, sent: Mapping[str, Any], today: date) -> CheckedRow:
    """The bank of the file is not written down; where it is not known from sound rows, a code once refused stays so."""
    code = row.bank_code
    if code is None and QuarantineReason.UNKNOWN_CODE not in row.reasons:
        code = str(sent.get("bank_code", ""))
    file = BankFile(row.file_name or "", code or "", row.business_date or today, today)
    return bank_row(json_line(sent), 0, file)
