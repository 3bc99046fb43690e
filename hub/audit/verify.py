"""Verifies an exported log and single receipts. Needs this package's pure parts and ``cryptography``; no database.

The first damage is named by its place and kind. What is compared, in this order: signatures; entries with tiles, the
entries' own form and order; every older signed head; the newest one; upper tiles; superfluous files; opened fields;
chains of persons; the receipt.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.audit.damage import Damage, VerifyError, classify, misplaced
from hub.audit.leaf import Leaf, LeafError, UnknownVersionError
from hub.audit.merkle import EMPTY_ROOT, Frontier, ProofError, leaf_hash, root_of
from hub.audit.note import Checkpoint, NoteError, VerifierKey, open_checkpoint
from hub.audit.openings import check_chains, check_openings
from hub.audit.proof import Receipt
from hub.audit.tiles import HEIGHT, WIDTH, BundleError, split_hashes, subtree, tile_path, tile_widths, unpack_entries

_CHECKPOINT, _CHECKPOINTS, _POLICY = "checkpoint", "checkpoints.jsonl", "policy"
_OPENINGS, _CHAINS = "openings.jsonl", "chains.jsonl"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was found to be right."""

    origin: str
    size: int
    checkpoints: int
    openings: int
    links: int
    receipt: int | None = None
    """Place of the entry that the receipt proves."""


def verify_bundle(folder: Path, *, receipt: Path | None = None, policy: Path | None = None) -> VerifyReport:
    """Check a whole bundle, and a receipt against it.

    ``policy`` is a policy file got from elsewhere; without it the bundle's own is believed, which proves that the log
    is consistent but not whose it is. Raises :class:`VerifyError` naming the first damage.
    """
    verifier = _Verifier(folder, policy)
    verifier.entries()
    verifier.upper_tiles()
    verifier.superfluous()
    openings = check_openings(verifier.lines(_OPENINGS), verifier.commitments)
    links = check_chains(verifier.lines(_CHAINS), verifier.commitments)
    place = None if receipt is None else verifier.receipt(receipt)
    newest = verifier.newest
    return VerifyReport(newest.origin, newest.size, len(verifier.older) + 1, openings, links, place)


def read_receipt(path: Path) -> Receipt:
    """A receipt out of a ``.tlog-proof`` file, or out of JSON: the receipt, or a whole reply that carries it.

    Raises :class:`VerifyError`.
    """
    try:
        text = path.read_text()
        if text.lstrip().startswith("{"):
            value = json.loads(text)
            value = value.get("extensions", {}).get("receipt", value)
            text = value["proof"]
        # Shells and editors put one line end more or less behind a text that they save; it proves nothing.
        return Receipt.parse(text.rstrip("\n") + "\n")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        what = str(error) if isinstance(error, ProofError) else "there is no receipt in it"
        raise VerifyError(Damage.RECEIPT, f"the receipt cannot be read: {what}") from None
    except OSError as error:
        raise VerifyError(Damage.UNREADABLE, f"the receipt file cannot be read ({error.strerror})") from None


def told_in(path: Path) -> Any | None:
    """The ``data`` of a saved reply, as the file has it; ``None`` where the file is a receipt alone.

    The receipt does not prove it: the log holds no answers. A replay tells whether it is what was answered.
    """
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, OSError):
        return None
    return value.get("data") if isinstance(value, dict) else None


