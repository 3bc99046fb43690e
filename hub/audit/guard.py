"""The guard file: the last head that was signed, kept outside the database.

A database can be rolled back, restored or rewritten by who administers it; the guard then says that the log was once
longer or other. Nothing is signed that does not extend it. It is replaced whole (write, fsync, rename, fsync of the
folder), and locked by the process that signs.
"""

import fcntl
import os
from pathlib import Path

from hub.audit.note import Checkpoint, NoteError, VerifierKey, open_checkpoint
from hub.core.errors import AuditError

DISK = "AUDIT_DISK"
"""Code of a fault of the disk; it may pass, unlike all other refusals of the guard."""


class Guard:
    """The guard file of one log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None

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
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self, key: VerifierKey) -> Checkpoint | None:
        """The head it holds, ``None`` if there is no file. Raises :class:`AuditError` if it cannot be trusted."""
        try:
            return open_checkpoint(self._path.read_text(), key)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failure(error) from None
        except (NoteError, UnicodeDecodeError) as error:
            raise AuditError(
                f"the audit guard `{self._path.name}` is not a head signed by this log's key: {error}.",
                remedy="Restore the file or the key folder; never make the guard anew from the database.",
                code="AUDIT_GUARD",
            ) from None

    def write(self, note: str) -> None:
        """Replace the head; returns when it is on disk. Raises :class:`AuditError`."""
        draft = self._path.with_name(self._path.name + ".new")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(descriptor, note.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            draft.rename(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> AuditError:
        return AuditError(
            f"the audit guard `{self._path.name}` cannot be used ({error.strerror}).",
            remedy="Free disk space or mend the folder; until then nothing is answered.",
            code=DISK,
        )
