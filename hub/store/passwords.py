"""Generated passwords of the database roles, one file each in the key folder, readable by the hub's user only."""

import os
import secrets
from pathlib import Path

from hub.core.errors import SettingsError

_MIN_CHARACTERS = 20


def password_of(folder: Path, name: str) -> str:
    """The password of the role ``name``: 256 random bits, made on first use.

    Raises :class:`SettingsError` if the file cannot be read or is too short to be one of ours.
    """
    path = folder / f"database-{name}.password"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _create(path, secrets.token_urlsafe(32))
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"password file `{path.name}` cannot be read or made in {folder} ({type(error).__name__}).",
            remedy="Let the hub's user own that folder with mode 0700, or restore it from its backup.",
            code="KEY_DAMAGED",
        ) from None
    if len(text) < _MIN_CHARACTERS:
        raise SettingsError(
            f"password file `{path.name}` in {folder} holds fewer than {_MIN_CHARACTERS} characters.",
            remedy="Restore it from the backup of the key folder.",
            code="KEY_DAMAGED",
        )
    return text


def _create(path: Path, text: str) -> None:
    """Write the file whole or not at all; a process that lost the race keeps the winner's file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
