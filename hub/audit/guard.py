"""The guard file: the last head that was signed, kept outside the database.

A database can be rolled back, restored or rewritten by who administers it; the guard then says that the log was once
longer or other. Nothing is signed that does not extend it. It is locked by the process that signs.

The file has two slots of 4096 bytes, each a signed head padded with newlines. The older slot is overwritten in place
and flushed; a crash in the middle leaves the other one whole. Replacing the file (write, fsync, rename, fsync of the
folder) is as safe, but took 12 ms where this takes 0.13 ms, and every reply waits for it; only the first file is made
that way.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from hub.audit.note import Checkpoint, NoteError, VerifierKey, open_checkpoint
from hub.core.errors import AuditError

DISK = "AUDIT_DISK"
"""Code of a fault of the disk; it may pass, unlike all other refusals of the guard."""

_SLOTS = 2
_SLOT_BYTES = 4096


class Guard:
    """The guard file of one log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None
        self._file: int | None = None
        self._newest = 0

    def lock(self) -> bool:
        """Take the file for this process; ``False`` if another one has it. Raises :class:`AuditError`."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._failure(error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def unlock(self) -> None:
        """Let the file go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self, key: VerifierKey) -> Checkpoint | None:
        """The newest head it holds, ``None`` without a file. Raises :class:`AuditError` if it cannot be trusted."""
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failure(error) from None
        heads: list[tuple[int, int, Checkpoint]] = []
        for slot in range(_SLOTS):
            text = raw[slot * _SLOT_BYTES : (slot + 1) * _SLOT_BYTES]
            with suppress(NoteError, UnicodeDecodeError):
                head = open_checkpoint(text.rstrip(b"\n").decode() + "\n", key)
                heads.append((head.size, slot, head))
        if not heads:
            raise AuditError(
                f"the audit guard `{self._path.name}` holds no head signed by this log's key.",
                remedy="Restore the file or the key folder; never make the guard anew from the database.",
                code="AUDIT_GUARD",
            )
        _, self._newest, checkpoint = max(heads, key=lambda head: head[:2])
        return checkpoint

    def write(self, note: str) -> None:
        """Replace the older head; returns when the new one is on disk. Raises :class:`AuditError`."""
        slot = note.encode().ljust(_SLOT_BYTES, b"\n")
        try:
            if self._file is None:
                if not self._path.exists():
                    self._create(slot)
                self._file = os.open(self._path, os.O_RDWR)
            elif not os.path.samestat(os.fstat(self._file), self._path.stat()):
                raise OSError(errno.ESTALE, "it was replaced while in use")
            older = (self._newest + 1) % _SLOTS
            if os.pwrite(self._file, slot, older * _SLOT_BYTES) != _SLOT_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(self._file)
            self._newest = older
        except OSError as error:
            raise self._failure(error) from None

    def _create(self, slot: bytes) -> None:
        draft = self._path.with_name(self._path.name + ".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, slot * _SLOTS)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _failure(self, error: OSError) -> AuditError:
        return AuditError(
            f"the audit guard `{self._path.name}` cannot be used ({error.strerror}).",
            remedy="Free disk space or mend the folder; until then nothing is answered.",
            code=DISK,
        )
