"""Makes the entries of one batch: places, details, chains, keys, tiles. The only I/O is one look-up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.audit.data_keys import DataKeys, NewKey
from hub.audit.detail import Chain, Detail, Draft, PendingRow, compose, detail_context, read_row, seal
from hub.audit.edge import Edge
from hub.audit.leaf import Leaf
from hub.audit.merkle import Frontier, Node, leaf_hash
from hub.audit.tiles import MAX_ENTRY_BYTES, TileBuilder
from hub.audit.tree import LOG_ID
from hub.core.errors import AuditError
from hub.store.keys import KeyService


@dataclass(slots=True)
class Batch:
    """One batch, ready to be written; nothing of it exists before the database has committed it."""

    claimed: list[UUID]
    """The ids under which the outbox held the events."""
    entries: list[bytes]
    leaves: list[bytes]
    events: list[UUID]
    t_last: int
    frontier: Frontier
    tiles: TileBuilder
    nodes: dict[Node, bytes] = field(default_factory=dict)
    finished_tiles: list[tuple[int, int, bytes, bytes]] = field(default_factory=list)
    new_keys: list[NewKey] = field(default_factory=list)
    details: list[tuple[Any, ...]] = field(default_factory=list)
    chains: dict[UUID, Chain] = field(default_factory=dict)
    root: bytes = b""


class BatchMaker:
    """Makes batches for one log."""

    def __init__(self, keys: KeyService, origin: str) -> None:
        self._keys = keys
        self._data_keys = DataKeys(keys)
        self._origin = origin

    async def make(self, conn: asyncpg.Connection, rows: Sequence[PendingRow], edge: Edge, t: int) -> Batch:
        """The batch that follows ``edge``; ``rows`` are in the order they get, ``t`` is their instant in ms."""
        drafts = [read_row(row) for row in rows]
        holders = [self._data_keys.actor(row["organisation"], row["actor"]) for row in rows]
        year = datetime.fromtimestamp(t / 1000, UTC).year
        subjects = list({subject for draft in drafts for subject in draft.subjects})
        wanted = list({*holders, *(subject.bytes for subject in subjects)})
        ciphers: dict[bytes, tuple[UUID, AESGCM]] = {}
        chains: dict[UUID, Chain] = {}
        for holder, key_id, wrapped, subject, _, n, step in await conn.fetch(
            "SELECT * FROM audit.lookup($1, $2, $3)", wanted, year, subjects
        ):
            if holder is not None:
                ciphers[holder] = (key_id, self._data_keys.cipher(key_id, wrapped))
            else:
                chains[subject] = Chain(n, step)
        batch = Batch([row["ev"] for row in rows], [], [], [], t, edge.frontier.copy(), edge.tiles.copy())
        actors = set(holders)
        for holder in wanted:
            if holder not in ciphers:
                key = self._data_keys.make("actor" if holder in actors else "person", holder)
                batch.new_keys.append(key)
                ciphers[holder] = (key.key_id, self._data_keys.made(key))
        for draft, holder in zip(drafts, holders, strict=True):
            detail = compose(draft, self._keys, holder, chains)
            self._add(batch, draft, detail, ciphers)
        batch.chains = {subject: chains[subject] for subject in subjects}
        batch.root = batch.frontier.root()
        return batch

    def _add(self, batch: Batch, draft: Draft, detail: Detail, ciphers: dict[bytes, tuple[UUID, AESGCM]]) -> None:
        row, seq = draft.row, batch.frontier.size
        entry = Leaf(
            seq,
            batch.t_last,
            draft.event,
            row["kind"],
            row["event"],
            row["organisation"],
            row["purpose"],
            row["decision"],
            row["policy"],
            detail.rc,
            detail.sn,
        ).to_bytes()
        if len(entry) > MAX_ENTRY_BYTES:
            raise AuditError("an audit entry is longer than a bundle can hold.", code="AUDIT_ENTRY")
        leaf = leaf_hash(entry)
        batch.nodes.update(batch.frontier.append(leaf))
        batch.finished_tiles += batch.tiles.append(leaf, seq)
        batch.entries.append(entry)
        batch.leaves.append(leaf)
        batch.events.append(draft.event)
        for number, part in enumerate(detail.parts):
            key_id, cipher = ciphers[part.holder]
            sealed = seal(cipher, part.blob, detail_context(self._origin, seq, draft.event, number))
            batch.details.append((seq, number, key_id, part.subject, part.n, part.root, part.step, sealed))


def rehearsal_row(now: datetime) -> dict[str, Any]:
    """A row of the outbox that never was: what a rehearsal records and takes back."""
    return {
        "ev": uuid4(),
        "queued_at": now,
        "kind": "admin",
        "event": "log:sequencer:opened",
        "organisation": "hub",
        "actor": "rehearsal",
        "purpose": None,
        "decision": "allow",
        "policy": "rehearsal",
        "operation": None,
        "county": None,
        "subjects": [],
        "facts": "{}",
        "sealed": None,
        "taken": False,
    }


async def write_batch(conn: asyncpg.Connection, batch: Batch, first: int) -> None:
    """Write the batch inside the caller's transaction, and check what the database now holds.

    Raises :class:`AuditError` if a stored entry does not hash to its leaf (a fault of memory or disk).
    """
    year = datetime.fromtimestamp(batch.t_last / 1000, UTC).year
    details = list(zip(*batch.details, strict=True))
    stored = await conn.fetch(
        "SELECT seq, entry, leaf_hash FROM audit.integrate($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
        " $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)",
        LOG_ID,
        list(range(first, first + len(batch.entries))),
        batch.events,
        batch.leaves,
        batch.entries,
        *details,
        [key.key_id for key in batch.new_keys],
        [key.scope for key in batch.new_keys],
        [key.holder for key in batch.new_keys],
        year,
        [key.wrapped for key in batch.new_keys],
        list(batch.chains),
        [chain.n for chain in batch.chains.values()],
        [chain.step for chain in batch.chains.values()],
        [tile[0] for tile in batch.finished_tiles],
        [tile[1] for tile in batch.finished_tiles],
        [tile[2] for tile in batch.finished_tiles],
        [tile[3] for tile in batch.finished_tiles],
        batch.frontier.size,
        batch.root,
        batch.frontier.nodes,
        batch.t_last,
    )
    by_place = {row["seq"]: row for row in stored}
    for seq, leaf in enumerate(batch.leaves, first):
        row = by_place.get(seq)
        if row is None or leaf_hash(row["entry"]) != leaf or row["leaf_hash"] != leaf:
            raise AuditError(
                f"the database did not keep entry {seq} of the audit log as it was written.",
                remedy="Check memory and disk of the database server before going on.",
                code="AUDIT_DAMAGED",
            )
