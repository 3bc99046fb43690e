"""One line of a bank's daily file, checked and in the hub's words (docs/contracts/bank.md sections 3 to 5).

``value`` of what it gives:

* ``bank.line``: ``line_no``, ``line_amount`` (yuan), ``consent_id``
* ``bank.loan``: ``contract_no``, ``receipt_no``, ``product_code``, ``principal``, ``balance``, ``overdue_amount``
  (yuan), ``overdue_days``, ``maturity_date``, ``rate_nominal`` (percent), ``five_class``, ``repay_status_24m``,
  ``writeoff_date``, ``adverse_ended_on``, ``notice_date``, ``guarantor_count``, ``consent_id``
* a consent (:attr:`RowKind.CONSENT`): ``granted_on``, ``expires_on``, ``withdrawn_on``

Whether a consent is known and valid, and which guarantors stay, needs the hub's memory and is judged later; until then
``guarantor_count`` counts the guarantors as sent. A guarantor's name is read by nobody and leaves here at once.
"""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from hub.connectors.check import TOMBSTONE_CONTENT, RowCheck, iso_day, split_fields, unreadable_row, yuan_text
from hub.connectors.json_text import read_json
from hub.core.clock import midnight
from hub.core.identifiers import check_id_number, clean_id_number
from hub.core.names import Category, QuarantineReason
from hub.core.rows import CheckedRow, Guarantor, RowKind

FORBIDDEN = frozenset({"account_no", "phone", "ethnic", "health_status"})
"""Fields of old branches that the hub must never hold (条例 art. 14, PIPL art. 28)."""

DOCUMENTED = frozenset(
    [
        "rt",
        "bank_code",
        "rev",
        "op",
        "consent_id",
        "id_no",
        "name",
        "granted_on",
        "expires_on",
        "withdrawn_on",
        "line_no",
        "line_amount_wan",
        "line_expiry",
        "contract_no",
        "receipt_no",
        "product_code",
        "principal_fen",
        "balance_fen",
        "overdue_fen",
        "overdue_days",
        "start_date",
        "maturity_date",
        "rate_bp",
        "five_class",
        "repay_24m",
        "settled_date",
        "writeoff_date",
        "adverse_ended_on",
        "notice_date",
    ]
)
"""All other fields of a row but the list of guarantors, which is read apart."""

GUARANTOR_FIELDS = frozenset({"id_no", "name", "consent_id"})

KEY_FIELDS = {
    "CONSENT": ("consent_id",),
    "LINE": ("bank_code", "line_no"),
    "LOAN": ("bank_code", "contract_no", "receipt_no"),
}
"""The fields that make the source key, by row type (``rt``); the key begins with the row type in lower case."""

CATEGORIES = {"LINE": Category.BANK_LINE, "LOAN": Category.BANK_LOAN}
PRODUCTS = frozenset({"XEFP", "DMFB", "SYCY", "LDMJ", "HSXD", "WHLB", "NHXY"})
CLASSES = frozenset("12345")
ADVERSE_CLASSES = frozenset("345")
LINE_MAX_WAN = Decimal(10)
"""Largest credit line, in 10,000 yuan."""

FEN_MAX = 10**15
"""No amount of a loan is greater, in fen: ten thousand times the largest that a bank of a prefecture lends."""

_FEN_FIELDS = ("principal_fen", "balance_fen", "overdue_fen")
_REPAYMENT = re.compile(r"[*#N1-7BMDZCG]{24}")
_ADVERSE_REPAYMENT = re.compile(r"[1-7BD]")
_LINE_AMOUNT = re.compile(r"[0-9]{1,2}(\.[0-9]{1,4})?")


@dataclass(frozen=True, slots=True)
class BankFile:
    """What the rows of one file have in common. ``today`` is the day of receipt."""

    name: str
    bank_code: str
    business_date: date
    today: date


@dataclass(slots=True)
class _Terms:
    """What the checks make of a row."""

    tombstone: bool = False
    id_number: str | None = None
    name: str | None = None
    value: dict[str, Any] = field(default_factory=dict)
    valid_from: date | None = None
    valid_to: date | None = None
    adverse: bool = False


