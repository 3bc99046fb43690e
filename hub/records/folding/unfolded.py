"""Households that could not be folded: put aside without sections, so that the others go on.

What such a household had before may be out of date for a reason of law: a consent withdrawn, an item that ended or was
repaired. So its sections go, and answers call every granted part ``UNAVAILABLE``; nobody can take that for "none".
"""

import traceback
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import structlog

from hub.core.errors import HubError
from hub.store.keys import DamagedSealError

TRIED_AGAIN_AT_ONCE = 500
"""So many households that were put aside are tried again in one run, those tried longest ago first."""

_HUB = str(Path(__file__).parents[1])
_log = structlog.get_logger(__name__)


def is_of_a_household(error: Exception) -> bool:
    """Whether an error may lie in what one household holds, so that the others can be folded without it.

    What the hub itself says (keys, audit log), what the database lacks, and what the machine lacks concern all of them;
    one sealed text that was damaged does not.
    """
    if isinstance(error, DamagedSealError):
        return True
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        return isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError | ValueError)
    return not isinstance(error, HubError | OSError | MemoryError)


async def put_aside(connection: asyncpg.Connection, household_id: UUID, error: Exception, now: datetime) -> None:
    """Note that a household cannot be folded and take its sections away, in the caller's transaction.

    Only the kind of the error and its place in the program are told: its text may quote what the household holds.
    """
    kind = f"{type(error).__name__} at {_place(error)}"
    _log.error("household cannot be folded", code="FOLD_FAILED", error=kind)
    await connection.execute("DELETE FROM record.section WHERE household_id = $1", household_id)
    await connection.execute("DELETE FROM record.household_fold WHERE household_id = $1", household_id)
    await connection.execute(
        """INSERT INTO record.unfolded_household AS u (county, household_id, error, since, tried_at)
           SELECT county, household_id, $2, $3, $3 FROM record.household WHERE household_id = $1
           ON CONFLICT (county, household_id) DO UPDATE SET error = EXCLUDED.error, tried_at = EXCLUDED.tried_at""",
        household_id,
        kind,
        now,
    )


def _place(error: Exception) -> str:
    """File and line of the hub in which it happened, or that called what it happened in."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(_HUB)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"


async def take_up(connection: asyncpg.Connection, household_ids: Collection[UUID]) -> None:
    """These households are folded again, in the caller's transaction."""
    await connection.execute("DELETE FROM record.unfolded_household WHERE household_id = ANY($1)", list(household_ids))


async def to_try_again(connection: asyncpg.Connection, now: datetime) -> list[UUID]:
    """Households put aside before ``now`` that nobody else is trying, locked for the caller's transaction."""
    records = await connection.fetch(
        """SELECT household_id FROM record.unfolded_household WHERE tried_at < $1 ORDER BY tried_at, household_id
           LIMIT $2 FOR UPDATE SKIP LOCKED""",
        now,
        TRIED_AGAIN_AT_ONCE,
    )
    return [record["household_id"] for record in records]
