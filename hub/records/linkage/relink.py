"""Ties rows to people so that the history of every tie stays.

The first link of a row is written into its observation: nobody has been shown anything by it before. A link that
changes later closes the recorded range of the observation and adds one with the other link, so that a read as of an
earlier instant shows whom the row was linked to then. The machine's rules and a reviewer's decision both come through
here; nothing else writes a link.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from hub.core.names import LinkState
from hub.records.people.persons import NOWHERE


@dataclass(frozen=True, slots=True)
class NewLink:
    """To whom a row of the ledger is to be linked; ``person_id`` is ``None`` where the state names nobody."""

    row_id: UUID
    state: LinkState
    person_id: UUID | None


_LINKS = "unnest($1::uuid[], $2::text[], $3::uuid[]) AS l (row_id, link, person_id)"

_FIRST = f"""
UPDATE record.observation o
SET link = l.link, person_id = l.person_id, county = coalesce(p.county, $4)
FROM {_LINKS} LEFT JOIN record.person p ON p.person_id = l.person_id
WHERE o.row_id = l.row_id AND (o.link IS NULL OR o.recorded_from = o.recorded_to)
  AND (o.link, o.person_id) IS DISTINCT FROM (l.link, l.person_id)
"""
"""An empty recorded range was never shown to anybody either: a version that waits in quarantine."""

_CHANGED = f"""
WITH closed AS (
    UPDATE record.observation o SET recorded_to = greatest($5, o.recorded_from)
    FROM {_LINKS}
    WHERE o.row_id = l.row_id AND o.recorded_to = 'infinity' AND o.link IS NOT NULL
      AND (o.link, o.person_id) IS DISTINCT FROM (l.link, l.person_id)
    RETURNING o.*, l.link AS new_link, l.person_id AS new_person
)
INSERT INTO record.observation (county, observation_id, row_id, source, source_key, version, kind, category, tombstone,
    subject_index, household_no, person_id, link, valid_from, valid_to, adverse, suppressed, consent_id, source_time,
    recorded_from, agreement_no, digest, payload, hint)
SELECT coalesce(p.county, $4), uuidv7(), c.row_id, c.source, c.source_key, c.version, c.kind, c.category, c.tombstone,
    c.subject_index, c.household_no, c.new_person, c.new_link, c.valid_from, c.valid_to, c.adverse, c.suppressed,
    c.consent_id, c.source_time, c.recorded_to, c.agreement_no, c.digest, c.payload, c.hint
FROM closed c LEFT JOIN record.person p ON p.person_id = c.new_person
"""


async def relink(connection: asyncpg.Connection, links: Sequence[NewLink], now: datetime) -> int:
    """Link these rows, in the caller's transaction; returns how many links that had been made before were changed.

    A row that is linked so already is left alone. The sections of the people concerned are the caller's affair
    (:func:`hub.records.people.roster.mark_stale`). Two statements, whatever the number of rows.
    """
    if not links:
        return 0
    given = [link.row_id for link in links], [link.state.value for link in links], [link.person_id for link in links]
    await connection.execute(_FIRST, *given, NOWHERE)
    changed: str = await connection.execute(_CHANGED, *given, NOWHERE, now)
    return int(changed.rpartition(" ")[2])
