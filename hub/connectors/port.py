"""The one port through which agencies come in.

A connector reads one source and yields :class:`~hub.core.rows.Step` values. It stores nothing and decides nothing that
needs the hub's memory, except through :class:`Memory`, which answers from committed state.
"""

from collections.abc import AsyncGenerator, Set
from typing import Any, Protocol

from hub.core.clock import Clock
from hub.core.rows import Step


class Memory(Protocol):
    """What the hub remembers of this source from committed steps."""

    async def refused_files(self) -> dict[str, str]:
        """Name -> fingerprint of the bytes of every file refused so far."""

    async def read_files(self, names: Set[str]) -> Set[str]:
        """Which of these file names were read in full before."""


class Connector(Protocol):
    """Reads one source.

    ``pull`` MUST yield steps in the order of delivery, MUST be restartable from any watermark it has yielded, MUST
    remove forbidden fields before a row leaves it, and MUST raise :class:`~hub.core.errors.SourceError` when it cannot
    go on (never a library's own exception, never a value of personal data). It MUST NOT yield a file that the agency
    has not marked complete. Whatever was yielded before an error is kept.
    """

    kind: str

    def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        """Everything new since ``watermark`` (``None``: from the beginning)."""

    async def close(self) -> None:
        """Free connections; never raises."""
