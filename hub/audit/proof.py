"""Receipts and proofs: the values, and their text (C2SP tlog-proof v1). No I/O.

A receipt is a tlog-proof whose ``extra`` line is the base64 of the entry: the proof is then complete in one file. The
extra is not authenticated by itself; it is checked by being the leaf that the inclusion proof starts from.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hub.audit.leaf import Leaf
from hub.audit.merkle import (
    HASH_BYTES,
    Frontier,
    Node,
    ProofError,
    inclusion_proof,
    leaf_hash,
    verify_inclusion,
)
from hub.audit.note import Checkpoint, NoteError, VerifierKey, decode_base64, open_checkpoint, parse_checkpoint

HEADER = "c2sp.org/tlog-proof@v1"
"""First line of every receipt."""

_MAX_HASHES = 64


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that one entry stands in the signed log."""

    entry: bytes
    index: int
    proof: tuple[bytes, ...]
    note: str

    @property
    def size(self) -> int:
        """Size of the log that the proof leads to."""
        return int(self.note.split("\n", 2)[1])

    def leaf(self) -> Leaf:
        """The entry, read."""
        return Leaf.parse(self.entry)

    def as_text(self) -> str:
        """The tlog-proof; what a file ``*.tlog-proof`` holds."""
        lines = [HEADER, f"extra {base64.b64encode(self.entry).decode()}", f"index {self.index}"]
        lines += [base64.b64encode(value).decode() for value in self.proof]
        return "\n".join(lines) + "\n\n" + self.note

    def as_json(self) -> dict[str, Any]:
        """What a reply carries in ``extensions.receipt``."""
        start = self.entry.index(b'"ev":"') + 6
        return {
            "event": self.entry[start : start + 36].decode(),
            "index": self.index,
            "treeSize": self.size,
            "proof": self.as_text(),
        }

    @classmethod
    def parse(cls, text: str) -> "Receipt":
        """Read a tlog-proof with its entry. Raises :class:`ProofError`; verifies nothing yet."""
        head, blank, note = text.partition("\n\n")
        lines = head.split("\n")
        if not blank or len(lines) < 3 or lines[0] != HEADER:
            raise ProofError("this is not a receipt (tlog-proof version 1)")
        if not lines[1].startswith("extra ") or not lines[2].startswith("index "):
            raise ProofError("the receipt lacks its entry or its index")
        index = lines[2][6:]
        if not (index.isascii() and index.isdigit()) or (index[0] == "0" and index != "0") or len(index) > 19:
            raise ProofError("the index of the receipt is not a plain number")
        try:
            entry = decode_base64(lines[1][6:])
            proof = tuple(decode_base64(line) for line in lines[3:])
            parse_checkpoint(note[: note.rfind("\n\n") + 1])
        except NoteError as error:
            raise ProofError(str(error)) from None
        if len(proof) > _MAX_HASHES or any(len(value) != HASH_BYTES for value in proof):
            raise ProofError("the receipt's proof does not consist of hashes")
        return cls(entry, int(index), proof, note)

    def verify(self, key: VerifierKey) -> Checkpoint:
        """The checkpoint this proves the entry to be in. Raises :class:`ProofError`, :class:`NoteError` or
        :class:`~hub.audit.leaf.LeafError` naming what does not hold.
        """
        checkpoint = open_checkpoint(self.note, key)
        verify_inclusion(leaf_hash(self.entry), self.index, checkpoint.size, self.proof, checkpoint.root)
        if self.leaf().seq != self.index:
            raise ProofError("the entry names another place than the receipt")
        return checkpoint


class SignedBatch:
    """The entries that one signed head added, with the hashes that prove each of them; receipts are made on demand."""

    def __init__(self, before: Frontier, entries: list[bytes], nodes: dict[Node, bytes], note: str) -> None:
        self._first = before.size
        self._size = before.size + len(entries)
        self._entries = entries
        self._nodes = nodes | dict(before.named_nodes())
        self._note = note

    def receipt(self, position: int) -> Receipt:
        """The receipt of the entry at ``position`` within the batch."""
        index = self._first + position
        proof = inclusion_proof(index, self._size, lambda height, at: self._nodes[height, at])
        return Receipt(self._entries[position], index, tuple(proof), self._note)


def receipt_from(entry: bytes, index: int, note: str, node: Callable[[int, int], bytes]) -> Receipt:
    """The receipt of an entry out of stored hashes, checked against the root of ``note``.

    Raises :class:`ProofError` if the stored entry or hashes do not lead to the signed root.
    """
    checkpoint = parse_checkpoint(note[: note.rfind("\n\n") + 1])
    proof = inclusion_proof(index, checkpoint.size, node)
    verify_inclusion(leaf_hash(entry), index, checkpoint.size, proof, checkpoint.root)
    return Receipt(entry, index, tuple(proof), note)
