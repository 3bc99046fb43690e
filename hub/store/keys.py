"""The key service: everything that needs a secret key goes through it.

By default the keys are files under ``HUB_HOME/keys`` (mode 0600), made on first use; a hardware module takes the same
place by implementing :class:`KeyService`. Keys have versions: sealing and indexing use the newest, opening and finding
accept every version still held, so that a key can be rotated while the hub runs (docs/KEYS.md). Each version has its
own cipher suite (hub/store/suites.py).

Purposes in use: ``identity`` (ID numbers, names), ``payload`` (values of observations), ``quarantine`` (held-back
rows), ``capture`` and ``evidence`` (batches of collectors' devices, pictures of forms), ``hint`` (address and phone of
a row without ID number), ``decision`` (reasons of reviewers), ``content`` (keyed hashes of delivered rows), ``audit-
transit`` (personal detail on its way to the audit log), ``audit-detail`` (wrapping of the destroyable keys of the audit
log).
"""

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from hub.core.errors import HubError, SettingsError
from hub.store.key_files import PSEUDONYMS, HeldKeys, KeyFiles
from hub.store.suites import NONCE_BYTES, SUITES, Aead, Algorithm, aead


class DamagedSealError(HubError):
    """One sealed text cannot be opened though its key is there: it was altered, or lies where it does not belong."""

    code = "KEY_WRONG"


class KeyService(Protocol):
    """Seals, opens, indexes and signs. Implementations MUST be safe to call from several threads."""

    @property
    def newest(self) -> int:
        """The version that seals and indexes now."""

    @property
    def versions(self) -> tuple[int, ...]:
        """Every version whose master key is held, newest first."""

    def seal(self, purpose: str, plaintext: bytes, context: bytes = b"") -> bytes:
        """Encrypt with authentication; ``context`` must be given again to open. One version byte leads."""

    def open(self, purpose: str, sealed: bytes, context: bytes = b"") -> bytes:
        """Decrypt. Raises :class:`SettingsError` if the key version is not held, :class:`DamagedSealError` if this one
        text cannot be opened.
        """

    def index(self, purpose: str, text: str) -> bytes:
        """The blind index of ``text`` under the newest key: one version byte and 32 bytes of a keyed hash."""

    def indexes(self, purpose: str, text: str) -> list[bytes]:
        """The blind index under every key version held, newest first."""

    def pseudonym(self, organisation: str, person_id: UUID) -> str:
        """The person's id for one organisation; means nothing to another one, and no rotation changes it."""

    def person_of(self, organisation: str, pseudonym: str) -> UUID | None:
        """The person behind an organisation's pseudonym, ``None`` if it cannot be one."""

    def signing_key(self, name: str) -> Ed25519PrivateKey:
        """The named Ed25519 key; made on first use."""

    def lasting_marks(self) -> dict[str, bytes]:
        """Name -> 32 bytes that tell a key again which lasts as long as the hub, and betray nothing of it."""

    def sealer(self, purpose: str) -> "Seal":
        """What :meth:`seal` does, for thousands of texts in a row. For one thread; not to be kept past a rotation."""

    def indexer(self, purpose: str) -> "Index":
        """What :meth:`indexes` does, for thousands of texts in a row. Not to be kept past a rotation."""


Seal = Callable[[bytes, bytes], bytes]
"""Seals a text bound to a context."""

Index = Callable[[bytes], tuple[bytes, ...]]
"""The blind indexes of a text in UTF-8, newest key first."""


