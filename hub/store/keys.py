"""The key service: everything that needs a secret key goes through it.

By default the keys are files under ``HUB_HOME/keys`` (mode 0600), made on first use; a hardware module takes the same
place by implementing :class:`KeyService`. Keys have versions: sealing and indexing use the newest, opening and finding
accept every version still held, so that a key can be rotated while the hub runs.

Purposes in use: ``identity`` (ID numbers, names), ``payload`` (values of observations), ``quarantine`` (held-back
rows), ``hint`` (address and phone of a row without ID number), ``decision`` (reasons of reviewers), ``content`` (keyed
hashes of delivered rows), ``audit-transit`` (personal detail on its way to the audit log), ``audit-detail`` (wrapping
of the destroyable keys of the audit log).
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Protocol
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hub.core.errors import SettingsError

_NONCE_BYTES = 12
_KEY_BYTES = 32


class KeyService(Protocol):
    """Seals, opens, indexes and signs. Implementations MUST be safe to call from several threads."""

    def seal(self, purpose: str, plaintext: bytes, context: bytes = b"") -> bytes:
        """Encrypt with authentication; ``context`` must be given again to open. One version byte leads."""

    def open(self, purpose: str, sealed: bytes, context: bytes = b"") -> bytes:
        """Decrypt. Raises :class:`SettingsError` if the key version is not held or the text was altered."""

    def index(self, purpose: str, text: str) -> bytes:
        """The blind index of ``text`` under the newest key: one version byte and 32 bytes HMAC-SHA-256."""

    def indexes(self, purpose: str, text: str) -> list[bytes]:
        """The blind index under every key version held, newest first."""

    def pseudonym(self, organisation: str, person_id: UUID) -> str:
        """The person's id for one organisation; means nothing to another one."""

    def person_of(self, organisation: str, pseudonym: str) -> UUID | None:
        """The person behind an organisation's pseudonym, ``None`` if it cannot be one."""

    def signing_key(self, name: str) -> Ed25519PrivateKey:
        """The named Ed25519 key; made on first use."""

    def sealer(self, purpose: str) -> "Seal":
        """What :meth:`seal` does, for thousands of texts in a row. For one thread; not to be kept past a rotation."""

    def indexer(self, purpose: str) -> "Index":
        """What :meth:`indexes` does, for thousands of texts in a row. Not to be kept past a rotation."""


Seal = Callable[[bytes, bytes], bytes]
"""Seals a text bound to a context."""

Index = Callable[[bytes], tuple[bytes, ...]]
"""The blind indexes of a text in UTF-8, newest key first."""


