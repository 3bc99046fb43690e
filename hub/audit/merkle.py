"""The Merkle tree of RFC 6962 section 2.1 with SHA-256: hashes, growth, proofs, strict verification. No I/O.

A *node* is named ``(height, index)``: the hash over the ``2**height`` leaves from ``index * 2**height``. Only complete
nodes are ever stored or asked for; the incomplete right edge is computed from them.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

HASH_BYTES = 32
"""Length of every hash, in bytes."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree without leaves."""

Node = tuple[int, int]
"""Height and index of a complete subtree."""

NodeReader = Callable[[int, int], bytes]
"""Gives the hash of a complete node by height and index."""


class ProofError(ValueError):
    """A proof does not prove what it is given for."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256 of 0x00 and the entry; the prefix keeps a node from being passed off as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the hashes of its largest complete subtrees, from left to right."""

    __slots__ = ("nodes", "size")

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.nodes = list(nodes)
        if size < 0 or len(self.nodes) != size.bit_count():
            raise ValueError("a frontier holds one hash for every bit that is set in the size")

    def copy(self) -> "Frontier":
        """An independent frontier at the same place."""
        return Frontier(self.size, self.nodes)

    def append(self, leaf: bytes) -> list[tuple[Node, bytes]]:
        """Add a leaf hash; the nodes this completes, from the leaf upwards."""
        index, height, made = self.size, 0, leaf
        completed = [((0, index), leaf)]
        while index & 1:
            made = node_hash(self.nodes.pop(), made)
            index >>= 1
            height += 1
            completed.append(((height, index), made))
        self.nodes.append(made)
        self.size += 1
        return completed

    def named_nodes(self) -> list[tuple[Node, bytes]]:
        """The hashes with their names, from left to right."""
        return list(zip(complete_nodes(0, self.size), self.nodes, strict=True))

    def root(self) -> bytes:
        """The root of the tree so far."""
        if not self.nodes:
            return EMPTY_ROOT
        root = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            root = node_hash(node, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over a list of leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def complete_nodes(start: int, end: int) -> list[Node]:
    """The fewest complete nodes that cover the leaves from ``start`` to before ``end``, from left to right."""
    nodes = []
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        nodes.append((height, start >> height))
        start += 1 << height
    return nodes


def _range_hash(start: int, end: int, node: NodeReader) -> bytes:
    hashes = [node(height, index) for height, index in complete_nodes(start, end)]
    total = hashes.pop()
    while hashes:
        total = node_hash(hashes.pop(), total)
    return total


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose hashes form the inclusion proof of a leaf, from its sibling upwards."""
    if not 0 <= index < size:
        raise ProofError("the leaf lies outside the tree")
    ranges, start, end = [], 0, size
    while end - start > 1:
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose hashes form the consistency proof between two sizes (RFC 6962 section 2.1.2)."""
    if not 0 < old <= new:
        raise ProofError("the older tree must have a leaf and must not be larger than the newer one")
    ranges, start, end, whole = [], 0, new, True
    while old != end:
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    if not whole:
        ranges.append((start, end))
    return ranges[::-1]


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """The hashes that lead from leaf ``index`` to the root of the tree of ``size`` leaves."""
    return [_range_hash(start, end, node) for start, end in inclusion_ranges(index, size)]


def consistency_proof(old: int, new: int, node: NodeReader) -> list[bytes]:
    """The hashes that prove that the first ``old`` leaves of the tree of ``new`` leaves are those of the old tree."""
    return [_range_hash(start, end, node) for start, end in consistency_ranges(old, new)]


def root_at(size: int, node: NodeReader) -> bytes:
    """The root of the first ``size`` leaves."""
    return _range_hash(0, size, node) if size else EMPTY_ROOT


def ranges_nodes(ranges: Iterable[tuple[int, int]]) -> list[Node]:
    """The complete nodes that must be read to hash the given ranges."""
    return [node for start, end in ranges for node in complete_nodes(start, end)]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise :class:`ProofError` unless ``proof`` leads from ``leaf`` at ``index`` to ``root`` at ``size``."""
    ranges = inclusion_ranges(index, size)
    _check_lengths([leaf, root, *proof], len(proof) == len(ranges))
    total = leaf
    for (start, _), sibling in zip(ranges, proof, strict=True):
        total = node_hash(total, sibling) if start > index else node_hash(sibling, total)
    if total != root:
        raise ProofError("the proof does not lead to the root")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise :class:`ProofError` unless ``proof`` shows the tree of ``old`` leaves to be the start of the newer one.

    An older tree without leaves is refused: nothing can be proved about it.
    """
    ranges = consistency_ranges(old, new)
    _check_lengths([old_root, new_root, *proof], len(proof) == len(ranges))
    if old == new:
        if old_root != new_root:
            raise ProofError("two roots for one size")
        return
    rest = list(proof)
    # The proof starts at the largest complete subtree that ends at `old`; where that is the whole older tree, its root
    # is known and left out.
    older = newer = old_root if old & (old - 1) == 0 else rest.pop(0)
    for (start, _), sibling in zip(ranges[len(ranges) - len(rest) :], rest, strict=True):
        if start >= old:
            newer = node_hash(newer, sibling)
        else:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
    if older != old_root:
        raise ProofError("the proof does not lead to the older root")
    if newer != new_root:
        raise ProofError("the proof does not lead to the newer root")


def _check_lengths(hashes: Iterable[bytes], right_number: bool) -> None:
    if not right_number:
        raise ProofError("the proof has the wrong number of hashes")
    if any(len(value) != HASH_BYTES for value in hashes):
        raise ProofError(f"a hash does not have {HASH_BYTES} bytes")
