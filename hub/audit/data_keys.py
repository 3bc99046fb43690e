"""The destroyable keys of audit details: one per holder and year, wrapped by the key service.

A holder is a person (his 16-byte id) or an actor (keyed hash of organisation and actor, so that the table names no
officer). Destroying a key makes every detail under it unreadable for ever, provided that no backup keeps it:
``audit.data_key`` belongs in backups that do not outlive an erasure (docs/AUDIT.md).
"""

import os
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.core.errors import AuditError
from hub.store.keys import KeyService
from hub.store.rekey import Place, Sealed

_PURPOSE = "audit-detail"
_KEY_BYTES = 32

AUDIT_PLACES = (Place("audit.data_key", (("key_id", "uuid"),), (Sealed("wrapped", _PURPOSE, "uuid_send(t.key_id)"),)),)
"""What a rotation of the keys wraps anew; details themselves are sealed under the wrapped keys."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key made for a holder who had none this year; to be stored with the batch that uses it."""

    key_id: UUID
    scope: str
    holder: bytes
    wrapped: bytes


class DataKeys:
    """Makes, wraps and opens data keys. Opened ones are remembered up to ``remembered``."""

    def __init__(self, keys: KeyService, *, remembered: int = 20_000) -> None:
        self._keys = keys
        self._ciphers: OrderedDict[UUID, AESGCM] = OrderedDict()
        self._actors: dict[tuple[str, str], bytes] = {}
        self._remembered = remembered

    def actor(self, organisation: str, actor: str) -> bytes:
        """The holder under which the keys of one actor lie."""
        known = self._actors.get((organisation, actor))
        if known is None:
            if len(self._actors) >= self._remembered:
                self._actors.clear()
            known = self._keys.index(_PURPOSE, f"{organisation}\n{actor}")
            self._actors[organisation, actor] = known
        return known

    def make(self, scope: str, holder: bytes) -> NewKey:
        """A fresh random key; ``scope`` is ``person`` or ``actor``."""
        key_id, secret = uuid4(), os.urandom(_KEY_BYTES)
        self._remember(key_id, AESGCM(secret))
        return NewKey(key_id, scope, holder, self._keys.seal(_PURPOSE, secret, key_id.bytes))

    def cipher(self, key_id: UUID, wrapped: bytes) -> AESGCM:
        """The key itself. ``wrapped`` must come from the database now: a destroyed key is never used from memory."""
        known = self._ciphers.get(key_id)
        if known is None:
            known = AESGCM(self._keys.open(_PURPOSE, wrapped, key_id.bytes))
            self._remember(key_id, known)
        return known

    def made(self, key: NewKey) -> AESGCM:
        """The cipher of a key that was just made."""
        return self.cipher(key.key_id, key.wrapped)

    def _remember(self, key_id: UUID, cipher: AESGCM) -> None:
        while len(self._ciphers) >= self._remembered:
            self._ciphers.popitem(last=False)
        self._ciphers[key_id] = cipher


async def destroy_person_keys(conn: asyncpg.Connection, person_id: UUID) -> int:
    """Destroy every key of one person; how many there were.

    Runs as the sequencer's role, inside the caller's transaction, which also appends ``person:operator:erased``. Raises
    :class:`AuditError` outside a transaction: a key without its entry must not disappear.
    """
    if not conn.is_in_transaction():
        raise AuditError("keys of the audit log are destroyed only together with the entry that says so.")
    status: str = await conn.execute(
        "UPDATE audit.data_key SET wrapped = NULL, destroyed_at = clock_timestamp()"
        " WHERE scope = 'person' AND holder = $1 AND wrapped IS NOT NULL",
        person_id.bytes,
    )
    return int(status.rpartition(" ")[2])