def bank_row(line: str, number: int, file: BankFile) -> CheckedRow:
    """The checked row of one line (numbered from 1)."""
    origin, place = f"{file.name} line {number}", f"{file.name}#{number}"
    row = _object(line)
    if row is None:
        mark = hashlib.sha256(line.encode()).digest()  # a text that does not parse may hide forbidden fields
        return unreadable_row(key=place, origin=origin, content=mark)
    listed = row.pop("guarantors", None)
    check = RowCheck(row, documented=DOCUMENTED, forbidden=FORBIDDEN, today=file.today)
    guarantors, nested = _guarantors(check, listed)
    dropped = tuple(sorted({*check.dropped, *nested})) if nested else check.dropped
    kind, version = check.key_part("rt"), check.version_number("rev")
    parts = [check.key_part(name) for name in KEY_FIELDS.get(kind or "", ())]
    if kind is None or None in parts:
        return unreadable_row(key=place, origin=origin, content=check.content, wire=_wire(check))
    source_key = "|".join([kind.lower(), *filter(None, parts)]) if parts else place
    terms = _Terms(tombstone=bool(parts) and version is not None and check.fields.get("op") == "D")
    if not terms.tombstone:
        if version is None:
            check.add(QuarantineReason.ROW_UNREADABLE)
        _judge(check, kind, file, len(guarantors), terms)
    return CheckedRow(
        kind=RowKind.CONSENT if kind == "CONSENT" else RowKind.FACT,
        source_key=source_key,
        version="" if version is None else str(version),
        version_rank=version or 0,
        origin=origin,
        content=TOMBSTONE_CONTENT if terms.tombstone else check.content,
        wire={} if terms.tombstone else _wire(check),
        reasons=() if terms.tombstone else check.reasons,
        tombstone=terms.tombstone,
        category=CATEGORIES.get(kind),
        value=terms.value,
        id_number=terms.id_number,
        name=terms.name,
        valid_from=terms.valid_from,
        valid_to=terms.valid_to,
        adverse=terms.adverse,
        source_time=midnight(file.business_date),
        consent_id=check.key_part("consent_id"),
        guarantors=() if terms.tombstone else guarantors,
        dropped=dropped if parts else (),
    )


def _judge(check: RowCheck, kind: str, file: BankFile, guarantor_count: int, terms: _Terms) -> None:
    """All checks of a row that is not a tombstone, and what the hub keeps of it."""
    check.changed_on(file.business_date)
    check.code("op", ("U",))
    check.code("rt", KEY_FIELDS)
    check.code("bank_code", (file.bank_code,))  # a bank speaks for its own contracts only
    terms.id_number = check.id_number("id_no")
    check.adult(terms.id_number)
    terms.name = check.name("name")
    if check.given("consent_id") and check.key_part("consent_id") is None:
        check.add(QuarantineReason.ROW_UNREADABLE)
    match kind:
        case "CONSENT":
            _consent(check, terms)
        case "LINE":
            _line(check, terms)
        case "LOAN":
            _loan(check, file, terms)
            terms.value["guarantor_count"] = guarantor_count


def _consent(check: RowCheck, terms: _Terms) -> None:
    granted = check.day("granted_on", mandatory=True, latest=check.today)
    expires = check.day("expires_on", mandatory=True)
    withdrawn = check.day("withdrawn_on", latest=check.today)
    check.in_order(granted, expires)
    terms.value = {"granted_on": iso_day(granted), "expires_on": iso_day(expires), "withdrawn_on": iso_day(withdrawn)}


def _line(check: RowCheck, terms: _Terms) -> None:
    _referred_consent(check)
    granted = check.day("granted_on", mandatory=True, latest=check.today)
    expires = check.day("line_expiry", mandatory=True)
    check.in_order(granted, expires)
    terms.valid_from, terms.valid_to = granted, expires
    terms.value = {
        "line_no": check.fields["line_no"],
        "line_amount": _line_amount(check),
        "consent_id": check.key_part("consent_id"),
    }


