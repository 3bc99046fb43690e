"""Builds the golden vectors under tests/data/audit out of fixed keys, salts and ids.

``python -m tests.audit.vectors`` writes them anew. They changed only if a format changed, which must not happen within
one version: docs/AUDIT.md.
"""

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.audit.commitments import FIRST_STEP, Link, blind_of, group_root, link_salt, open_field, tree_root
from hub.audit.leaf import Leaf
from hub.audit.merkle import Frontier, leaf_hash
from hub.audit.note import Checkpoint, Signer
from hub.audit.proof import SignedBatch
from hub.audit.tiles import WIDTH, pack_entries, tile_path, tile_widths, tiles_of
from hub.core.canonical import canonical_bytes

FOLDER = Path(__file__).parents[1] / "data" / "audit"
ORIGIN = "vectors.example/audit"
SIZE = 300
OLDER = (1, 2, 7, 256, 299)
RECEIPT_OF = 258
PERSON = UUID("01934f00-0000-7000-8000-00000000aaaa")
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def secret(name: str, seq: int) -> bytes:
    """A fixed stand-in for the random salts of entry ``seq``."""
    return hashlib.sha256(f"vector {name} {seq}".encode()).digest()


def groups(seq: int, previous: bytes) -> tuple[dict[str, bytes], dict[str, bytes] | None, Link | None]:
    """The fields of entry ``seq``; every hundredth is about the person."""
    shared = {"actor": f"officer-{seq}", "county": "533103", "facts.asked": [["tax.grade", "VALUE"]]}
    encoded = {name: canonical_bytes(value) for name, value in shared.items()}
    if seq % 100:
        return encoded, None, None
    own = {"facts.named": canonical_bytes(True), "facts.sections": canonical_bytes([["tax.grade", "VALUE", "", seq]])}
    return encoded, own, Link(PERSON, 0, seq // 100 + 1, previous, link_salt(secret("person", seq)))


def build(folder: Path) -> None:
    """Write every vector into ``folder``."""
    entries, openings, links, previous = [], [], [], FIRST_STEP
    for seq in range(SIZE):
        shared, own, link = groups(seq, previous)
        salt = secret("shared", seq)
        roots, steps = [group_root(salt, shared)], [blind_of(salt)]
        if own is not None and link is not None:
            roots.append(group_root(secret("person", seq), own))
            steps.append(link.step())
            previous = link.step()
            openings += opening_lines(seq, own, tuple(roots))
            links.append(link_line(seq, steps, link))
        event = UUID(f"01934f00-0000-7000-8000-{seq:012x}")
        leaf = Leaf(
            seq,
            1_792_464_000_000 + 7 * seq,
            event,
            "query",
            "profile:client:queried",
            "313731038005",
            "LOAN_APPLICATION",
            ("allow", "mask", "deny")[seq % 3],
            "rules-1",
            tree_root(roots),
            tree_root(steps),
        )
        entries.append(leaf.to_bytes())
    write_bundle(folder / "bundle", entries, openings, links)
    write_receipt(folder / "receipt.tlog-proof", entries)
    first = {"entry": entries[0].decode(), "leaf_hash": leaf_hash(entries[0]).hex()}
    put(folder / "entry.json", (json.dumps(first, indent=1) + "\n").encode())


def opening_lines(seq: int, fields: dict[str, bytes], roots: tuple[bytes, ...]) -> list[dict[str, Any]]:
    lines = []
    for name in sorted(fields):
        told = open_field(secret("person", seq), fields, 1, name, roots)
        lines.append(
            {
                "v": 1,
                "seq": seq,
                "group": 1,
                "roots": [text(root) for root in roots],
                "index": told.index,
                "count": told.count,
                "name": name,
                "salt": text(told.salt),
                "value": json.loads(fields[name]),
                "path": [text(value) for value in told.path],
            }
        )
    return lines


def link_line(seq: int, steps: list[bytes], link: Link) -> dict[str, Any]:
    return {
        "v": 1,
        "seq": seq,
        "step": 1,
        "steps": [text(step) for step in steps],
        "person": str(link.subject),
        "chain": link.chain,
        "n": link.n,
        "previous": text(link.previous),
        "salt": text(link.salt),
    }


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def note_at(size: int, entries: list[bytes]) -> str:
    frontier = Frontier()
    for entry in entries[:size]:
        frontier.append(leaf_hash(entry))
    return SIGNER.sign(Checkpoint(ORIGIN, size, frontier.root()).text())


def write_bundle(folder: Path, entries: list[bytes], openings: list[Any], links: list[Any]) -> None:
    """A bundle of ``entries`` that is right in itself and signed."""
    size = len(entries)
    put(folder / "policy", f"log {SIGNER.verifier}\nquorum none\n".encode())
    put(folder / "checkpoint", note_at(size, entries).encode())
    older = [{"size": at, "note": note_at(at, entries)} for at in OLDER if at < size]
    for name, lines in (("checkpoints.jsonl", older), ("openings.jsonl", openings), ("chains.jsonl", links)):
        put(folder / name, b"".join(canonical_bytes(line) + b"\n" for line in lines))
    for index, width in enumerate(tile_widths(0, size)):
        bundle = pack_entries(entries[index * WIDTH : index * WIDTH + width])
        put(folder / tile_path("entries", index, width), bundle)
    for (level, index), hashes in tiles_of([leaf_hash(entry) for entry in entries]).items():
        put(folder / tile_path(level, index, len(hashes)), b"".join(hashes))


def write_receipt(path: Path, entries: list[bytes]) -> None:
    before, nodes = Frontier(), {}
    for entry in entries[:256]:
        before.append(leaf_hash(entry))
    after = before.copy()
    for entry in entries[256:]:
        nodes.update(after.append(leaf_hash(entry)))
    batch = SignedBatch(before, entries[256:], nodes, note_at(SIZE, entries))
    put(path, batch.receipt(RECEIPT_OF - 256).as_text().encode())


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    build(FOLDER)
