"""Rules that were approved for a later instant come into force at that instant, while the hub serves.

Every serving process waits for it by itself: the first one puts them in force, the others find them so. A process that
was down meanwhile does it when it starts (hub/flows/rules/load_rules.py).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from hub.access.approvals import proposal_of
from hub.access.publish import check_published
from hub.access.rules import RuleSet
from hub.core.clock import Clock, system_clock
from hub.core.errors import HubError
from hub.flows.rules.load_rules import RuleTerms, load_rules
from hub.store.database import DATABASE_ERRORS, Database, DbRole
from hub.store.keys import KeyService

LOOK_AGAIN_SECONDS = 60.0
"""The longest time without a look: clocks are set, machines sleep, and what failed is tried again."""

_LEAST_SECONDS = 0.1
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RulesInTime:
    """Waits for the instant of this program's rules. ``follow`` is told the digest once they are in force."""

    database: Database
    keys: KeyService
    home: Path
    terms: RuleTerms
    follow: Callable[[bytes], None]
    clock: Clock = system_clock

    @asynccontextmanager
    async def running(self, in_force: bytes) -> AsyncIterator[None]:
        """Wait for the length of a block, if the rules ``in_force`` are not this program's."""
        wanted = RuleSet.load(mode=self.terms.mode).digest
        if in_force == wanted:
            yield
            return
        waiting = asyncio.create_task(self._wait(wanted))
        try:
            yield
        finally:
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting

    async def _wait(self, wanted: bytes) -> None:
        while True:
            try:
                await asyncio.sleep(await self._seconds(wanted))
                if await self._are_in_force(wanted):
                    self.follow(wanted)
                    _log.info("rules.in_force", digest=wanted.hex())
                    return
            except (HubError, *DATABASE_ERRORS) as error:
                _log.error("rules.not_in_force", code=getattr(error, "code", type(error).__name__))
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _seconds(self, wanted: bytes) -> float:
        """How long to wait for the next look."""
        connection = await self.database.connect(DbRole.OWNER)
        try:
            proposal = await proposal_of(connection, wanted)
        finally:
            await connection.close()
        if proposal is None:
            return LOOK_AGAIN_SECONDS
        left = (proposal.effective_from - self.clock()).total_seconds()
        return min(max(left, _LEAST_SECONDS), LOOK_AGAIN_SECONDS)

    async def _are_in_force(self, wanted: bytes) -> bool:
        await load_rules(self.database, self.keys, self.home, self.terms, self.clock)
        connection = await self.database.connect(DbRole.OWNER)
        try:
            return await check_published(connection, self.keys, self.terms.mode) == wanted
        finally:
            await connection.close()
