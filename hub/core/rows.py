"""What a connector hands over: rows of an agency, checked, in the hub's words.

The path of a row: a connector reads it from the wire, drops forbidden fields, normalises it, checks it against the
agency's document, and yields a :class:`CheckedRow`. Whatever needs the hub's memory (seen before, duplicate, reference,
link, consent of another file) is judged later, where the rows are merged.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from hub.core.names import Category, QuarantineReason, RefusalReason


class RowKind(StrEnum):
    """What a row speaks about."""

    FACT = "FACT"
    HOUSEHOLD = "HOUSEHOLD"
    MEMBER = "MEMBER"
    EVENT = "EVENT"
    CONSENT = "CONSENT"


@dataclass(frozen=True, slots=True)
class Guarantor:
    """One guarantor of a loan as the bank sent it; kept only until his consent is judged."""

    id_number: str | None
    consent_id: str | None


@dataclass(frozen=True, slots=True)
class PlaceHint:
    """What links a row without ID number: the debtor's name, his address as people write it, his phone."""

    name: str
    address: str | None
    phone: str | None


@dataclass(slots=True)
class CheckedRow:
    """One row of an agency after the contract check. Nothing changes it afterwards.

    (It is not declared frozen because that would double the cost of making one, and there are millions.)

    ``source_key`` and ``version`` are as docs/CONTRACTS.md 1.1 writes them. ``version_rank`` orders the versions of one
    key (larger is newer). ``reasons`` holds every quarantine reason found so far, empty for a clean row; rows of an
    unreadable key have ``ROW_UNREADABLE`` and the key ``<file or page>#<record>``.

    ``content`` is the canonical form of the normalised row without forbidden fields: two rows are *the same* if key,
    version and content are equal. A tombstone's content is the constant ``b"tombstone"``.

    ``wire`` is the row in wire names without forbidden fields, kept (sealed) only if it ends in quarantine.
    ``value`` is what the hub keeps, exactly as the agency's document says in "What the hub keeps" (for the roster
    kinds: the fields listed in hub/connectors/agencies/civil.py).
    """

    kind: RowKind
    source_key: str
    version: str
    version_rank: int
    origin: str
    content: bytes
    wire: dict[str, Any]
    reasons: tuple[QuarantineReason, ...] = ()
    tombstone: bool = False
    category: Category | None = None
    value: dict[str, Any] = field(default_factory=dict)
    id_number: str | None = None
    name: str | None = None
    household_no: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    adverse: bool = False
    suppressed: bool = False
    source_time: datetime | None = None
    consent_id: str | None = None
    guarantors: tuple[Guarantor, ...] = ()
    hint: PlaceHint | None = None
    dropped: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileRead:
    """A file of the agency that was read in full; the step that carries it replaces or adds its rows.

    ``name`` is the agency's name of the file. ``group`` and ``number`` say which files replace one another: within a
    group the greatest number counts (clinic lists of one day); files that replace nothing have ``group`` ``None``.
    ``business_date`` is the day the file speaks for.
    """

    name: str
    business_date: date
    group: str | None = None
    number: int = 1


@dataclass(frozen=True, slots=True)
class FileRefused:
    """A file that failed a whole-file check. ``fingerprint`` tells whether its bytes changed since last time."""

    name: str
    reason: RefusalReason
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Step:
    """One committed step of a pull: some rows, and the watermark that may be stored together with them.

    Rows stand in the order of delivery. A large file may come in several steps: all name it, and ``file_ended`` is
    true for the last one only, which alone may move the watermark past the file. ``watermark`` is the connector's own
    JSON value, ``None`` while the walk is not far enough to move it. ``walk_ended`` names a feed whose walk is complete
    with this step (roster duplicates are judged then).
    """

    rows: tuple[CheckedRow, ...] = ()
    watermark: Any | None = None
    file: FileRead | None = None
    file_ended: bool = True
    refused: FileRefused | None = None
    walk_ended: str | None = None
