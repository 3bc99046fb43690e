"""What the acts of data stewards share: who acts for which reason, and one transaction with its audit entry."""

import asyncio
import time
import unicodedata
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.core.areas import COUNTIES
from hub.core.clock import Clock, system_clock
from hub.core.disclosure import Asker
from hub.core.errors import InputError, RefusedError, StoreError
from hub.core.names import Role
from hub.core.text import is_plain_text
from hub.flows.intake.pull import PULL_LOCK, RUN_LOCK, PullRunningError
from hub.records.folding.sections import is_settled
from hub.store.database import Database, DbRole
from hub.store.keyring import refuse_amid_rotation
from hub.store.keys import KeyService

REASON_MAX = 500
"""Characters of a reason."""

RECEIPT_SECONDS = 30.0
"""How long an act waits until the audit log has signed for it."""

_LOCK_SECONDS = 3.0
"""How long an act waits for the one before it, or for the moment between two pulls."""


_IS_READ = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = $1 AND objsubid = 1
    AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


@dataclass(frozen=True, slots=True)
class StewardAct:
    """A steward, and the case he acts in. ``client`` and ``token`` are set where he acts through the API.

    ``counties``: whose people and rows he may be shown; ``None`` for the whole prefecture (commands on the server
    itself, and accounts to which all five counties are assigned). ``reason`` is kept in normal form (NFC).
    """

    steward: str
    reason: str
    document: str
    variables: dict[str, object]
    client: str | None = None
    token: str | None = None
    counties: frozenset[str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", unicodedata.normalize("NFC", self.reason))

    def may_see(self, county: str) -> bool:
        """Whether people of this county are his to see."""
        return self.counties is None or county in self.counties

    def may_judge(self, counties: Set[str]) -> bool:
        """Whether a row that concerns these counties is his; one that concerns none is the whole prefecture's."""
        return self.counties is None or not self.counties.isdisjoint(counties)

    def check(self) -> None:
        """Raise :class:`InputError` unless a reason is given, in plain text."""
        if not self.reason.strip() or len(self.reason) > REASON_MAX:
            raise InputError(
                f"a reason of 1 to {REASON_MAX} characters is needed.",
                remedy="Say which case this is for.",
                code="REASON_MISSING",
            )
        if not is_plain_text(self.reason):
            raise InputError(
                "a reason is plain text of one line.", remedy="Leave control characters out.", code="TEXT_MALFORMED"
            )

    @property
    def facts(self) -> dict[str, str]:
        """The act as the audit log writes it."""
        known = {"client": self.client, "token": self.token, "reason": self.reason, "role": Role.STEWARD.value}
        return {name: value for name, value in known.items() if value}


@dataclass(frozen=True, slots=True)
class StewardDesk:
    """Everything that a steward's act needs. Acts are rare, so each has a connection of its own."""

    database: Database
    keys: KeyService
    receipts: Receipts
    clock: Clock = system_clock

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[asyncpg.Connection]:
        """One transaction over one state of the record; what is read in it is shown after the entry is signed."""
        async with self._connection() as connection, connection.transaction(isolation="repeatable_read"):
            yield connection

    @asynccontextmanager
    async def deciding(self) -> AsyncIterator[asyncpg.Connection]:
        """One transaction for a decision, while no pull and no other decision is under way.

        Raises :class:`PullRunningError` if that moment does not come, :class:`AuditError` if the log cannot record;
        then nothing was changed.
        """
        async with self._connection() as connection:
            await self.receipts.ready()
            async with connection.transaction():
                await _take_turn(connection)
                await refuse_amid_rotation(connection, self.keys)
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[asyncpg.Connection]:
        """One transaction for what need not wait for a pull. Raises :class:`AuditError` if the log cannot record."""
        async with self._connection() as connection:
            await self.receipts.ready()
            async with connection.transaction():
                yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await self.database.connect(DbRole.INGEST)
        try:
            yield connection
        except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError) as error:
            raise StoreError(
                f"The database did not take the act or its record ({type(error).__name__}).",
                remedy="Nothing was changed or shown; try again in a moment.",
            ) from error
        finally:
            await connection.close()

    async def bearer_state(self, asker: Asker) -> asyncpg.Record | None:
        """``found_role`` and ``person_id`` of the bearer at this moment; ``None`` if he may not act any more."""
        connection = await self.database.connect(DbRole.APP)
        try:
            return await connection.fetchrow(
                "SELECT found_role, person_id FROM auth.bearer_state($1, $2)", asker.token_id, asker.client_id
            )
        finally:
            await connection.close()

    async def check_role(self, asker: Asker) -> None:
        """Raise :class:`RefusedError` unless the bearer is an active data steward at this moment."""
        state = await self.bearer_state(asker)
        if state is None or state["found_role"] != Role.STEWARD:
            raise RefusedError("Only data stewards do this.", code="NOT_ALLOWED")

    async def counties_of(self, asker: Asker) -> frozenset[str] | None:
        """The counties assigned to a steward's account; ``None`` (the whole prefecture) where all of them are.

        To an account without counties nothing is shown, and nothing may be done with it.
        """
        connection = await self.database.connect(DbRole.INGEST)
        try:
            codes = await connection.fetchval(
                "SELECT county_codes FROM auth.account WHERE account_id = $1", asker.client_id
            )
        finally:
            await connection.close()
        assigned = frozenset(codes or ())
        return None if assigned >= COUNTIES.keys() else assigned

    async def signed(self, event: object) -> Receipt:
        """The receipt of an act; nothing is shown before."""
        return await self.receipts.wait(event, RECEIPT_SECONDS)  # type: ignore[arg-type]


async def require_settled(connection: asyncpg.Connection) -> None:
    """Whether a decision can be made over what is held now.

    Raises :class:`PullRunningError` while a worker is reading and what it read is not settled, :class:`RefusedError`
    (PULL_UNSETTLED) where nobody reads any more: the last pull was broken off, and the next one settles its rows.
    """
    if await is_settled(connection):
        return
    is_read: bool = await connection.fetchval(_IS_READ, RUN_LOCK)
    if is_read:
        raise PullRunningError(
            "sources are being read, and their rows are not settled yet; nothing was changed.",
            remedy="Try again in a moment.",
        )
    raise RefusedError(
        "the last pull was broken off and its rows are not settled; nothing was changed.",
        remedy="Run the pull again first.",
        code="PULL_UNSETTLED",
    )


async def _take_turn(connection: asyncpg.Connection) -> None:
    limit = time.monotonic() + _LOCK_SECONDS
    while not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", PULL_LOCK):
        if time.monotonic() > limit:
            raise PullRunningError(
                "a pull is under way, and its rows are not settled yet; nothing was changed.",
                remedy="Decide again when it has ended.",
            )
        await asyncio.sleep(0.05)
