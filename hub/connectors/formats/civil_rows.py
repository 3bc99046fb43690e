"""One row of the civil affairs service, checked and in the hub's words.

Pure translation of docs/CONTRACTS.md, civil affairs, sections 3-5. What ``CheckedRow.value`` holds (days and times as
ISO text; a tombstone's value is empty):

* ``HOUSEHOLD``: ``household_no``, ``village_code`` (12 digits), ``township_name``, ``village_name``, ``group_no``,
  ``phone`` (each ``None`` if empty), ``status`` (``ACTIVE`` or ``CANCELLED``), ``changed_at``.
* ``MEMBER``: ``member_no``, ``household_no``, ``name``, ``id_number`` (18 characters, ``None`` for a child without
  one), ``birth_date``, ``relation`` (GB/T 4761), ``joined_on``, ``left_on``, ``died_on``, ``changed_at``.
* ``EVENT``: ``event_no``, ``event_type`` (``01`` split, ``02`` merge, ``03`` move, ``04`` death, ``05`` ID number
  corrected), ``effective_on``, ``registered_at``, ``from_household``, ``to_household``, ``to_village_code``,
  ``to_group_no``, ``members``: a list of ``member_no``, ``relation``, ``old_id_number``, ``new_id_number`` (both 18
  characters, only in ``05``).
* ``FACT`` of category ``civil.relief``: ``relief_type`` (``LOW_INCOME``, ``FIVE_GUARANTEE``, ``TEMPORARY``, ``OTHER``),
  ``relief_household_size`` (number or ``None``), ``monthly_amount`` (yuan, text with two decimals).

``household_no`` of the row is set for households, members and relief; ``name`` and ``id_number`` for members.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from lxml import etree

from hub.connectors.check import (
    TOMBSTONE_CONTENT,
    YUAN,
    RowCheck,
    UnreadableKeys,
    content_bytes,
    iso_day,
    unreadable_row,
    yuan_text,
)
from hub.core.clock import day_of, iso
from hub.core.identifiers import birth_date, clean_id_number, is_adult
from hub.core.names import Category, QuarantineReason
from hub.core.rows import CheckedRow, RowKind
from hub.core.text import is_mojibake

FORBIDDEN = frozenset({"mz", "zzmm", "cjlb", "cjdj"})
"""Ethnicity, political status, disability class and grade (条例 art. 14, PIPL art. 28)."""

ID_TAIL = "sfzjhm_tail"
"""Under this name the disability class and grade at the end of a 20-character number are counted as dropped."""

RELATIONS = frozenset({"01", "02", "10", "11", "12", "97", "99"} | {f"{n}" for n in range(20, 90)})
"""Relation to the head of the household (GB/T 4761), as far as the agency uses it."""

RELIEF_TYPES = {"01": "LOW_INCOME", "02": "FIVE_GUARANTEE", "03": "TEMPORARY", "05": "OTHER"}
"""The hub's word for each kind of relief it may hold."""

ORPHAN_AID = "04"
"""The kind of relief that the hub must never hold."""

MAX_MONTHLY_RELIEF = Decimal(20_000)
"""No relief is higher, in yuan per month."""

