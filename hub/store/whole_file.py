"""Secret files that are there whole or not at all, readable by their owner only."""

import os
import secrets
from pathlib import Path


def create_whole(path: Path, content: bytes) -> None:
    """Create the file with its content on disk; a process that lost the race to make it keeps the winner's file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