class FileKeys:
    """The default key service: one master secret per version in files that only the hub's user may read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        if not self._versions():
            self._refuse_second_beginning()
            _write_secret(folder / "master.1", os.urandom(_KEY_BYTES))
        self._masters = {number: _read_secret(folder / f"master.{number}") for number in self._versions()}
        self._newest = max(self._masters)
        self._derive = lru_cache(maxsize=4096)(self._derive_uncached)

    def _versions(self) -> list[int]:
        return sorted(int(path.suffix[1:]) for path in self._folder.glob("master.*") if path.suffix[1:].isdigit())

    def _refuse_second_beginning(self) -> None:
        """The other keys are made after the master key: where they are, it was lost. Made anew it would open nothing,
        find nobody, and seal what comes in under the number of the lost one.
        """
        if any(self._folder.glob("*.ed25519")):
            raise SettingsError(
                f"the master key is missing from the key folder {self._folder}, which holds other keys.",
                remedy="Restore the key folder from its own backup; it is never part of the database backup.",
                code="KEY_MISSING",
            )

    def rotate(self) -> int:
        """Make a new newest key version and return its number (1-255); older versions stay readable."""
        number = self._newest + 1
        _write_secret(self._folder / f"master.{number}", os.urandom(_KEY_BYTES))
        self._masters[number] = _read_secret(self._folder / f"master.{number}")
        self._newest = number
        return number

    def _derive_uncached(self, version: int, use: str) -> bytes:
        return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=b"credit-hub", info=use.encode()).derive(
            self._masters[version]
        )

    def seal(self, purpose: str, plaintext: bytes, context: bytes = b"") -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        key = _aead(self._derive(self._newest, f"seal:{purpose}"))
        return bytes([self._newest]) + nonce + key.encrypt(nonce, plaintext, context)

    def sealer(self, purpose: str) -> Seal:
        encrypt = _aead(self._derive(self._newest, f"seal:{purpose}")).encrypt
        version = bytes([self._newest])
        nonces = _nonces()

        def seal(plaintext: bytes, context: bytes) -> bytes:
            nonce = next(nonces)
            return version + nonce + encrypt(nonce, plaintext, context)

        return seal

    def open(self, purpose: str, sealed: bytes, context: bytes = b"") -> bytes:
        version, nonce, body = sealed[0], sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if version not in self._masters:
            raise SettingsError(
                f"sealed data of purpose `{purpose}` needs key version {version}, which is not in the key folder.",
                remedy="Restore the key folder from its own backup; it is never part of the database backup.",
                code="KEY_MISSING",
            )
        try:
            return _aead(self._derive(version, f"seal:{purpose}")).decrypt(nonce, body, context)
        except Exception:
            raise SettingsError(
                f"sealed data of purpose `{purpose}` cannot be opened: another key, or the data were altered.",
                remedy="Check that this key folder belongs to this database.",
                code="KEY_WRONG",
            ) from None

    def index(self, purpose: str, text: str) -> bytes:
        return self._index(self._newest, purpose, text)

    def indexes(self, purpose: str, text: str) -> list[bytes]:
        return [self._index(version, purpose, text) for version in sorted(self._masters, reverse=True)]

    def _index(self, version: int, purpose: str, text: str) -> bytes:
        key = self._derive(version, f"index:{purpose}")
        return bytes([version]) + hmac.digest(key, text.encode(), hashlib.sha256)

    def indexer(self, purpose: str) -> Index:
        keyed = [
            (bytes([version]), *_hmac_states(self._derive(version, f"index:{purpose}")))
            for version in sorted(self._masters, reverse=True)
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
        block = _block_cipher(self._derive(1, f"pseudonym:{organisation}")).encryptor()
        return (block.update(person_id.bytes) + block.finalize()).hex()

    def person_of(self, organisation: str, pseudonym: str) -> UUID | None:
        try:
            raw = bytes.fromhex(pseudonym)
        except ValueError:
            return None
        if len(raw) != 16:
            return None
        block = _block_cipher(self._derive(1, f"pseudonym:{organisation}")).decryptor()
        return UUID(bytes=block.update(raw) + block.finalize())

    def signing_key(self, name: str) -> Ed25519PrivateKey:
        path = self._folder / f"{name}.ed25519"
        if not path.exists():
            _write_secret(path, os.urandom(_KEY_BYTES))
        return Ed25519PrivateKey.from_private_bytes(_read_secret(path))


@lru_cache(maxsize=256)
def _aead(key: bytes) -> AESGCM:
    return AESGCM(key)


_NONCES_AT_ONCE = 512


def _nonces() -> Iterator[bytes]:
    """Random nonces without a system call for each."""
    while True:
        drawn = os.urandom(_NONCE_BYTES * _NONCES_AT_ONCE)
        yield from (drawn[start : start + _NONCE_BYTES] for start in range(0, len(drawn), _NONCE_BYTES))


def _hmac_states(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """SHA-256 after the inner and the outer padded key (RFC 2104), to be copied for each text."""
    block = key.ljust(64, b"\0")
    return hashlib.sha256(bytes(b ^ 0x36 for b in block)), hashlib.sha256(bytes(b ^ 0x5C for b in block))


def _block_cipher(key: bytes) -> Cipher[modes.ECB]:
    """A permutation of single 16-byte blocks; each block is one random id, so the mode leaks nothing."""
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - one block, see above


def _write_secret(path: Path, secret: bytes) -> None:
    """Create the file whole or not at all; a process that lost the race keeps the winner's file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, secret)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read_secret(path: Path) -> bytes:
    secret = path.read_bytes()
    if len(secret) != _KEY_BYTES:
        raise SettingsError(
            f"key file `{path.name}` does not hold {_KEY_BYTES} bytes.",
            remedy="Restore it from the backup of the key folder.",
            code="KEY_DAMAGED",
        )
    return secret
