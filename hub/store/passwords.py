"""Generated passwords of the database roles, one file each in the key folder, readable by the hub's user only."""

import secrets
from pathlib import Path

from hub.core.errors import SettingsError
from hub.store.whole_file import create_whole

_MIN_CHARACTERS = 20


def password_of(folder: Path, name: str) -> str:
    """The password of the role ``name``: 256 random bits, made on first use.

    Raises :class:`SettingsError` if the file cannot be read or is too short to be one of ours.
    """
    path = folder / f"database-{name}.password"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            create_whole(path, secrets.token_urlsafe(32).encode())
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
