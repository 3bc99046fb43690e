"""Stands in for a connector that cannot be made: a key file has gone since the worker began."""

from collections.abc import AsyncGenerator
from typing import Any

from hub.connectors.port import Memory
from hub.core.clock import Clock
from hub.core.errors import SettingsError, SourceError
from hub.core.rows import Step


class UnusableConnector:
    """Fails as a source does, so that report, audit entry and circuit tell it."""

    def __init__(self, kind: str, error: SettingsError) -> None:
        self.kind = kind
        self._error = error

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        raise SourceError(self._error.message, remedy=self._error.remedy, code=self._error.code)
        yield Step()  # makes this a generator, which it must be

    async def close(self) -> None:
        """There is nothing to close."""
