"""The jobs of the day. Another one is a line in :data:`JOBS`: it gets what it needs and leaves its own audit entry.

A job runs while no pull stores or settles. It is done once a day, from ``daily_at`` on; if it fails it is tried again
after a while, so many times a day, and the others are done all the same.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from hub.audit.receipts import Receipts
from hub.core.clock import Clock, day_of
from hub.flows.consent.check_consents import check_consents
from hub.flows.consent.declare_basis import watch_bases
from hub.flows.consent.expire_consents import expire_consents
from hub.flows.duties.breaches import watch_breaches
from hub.flows.duties.destroy_kept import destroy_kept
from hub.flows.duties.purge_adverse import purge_adverse
from hub.flows.duties.purge_quarantine import purge_quarantine
from hub.flows.duties.raise_alerts import raise_alerts
from hub.flows.intake.refresh_day import refresh_day
from hub.store.keys import KeyService

TRIES_A_DAY = 5
TRY_AGAIN_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Day:
    """What a job may use. ``connection`` is a connection as hub_ingest, outside any transaction."""

    connection: asyncpg.Connection
    keys: KeyService
    receipts: Receipts
    clock: Clock


@dataclass(frozen=True, slots=True)
class Job:
    """A job and its name, by which the database remembers that it was done."""

    name: str
    work: Callable[[Day], Awaitable[object]]


async def _refresh(day: Day) -> int:
    return await refresh_day(day.connection, day.keys, day.receipts, day.clock)


async def _purge(day: Day) -> object:
    await purge_quarantine(day.connection, day.receipts, day.clock)
    return await purge_adverse(day.connection, day.keys, day.receipts, day.clock)


async def _expire(day: Day) -> int:
    return await expire_consents(day.connection, day.receipts, day.clock)


async def _check_consents(day: Day) -> object:
    return await check_consents(day.connection, day.keys, day.receipts, day.clock)


async def _watch_bases(day: Day) -> int:
    return await watch_bases(day.connection, day.receipts, day.clock)


async def _raise(day: Day) -> object:
    return await raise_alerts(day.connection, day.receipts, day.clock)


async def _destroy_kept(day: Day) -> int:
    return await destroy_kept(day.connection, day.receipts, day.clock)


async def _watch_breaches(day: Day) -> int:
    return await watch_breaches(day.connection, day.receipts, day.clock)


JOBS = (
    Job("refresh-sections", _refresh),
    Job("purge-adverse", _purge),
    Job("expire-consents", _expire),
    Job("check-consents", _check_consents),
    Job("watch-bases", _watch_bases),
    Job("watch-breaches", _watch_breaches),
    Job("raise-alerts", _raise),
    Job("destroy-kept", _destroy_kept),
)
"""In the order in which they are done."""


async def is_due(connection: asyncpg.Connection, job: Job, now: datetime) -> bool:
    """Whether a job is still to be done today and may be tried now."""
    record = await connection.fetchrow(
        "SELECT tries, tried_at, finished_at FROM ingest.daily_job WHERE job = $1 AND day = $2", job.name, day_of(now)
    )
    if record is None:
        return True
    may_try = record["tries"] < TRIES_A_DAY and now >= record["tried_at"] + TRY_AGAIN_AFTER
    return record["finished_at"] is None and may_try


async def note_try(connection: asyncpg.Connection, job: Job, now: datetime) -> None:
    """A job is about to be tried."""
    await connection.execute(
        """INSERT INTO ingest.daily_job (job, day, tries, tried_at) VALUES ($1, $2, 1, $3)
           ON CONFLICT (job, day) DO UPDATE SET tries = daily_job.tries + 1, tried_at = EXCLUDED.tried_at""",
        job.name,
        day_of(now),
        now,
    )


async def note_end(connection: asyncpg.Connection, job: Job, tried: datetime, now: datetime, code: str | None) -> None:
    """The try that began at ``tried`` is over, well if there is no error code."""
    await connection.execute(
        """UPDATE ingest.daily_job SET error_code = $4,
               finished_at = CASE WHEN $4::text IS NULL THEN $3::timestamptz END
           WHERE job = $1 AND day = $2""",
        job.name,
        day_of(tried),
        now,
        code,
    )