class FileKeys:
    """The default key service: one master secret per version in files that only the hub's user may read.

    What another process changes in the folder (a rotation) is noticed by the next call.
    """

    def __init__(self, folder: Path) -> None:
        self._files = KeyFiles(folder)
        self._files.begin()
        self._load()

    def _load(self) -> None:
        seen = self._files.changed_at()
        held = self._files.read()
        # One assignment each: another thread goes on with the keys of before, which are right as well.
        self._derive = lru_cache(maxsize=4096)(_deriver(held))
        self._held = held
        self._seen = seen

    def _look(self) -> None:
        if self._files.changed_at() != self._seen:
            self._load()

    @property
    def files(self) -> KeyFiles:
        """The folder itself, for rotation and backup."""
        return self._files

    @property
    def newest(self) -> int:
        self._look()
        return self._held.newest

    @property
    def versions(self) -> tuple[int, ...]:
        self._look()
        return tuple(sorted(self._held.masters, reverse=True))

    def algorithm(self, version: int) -> Algorithm:
        """The suite of a version that is held."""
        return self._held.algorithms[version]

    def rotate(self, algorithm: Algorithm | None = None) -> int:
        """Make a new newest key version and return its number (1-255); older versions stay readable.

        Without ``algorithm`` it has the suite of the version before.
        """
        self._look()
        number = self._files.add(algorithm or self._held.algorithms[self._held.newest])
        self._load()
        return number

    def retire(self, version: int) -> None:
        """Destroy a version: what it sealed can never be opened again, and nobody is found by its blind indexes.

        Keyed hashes that compare and identify nobody (contents of rows, ids of items) still find what they marked.
        Raises :class:`SettingsError` for the newest version. Does nothing for one that is gone.
        """
        self._look()
        if version == self._held.newest:
            raise SettingsError(
                f"key version {version} is the newest one, which seals and indexes now.",
                remedy="Make a new one first: `hub keys rotate`.",
                code="KEY_IN_USE",
            )
        self._files.retire(version)
        self._load()

    def _aead(self, version: int, purpose: str) -> Aead:
        return aead(self._held.algorithms[version], self._derive(version, f"seal:{purpose}"))

    def seal(self, purpose: str, plaintext: bytes, context: bytes = b"") -> bytes:
        self._look()
        version, nonce = self._held.newest, os.urandom(NONCE_BYTES)
        return bytes([version]) + nonce + self._aead(version, purpose).encrypt(nonce, plaintext, context)

    def sealer(self, purpose: str) -> Seal:
        self._look()
        encrypt = self._aead(self._held.newest, purpose).encrypt
        version = bytes([self._held.newest])
        nonces = _nonces()

        def seal(plaintext: bytes, context: bytes) -> bytes:
            nonce = next(nonces)
            return version + nonce + encrypt(nonce, plaintext, context)

        return seal

    def open(self, purpose: str, sealed: bytes, context: bytes = b"") -> bytes:
        if not sealed:
            raise _damaged(purpose)
        version, nonce, body = sealed[0], sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        if version not in self._held.masters:
            self._load()
        if version not in self._held.masters:
            raise SettingsError(
                f"sealed data of purpose `{purpose}` needs key version {version}, which is not in the key folder.",
                remedy="Restore the key folder from its own backup; it is never part of the database backup.",
                code="KEY_MISSING",
            )
        try:
            return self._aead(version, purpose).decrypt(nonce, body, context)
        except (InvalidTag, ValueError):
            raise _damaged(purpose) from None

    def index(self, purpose: str, text: str) -> bytes:
        self._look()
        return self._index(self._held.newest, purpose, text.encode())

    def index_under(self, version: int, purpose: str, text: str) -> bytes:
        """The blind index under one version that is held; for the job that makes indexes anew."""
        return self._index(version, purpose, text.encode())

    def indexes(self, purpose: str, text: str) -> list[bytes]:
        self._look()
        return [self._index(version, purpose, text.encode()) for version in self._comparing(purpose)]

    def _comparing(self, purpose: str) -> list[int]:
        """The versions by which a text of this purpose may have been marked, newest first."""
        retired = [number for number, uses in self._held.retired.items() if purpose in uses]
        return sorted([*self._held.masters, *retired], reverse=True)

    def _index_key(self, version: int, purpose: str) -> bytes:
        retired = self._held.retired.get(version)
        return self._derive(version, f"index:{purpose}") if retired is None else retired[purpose]

    def _index(self, version: int, purpose: str, text: bytes) -> bytes:
        suite = SUITES[self._held.algorithms[version]]
        return bytes([version]) + suite.keyed_hash(self._index_key(version, purpose), text)

    def indexer(self, purpose: str) -> Index:
        self._look()
        keyed = [
            (
                bytes([version]),
                *SUITES[self._held.algorithms[version]].hmac_states(self._index_key(version, purpose)),
            )
            for version in self._comparing(purpose)
        ]

        def index(text: bytes) -> tuple[bytes, ...]:
            found = []
            for version, inside, outside in keyed:
                inner, outer = inside.copy(), outside.copy()
                inner.update(text)
                outer.update(inner.digest())
                found.append(version + outer.digest())
            return tuple(found)

        return index

    def pseudonym(self, organisation: str, person_id: UUID) -> str:
        block = _block_cipher(self._pseudonym_key(organisation)).encryptor()
        return (block.update(person_id.bytes) + block.finalize()).hex()

    def person_of(self, organisation: str, pseudonym: str) -> UUID | None:
        try:
            raw = bytes.fromhex(pseudonym)
        except ValueError:
            return None
        if len(raw) != 16:
            return None
        block = _block_cipher(self._pseudonym_key(organisation)).decryptor()
        return UUID(bytes=block.update(raw) + block.finalize())

    def _pseudonym_key(self, organisation: str) -> bytes:
        return _pseudonym_key(self._held.pseudonyms, organisation)

    def lasting_marks(self) -> dict[str, bytes]:
        self._look()
        marks = {f"{name}.ed25519": _public(self.signing_key(name)) for name in self._files.lasting_signers()}
        return {PSEUDONYMS: SUITES[Algorithm.AES].derive(self._held.pseudonyms, "mark")} | marks

    def signing_key(self, name: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._files.signing_secret(name))


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def _deriver(held: HeldKeys) -> Callable[[int, str], bytes]:
    def derive(version: int, use: str) -> bytes:
        return SUITES[held.algorithms[version]].derive(held.masters[version], use)

    return derive


def _damaged(purpose: str) -> DamagedSealError:
    return DamagedSealError(
        f"a sealed text of purpose `{purpose}` cannot be opened: it was altered, or lies where it does not belong.",
        remedy="Restore it from a backup of the database, or let its source deliver it again.",
    )


_NONCES_AT_ONCE = 512


def _nonces() -> Iterator[bytes]:
    """Random nonces without a system call for each."""
    while True:
        drawn = os.urandom(NONCE_BYTES * _NONCES_AT_ONCE)
        yield from (drawn[start : start + NONCE_BYTES] for start in range(0, len(drawn), NONCE_BYTES))


@lru_cache(maxsize=256)
def _pseudonym_key(secret: bytes, organisation: str) -> bytes:
    return SUITES[Algorithm.AES].derive(secret, f"pseudonym:{organisation}")


def _block_cipher(key: bytes) -> Cipher[modes.ECB]:
    """A permutation of single 16-byte blocks; each block is one random id, so the mode leaks nothing."""
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - one block, see above
