"""Opens one entry: its shared facts and what it holds of each person concerned, as far as the keys still exist."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.audit.commitments import tree_root
from hub.audit.data_keys import DataKeys
from hub.audit.detail import Blob, detail_context, unseal
from hub.audit.leaf import Leaf, LeafError
from hub.audit.note import VerifierKey
from hub.audit.proof import Receipt
from hub.audit.tree import LOG_ID
from hub.core.errors import AuditError, RefusedError
from hub.store.keys import KeyService


@dataclass(frozen=True, slots=True)
class OpenedEntry:
    """An entry with its details. A group is ``None`` where its key was destroyed; ``persons`` are in their order."""

    leaf: Leaf
    shared: Blob | None
    persons: Mapping[UUID, Blob | None]

    @property
    def is_whole(self) -> bool:
        """Whether every group could be opened."""
        return self.shared is not None and None not in self.persons.values()

    def request(self) -> tuple[str, dict[str, Any]] | None:
        """The operation with its variables, ``None`` where there is none or it cannot be read."""
        holder = next(iter(self.persons.values()), self.shared)
        sealed = None if holder is None else holder.value("request")
        if sealed is None:
            return None
        told = orjson.loads(base64.b64decode(sealed))
        return told["document"], told["variables"]


async def check_receipt(conn: asyncpg.Connection, receipt: Receipt) -> None:
    """Raise :class:`RefusedError` unless the receipt is signed by this hub's log, and :class:`AuditError` if the log
    now holds another entry at its place. ``conn`` is of role ``hub_auditor``.
    """
    row = await conn.fetchrow(
        """SELECT l.vkey, e.entry FROM audit.log l LEFT JOIN audit.entry e ON e.log_id = l.log_id AND e.seq = $2
           WHERE l.log_id = $1""",
        LOG_ID,
        receipt.index,
    )
    try:
        if row is None:
            raise LeafError("this hub has no log yet")
        receipt.verify(VerifierKey.parse(row["vkey"]))
    except ValueError as error:
        raise RefusedError(f"the receipt does not hold: {error}.", code="RECEIPT_INVALID") from None
    if row["entry"] != receipt.entry:
        raise AuditError(
            f"entry {receipt.index} of the audit log is not the one that the receipt proves.",
            remedy="Export the log and run `hub audit verify` on it.",
            code="AUDIT_DAMAGED",
        )


async def open_entry(conn: asyncpg.Connection, keys: KeyService, event: UUID) -> OpenedEntry:
    """The entry of an event. ``conn`` is of role ``hub_auditor``; whether the asker may see it is judged by the caller.

    Raises :class:`RefusedError` for an event that is not recorded, :class:`AuditError` if a detail is not what the
    entry committed to.
    """
    rows = await conn.fetch("SELECT * FROM audit.entry_detail($1)", event)
    if not rows:
        raise RefusedError("there is no entry of this event in the log.", code="ENTRY_UNKNOWN")
    leaf = _leaf(rows[0])
    origin = await conn.fetchval("SELECT audit.log_origin($1)", LOG_ID)
    data_keys = DataKeys(keys)
    blobs: list[Blob | None] = []
    for row in rows:
        if row["wrapped"] is None:
            blobs.append(None)
            continue
        cipher = data_keys.cipher(row["key_id"], row["wrapped"])
        blobs.append(unseal(cipher, row["sealed"], detail_context(origin, row["seq"], leaf.ev, row["part"])))
    is_sound = (
        tree_root([row["root"] for row in rows]) == leaf.rc
        and tree_root([row["step"] for row in rows]) == leaf.sn
        and all(blob is None or blob.root() == row["root"] for blob, row in zip(blobs, rows, strict=True))
    )
    if not is_sound:
        raise _damaged(leaf.seq)
    return OpenedEntry(leaf, blobs[0], dict(zip([row["subject"] for row in rows[1:]], blobs[1:], strict=True)))


def _leaf(row: asyncpg.Record) -> Leaf:
    try:
        return Leaf.parse(row["entry"])
    except LeafError:
        raise _damaged(row["seq"]) from None


def _damaged(seq: int) -> AuditError:
    return AuditError(
        f"entry {seq} of the audit log, or its detail, was altered in the database.",
        remedy="Export the log and run `hub audit verify` on it.",
        code="AUDIT_DAMAGED",
    )
