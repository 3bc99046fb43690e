"""Whether the hub can answer: asked by supervisors and proxies, so it must be true and cheap.

A source that is down is no reason: the last good values are served.
"""

import asyncio
import time

import asyncpg

from hub.audit.receipts import Receipts
from hub.core.errors import AuditError
from hub.flows.rules.shadow import Shadow
from hub.store.database import DATABASE_ERRORS
from hub.store.migrate import newest_revision

KEPT_SECONDS = 1.0
"""An answer stands so long: however often it is asked, the database and the log are asked once a second."""

_WAIT_SECONDS = 2.0


class Readiness:
    """Looks at the database, its revision, the rules in force and the audit log. ``pool`` is as hub_app; ``rules`` is
    the digest of the rules that were checked when the hub was opened. ``shadow`` is only warned about.
    """

    def __init__(self, pool: asyncpg.Pool, receipts: Receipts, rules: bytes, shadow: Shadow) -> None:
        self._pool = pool
        self._receipts = receipts
        self._rules = rules
        self._shadow = shadow
        self._revision = newest_revision()
        self._one = asyncio.Lock()
        self._until = 0.0
        self._problems: tuple[str, ...] = ()
        self._warnings: tuple[str, ...] = ()

    def follow(self, rules: bytes) -> None:
        """Other rules came into force, and were checked."""
        self._rules = rules
        self._until = 0.0

    @property
    def warnings(self) -> tuple[str, ...]:
        """Stable codes of what somebody must look into while the hub answers; as of the last :meth:`problems`."""
        return self._warnings

    async def problems(self) -> tuple[str, ...]:
        """Stable codes of what keeps the hub from answering; empty when it can."""
        async with self._one:
            if time.monotonic() >= self._until:
                self._problems = await self._look()
                self._until = time.monotonic() + KEPT_SECONDS
            return self._problems

    async def _look(self) -> tuple[str, ...]:
        try:
            found = await self._pool.fetchrow(
                "SELECT f.*, access.shadow_differences() AS differences FROM access.fitness() f", timeout=_WAIT_SECONDS
            )
        except DATABASE_ERRORS:
            return ("STORE",)
        warnings = {"DECISIONS_DIFFER": bool(found["differences"]), "SHADOW_STALLED": self._shadow.is_stalled}
        self._warnings = tuple(code for code, is_so in warnings.items() if is_so)
        problems = []
        if found["revision"] is None or found["revision"] < self._revision:
            problems.append("SCHEMA")
        if found["rules"] != self._rules:
            problems.append("RULES_DIFFER")
        try:
            await self._receipts.ready(_WAIT_SECONDS)
        except AuditError as error:
            problems.append(error.code)
        return tuple(problems)
