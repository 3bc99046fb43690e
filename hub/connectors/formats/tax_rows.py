"""One record of the tax bureau, checked and in the hub's words (docs/contracts/tax.md sections 3 to 5).

``value`` of the facts:

* ``tax.registration``: ``taxpayer_id``, ``taxpayer_name``, ``taxpayer_status``
* ``tax.grade``: ``grade_year`` (number), ``tax_credit_grade``
* ``tax.arrears``: ``arrears_no``, ``arrears_amount`` (yuan), ``notice_date``
* ``tax.band``: ``tax_paid_band``, ``declared_income_band`` (the bureau's codes), ``authorisation_no``
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from hub.connectors.check import (
    TOMBSTONE_CONTENT,
    RowCheck,
    UnreadableKeys,
    unreadable_row,
    yuan_text,
)
from hub.core.clock import day_of
from hub.core.identifiers import check_id_number, clean_id_number, is_uscc
from hub.core.names import Category, QuarantineReason
from hub.core.rows import CheckedRow, RowKind

FORBIDDEN = frozenset({"mz", "sjnse"})
"""Ethnicity and the exact tax paid: never held (条例 art. 14)."""

DOCUMENTED = frozenset(
    [
        "djxh",
        "sjlx",
        "ywbh",
        "ver",
        "zfbz",
        "gxsj",
        "jyzxm",
        "jyzsfzjhm",
        "nsrsbh",
        "nsrmc",
        "nsrzt_dm",
        "djrq",
        "zxrq",
        "pjnd",
        "xyjb",
        "fbrq",
        "qsye",
        "qsfsrq",
        "ggrq",
        "jqrq",
        "ssqq",
        "ssqz",
        "nsqj_dm",
        "srqj_dm",
        "sqsbh",
    ]
)
"""All other fields of a record."""

CATEGORIES = {
    "DJ": Category.TAX_REGISTRATION,
    "XY": Category.TAX_GRADE,
    "QS": Category.TAX_ARREARS,
    "QJ": Category.TAX_BAND,
}
"""Category of each record type (``sjlx``)."""

STATUSES = {"03": "NORMAL", "04": "SUSPENDED", "05": "ABNORMAL", "07": "CANCELLED"}
"""Meaning of ``nsrzt_dm``."""

GRADES = frozenset("ABMCD")
BANDS = frozenset("01234")
_ORGANISATION_PREFIXES = ("91", "93", "N")


@dataclass(slots=True)
class _Fact:
    """What one record type adds to the row."""

    value: dict[str, Any] = field(default_factory=dict)
    valid_from: date | None = None
    valid_to: date | None = None
    adverse: bool = False


@dataclass(frozen=True, slots=True)
class _Identity:
    source_key: str
    version: str
    version_rank: int
    origin: str


class TaxRows:
    """Checks the records of one walk; ``today`` is the day of receipt."""

    def __init__(self, today: date) -> None:
        self._today = today
        self._unreadable = UnreadableKeys("taxpayer-records")

    def check(self, record: Any, page: int) -> CheckedRow:
        """The checked row of one JSON value on a page (numbered from 1)."""
        origin = f"page {page}"
        if not isinstance(record, dict):
            content = b"not an object"
            return unreadable_row(key=self._unreadable.key((), content), origin=origin, content=content)
        check = RowCheck(record, documented=DOCUMENTED, forbidden=FORBIDDEN, today=self._today)
        changed = _changed_at(check)
        parts = [check.key_part(name) for name in ("djxh", "sjlx", "ywbh")]
        key_parts = [part for part in parts if part is not None]
        version = check.version_number("ver")
        if len(key_parts) < len(parts):
            named = (None if changed is None else changed.isoformat(), *parts)
            key = self._unreadable.key(named, check.content)
            return unreadable_row(key=key, origin=origin, content=check.content, wire=check.wire)
        row = _Identity("|".join(key_parts), "" if version is None else str(version), version or 0, origin)
        if version is None:
            check.add(QuarantineReason.ROW_UNREADABLE)
        elif check.fields.get("zfbz") == "Y":
            return _tombstone(row, check, changed)
        return _checked(row, check, changed)


def _tombstone(row: _Identity, check: RowCheck, changed: datetime | None) -> CheckedRow:
    return CheckedRow(
        kind=RowKind.FACT,
        source_key=row.source_key,
        version=row.version,
        version_rank=row.version_rank,
        origin=row.origin,
        content=TOMBSTONE_CONTENT,
        wire={},
        tombstone=True,
        category=CATEGORIES.get(row.source_key.split("|")[1]),
        source_time=changed,
        dropped=check.dropped,
    )


def _checked(row: _Identity, check: RowCheck, changed: datetime | None) -> CheckedRow:
    latest = None if changed is None else day_of(changed)
    if latest is None:
        check.add(QuarantineReason.BAD_DATE)
    else:
        check.changed_on(latest)
    check.code("zfbz", ("N",))
    taxpayer, organisation = _taxpayer(check)
    name = check.name("jyzxm")
    person = check.id_number("jyzsfzjhm", mandatory=not organisation)
    if organisation:
        person = None  # an organisation's record belongs to no person, whoever signs for it
    check.adult(person)
    kind = check.code("sjlx", CATEGORIES)
    fact = _Fact() if kind is None else _FACTS[kind](check, latest, taxpayer)
    return CheckedRow(
        kind=RowKind.FACT,
        source_key=row.source_key,
        version=row.version,
        version_rank=row.version_rank,
        origin=row.origin,
        content=check.content,
        wire=check.wire,
        reasons=check.reasons,
        category=None if kind is None else CATEGORIES[kind],
        value=fact.value,
        id_number=person,
        name=name,
        valid_from=fact.valid_from,
        valid_to=fact.valid_to,
        adverse=fact.adverse,
        source_time=changed,
        dropped=check.dropped,
    )


def _changed_at(check: RowCheck) -> datetime | None:
    value = check.fields.get("gxsj")
    if not isinstance(value, str):
        return None
    try:
        changed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return changed if changed.tzinfo is not None and 1900 <= changed.year < 9999 else None


def _taxpayer(check: RowCheck) -> tuple[str | None, bool]:
    """The taxpayer number in upper case, and whether it is an organisation's. ``USCC_CHECK_DIGIT`` if it is unsound."""
    text = check.short_text("nsrsbh")
    code = "" if text is None else text.upper()
    cleaned = clean_id_number(text)
    organisation = code.startswith(_ORGANISATION_PREFIXES)
    if is_uscc(code):
        check.fields["nsrsbh"] = code
        return code, organisation
    if cleaned is not None and len(cleaned) == 18 and check_id_number(cleaned, check.today) == cleaned:
        check.fields["nsrsbh"] = cleaned
        return cleaned, False
    check.add(QuarantineReason.USCC_CHECK_DIGIT)
    return None, organisation


