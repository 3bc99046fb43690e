"""One row of the social-insurance view, checked and in the hub's words (docs/contracts/social_security.md 2 to 5).

``value`` of ``social.insurance``: ``insurance_type`` (code), ``enrol_status``, ``paid_months``, ``arrears_months``
(numbers), ``latest_period`` (``YYYY-MM`` or ``None``), ``employer_uscc`` (text or ``None``, not checked).
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from hub.connectors.check import TOMBSTONE_CONTENT, RowCheck, UnreadableKeys, parse_compact_day, unreadable_row
from hub.core.clock import SHANGHAI, iso
from hub.core.names import Category, QuarantineReason
from hub.core.rows import CheckedRow, RowKind
from hub.core.text import is_mojibake, repair_mojibake

COLUMNS = (
    "aac001",
    "aac002",
    "aac003",
    "aae140",
    "aac031",
    "aac030",
    "aae201",
    "bae701",
    "aae002",
    "aab003",
    "aae100",
    "aae036",
)
"""The 12 columns the hub may read; the others are not even asked for."""

INSURANCE_TYPES = frozenset({"110", "170", "210", "310", "390", "410"})
STATUSES = {"1": "ACTIVE", "2": "PAUSED", "3": "ENDED"}

_DOCUMENTED = frozenset(COLUMNS)
_CHECKED = tuple(column for column in COLUMNS if column != "aae036")
_NONE: frozenset[str] = frozenset()
_MONTH = re.compile(r"(19[0-9]{2}|[2-9][0-9]{3})(0[1-9]|1[0-2])")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  the view's times have no zone


class SocialRows:
    """Checks the rows of one pull; ``today`` is the day of receipt."""

    def __init__(self, today: date) -> None:
        self._today = today
        self._unreadable = UnreadableKeys("v_ac_insured")

    def check(self, row: Mapping[str, Any], origin: str) -> CheckedRow:
        """The checked row of one database row, by column name."""
        changed: datetime = row["aae036"]
        name, repaired, lost = _name_as_read(row["aac003"])
        fields = {column: _plain(row[column]) for column in _CHECKED}
        fields["aac003"] = name
        check = RowCheck(fields, documented=_DOCUMENTED, forbidden=_NONE, today=self._today)
        number, insurance = check.key_part("aac001"), check.key_part("aae140")
        source_time, version, rank = _version(changed)
        if number is None or insurance is None:
            named = (source_time.isoformat(), number, insurance)
            key = self._unreadable.key(named, check.content)
            return unreadable_row(key=key, origin=origin, content=check.content, wire=check.wire)
        tombstone = check.fields.get("aae100") == "0"
        if lost and not tombstone:
            check.add(QuarantineReason.TEXT_UNREADABLE)
        judged = {} if tombstone else _judge(check, changed.date())
        return CheckedRow(
            kind=RowKind.FACT,
            source_key=f"{number}|{insurance}",
            version=version,
            version_rank=rank,
            origin=origin,
            content=TOMBSTONE_CONTENT if tombstone else check.content,
            wire={} if tombstone else check.wire,
            reasons=() if tombstone else check.reasons,
            tombstone=tombstone,
            category=Category.SOCIAL_INSURANCE,
            source_time=source_time,
            repaired=("aac003",) if repaired and not tombstone else (),
            **judged,
        )


@lru_cache(4096)
def _version(changed: datetime) -> tuple[datetime, str, int]:
    """The instant of a time of change, the version and its rank; thousands of rows are written at the same second."""
    source_time = changed.replace(tzinfo=SHANGHAI)
    return source_time, iso(source_time), version_rank(changed)


def version_rank(changed: datetime) -> int:
    """The local time of change as microseconds since 1970-01-01, for ordering only."""
    return int((changed - _EPOCH).total_seconds()) * 1_000_000 + changed.microsecond


def _judge(check: RowCheck, changed: date) -> dict[str, Any]:
    """Check the values of a row that is not a tombstone; the parts of the checked row that depend on them."""
    check.changed_on(changed)
    check.code("aae100", ("1",))
    person = check.id_number("aac002")
    check.adult(person)
    name = check.name("aac003")
    insurance = check.code("aae140", INSURANCE_TYPES)
    status = check.code("aac031", STATUSES)
    since = check.day("aac030", mandatory=True, latest=check.today, parse=parse_compact_day)
    value = {
        "insurance_type": insurance,
        "enrol_status": None if status is None else STATUSES[status],
        "paid_months": check.count("aae201", default=0),
        "arrears_months": check.count("bae701", default=0),
        "latest_period": _month(check, "aae002"),
        "employer_uscc": check.text("aab003"),
    }
    return {"value": value, "id_number": person, "name": name, "valid_from": since}


def _month(check: RowCheck, column: str) -> str | None:
    value = check.fields.get(column)
    if value is None:
        return None
    parts = _MONTH.fullmatch(str(value))
    if parts is None:
        check.add(QuarantineReason.BAD_DATE)
        return None
    return f"{parts[1]}-{parts[2]}"


def _name_as_read(name: Any) -> tuple[Any, bool, bool]:
    """The name, repaired where the bureau's rule can; whether it was repaired; whether it is lost.

    Judged on the value as read, before normalisation (section 3): NFKC would turn some damaged characters into sound
    ones.
    """
    if not isinstance(name, str):
        return name, False, False
    repaired = repair_mojibake(name)
    if repaired is not None:
        return repaired, True, False
    return name, False, is_mojibake(name)


def _plain(value: Any) -> Any:
    """A numeric column as an integer, if it is one."""
    if (
        value.__class__ is not str
        and isinstance(value, Decimal)
        and value.is_finite()
        and value == value.to_integral_value()
    ):
        return int(value)
    return value
