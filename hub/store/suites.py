"""Cipher suites: an authenticated cipher and a keyed hash under one name, chosen for each key version.

``AES-256-GCM`` goes with HMAC-SHA-256 (NIST SP 800-38D, FIPS 198-1); ``SM4-GCM`` with HMAC-SM3 (GB/T 32907, 32905), for
hubs whose assessment asks for commercial cryptography (密码法 art. 27). Both seal with a nonce of 12 bytes and a tag of
16, both hashes have 32 bytes, so that nothing in the database tells them apart but the version byte.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SM3, HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12
_TAG_BYTES = 16
_SM4_KEY_BYTES = 16
_BLOCK_BYTES = 64
"""Both hashes take in 64 bytes at a time."""


class Algorithm(StrEnum):
    """The name of a suite, as settings and the key folder write it."""

    AES = "AES-256-GCM"
    SM4 = "SM4-GCM"


class Aead(Protocol):
    """An authenticated cipher under one key. ``decrypt`` raises :class:`InvalidTag`."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """The text with its tag at the end."""

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """The text, if nothing of it was altered."""


class Sm4Gcm:
    """SM4 in Galois/counter mode; of the derived key the first 16 bytes count."""

    def __init__(self, key: bytes) -> None:
        self._cipher = algorithms.SM4(key[:_SM4_KEY_BYTES])

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """The text with its tag at the end."""
        encryptor = Cipher(self._cipher, modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated_data or b"")
        return encryptor.update(data) + encryptor.finalize() + encryptor.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """The text, if nothing of it was altered."""
        if len(data) < _TAG_BYTES:
            raise InvalidTag
        decryptor = Cipher(self._cipher, modes.GCM(nonce, data[-_TAG_BYTES:])).decryptor()
        decryptor.authenticate_additional_data(associated_data or b"")
        return decryptor.update(data[:-_TAG_BYTES]) + decryptor.finalize()


@dataclass(frozen=True, slots=True)
class Suite:
    """What one algorithm name stands for."""

    cipher: Callable[[bytes], Aead]
    hash: HashAlgorithm
    hash_name: str

    def derive(self, master: bytes, use: str) -> bytes:
        """The key of one use (RFC 5869); other uses tell nothing about it."""
        return HKDF(algorithm=self.hash, length=KEY_BYTES, salt=b"credit-hub", info=use.encode()).derive(master)

    def keyed_hash(self, key: bytes, text: bytes) -> bytes:
        """HMAC (RFC 2104) of one text."""
        return hmac.digest(key, text, self.hash_name)

    def hmac_states(self, key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
        """The hash after the inner and the outer padded key (RFC 2104), to be copied for each of many texts."""
        block = key.ljust(_BLOCK_BYTES, b"\0")
        inside, outside = hashlib.new(self.hash_name), hashlib.new(self.hash_name)
        inside.update(bytes(b ^ 0x36 for b in block))
        outside.update(bytes(b ^ 0x5C for b in block))
        return inside, outside


SUITES = {Algorithm.AES: Suite(AESGCM, SHA256(), "sha256"), Algorithm.SM4: Suite(Sm4Gcm, SM3(), "sm3")}


@lru_cache(maxsize=256)
def aead(algorithm: Algorithm, key: bytes) -> Aead:
    """The cipher of a derived key, remembered: making one costs more than a short text."""
    return SUITES[algorithm].cipher(key)