class _Verifier:
    """One bundle: its signed heads first, then everything against them."""

    def __init__(self, folder: Path, policy: Path | None) -> None:
        self.folder = folder
        self.key = _policy_key(folder / _POLICY)
        if policy is not None:
            trusted = _policy_key(policy)
            if trusted != self.key:
                raise VerifyError(Damage.SIGNATURE, "the bundle is of another log or key than the policy given")
        self.newest = self._checkpoint(self._read(_CHECKPOINT), "the newest checkpoint")
        self.older = self._older()
        self.commitments: dict[int, tuple[bytes, bytes]] = {}
        self._tops: list[bytes] = []
        self._at: dict[int, bytes] = {}
        self._wanted = _mentioned(self.lines(_OPENINGS)) | _mentioned(self.lines(_CHAINS))
        self._last_t = 0
        self._events: set[bytes] = set()

    def _read(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise VerifyError(Damage.UNREADABLE, f"`{name}` of the bundle cannot be read ({error.strerror})") from None

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The JSON lines of an optional file."""
        if not (self.folder / name).exists():
            return []
        damage = Damage.OPENING if name == _OPENINGS else Damage.CHAIN if name == _CHAINS else Damage.CHECKPOINT
        found = []
        for number, line in enumerate(self._read(name).splitlines(), 1):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            if not isinstance(value, dict):
                raise VerifyError(damage, f"line {number} of `{name}` is not a JSON object")
            found.append(value)
        return found

    def _checkpoint(self, note: bytes, what: str) -> Checkpoint:
        try:
            return open_checkpoint(note.decode(), self.key)
        except (NoteError, UnicodeDecodeError) as error:
            raise VerifyError(Damage.SIGNATURE, f"{what} is not a head signed by the log's key: {error}") from None

    def _older(self) -> dict[int, bytes]:
        """Size and root of every older signed head."""
        found: dict[int, bytes] = {}
        last = -1
        for number, line in enumerate(self.lines(_CHECKPOINTS), 1):
            checkpoint = self._checkpoint(str(line.get("note")).encode(), f"checkpoint {number} of `{_CHECKPOINTS}`")
            if checkpoint.size != line.get("size") or checkpoint.size <= last or set(line) != {"note", "size"}:
                raise VerifyError(Damage.CHECKPOINT, f"line {number} of `{_CHECKPOINTS}` is out of order")
            if checkpoint.size > self.newest.size:
                raise VerifyError(
                    Damage.MISSING,
                    f"a head of {checkpoint.size} entries was signed, but the newest checkpoint has fewer",
                    self.newest.size,
                )
            last = checkpoint.size
            found[last] = checkpoint.root
        return found

    # Entries ------------------------------------------------------------------------------------------------------

    def entries(self) -> None:
        """Every entry: its bytes against the tile, its form and place, and all signed heads on the way."""
        frontier, good = Frontier(), 0
        self._head(0, EMPTY_ROOT, 0)
        for index, width in enumerate(tile_widths(0, self.newest.size)):
            entries = self._bundle(index, width, frontier)
            for entry, leaf in entries:
                if not self._entry(entry, frontier.size):
                    raise misplaced([each for each, _ in entries], index * WIDTH)
                frontier.append(leaf)
                if frontier.size in self.older or frontier.size == self.newest.size:
                    self._head(frontier.size, frontier.root(), good)
                    good = frontier.size
            if width == WIDTH:
                self._tops.append(subtree([leaf for _, leaf in entries]))
        self._frontier = frontier

    def _head(self, size: int, root: bytes, good: int) -> None:
        signed = self.newest.root if size == self.newest.size else self.older.get(size, root)
        if signed != root or self.older.get(size, root) != root:
            raise VerifyError(
                Damage.ALTERED,
                f"the entries up to {size} are not those that were signed; up to {good} they are",
                good if size else None,
                size - 1 if size else None,
            )

    def _bundle(self, index: int, width: int, before: Frontier) -> list[tuple[bytes, bytes]]:
        """The entries of one bundle with their hashes, equal to the tile of level 0."""
        first, name = index * WIDTH, tile_path("entries", index, width)
        broken = False
        try:
            raw = (self.folder / name).read_bytes()
        except FileNotFoundError:
            raise VerifyError(Damage.MISSING, f"the file `{name}` is missing", first, first + width - 1) from None
        except OSError as error:
            raise VerifyError(Damage.UNREADABLE, f"`{name}` cannot be read ({error.strerror})") from None
        try:
            entries = unpack_entries(raw)
        except BundleError as error:
            entries, broken = error.entries, True
        hashes = [leaf_hash(entry) for entry in entries]
        stored = self._tile(0, index, width)
        tile = split_hashes(stored)
        if hashes == tile and len(stored) == width * 32 and not broken:
            return list(zip(entries, hashes, strict=True))
        if self._right(hashes, index, width, before) and not broken:
            raise VerifyError(
                Damage.TILE,
                f"`{tile_path(0, index, width)}` does not hold the hashes of the entries, which are as signed",
                first + next((at for at, pair in enumerate(zip(hashes, tile, strict=False)) if pair[0] != pair[1]), 0),
            )
        raise classify(entries, hashes, tile, first, broken=broken, elsewhere=self._expected, standing=self._standing)

    def _expected(self, place: int) -> bytes | None:
        """The hash that the tile of level 0 holds for a place of the log."""
        index, at = divmod(place, WIDTH)
        size = self.newest.size
        hashes = split_hashes(self._tile(0, index, min(WIDTH, size - index * WIDTH))) if place < size else []
        return hashes[at] if at < len(hashes) else None

    def _standing(self, place: int) -> bytes | None:
        """The hash of the entry that stands in a place, ``None`` if there is none or it cannot be read."""
        index, at = divmod(place, WIDTH)
        name = tile_path("entries", index, min(WIDTH, max(1, self.newest.size - index * WIDTH)))
        try:
            entries = unpack_entries((self.folder / name).read_bytes())
        except (OSError, BundleError):
            return None
        return leaf_hash(entries[at]) if at < len(entries) else None

    def _right(self, hashes: list[bytes], index: int, width: int, before: Frontier) -> bool:
        """Whether hashes of leaves lead to what lies above them: the newest head, or the tile of level 1."""
        if len(hashes) != width:
            return False
        if width < WIDTH:
            frontier = before.copy()
            for value in hashes:
                frontier.append(value)
            return frontier.root() == self.newest.root
        parents = tile_widths(1, self.newest.size)
        above = split_hashes(self._tile(1, index // WIDTH, parents[index // WIDTH]))
        at = index % WIDTH
        return at < len(above) and above[at] == root_of(hashes)

    def _tile(self, level: int, index: int, width: int) -> bytes:
        """The bytes of a tile, empty if there is none."""
        try:
            return (self.folder / tile_path(level, index, width)).read_bytes()
        except OSError:
            return b""

    def _entry(self, entry: bytes, place: int) -> bool:
        """The form of one entry, its time and id; ``False`` if it bears the number of another place."""
        try:
            leaf = Leaf.parse(entry)
        except UnknownVersionError as error:
            raise VerifyError(Damage.VERSION, str(error), place) from None
        except LeafError as error:
            raise VerifyError(Damage.ALTERED, str(error), place) from None
        if leaf.seq != place:
            return False
        if leaf.t < self._last_t:
            raise VerifyError(Damage.REORDERED, "the entry is older than the one before", place)
        if leaf.ev.bytes in self._events:
            raise VerifyError(Damage.ADDED, "the event was recorded before", place)
        self._last_t = leaf.t
        self._events.add(leaf.ev.bytes)
        if place in self._wanted:
            self.commitments[place] = (leaf.rc, leaf.sn)
        return True

    # The rest -----------------------------------------------------------------------------------------------------

    def upper_tiles(self) -> None:
        """The tiles above level 0, built anew from the entries."""
        level, hashes = 1, self._tops
        while hashes:
            above = []
            for index in range(0, len(hashes), WIDTH):
                here = hashes[index : index + WIDTH]
                if self._tile(level, index // WIDTH, len(here)) != b"".join(here):
                    name = tile_path(level, index // WIDTH, len(here))
                    raise VerifyError(Damage.TILE, f"`{name}` does not hold the hashes of the entries below it")
                if len(here) == WIDTH:
                    above.append(subtree(here))
            level, hashes = level + 1, above

    def superfluous(self) -> None:
        """Files that no checkpoint covers: entries added behind the signed end, or copies under other names."""
        size = self.newest.size
        expected = {
            tile_path("entries" if entries else level, index, width)
            for level in range(64 // HEIGHT)
            for index, width in enumerate(tile_widths(level, size))
            for entries in ((False, True) if level == 0 else (False,))
        }
        for path in sorted(self._files()):
            name = path.relative_to(self.folder).as_posix()
            if name not in expected:
                raise VerifyError(Damage.ADDED, f"the file `{name}` is not covered by the newest checkpoint", size)

    def _files(self) -> Iterator[Path]:
        return (path for path in (self.folder / "tile").rglob("*") if not path.is_dir())

    def receipt(self, path: Path) -> int:
        """The place that the receipt proves; it must be of this log and its head must be one this log grew from."""
        receipt = read_receipt(path)
        try:
            checkpoint = receipt.verify(self.key)
        except (ProofError, NoteError, LeafError) as error:
            raise VerifyError(Damage.RECEIPT, f"the receipt does not hold: {error}") from None
        if checkpoint.size > self.newest.size:
            raise VerifyError(
                Damage.MISSING,
                f"the receipt proves a log of {checkpoint.size} entries, this one ends at {self.newest.size}",
                self.newest.size,
                checkpoint.size - 1,
            )
        if self._root_at(checkpoint.size) != checkpoint.root:
            raise VerifyError(Damage.ALTERED, "the receipt was signed for another history than this one", receipt.index)
        return receipt.index

    def _root_at(self, size: int) -> bytes:
        frontier = Frontier()
        for index, width in enumerate(tile_widths(0, self.newest.size)):
            for value in split_hashes(self._tile(0, index, width)):
                if frontier.size == size:
                    return frontier.root()
                frontier.append(value)
        return frontier.root()


def _policy_key(path: Path) -> VerifierKey:
    """The one log of a policy without witnesses."""
    keys, quorum = [], None
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        raise VerifyError(Damage.UNREADABLE, f"the policy `{path.name}` cannot be read") from None
    for line in lines:
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "log" and 2 <= len(words) <= 3:
            keys.append(words[1])
        elif words == ["quorum", "none"] and quorum is None:
            quorum = words[1]
        else:
            raise VerifyError(Damage.VERSION, f"the policy `{path.name}` has a line that this program does not know")
    if len(keys) != 1 or quorum is None:
        raise VerifyError(Damage.UNREADABLE, f"the policy `{path.name}` does not name one log and its quorum")
    try:
        return VerifierKey.parse(keys[0])
    except NoteError as error:
        raise VerifyError(Damage.SIGNATURE, f"the key in `{path.name}` cannot be used: {error}") from None


def _mentioned(lines: list[dict[str, Any]]) -> set[int]:
    return {line["seq"] for line in lines if type(line.get("seq")) is int}
