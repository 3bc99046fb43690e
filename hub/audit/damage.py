"""Kinds of damage to a log, and how to tell which one it is. No I/O."""

from collections.abc import Callable, Sequence
from enum import Enum

from hub.audit.leaf import Leaf, LeafError
from hub.core.errors import AuditError


class Damage(Enum):
    """What is wrong; the value is the exit code of ``hub audit verify``."""

    UNREADABLE = 3
    SIGNATURE = 10
    ALTERED = 11
    MISSING = 12
    REORDERED = 13
    ADDED = 14
    TILE = 15
    CHECKPOINT = 16
    RECEIPT = 17
    OPENING = 18
    CHAIN = 19
    VERSION = 20


_ENTRY = frozenset({Damage.ALTERED, Damage.MISSING, Damage.REORDERED, Damage.ADDED, Damage.VERSION})


class VerifyError(AuditError):
    """The first damage found. ``index`` is the place of the entry, ``last`` the end of a range of places where it may
    be any; both ``None`` where no entry is concerned.
    """

    code = "AUDIT_VERIFY"

    def __init__(self, damage: Damage, what: str, index: int | None = None, last: int | None = None) -> None:
        self.damage, self.index = damage, index
        self.last = None if index is None or last is None or last <= index else last
        place = "" if index is None else f"entry {index}" if self.last is None else f"entries {index} to {self.last}"
        kind = damage.name.lower()
        named = f"{place}: {kind}" if place and damage in _ENTRY else kind + (f" at {place}" if place else "")
        super().__init__(f"{named}: {what}.", remedy="Compare with another copy of the log and with receipts.")

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        return self.damage.value


def classify(
    entries: Sequence[bytes],
    hashes: Sequence[bytes],
    expected: Sequence[bytes],
    first: int,
    *,
    broken: bool,
    elsewhere: Callable[[int], bytes | None],
    standing: Callable[[int], bytes | None],
) -> VerifyError:
    """Name the first difference between the hashes of a bundle's entries and those expected.

    ``first`` is the place of the bundle's first entry; ``broken`` says that the bundle could not be read to its end;
    ``elsewhere`` gives the hash expected at any place of the log, ``standing`` that of the entry which stands there.
    """
    at = next((at for at, pair in enumerate(zip(hashes, expected, strict=False)) if pair[0] != pair[1]), None)
    if at is None:
        at = min(len(hashes), len(expected))
        if broken:
            return VerifyError(Damage.ALTERED, "the entry cannot be read out of its bundle", first + at)
        if len(hashes) > len(expected):
            return VerifyError(Damage.ADDED, "there are more entries than were signed", first + at)
        if len(hashes) == len(expected):  # both were taken out
            return misplaced(entries, first)
        return VerifyError(Damage.MISSING, "the entry is not there", first + at, first + len(expected) - 1)
    place = first + at
    if expected[at] in hashes[at + 1 :]:
        if hashes[at] in expected[at + 1 :]:
            return VerifyError(Damage.REORDERED, "another entry stands in its place", place)
        return VerifyError(Damage.ADDED, "an entry was put in here that was never signed", place)
    if hashes[at] in expected[at + 1 :]:
        return VerifyError(Damage.MISSING, "the entry is not there, a later one stands in its place", place)
    try:
        found = Leaf.parse(entries[at]).seq
    except LeafError:
        found = place
    if found != place and (elsewhere(found) == hashes[at] or standing(found) == expected[at]):
        return VerifyError(Damage.REORDERED, f"entry {found} stands in its place", place)
    return VerifyError(Damage.ALTERED, "its bytes are not those that were signed", place)


def misplaced(entries: Sequence[bytes], first: int) -> VerifyError:
    """Name the first entry of a bundle that bears another number than its place, or the one missing behind the last.

    That is all there is to see where the hashes beside the entries were taken out or moved together with them.
    """
    numbers = [_number(entry) for entry in entries]
    for place, number in enumerate(numbers, first):
        if number is None or number == place:
            continue
        if number < place:
            return VerifyError(Damage.ADDED, f"an entry numbered {number} stands in place {place}", place)
        if place in numbers:
            return VerifyError(Damage.REORDERED, f"entry {number} stands in its place", place)
        return VerifyError(Damage.MISSING, f"entry {number} stands in place {place}", place, number - 1)
    return VerifyError(Damage.MISSING, "the entry is not there", first + len(entries))


def _number(entry: bytes) -> int | None:
    try:
        return Leaf.parse(entry).seq
    except LeafError:
        return None