def _registration(check: RowCheck, latest: date | None, taxpayer: str | None) -> _Fact:
    status = check.code("nsrzt_dm", STATUSES)
    registered = check.day("djrq", mandatory=True, latest=latest)
    cancelled = check.day("zxrq", latest=latest)
    check.in_order(registered, cancelled)
    value = {
        "taxpayer_id": taxpayer,
        "taxpayer_name": check.text("nsrmc"),
        "taxpayer_status": None if status is None else STATUSES[status],
    }
    return _Fact(value, registered, cancelled)


def _grade(check: RowCheck, latest: date | None, _: str | None) -> _Fact:
    year = check.fields.get("pjnd")
    if not isinstance(year, int) or isinstance(year, bool) or not 1900 <= year <= (latest or date.max).year:
        check.add(QuarantineReason.BAD_DATE)
    grade = check.code("xyjb", GRADES)
    published = check.day("fbrq", mandatory=True, latest=latest)
    return _Fact({"grade_year": year, "tax_credit_grade": grade}, published)


def _arrears(check: RowCheck, latest: date | None, _: str | None) -> _Fact:
    arose = check.day("qsfsrq", mandatory=True, latest=latest)
    notice = check.adverse_notice("ggrq", latest=latest)
    cleared = check.day("jqrq", latest=latest)
    check.adverse_end(cleared)
    check.in_order(arose, cleared)
    amount = check.yuan("qsye")
    if amount is not None and check.given("jqrq") != (amount == 0):
        check.add(QuarantineReason.AMOUNT_INCONSISTENT)
    value = {
        "arrears_no": check.fields["ywbh"],
        "arrears_amount": None if amount is None else yuan_text(amount),
        "notice_date": None if notice is None else notice.isoformat(),
    }
    return _Fact(value, arose, cleared, adverse=True)


def _band(check: RowCheck, latest: date | None, _: str | None) -> _Fact:
    starts = check.day("ssqq", mandatory=True, latest=latest)
    ends = check.day("ssqz", mandatory=True)
    check.in_order(starts, ends)
    paid, income = check.code("nsqj_dm", BANDS), check.code("srqj_dm", BANDS)
    authorisation = check.text("sqsbh")
    if not check.given("sqsbh"):
        check.add(QuarantineReason.CONSENT_MISSING)
    value = {"tax_paid_band": paid, "declared_income_band": income, "authorisation_no": authorisation}
    return _Fact(value, starts, ends)


_FACTS = {"DJ": _registration, "XY": _grade, "QS": _arrears, "QJ": _band}
