"""Judges the rows of one step against what the hub already holds. No input or output.

Everything here follows docs/CONTRACTS.md 1.2 and 1.5: first *unchanged*, then the quarantine reason (the smallest of
all that apply), then whether the row is the newest of its key. Reasons that need other rows (missing reference, missing
link, roster duplicates) are judged at the end of the pull, see hub/records/intake/settle.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from uuid import UUID

from hub.core.names import QuarantineReason
from hub.core.rows import CheckedRow, Guarantor, RowKind

GUARANTORS_DROPPED = "guarantors[]"
"""The wire name under which guarantors without a valid consent are counted."""


GuarantorIndexes = Mapping[str, tuple[bytes, ...]]
"""Blind indexes of guarantors by their ID number as sent."""

Reasons = tuple[QuarantineReason, ...]


@dataclass(slots=True)
class Held:
    """A row the hub holds already, or one judged earlier in the same step."""

    content_hash: bytes
    state: str
    reason: QuarantineReason | None
    is_superseded: bool = False


@dataclass(slots=True)
class BookedConsent:
    """A furnishing consent as known at this point of the stream; ``deleted`` if the bank took the row back."""

    rank: int
    deleted: bool = False
    subject_indexes: tuple[bytes, ...] = ()
    granted_on: date | None = None
    expires_on: date | None = None
    withdrawn_on: date | None = None
    changed_by: UUID | None = None

    def admits(self, subject_indexes: Iterable[bytes], business_date: date) -> bool:
        """Whether rows of this business date may enter under the consent (expiry inclusive; 条例 art. 29)."""
        return (
            not self.deleted
            and bool(set(self.subject_indexes) & set(subject_indexes))
            and self.expires_on is not None
            and self.expires_on >= business_date
            and (self.withdrawn_on is None or self.withdrawn_on > business_date)
        )


@dataclass(slots=True)
class JudgedRow:
    """A row that is new to the hub, with its final reasons (empty: valid)."""

    row_id: UUID
    row: CheckedRow
    content_hash: bytes
    subject_indexes: tuple[bytes, ...]
    reasons: tuple[QuarantineReason, ...]

    @property
    def reason(self) -> QuarantineReason | None:
        """The one reason the row is quarantined for."""
        return self.reasons[0] if self.reasons else None

    @property
    def subject(self) -> bytes | None:
        """The blind index of the subject under the newest key."""
        return self.subject_indexes[0] if self.subject_indexes else None


@dataclass(slots=True)
class Judgement:
    """The outcome of one step: what is new, how many rows were seen again.

    ``waiting_again`` names, by key and version rank, those rows seen again that may be in quarantine.
    """

    new: list[JudgedRow] = field(default_factory=list)
    seen_again: int = 0
    waiting_again: list[tuple[str, int]] = field(default_factory=list)


_NOTHING: list[Held] = []
"""Stands for "nothing held"; never added to."""


@dataclass(slots=True)
class Judge:
    """Judges rows one after another in the order of delivery.

    ``held`` maps (source key, version rank) to the rows held under it; ``unreadable`` holds the content hashes of rows
    whose key could not be read, for sources without files. ``latest_wins`` marks a source that shows only the current
    state, where a row read later is newer even at an equal version (social security interface, section 2). ``ids``
    gives the ids of new rows. ``purged``: the newest version rank of each key whose adverse item was purged; what is
    not newer belongs to that item and has ended with it.
    """

    ids: Iterator[UUID]
    held: dict[tuple[str, int], list[Held]]
    consents: dict[str, BookedConsent]
    business_date: date | None
    latest_wins: bool
    unreadable: set[bytes]
    has_file: bool
    purged: Mapping[str, int] = field(default_factory=dict)
    result: Judgement = field(default_factory=Judgement)

    def judge(
        self, row: CheckedRow, hashes: Sequence[bytes], subjects: tuple[bytes, ...], guarantors: GuarantorIndexes
    ) -> None:
        """Judge one row. ``hashes`` holds its keyed content hash under every key version, newest first."""
        place = (row.source_key, row.version_rank)
        under_key = self.held.get(place, _NOTHING)
        unreadable = bool(row.reasons) and row.reasons[0] is QuarantineReason.ROW_UNREADABLE
        if (under_key or unreadable) and self._is_unchanged(row, hashes, under_key, unreadable):
            self.result.seen_again += 1
            if not under_key or any(held.state == "QUARANTINED" for held in under_key):
                self.result.waiting_again.append(place)
            return
        reasons = row.reasons
        may_conflict = under_key and not (row.tombstone or self.latest_wins or unreadable)
        if may_conflict and any(held.content_hash not in hashes for held in under_key):
            reasons = in_order(reasons, QuarantineReason.DUP_CONFLICT)
        if row.adverse and row.version_rank <= self.purged.get(row.source_key, -1):
            reasons = in_order(reasons, QuarantineReason.ADVERSE_EXPIRED)
        if not row.tombstone and self.business_date is not None and row.kind is RowKind.FACT:
            row, reasons = self._judge_consent(row, subjects, guarantors, reasons)
        judged = JudgedRow(next(self.ids), row, hashes[0], subjects, reasons)
        if self.latest_wins and not reasons:
            for other in under_key:
                other.is_superseded = other.state == "VALID" or other.is_superseded
        held = Held(hashes[0], "QUARANTINED" if reasons else "VALID", judged.reason)
        if under_key:
            under_key.append(held)
        else:
            self.held[place] = [held]
        if unreadable:
            self.unreadable.add(hashes[0])
        self.result.new.append(judged)
        if row.kind is RowKind.CONSENT and not reasons:
            self._book(judged)

    def _is_unchanged(self, row: CheckedRow, hashes: Sequence[bytes], under_key: list[Held], unreadable: bool) -> bool:
        if unreadable and not self.has_file and not self.unreadable.isdisjoint(hashes):
            # The made-up key of an unreadable row names its place on a page, and places move between walks.
            return True
        is_minor = QuarantineReason.MINOR_SUBJECT in row.reasons
        return any(
            held.content_hash in hashes
            and not (self.latest_wins and held.is_superseded)
            and (is_minor or held.reason is not QuarantineReason.MINOR_SUBJECT)
            for held in under_key
        )

    def _judge_consent(
        self, row: CheckedRow, subjects: tuple[bytes, ...], guarantors: GuarantorIndexes, reasons: Reasons
    ) -> tuple[CheckedRow, Reasons]:
        assert self.business_date is not None
        if row.consent_id is not None:
            consent = self.consents.get(row.consent_id)
            if consent is None or (subjects and not consent.admits(subjects, self.business_date)):
                reasons = in_order(reasons, QuarantineReason.CONSENT_INVALID)
        if not row.guarantors:
            return row, reasons
        kept = [g for g in row.guarantors if self._admits_guarantor(g, guarantors)]
        dropped = len(row.guarantors) - len(kept)
        judged = replace(
            row,
            value={**row.value, "guarantor_count": len(kept)},
            wire=_without_strangers(row.wire, kept),
            dropped=row.dropped + (GUARANTORS_DROPPED,) * dropped,
        )
        return judged, reasons

    def _admits_guarantor(self, guarantor: Guarantor, indexes: GuarantorIndexes) -> bool:
        assert self.business_date is not None
        if guarantor.consent_id is None or guarantor.id_number is None:
            return False
        consent = self.consents.get(guarantor.consent_id)
        return consent is not None and consent.admits(indexes.get(guarantor.id_number, ()), self.business_date)

    def _book(self, judged: JudgedRow) -> None:
        """A consent row counts for the rows that follow it, unless a newer revision is known."""
        row = judged.row
        consent_id = row.source_key.removeprefix("consent|")
        known = self.consents.get(consent_id)
        if known is not None and known.rank > row.version_rank:
            return
        self.consents[consent_id] = BookedConsent(
            rank=row.version_rank,
            deleted=row.tombstone,
            subject_indexes=judged.subject_indexes,
            granted_on=_day(row.value.get("granted_on")),
            expires_on=_day(row.value.get("expires_on")),
            withdrawn_on=_day(row.value.get("withdrawn_on")),
            changed_by=judged.row_id,
        )


def in_order(reasons: Reasons, another: QuarantineReason) -> Reasons:
    """The reasons with one more, the one that wins first; each once."""
    return reasons if another in reasons else tuple(sorted((*reasons, another)))


def _without_strangers(wire: dict[str, Any], kept: Sequence[Guarantor]) -> dict[str, Any]:
    """The row for quarantine, with the kept guarantors only: of the others nothing may be held, not even sealed."""
    known = {(guarantor.id_number, guarantor.consent_id) for guarantor in kept}
    members = wire.get("guarantors", [])
    return {**wire, "guarantors": [m for m in members if (m.get("id_no"), m.get("consent_id")) in known]}


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
