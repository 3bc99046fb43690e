"""Social insurance over a database view on the bureau's front-end machine (docs/contracts/social_security.md).

The view has no cursor: a pull pages by the tuple (``aae036``, ``aac001``, ``aae140``), from 15 minutes before the
greatest ``aae036`` seen so far, up to the greatest one that was visible when the pull began.

Why the watermark may move with every page: a row becomes visible at most 15 minutes after its ``aae036``. A row that
comes late, behind the place the pull has passed, became visible after the pull began, so its ``aae036`` is at most 15
minutes before that beginning. The watermark never goes beyond what was visible at the beginning, so the next pull,
starting 15 minutes before the watermark, reads that row. (Without the upper bound a long pull could outrun late rows.)
A row with a time of change in the future must not carry the watermark with it; it is capped by the server's clock.
"""

import ssl
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from hub.connectors.formats.social_rows import COLUMNS, SocialRows
from hub.connectors.port import Memory
from hub.connectors.sources import SocialSource, read_secret
from hub.connectors.transport.backoff import with_retries
from hub.connectors.transport.tls import certificate_failure, trust_only
from hub.core.clock import Clock, day_of
from hub.core.errors import RetryableError, SourceError
from hub.core.phases import Phase, passing
from hub.core.rows import Step

PAGE_ROWS = 1000
"""Most rows the bureau allows per statement."""

VISIBLE_AFTER = timedelta(minutes=15)
"""A row may become visible this long after its time of change (interface section 2)."""

_VIEW = "share.v_ac_insured"
_ORDER = "aae036, aac001, aae140"
_HORIZON = f"SELECT max(aae036), (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::timestamp(0) FROM {_VIEW}"
_FIRST_PAGE = (
    f"SELECT {', '.join(COLUMNS)} FROM {_VIEW} WHERE aae036 >= $1 AND aae036 <= $2 ORDER BY {_ORDER} LIMIT {PAGE_ROWS}"
)
_NEXT_PAGE = (
    f"SELECT {', '.join(COLUMNS)} FROM {_VIEW} "
    f"WHERE ({_ORDER}) > ($1, $3, $4) AND aae036 <= $2 ORDER BY {_ORDER} LIMIT {PAGE_ROWS}"
)
_BEGINNING = datetime(1900, 1, 1)  # noqa: DTZ001  the view's times have no zone

_PERMANENT = (
    asyncpg.InvalidAuthorizationSpecificationError,  # wrong password, unknown user, no entry for this host
    asyncpg.InvalidCatalogNameError,
    asyncpg.SyntaxOrAccessError,  # no such view or column, permission denied
    asyncpg.DataError,
)


_LIBRARY_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # time-outs and broken TLS included
    ValueError,  # a server that does not speak PostgreSQL
)


class SocialConnector:
    """Reads the social-insurance view over one connection."""

    kind = "social-view"

    def __init__(self, source: SocialSource) -> None:
        self._source = source
        self._place = f"database `{source.database}` at {source.host}:{source.port}"
        self._password = read_secret(source.password_file, source, "password_file")
        self._tls = None if source.ca_file is None else trust_only(source.ca_file, source=source.name)
        self._connection: asyncpg.Connection | None = None

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        rows = SocialRows(day_of(clock()))
        (horizon, server_time), *_ = await self._fetch(_HORIZON)
        if horizon is None:
            return
        if not isinstance(horizon, datetime) or horizon.tzinfo is not None:
            raise SourceError(
                f"The view of source `{self._source.name}` has another form: `aae036` is no timestamp without zone.",
                remedy="Ask the bureau whether its interface has changed.",
            )
        seen = None if watermark is None else datetime.fromisoformat(watermark["aae036"])
        query, place = _FIRST_PAGE, [_BEGINNING if seen is None else seen - VISIBLE_AFTER, horizon]
        while True:
            records = await self._fetch(query, *place)
            if not records:
                return
            last = records[-1]
            origin = f"rows up to {last['aae036'].isoformat(sep=' ')}"
            reached = min(last["aae036"], server_time)
            seen = reached if seen is None else max(seen, reached)
            with passing(Phase.CHECK):
                checked = tuple(rows.check(record, origin) for record in records)
            yield Step(rows=checked, watermark={"aae036": seen.isoformat()})
            if len(records) < PAGE_ROWS:
                return
            query, place = _NEXT_PAGE, [last["aae036"], horizon, last["aac001"], last["aae140"]]

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of one statement; a cut connection is opened again, a busy server asked again."""

        async def attempt() -> list[asyncpg.Record]:
            try:
                with passing(Phase.SOCIAL_QUERY):
                    connection = await self._connected()
                    return list(await connection.fetch(query, *arguments))
            except _LIBRARY_ERRORS as error:
                await self.close()
                raise self._failure(error) from None

        return await with_retries(attempt, max_retries=self._source.max_retries)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> asyncpg.Connection:
        if self._tls is not None:
            try:
                return await self._open(self._tls)
            except ConnectionError as error:
                # Plain is allowed on loopback only, if the settings say so.
                if not _has_no_tls(error) or not self._source.plain_allowed(self._source.host):
                    raise
        return await self._open(False)

    async def _open(self, tls: ssl.SSLContext | bool) -> asyncpg.Connection:
        connection: asyncpg.Connection = await asyncpg.connect(
            host=self._source.host,
            port=self._source.port,
            database=self._source.database,
            user=self._source.user,
            password=self._password,
            ssl=tls,
            timeout=self._source.timeout_seconds,
            command_timeout=self._source.timeout_seconds,
            statement_cache_size=0,  # the bureau may have a connection pooler in front
        )
        return connection

    def _failure(self, error: BaseException) -> SourceError:
        name = self._source.name
        failure = certificate_failure(error, source=name, host=f"{self._source.host}:{self._source.port}")
        if failure is not None:
            return failure
        if _has_no_tls(error):
            return SourceError(
                f"The {self._place} does not offer TLS for source `{name}`.",
                remedy="Ask the bureau to switch TLS on; a plain connection is never used.",
            )
        if isinstance(error, _PERMANENT):
            state = getattr(error, "sqlstate", "") or type(error).__name__
            return SourceError(
                f"The {self._place} refuses source `{name}` (SQLSTATE {state}).",
                remedy="Check user, password and database name, and whether the bureau changed the view or its grants.",
            )
        slow = isinstance(error, TimeoutError | asyncpg.QueryCanceledError)
        what = "did not answer in time" if slow else "could not be reached or broke the connection"
        return RetryableError(
            f"The {self._place} {what} for source `{name}`.",
            remedy="Check that the front-end machine is up; run the pull again.",
        )


def _has_no_tls(error: BaseException) -> bool:
    """Whether the server answered that it speaks no TLS (asyncpg has no class of its own for that)."""
    return type(error) is ConnectionError and "rejected SSL upgrade" in str(error)
