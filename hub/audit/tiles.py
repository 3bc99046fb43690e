"""Tiles and entry bundles in the layout of C2SP tlog-tiles v0.1.0. No I/O.

A tile holds 256 hashes of one *level*; level L holds the nodes of height 8 L. A bundle holds the entries below one tile
of level 0, each behind its length in two bytes, big endian.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hub.audit.merkle import HASH_BYTES, Node, node_hash, root_of

WIDTH = 256
"""Hashes in a complete tile, entries in a complete bundle."""

HEIGHT = 8
"""Levels of the tree in one tile."""

MAX_ENTRY_BYTES = 65_535
"""The longest entry that a bundle can hold."""


class BundleError(ValueError):
    """A bundle of entries cannot be read to its end; ``entries`` are those before the damage."""

    def __init__(self, entries: list[bytes]) -> None:
        super().__init__("an entry bundle ends within an entry")
        self.entries = entries


def index_path(index: int) -> str:
    """A tile's number as path elements of three digits, all but the last behind an ``x``."""
    parts = [f"{index % 1000:03d}"]
    while index := index // 1000:
        parts.append(f"x{index % 1000:03d}")
    return "/".join(reversed(parts))


def tile_path(level: int | str, index: int, width: int = WIDTH) -> str:
    """Where a tile lies below the log's folder; level ``"entries"`` is a bundle. ``width`` is 1 to 256."""
    suffix = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{index_path(index)}{suffix}"


def tile_widths(level: int, size: int) -> list[int]:
    """The widths of the tiles of one level in a tree of ``size`` leaves, by index; all but the last are complete."""
    hashes = size >> (HEIGHT * level)
    full, rest = divmod(hashes, WIDTH)
    return [WIDTH] * full + ([rest] if rest else [])


def pack_entries(entries: Iterable[bytes]) -> bytes:
    """The bytes of an entry bundle."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unpack_entries(bundle: bytes) -> list[bytes]:
    """The entries of a bundle. Raises :class:`BundleError` where it ends within an entry."""
    entries: list[bytes] = []
    at = 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        if at + 2 > len(bundle) or end > len(bundle):
            raise BundleError(entries)
        entries.append(bundle[at + 2 : end])
        at = end
    return entries


def split_hashes(tile: bytes) -> list[bytes]:
    """The hashes of a tile; a rest that is too short is left out."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile) - HASH_BYTES + 1, HASH_BYTES)]


def subtree(hashes: Sequence[bytes]) -> bytes:
    """The hash over a power of two of hashes."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


@dataclass(slots=True)
class TreeNeeds:
    """What must be read to know some nodes of a tree: complete tiles, roots of tiles below a partial tile, leaves.

    ``size`` is any size at which all the nodes are complete, and up to which all complete tiles are stored.
    """

    size: int
    tiles: set[tuple[int, int]] = field(default_factory=set)
    roots: dict[int, tuple[int, int]] = field(default_factory=dict)
    leaves: tuple[int, int] = (0, 0)

    def add(self, node: Node) -> None:
        """Note what ``node`` needs."""
        height, index = node
        level, rise = divmod(height, HEIGHT)
        tile = (index << rise) // WIDTH
        if (tile + 1) * WIDTH <= self.size >> (HEIGHT * level):
            self.tiles.add((level, tile))
        elif level == 0:
            self.leaves = (tile * WIDTH, self.size)
        else:
            # The entries of a partial tile are the roots of the complete tiles below it.
            self.roots[level - 1] = (tile * WIDTH, self.size >> (HEIGHT * level))


class TreeParts:
    """Hashes that were read for :class:`TreeNeeds`; gives nodes out of them."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[int, int], bytes] = {}
        self._nodes: dict[Node, bytes] = {}

    def put_tile(self, level: int, index: int, hashes: bytes) -> None:
        """A complete tile."""
        for at, value in enumerate(split_hashes(hashes)):
            self._hashes[level, index * WIDTH + at] = value

    def put_hash(self, level: int, index: int, value: bytes) -> None:
        """One hash of a tile of ``level``: a leaf hash (level 0), or the root of tile ``index`` one level below."""
        self._hashes[level, index] = value

    def node(self, height: int, index: int) -> bytes:
        """The hash of a node. Raises :class:`KeyError` if it was not read."""
        known = self._nodes.get((height, index))
        if known is None:
            level, rise = divmod(height, HEIGHT)
            first = index << rise
            known = subtree([self._hashes[level, at] for at in range(first, first + (1 << rise))])
            self._nodes[height, index] = known
        return known


class TileBuilder:
    """Collects the hashes of the tiles at the right edge while a tree grows."""

    def __init__(self, open_tiles: Iterable[tuple[int, list[bytes]]] = ()) -> None:
        self._open: dict[int, list[bytes]] = {level: list(hashes) for level, hashes in open_tiles}

    def copy(self) -> "TileBuilder":
        """An independent builder at the same place."""
        return TileBuilder(self._open.items())

    def append(self, leaf: bytes, index: int) -> list[tuple[int, int, bytes, bytes]]:
        """Add the hash of leaf ``index``; the tiles this completes as (level, index, root, hashes)."""
        done: list[tuple[int, int, bytes, bytes]] = []
        level = 0
        while True:
            tile = self._open.setdefault(level, [])
            tile.append(leaf)
            index >>= HEIGHT
            if len(tile) < WIDTH:
                return done
            leaf = subtree(tile)
            done.append((level, index, leaf, b"".join(tile)))
            self._open[level] = []
            level += 1


def tiles_of(leaves: Sequence[bytes]) -> dict[tuple[int, int], list[bytes]]:
    """Every tile, complete and partial, of the tree over some leaf hashes, by level and index."""
    tiles: dict[tuple[int, int], list[bytes]] = {}
    level, hashes = 0, list(leaves)
    while hashes:
        for index in range(0, len(hashes), WIDTH):
            tiles[level, index // WIDTH] = hashes[index : index + WIDTH]
        hashes = [root_of(hashes[at : at + WIDTH]) for at in range(0, len(hashes) - WIDTH + 1, WIDTH)]
        level += 1
    return tiles
