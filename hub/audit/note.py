"""Signed notes and checkpoints (C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0) with Ed25519.

A note is text, a blank line, and signature lines. A checkpoint is a note whose text names the log, its size and its
root. Reading is strict: a bad signature of a known key, or anything that could be read in two ways, refuses the note.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_MAX_BYTES = 1_000_000
_MAX_SIGNATURES = 100


class NoteError(ValueError):
    """A note cannot be read, or is not signed by a known key."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed head: which log, how many entries, which root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name it signs under."""

    name: str
    key_id: bytes
    public: bytes

    @classmethod
    def of(cls, name: str, public: bytes) -> "VerifierKey":
        """The key of an Ed25519 public key (32 bytes)."""
        _check_name(name)
        key_id = hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]
        return cls(name, key_id, public)

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read ``name+hex id+base64(type, key)``. Raises :class:`NoteError`."""
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise NoteError("a verifier key has three parts")
        raw = decode_base64(parts[2])
        if raw[:1] != _ED25519 or len(raw) != 33:
            raise NoteError("only Ed25519 keys of type 1 sign logs here")
        key = cls.of(parts[0], raw[1:])
        if key.key_id.hex() != parts[1]:
            raise NoteError("the id of the verifier key is not that of its key")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"


def _check_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() for character in name):
        raise NoteError("the name of a key is not empty and has neither spaces nor a plus sign")


def decode_base64(text: str) -> bytes:
    """Standard base 64 in its only canonical spelling. Raises :class:`NoteError`."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise NoteError("not base 64") from None
    if base64.b64encode(raw).decode() != text:
        raise NoteError("base 64 that is not canonical")
    return raw


class Signer:
    """Signs checkpoints of one log. Ed25519 is deterministic: the same head always gives the same bytes."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier = VerifierKey.of(name, key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The signed note of ``text``, which must end with a newline."""
        _check_text(text)
        signature = self.verifier.key_id + self._key.sign(text.encode())
        return f"{text}\n— {self.verifier.name} {base64.b64encode(signature).decode()}\n"


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise NoteError("the text of a note ends with a newline")
    if any(character < " " and character != "\n" for character in text):
        raise NoteError("a note has a control character")


def open_note(note: str, keys: Iterable[VerifierKey]) -> str:
    """The text of a note signed by at least one of ``keys``, all of whose signatures by ``keys`` are good.

    Raises :class:`NoteError`.
    """
    if len(note) > _MAX_BYTES:
        raise NoteError("the note is too long")
    _check_text(note)
    cut = note.rfind("\n\n")
    if cut < 1:
        raise NoteError("the note has no signature")
    text, lines = note[: cut + 1], note[cut + 2 :].split("\n")[:-1]
    if not 1 <= len(lines) <= _MAX_SIGNATURES:
        raise NoteError("the note has no signature, or far too many")
    known = {(key.name, key.key_id): key for key in keys}
    signed = set()
    for line in lines:
        name, raw = _signature_line(line)
        key = known.get((name, raw[:4]))
        if key is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], text.encode())
        except (InvalidSignature, ValueError):
            raise NoteError("the note has a bad signature of a known key") from None
        signed.add((name, raw[:4]))
    if not signed:
        raise NoteError("the note is not signed by a known key")
    return text


def _signature_line(line: str) -> tuple[str, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise NoteError("a signature line cannot be read")
    _check_name(parts[1])
    raw = decode_base64(parts[2])
    if len(raw) < 5:
        raise NoteError("a signature is too short")
    return parts[1], raw


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text. Extension lines are refused: this log writes none. Raises :class:`NoteError`."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise NoteError("a checkpoint has three lines")
    size, root = lines[1], decode_base64(lines[2])
    if not (size.isascii() and size.isdigit()) or (size != "0" and size[0] == "0") or len(size) > 19:
        raise NoteError("the size of a checkpoint is not a plain number")
    if len(root) != 32:
        raise NoteError("the root of a checkpoint does not have 32 bytes")
    return Checkpoint(lines[0], int(size), root)


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint of a note signed by the log's key. Raises :class:`NoteError`."""
    checkpoint = parse_checkpoint(open_note(note, [key]))
    if checkpoint.origin != key.name:
        raise NoteError("the checkpoint is of another log")
    return checkpoint