def _loan(check: RowCheck, file: BankFile, terms: _Terms) -> None:
    _referred_consent(check)
    product, five_class = check.code("product_code", PRODUCTS), check.code("five_class", CLASSES)
    repayment = check.key_part("repay_24m")
    if repayment is None or not _REPAYMENT.fullmatch(repayment):
        check.add(QuarantineReason.UNKNOWN_CODE)
    overdue_days = check.count("overdue_days")
    terms.adverse = (
        (overdue_days or 0) > 0
        or five_class in ADVERSE_CLASSES
        or check.given("writeoff_date")
        or _ADVERSE_REPAYMENT.search(repayment or "") is not None
    )
    start, maturity = (
        check.day("start_date", mandatory=True, latest=check.today),
        check.day("maturity_date", mandatory=True),
    )
    settled, written_off = check.day("settled_date", latest=check.today), check.day("writeoff_date", latest=check.today)
    ended = check.day("adverse_ended_on", latest=check.today)
    if terms.adverse:
        check.adverse_end(ended)
        notice = check.adverse_notice("notice_date", latest=file.business_date)
    else:
        notice = check.day("notice_date", latest=check.today)
    check.in_order(start, maturity)
    check.in_order(start, settled)
    principal, balance, overdue = (check.count(name, maximum=FEN_MAX) for name in _FEN_FIELDS)
    if balance is not None and (
        (principal is not None and balance > principal) or (balance and check.given("settled_date"))
    ):
        check.add(QuarantineReason.AMOUNT_INCONSISTENT)
    rate = check.count("rate_bp")
    terms.valid_from, terms.valid_to = start, settled
    terms.value = {
        "contract_no": check.fields["contract_no"],
        "receipt_no": check.fields["receipt_no"],
        "product_code": product,
        "principal": _hundredths(principal),
        "balance": _hundredths(balance),
        "overdue_amount": _hundredths(overdue),
        "overdue_days": overdue_days,
        "maturity_date": iso_day(maturity),
        "rate_nominal": _hundredths(rate),
        "five_class": five_class,
        "repay_status_24m": repayment,
        "writeoff_date": iso_day(written_off),
        "adverse_ended_on": iso_day(ended),
        "notice_date": iso_day(notice),
        "consent_id": check.key_part("consent_id"),
    }


def _referred_consent(check: RowCheck) -> None:
    if not check.given("consent_id"):
        check.add(QuarantineReason.CONSENT_MISSING)


def _line_amount(check: RowCheck) -> str | None:
    """The credit line in yuan, from text in 10,000 yuan: above 0, at most 10."""
    text = check.key_part("line_amount_wan")
    wan = Decimal(text) if text is not None and _LINE_AMOUNT.fullmatch(text) else Decimal(0)
    if not 0 < wan <= LINE_MAX_WAN:
        check.add(QuarantineReason.BAD_AMOUNT)
        return None
    return yuan_text(wan * 10_000)


def _hundredths(number: int | None) -> str | None:
    """Fen as yuan, or basis points as percent: a hundredth, with two decimals."""
    return None if number is None else f"{number // 100}.{number % 100:02d}"


def _guarantors(check: RowCheck, listed: Any) -> tuple[tuple[Guarantor, ...], set[str]]:
    """The guarantors as sent, and the names of fields removed from them. The list joins the row's content."""
    if listed is None:
        return (), set()
    if not isinstance(listed, list):
        check.add(QuarantineReason.ROW_UNREADABLE)
        return (), set()
    guarantors: list[Guarantor] = []
    members: list[dict[str, Any]] = []
    dropped: set[str] = set()
    for item in listed:
        member, removed = split_fields(item if isinstance(item, dict) else {}, GUARANTOR_FIELDS, FORBIDDEN)
        id_number = _guarantor_number(member.get("id_no"), check.today)
        if id_number is not None:
            member["id_no"] = id_number
        consent = member.get("consent_id")
        guarantors.append(Guarantor(id_number, consent if isinstance(consent, str) else None))
        members.append(member)
        dropped.update(removed)
    if members:
        check.fields["guarantors"] = members
    return tuple(guarantors), dropped


def _guarantor_number(value: Any, today: date) -> str | None:
    """A guarantor's ID number in normal form; it is compared with the consent's and otherwise not checked."""
    cleaned = clean_id_number(value) if isinstance(value, str) else None
    if cleaned is None:
        return None
    checked = check_id_number(cleaned, today)
    return cleaned if isinstance(checked, QuarantineReason) else checked


def _wire(check: RowCheck) -> dict[str, Any]:
    """The row for quarantine. Guarantors without a consent are persons the hub may hold nothing about: left out."""
    wire = check.wire
    if "guarantors" in wire:
        known = [member for member in wire["guarantors"] if member.get("consent_id") is not None]
        return {**wire, "guarantors": known}
    return wire


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = read_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
