"""How much is held back, by source and reason, how old it is, and whether it grows or shrinks. Numbers only."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from hub.core.names import QuarantineReason
from hub.records.held_back.quarantine import OwnEntries
from hub.records.intake.row_county import ENTRY_COUNTIES

_SUMMARY = f"""
WITH acted AS (
    SELECT DISTINCT ON (number) number, act FROM ingest.quarantine_act ORDER BY number, acted_at DESC
)
SELECT q.source, q.reason,
    count(*) FILTER (WHERE q.status = 'OPEN') AS open,
    count(*) FILTER (WHERE q.status = 'OPEN' AND q.sealed_row IS NOT NULL) AS kept,
    count(*) FILTER (WHERE q.status = 'OPEN' AND q.first_seen > $2::timestamptz - interval '1 day') AS day,
    count(*) FILTER (WHERE q.status = 'OPEN' AND q.first_seen <= $2::timestamptz - interval '1 day'
                       AND q.first_seen > $2::timestamptz - interval '7 days') AS week,
    count(*) FILTER (WHERE q.status = 'OPEN' AND q.first_seen <= $2::timestamptz - interval '7 days'
                       AND q.first_seen > $2::timestamptz - interval '30 days') AS month,
    count(*) FILTER (WHERE q.status = 'OPEN' AND q.first_seen <= $2::timestamptz - interval '30 days') AS older,
    min(q.first_seen) FILTER (WHERE q.status = 'OPEN') AS oldest,
    count(*) FILTER (WHERE q.first_seen > $3) AS came,
    count(*) FILTER (WHERE q.first_seen <= $3 AND q.first_seen > $4) AS came_before,
    count(*) FILTER (WHERE q.status = 'CLEARED' AND q.closed_at > $3) AS closed,
    count(*) FILTER (WHERE q.status = 'CLEARED' AND a.act = 'REPAIRED') AS repaired,
    count(*) FILTER (WHERE q.status = 'CLEARED' AND a.act = 'RELEASED') AS released,
    count(*) FILTER (WHERE q.status = 'CLEARED' AND a.act = 'DISCARDED') AS discarded,
    count(*) FILTER (WHERE q.status = 'CLEARED' AND a.act IS NULL) AS overtaken
FROM ingest.quarantine q LEFT JOIN acted a USING (number)
WHERE ($1::text IS NULL OR q.source = $1)
  AND ($5::text[] IS NULL OR q.number = ANY($6::bigint[])
       OR (SELECT {ENTRY_COUNTIES} && $5 FROM ingest.held_row w WHERE w.row_id = q.row_id))
GROUP BY q.source, q.reason ORDER BY q.source, q.reason
"""


@dataclass(frozen=True, slots=True)
class QuarantineGroup:
    """The entries of one source and reason.

    ``kept``: open ones whose content is kept. ``ages``: open ones by age: up to a ``day``, a ``week``, a ``month`` (30
    days), ``older``. ``came`` and ``came_before``: new entries of the last ``days`` and of as many days before.
    ``closed``: entries closed in the last ``days``. Of all closed ones: ``repaired``, ``released`` and ``discarded`` by
    a steward, ``overtaken`` by a later delivery or released by a pull.
    """

    source: str
    reason: QuarantineReason
    open: int
    kept: int
    ages: dict[str, int]
    oldest: datetime | None
    came: int
    came_before: int
    closed: int
    repaired: int
    released: int
    discarded: int
    overtaken: int

    @property
    def trend(self) -> str:
        """``GROWING`` or ``SHRINKING`` where more or fewer new entries came than in the period before."""
        if self.came == self.came_before:
            return "STEADY"
        return "GROWING" if self.came > self.came_before else "SHRINKING"


async def summarise_quarantine(
    connection: asyncpg.Connection,
    now: datetime,
    *,
    days: int,
    source: str | None = None,
    own: OwnEntries | None = None,
) -> list[QuarantineGroup]:
    """One group per source and reason that ever had an entry (``own``: one of these); one statement over all."""
    since = now - timedelta(days=days)
    arguments = (source, now, since, since - timedelta(days=days), *(own or (None, None)))
    groups = []
    for record in await connection.fetch(_SUMMARY, *arguments):
        values = dict(record)
        ages = {name: values.pop(name) for name in ("day", "week", "month", "older")}
        groups.append(QuarantineGroup(**values | {"reason": QuarantineReason(values["reason"])}, ages=ages))
    return groups