_EVENT_TYPES = frozenset({"01", "02", "03", "04", "05"})
_NOT_REVOKED = frozenset({"0"})
_RELIEF_CODES = frozenset(RELIEF_TYPES) | {ORPHAN_AID}
_STATUS = {"1": "ACTIVE", "0": "CANCELLED"}
_VERSION = re.compile(r"[0-9]{1,18}")
_VILLAGE = re.compile(r"5331[0-9]{8}")
_PERSONS = re.compile(r"[0-9]{1,4}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_TWENTY = re.compile(r"[0-9A-Z]{20}")
_ID_AND_MORE = re.compile(r"[0-9]{17}[0-9X].{2,}")


@dataclass(frozen=True, slots=True)
class Feed:
    """One of the four operations: what its rows are called and made of."""

    name: str
    operation: str
    element: str
    key: str
    changed: str
    revoked: str
    kind: RowKind
    fields: frozenset[str]


HOUSEHOLDS = Feed(
    "households", "QueryHouseholds", "household", "hubh", "gxsj", "scbz", RowKind.HOUSEHOLD,
    frozenset({"hubh", "bbh", "gxsj", "xzqhdm", "xzmc", "cmc", "zh", "lxdh", "hzt", "scbz"}),
)  # fmt: skip
MEMBERS = Feed(
    "members", "QueryMembers", "member", "cybh", "gxsj", "scbz", RowKind.MEMBER,
    frozenset({"cybh", "bbh", "gxsj", "hubh", "xm", "sfzjhm", "csrq", "yhzgx", "rhrq", "lhrq", "swrq", "scbz"}),
)  # fmt: skip
RELIEF = Feed(
    "relief", "QueryRelief", "relief", "jzbh", "gxsj", "scbz", RowKind.FACT,
    frozenset({"jzbh", "bbh", "gxsj", "hubh", "jzlx", "ksrq", "jsrq", "bzrs", "yjzje", "scbz"}),
)  # fmt: skip
EVENTS = Feed(
    "events", "QueryEvents", "event", "sjbh", "djsj", "cxbz", RowKind.EVENT,
    frozenset({"sjbh", "bbh", "djsj", "sjlx", "sjrq", "yhubh", "xhubh", "xxzqhdm", "xzh", "cxbz"}),
)  # fmt: skip
FEEDS = (HOUSEHOLDS, MEMBERS, RELIEF, EVENTS)
"""In the order in which they are read: what is referred to comes before what refers to it."""

_EVENT_MEMBER = "cy"
EVENT_MEMBER_FIELDS = frozenset({"cybh", "yhzgx", "ysfzjhm", "xsfzjhm"})


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace."""
    return _local(element.tag)


@lru_cache(1024)
def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def civil_row(
    element: etree._Element, feed: Feed, *, origin: str, unreadable: UnreadableKeys, today: date
) -> CheckedRow:
    """The checked row of one row element. ``today`` is the day of receipt in Asia/Shanghai."""
    is_event = feed.kind is RowKind.EVENT
    repeated = [child for child in element if local_name(child) == _EVENT_MEMBER] if is_event else ()
    check, texts = _open(element, feed.fields, skip=repeated, today=today)
    people = [
        person for person, _ in (_open(e, EVENT_MEMBER_FIELDS, skip=(), today=today) for e in repeated) if person.fields
    ]
    tails = [_cut_tail(check, "sfzjhm")]
    if people:
        tails += [_cut_tail(p, f) for p in people for f in ("ysfzjhm", "xsfzjhm")]
    dropped = check.dropped
    if people or tails[0]:
        dropped = tuple(sorted({*dropped, *(n for p in people for n in p.dropped), *([ID_TAIL] if any(tails) else [])}))

    key, version = check.key_part(feed.key), check.key_part("bbh")
    if key is None or version is None or not _VERSION.fullmatch(version):
        content = _content(check, people)
        place = f"{feed.element}|{key}" if key else unreadable.key([check.key_part(feed.changed)], content)
        row = unreadable_row(key=place, origin=origin, content=content, kind=feed.kind, wire=_wire(check, people))
        if key:
            row.dropped = dropped
        return row
    row = CheckedRow(
        kind=feed.kind,
        source_key=f"{feed.element}|{key}",
        version=str(int(version)),
        version_rank=int(version),
        origin=origin,
        content=TOMBSTONE_CONTENT,
        wire={feed.key: key, "bbh": version, feed.revoked: "1"},
        tombstone=True,
        category=Category.CIVIL_RELIEF if feed.kind is RowKind.FACT else None,
        dropped=dropped,
    )
    if check.fields.get(feed.revoked) == "1":
        return row
    check.code(feed.revoked, _NOT_REVOKED, mandatory=False)
    changed = _instant(check, feed.changed)
    row.tombstone, row.source_time = False, changed and changed.at
    match feed.kind:
        case RowKind.HOUSEHOLD:
            _household(row, check, key, changed)
        case RowKind.MEMBER:
            if is_mojibake(_raw(texts.get("xm"))):
                check.add(QuarantineReason.TEXT_UNREADABLE)
            _member(row, check, key, changed)
        case RowKind.EVENT:
            _event(row, check, people, key, changed)
        case _:
            _relief(row, check, changed)
    row.content, row.reasons = _content(check, people), check.reasons
    return row


class _Instant(NamedTuple):
    """A time of change: the instant, how the hub writes it, its day in Asia/Shanghai."""

    at: datetime
    text: str
    day: date


# -- the four kinds ------------------------------------------------------------------------------------------------


def _household(row: CheckedRow, check: RowCheck, key: str, changed: _Instant | None) -> None:
    row.value = {
        "household_no": key,
        "village_code": _village(check, "xzqhdm", mandatory=True),
        "township_name": check.text("xzmc"),
        "village_name": check.text("cmc"),
        "group_no": check.text("zh"),
        "phone": check.text("lxdh"),
        "status": _STATUS.get(check.code("hzt", _STATUS) or ""),
        "changed_at": changed and changed.text,
    }
    row.wire, row.household_no = check.wire, key


def _member(row: CheckedRow, check: RowCheck, key: str, changed: _Instant | None) -> None:
    latest = changed and changed.day
    household = _mandatory_text(check, "hubh")
    name = check.name("xm")
    if name is None:
        check.add(QuarantineReason.ROW_UNREADABLE)
    id_number = check.id_number("sfzjhm", mandatory=False)
    born = check.day("csrq", latest=latest)
    if id_number is not None:
        born = birth_date(id_number)
    elif not check.given("sfzjhm") and (not check.given("csrq") or (born is not None and is_adult(born, check.today))):
        check.add(QuarantineReason.ID_MISSING)
    joined = check.day("rhrq", mandatory=True, latest=latest)
    left = check.day("lhrq", latest=latest)
    died = check.day("swrq", latest=latest)
    check.in_order(joined, left)
    row.value = {
        "member_no": key,
        "household_no": household,
        "name": name,
        "id_number": id_number,
        "birth_date": iso_day(born),
        "relation": check.code("yhzgx", RELATIONS),
        "joined_on": iso_day(joined),
        "left_on": iso_day(left),
        "died_on": iso_day(died),
        "changed_at": changed and changed.text,
    }
    row.wire, row.household_no, row.name, row.id_number = check.wire, household, name, id_number


def _relief(row: CheckedRow, check: RowCheck, changed: _Instant | None) -> None:
    household = _mandatory_text(check, "hubh")
    relief_type = check.code("jzlx", _RELIEF_CODES)
    starts = check.day("ksrq", mandatory=True, latest=changed and changed.day)
    ends = check.day("jsrq")
    check.in_order(starts, ends)
    amount = check.yuan("yjzje", shape=YUAN, maximum=MAX_MONTHLY_RELIEF)
    persons = check.text("bzrs")
    if persons is not None and not _PERSONS.fullmatch(persons):
        check.add(QuarantineReason.BAD_AMOUNT)
        persons = None
    if relief_type == ORPHAN_AID:
        # Nothing of such a record leaves here but what recognises it when it comes again.
        check.add(QuarantineReason.FORBIDDEN_RECORD)
        row.wire = {}
        return
    row.value = {
        "relief_type": RELIEF_TYPES.get(relief_type or ""),
        "relief_household_size": None if persons is None else int(persons),
        "monthly_amount": None if amount is None else yuan_text(amount),
    }
    row.wire, row.household_no, row.valid_from, row.valid_to = check.wire, household, starts, ends


def _event(row: CheckedRow, check: RowCheck, people: Sequence[RowCheck], key: str, registered: _Instant | None) -> None:
    latest = registered and registered.day
    event_type = check.code("sjlx", _EVENT_TYPES)
    is_regrouping, is_move = event_type in {"01", "02"}, event_type == "03"
    is_correction, concerns_one = event_type == "05", event_type in {"04", "05"}
    effective = check.day("sjrq", mandatory=True, latest=latest)
    row.value = {
        "event_no": key,
        "event_type": event_type,
        "effective_on": iso_day(effective),
        "registered_at": registered and registered.text,
        "from_household": _mandatory_text(check, "yhubh") if is_regrouping or is_move else check.text("yhubh"),
        "to_household": _mandatory_text(check, "xhubh") if is_regrouping else check.text("xhubh"),
        "to_village_code": _village(check, "xxzqhdm", mandatory=is_move),
        "to_group_no": check.text("xzh"),
        "members": [
            {
                "member_no": _mandatory_text(person, "cybh"),
                "relation": person.code("yhzgx", RELATIONS, mandatory=is_regrouping),
                "old_id_number": person.id_number("ysfzjhm") if is_correction else None,
                "new_id_number": person.id_number("xsfzjhm") if is_correction else None,
            }
            for person in people
        ],
    }
    if concerns_one and len(people) != 1:
        check.add(QuarantineReason.ROW_UNREADABLE)
    for reason in {reason for person in people for reason in person.reasons}:
        check.add(reason)
    row.wire = _wire(check, people)


# -- parts of a row ------------------------------------------------------------------------------------------------


def _open(
    element: etree._Element, documented: frozenset[str], *, skip: Collection[etree._Element], today: date
) -> tuple[RowCheck, dict[str, Any]]:
    """The check of one element's children, and their texts as sent.

    A documented child that is repeated or not flat makes the row unreadable.
    """
    texts: dict[str, Any] = {}
    is_flat = True
    for child in element:
        if skip and child in skip:
            continue
        name, is_leaf = _local(child.tag), len(child) == 0
        if name in documented and (name in texts or not is_leaf):
            is_flat = False
        texts.setdefault(name, child.text if is_leaf else {})
    check = RowCheck(texts, documented=documented, forbidden=FORBIDDEN, today=today)
    if not is_flat:
        check.add(QuarantineReason.ROW_UNREADABLE)
    return check, texts


def _raw(text: Any) -> str:
    return text.replace("\u00a0", " ") if isinstance(text, str) else ""


def _content(check: RowCheck, people: Sequence[RowCheck]) -> bytes:
    return (
        content_bytes({**check.fields, _EVENT_MEMBER: [person.fields for person in people]})
        if people
        else check.content
    )


def _wire(check: RowCheck, people: Sequence[RowCheck]) -> dict[str, Any]:
    return {**check.wire, _EVENT_MEMBER: [person.wire for person in people]} if people else check.wire


def _cut_tail(check: RowCheck, field: str) -> bool:
    """Cut disability class and grade off an ID field; ``True`` if there was such a tail.

    Only exactly 20 characters are such a number. Of anything longer that begins with an ID number the rest is cut as
    well, because it may be class and grade with something behind, but the number stays damaged (``ID_FORMAT``).
    """
    value = check.fields.get(field)
    # Compatibility characters may grow, so only plain text is told by its length.
    may_be_long = isinstance(value, str) and (len(value) > 18 or not value.isascii())
    cleaned = clean_id_number(value) if may_be_long else None
    if cleaned is None or not (_TWENTY.fullmatch(cleaned) or (len(cleaned) > 20 and _ID_AND_MORE.fullmatch(cleaned))):
        return False
    check.fields[field] = cleaned[:18] if len(cleaned) == 20 else cleaned[:18] + "?"
    return True


def _village(check: RowCheck, field: str, *, mandatory: bool) -> str | None:
    text = check.text(field)
    if text is not None and _VILLAGE.fullmatch(text):
        return text
    if text is not None or mandatory:
        check.add(QuarantineReason.UNKNOWN_CODE)
    return None


def _mandatory_text(check: RowCheck, field: str) -> str | None:
    text = check.text(field)
    if text is None:
        check.add(QuarantineReason.ROW_UNREADABLE)
    return text


def parse_instant(text: str) -> datetime | None:
    """ISO 8601 with offset, from 1900 on; ``None`` for anything else.

    The last year of the calendar is left out: such an instant may have no form in another zone.
    """
    if not _INSTANT.fullmatch(text) or not "1900-01-02" <= text < "9999":
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


@lru_cache(4096)
def _read_instant(text: str) -> _Instant | None:
    """Rows of one refresh carry the same few times."""
    instant = parse_instant(text)
    return None if instant is None else _Instant(instant, iso(instant), day_of(instant))


def _instant(check: RowCheck, field: str) -> _Instant | None:
    text = check.text(field)
    instant = None if text is None else _read_instant(text)
    if instant is None:
        check.add(QuarantineReason.BAD_DATE)
        return None
    check.fields[field] = instant.text
    return instant
