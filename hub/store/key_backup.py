"""A backup of the key folder that any two of three people can open together, and none of them alone.

The folder's files are sealed under a random key; that key is sealed three times, once for each pair of passphrases:

    passphrase i ─ scrypt (RFC 7914) ─> k_i        pair (i, j): HKDF-SHA-256 (RFC 5869) over k_i ‖ k_j
    pair key ─ AES-256-GCM ─> backup key           backup key ─ AES-256-GCM ─> all files of the folder

Each person thinks of a passphrase of his own and tells it nobody. Losing one is no loss; one that leaks opens nothing.
"""

import base64
import itertools
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hub.core.errors import InputError

FORMAT = "credit-hub-keys/1"
HOLDERS = 3
NEEDED = 2
PASSPHRASE_LENGTH = 12
"""Characters of a passphrase at least."""

_COST = {"n": 2**15, "r": 8, "p": 1}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class KeyBackup:
    """What a backup held: every file of the folder by its name."""

    made_at: datetime
    files: dict[str, bytes]


def folder_files(folder: Path) -> dict[str, bytes]:
    """Name -> content of every file of a key folder, without drafts."""
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file() and _NAME.fullmatch(path.name)
    }


def seal_folder(folder: Path, passphrases: Sequence[str], made_at: datetime) -> bytes:
    """The backup of a key folder, a JSON text. Raises :class:`InputError` for passphrases that will not do."""
    if len(passphrases) != HOLDERS or len(set(passphrases)) != HOLDERS:
        raise _refused(f"it takes {HOLDERS} different passphrases, each of one person alone")
    if min(len(each) for each in passphrases) < PASSPHRASE_LENGTH:
        raise _refused(f"a passphrase has at least {PASSPHRASE_LENGTH} characters")
    files = {name: base64.b64encode(content).decode() for name, content in folder_files(folder).items()}
    salts = [os.urandom(16) for _ in passphrases]
    stretched = [_stretch(text, salt, _COST) for text, salt in zip(passphrases, salts, strict=True)]
    key = AESGCM.generate_key(256)
    head: dict[str, object] = {
        "format": FORMAT,
        "made_at": made_at.isoformat(),
        "scrypt": _COST,
        "salts": [base64.b64encode(salt).decode() for salt in salts],
    }
    bound = _bound(head)
    pairs = [
        {"holders": [i + 1, j + 1], "sealed": _seal(_pair_key(stretched[i], stretched[j]), key, bound)}
        for i, j in itertools.combinations(range(HOLDERS), NEEDED)
    ]
    sealed = _seal(key, json.dumps(files).encode(), bound)
    return json.dumps(head | {"pairs": pairs, "sealed": sealed}, indent=1).encode()


def open_backup(text: bytes, passphrases: Sequence[str]) -> KeyBackup:
    """Open a backup with the passphrases of two holders, in any order.

    Raises :class:`InputError`: BACKUP_MALFORMED for what is no backup, BACKUP_CLOSED where the two do not open it.
    """
    if len(passphrases) != NEEDED:
        raise _refused(f"it takes the passphrases of {NEEDED} of the {HOLDERS} holders")
    try:
        given = json.loads(text)
        head = {name: given[name] for name in ("format", "made_at", "scrypt", "salts")}
        if given["format"] != FORMAT or head["scrypt"] != _COST:
            raise ValueError
        made_at = datetime.fromisoformat(head["made_at"])
        salts = [base64.b64decode(salt, validate=True) for salt in head["salts"]]
        pairs = [(tuple(pair["holders"]), str(pair["sealed"])) for pair in given["pairs"]]
        sealed = str(given["sealed"])
    except (ValueError, KeyError, TypeError):
        raise InputError("this is no backup of a key folder.", code="BACKUP_MALFORMED") from None
    bound = _bound(head)
    tried = {
        (text, place): _stretch(text, salt, _COST) for text in passphrases for place, salt in enumerate(salts, start=1)
    }
    for (i, j), wrapped in pairs:
        for first, second in itertools.permutations(passphrases):
            key = _open(_pair_key(tried[first, i], tried[second, j]), wrapped, bound)
            files = None if key is None else _open(key, sealed, bound)
            if files is not None:
                return KeyBackup(made_at, {n: base64.b64decode(f) for n, f in json.loads(files).items()})
    raise InputError(
        "these two passphrases do not open the backup, or it was altered.",
        remedy="Ask the third holder, or take another copy of the backup.",
        code="BACKUP_CLOSED",
    )


def restore_folder(backup: KeyBackup, folder: Path) -> None:
    """Write the files of a backup into an empty or missing folder. Raises :class:`InputError` for any other."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    if any(folder.iterdir()):
        raise InputError(
            f"the folder {folder} is not empty; keys are never written over others.",
            remedy="Name an empty folder.",
            code="BACKUP_FOLDER",
        )
    for name, content in backup.files.items():
        if not _NAME.fullmatch(name):
            raise InputError("this is no backup of a key folder.", code="BACKUP_MALFORMED")
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _stretch(passphrase: str, salt: bytes, cost: dict[str, int]) -> bytes:
    return Scrypt(salt=salt, length=32, **cost).derive(passphrase.encode())


def _pair_key(first: bytes, second: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"credit-hub key backup").derive(first + second)


def _bound(head: dict[str, object]) -> bytes:
    return json.dumps(head, sort_keys=True).encode()


def _seal(key: bytes, text: bytes, bound: bytes) -> str:
    nonce = os.urandom(12)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, text, bound)).decode()


def _open(key: bytes, sealed: str, bound: bytes) -> bytes | None:
    try:
        raw = base64.b64decode(sealed, validate=True)
        return AESGCM(key).decrypt(raw[:12], raw[12:], bound)
    except (InvalidTag, ValueError):
        return None


def _refused(what: str) -> InputError:
    return InputError(f"the passphrases cannot be used: {what}.", code="BACKUP_PASSPHRASES")
