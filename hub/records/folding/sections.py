"""Keeps the stored sections equal to the fold: households that a batch touched, and those whose day has come."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import asyncpg

from hub.core.clock import day_of
from hub.core.phases import Phase, passing
from hub.records.folding.bodies import Section, next_change, sections_of, usable_facts
from hub.records.folding.challenge_store import Folded
from hub.records.folding.challenges import challenges_of
from hub.records.folding.coverage import note_coverage
from hub.records.folding.fold import FOLD_VERSION, Seen, fold
from hub.records.folding.household import LATEST, load_seen
from hub.records.folding.unfolded import is_of_a_household, put_aside, take_up, to_try_again
from hub.records.intake.statistics import BULK, take_statistics
from hub.store.keys import KeyService
from hub.store.transaction import committing

HOUSEHOLDS_AT_ONCE = 500
"""Households folded in one transaction: bounds memory, and what a crash makes do again."""

_Key = tuple[str, UUID, UUID, str, str, str]

_COLUMNS = (
    "county", "household_id", "person_id", "category", "form", "owner", "body", "source", "body_after", "source_time",
    "changes_on", "digest", "expires_on", "digest_after", "after_expires_on", "folded_at", "fold_version",
)  # fmt: skip


class _Wanted(NamedTuple):
    """A section to be stored, and the one that takes its place when an adverse item in it is over."""

    section: Section
    after: Section | None

    @property
    def state(self) -> tuple[Any, ...]:
        """What tells whether the stored one is the same."""
        one, after = self.section, self.after
        follows = (None, None) if after is None else (after.digest, after.expires_on)
        return one.source_time, one.changes_on, one.digest, one.expires_on, *follows


def _with_what_follows(seen: Seen, sections: Sequence[Section]) -> Iterator[tuple[Section, Section | None]]:
    """Each section with the one after it, as it will be on the day on which it expires."""
    later = {
        day: {(s.person_id, s.category, s.form, s.owner): s for s in sections_of(fold(seen, day, LATEST))}
        for day in {section.expires_on for section in sections}
        if day is not None
    }
    for s in sections:
        yield s, later[s.expires_on].get((s.person_id, s.category, s.form, s.owner)) if s.expires_on else None


class AfterFold(Protocol):
    """What a flow does with the challenges of a batch, in the transaction of its sections."""

    async def __call__(
        self, connection: asyncpg.Connection, folded: Sequence[Folded], households: Sequence[UUID], now: datetime
    ) -> None: ...


async def refresh_sections(
    connection: asyncpg.Connection,
    keys: KeyService,
    now: datetime,
    households: Collection[UUID] | None = None,
    then: AfterFold | None = None,
    beside: Sequence[asyncpg.Connection] = (),
) -> int:
    """Fold every stale household and store the sections that changed; returns how many households were folded.

    With further connections (``beside``) as many batches are under way side by side: while the database reads or writes
    one, another is folded.

    Stale are those noted in ``record.stale_household``, those whose ``changes_on`` has come, those folded by another
    version of the fold, and ``households``. Each batch is one transaction that also takes the households off the list,
    so a crash loses nothing. A section whose text is the same is not written. ``now`` is noted as an instant at which
    the record was settled: readings as of an instant stand at the last such one (hub/records/folding/as_of.py).

    A household that cannot be folded is put aside (hub/records/folding/unfolded.py) and tried again by the next call,
    after all others.
    """
    day = day_of(now)
    await _note_settled(connection, now)
    await connection.execute(
        """INSERT INTO record.stale_household (household_id)
           SELECT household_id FROM record.household_fold WHERE changes_on <= $1 OR fold_version <> $2
           UNION SELECT unnest($3::uuid[])
           ON CONFLICT DO NOTHING""",
        day,
        FOLD_VERSION,
        list(households or ()),
    )
    if await connection.fetchval("SELECT count(*) FROM record.stale_household") >= BULK:
        await take_statistics(connection, "observation", "directory", "person", "membership", "household")
    folded = await _fold_stale(connection, keys, now, then, beside)
    return folded + await _fold_put_aside(connection, keys, now, then)


async def _fold_stale(
    connection: asyncpg.Connection,
    keys: KeyService,
    now: datetime,
    then: AfterFold | None,
    beside: Sequence[asyncpg.Connection],
) -> int:
    first = await _fold_batch(connection, keys, now, then)
    if first < HOUSEHOLDS_AT_ONCE:
        return first
    await take_statistics(connection, "section")
    hands = [asyncio.create_task(_fold_all(each, keys, now, then)) for each in (connection, *beside)]
    try:
        return first + sum(await asyncio.gather(*hands))
    finally:
        for hand in hands:
            hand.cancel()
        await asyncio.gather(*hands, return_exceptions=True)


async def _fold_all(connection: asyncpg.Connection, keys: KeyService, now: datetime, then: AfterFold | None) -> int:
    folded = 0
    while some := await _fold_batch(connection, keys, now, then):
        folded += some
    return folded


async def _fold_batch(connection: asyncpg.Connection, keys: KeyService, now: datetime, then: AfterFold | None) -> int:
    """Fold the next households that nobody else is folding, in one transaction; returns how many."""
    async with committing(connection, Phase.FOLD_COMMIT):
        records = await connection.fetch(
            """DELETE FROM record.stale_household WHERE household_id IN (
                   SELECT household_id FROM record.stale_household ORDER BY household_id LIMIT $1
                   FOR UPDATE SKIP LOCKED)
               RETURNING household_id""",
            HOUSEHOLDS_AT_ONCE,
        )
        if records:
            with passing(Phase.FOLD):
                await _refresh_or_put_aside(connection, keys, now, [record["household_id"] for record in records], then)
    return len(records)


async def _fold_put_aside(
    connection: asyncpg.Connection, keys: KeyService, now: datetime, then: AfterFold | None
) -> int:
    """Fold households that could not be folded earlier, in one transaction; returns how many were tried."""
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM record.unfolded_household WHERE tried_at < $1)", now):
        return 0
    async with committing(connection, Phase.FOLD_COMMIT):
        households = await to_try_again(connection, now)
        if households:
            with passing(Phase.FOLD):
                await _refresh_or_put_aside(connection, keys, now, households, then)
    return len(households)


async def refresh_at_once(
    connection: asyncpg.Connection,
    keys: KeyService,
    now: datetime,
    households: Collection[UUID],
    then: AfterFold | None = None,
) -> None:
    """Fold these households in the caller's transaction: what a person decided shows with his decision or not at all.

    Only over a settled record (:func:`is_settled`) and while no pull is under way: its rows are provisional.
    """
    await _note_settled(connection, now)
    await connection.execute("DELETE FROM record.stale_household WHERE household_id = ANY($1)", list(households))
    await _refresh_or_put_aside(connection, keys, now, list(households), then)


async def due_households(connection: asyncpg.Connection, now: datetime) -> int:
    """How many households :func:`refresh_sections` would fold now."""
    number: int = await connection.fetchval(
        """SELECT count(*) FROM (
               SELECT household_id FROM record.household_fold WHERE changes_on <= $1 OR fold_version <> $2
               UNION SELECT household_id FROM record.stale_household
               UNION SELECT household_id FROM record.unfolded_household WHERE tried_at < $3) AS due""",
        day_of(now),
        FOLD_VERSION,
        now,
    )
    return number


async def _note_settled(connection: asyncpg.Connection, now: datetime) -> None:
    await connection.execute("INSERT INTO record.settled (at) VALUES ($1) ON CONFLICT DO NOTHING", now)


async def is_settled(connection: asyncpg.Connection) -> bool:
    """Whether the last pull came to its end; one that was broken off leaves provisional rows for the next to settle."""
    settled: bool = await connection.fetchval(
        """SELECT coalesce((SELECT max(started_at) FROM ingest.run) <= (SELECT max(at) FROM record.settled),
                           NOT EXISTS (SELECT FROM ingest.run))"""
    )
    return settled


async def _refresh_or_put_aside(
    connection: asyncpg.Connection,
    keys: KeyService,
    now: datetime,
    household_ids: Sequence[UUID],
    then: AfterFold | None,
) -> None:
    """Fold the households; those that cannot be folded are found by halving, and put aside."""
    try:
        async with connection.transaction():
            await _refresh(connection, keys, now, household_ids, then)
    except Exception as error:
        if not is_of_a_household(error):
            raise
        if len(household_ids) > 1:
            middle = len(household_ids) // 2
            for half in (household_ids[:middle], household_ids[middle:]):
                await _refresh_or_put_aside(connection, keys, now, half, then)
            return
        await put_aside(connection, household_ids[0], error, now)
        await note_coverage(connection, household_ids, day_of(now))


async def _refresh(
    connection: asyncpg.Connection,
    keys: KeyService,
    now: datetime,
    household_ids: Sequence[UUID],
    then: AfterFold | None,
) -> None:
    day = day_of(now)
    await take_up(connection, household_ids)
    counties = {
        record["household_id"]: record["county"]
        for record in await connection.fetch(
            "SELECT household_id, county FROM record.household WHERE household_id = ANY($1)", list(household_ids)
        )
    }
    wanted: dict[_Key, _Wanted] = {}
    folds: list[tuple[UUID, Any]] = []
    challenged: list[Folded] = []
    for seen in await load_seen(connection, keys, household_ids, day):
        record = fold(seen, day, LATEST)
        usable = usable_facts(record)
        sections = sections_of(record, usable)
        household_id = seen.household.household_id
        for s, after in _with_what_follows(seen, sections):
            key = (counties[household_id], household_id, s.person_id, s.category.value, s.form.value, s.owner)
            wanted[key] = _Wanted(s, after)
        found = challenges_of(record, usable)
        days = [day for day in (next_change(record, sections), found.changes_on) if day is not None]
        folds.append((household_id, min(days, default=None)))
        challenged.append(Folded(household_id, found))
    await _store(connection, household_ids, wanted, now)
    await _note_folds(connection, household_ids, folds)
    await note_coverage(connection, household_ids, day)
    if then is not None:
        await then(connection, challenged, household_ids, now)


async def _store(
    connection: asyncpg.Connection, household_ids: Sequence[UUID], wanted: dict[_Key, _Wanted], now: datetime
) -> None:
    stored = {
        tuple(record[:6]): tuple(record[6:])
        for record in await connection.fetch(
            """SELECT county, household_id, person_id, category, form, owner, source_time, changes_on, digest,
                   expires_on, digest_after, after_expires_on, fold_version
               FROM record.section WHERE household_id = ANY($1)""",
            list(household_ids),
        )
    }
    gone = [key for key in stored if key not in wanted]
    if gone:
        await connection.execute(
            """DELETE FROM record.section s
               USING unnest($1::bpchar[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[])
                   AS g (county, household_id, person_id, category, form, owner)
               WHERE s.county = g.county AND s.household_id = g.household_id AND s.person_id = g.person_id
                 AND s.category = g.category AND s.form = g.form AND s.owner = g.owner""",
            *map(list, zip(*gone, strict=True)),
        )
    changed = [
        (*key, s.section.body, s.section.source, s.after and s.after.body, *s.state)
        for key, s in wanted.items()
        if stored.get(key) != (*s.state, FOLD_VERSION)
    ]
    new = [row for row in changed if row[:6] not in stored]
    if new:
        await connection.copy_records_to_table(
            "section", schema_name="record", columns=_COLUMNS, records=((*row, now, FOLD_VERSION) for row in new)
        )
    if len(new) < len(changed):
        await connection.execute(
            f"""INSERT INTO record.section ({", ".join(_COLUMNS)})
               SELECT n.*, $16, $17
               FROM unnest($1::bpchar[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                           $8::text[], $9::text[], $10::timestamptz[], $11::date[], $12::bytea[], $13::date[],
                           $14::bytea[], $15::date[]) AS n
               ON CONFLICT (county, household_id, person_id, category, form, owner) DO UPDATE SET
                   body = EXCLUDED.body, source = EXCLUDED.source, body_after = EXCLUDED.body_after,
                   source_time = EXCLUDED.source_time, changes_on = EXCLUDED.changes_on, digest = EXCLUDED.digest,
                   expires_on = EXCLUDED.expires_on, digest_after = EXCLUDED.digest_after,
                   after_expires_on = EXCLUDED.after_expires_on, folded_at = EXCLUDED.folded_at,
                   fold_version = EXCLUDED.fold_version""",
            *map(list, zip(*(row for row in changed if row[:6] in stored), strict=True)),
            now,
            FOLD_VERSION,
        )


async def _note_folds(
    connection: asyncpg.Connection, household_ids: Sequence[UUID], folds: Sequence[tuple[UUID, Any]]
) -> None:
    await connection.execute(
        "DELETE FROM record.household_fold WHERE household_id = ANY($1) AND household_id <> ALL($2)",
        list(household_ids),
        [household_id for household_id, _ in folds],
    )
    await connection.execute(
        """INSERT INTO record.household_fold (household_id, fold_version, changes_on)
           SELECT n.household_id, $3, n.changes_on FROM unnest($1::uuid[], $2::date[]) AS n (household_id, changes_on)
           ON CONFLICT (household_id) DO UPDATE SET fold_version = EXCLUDED.fold_version,
               changes_on = EXCLUDED.changes_on
           WHERE (household_fold.fold_version, household_fold.changes_on)
                 IS DISTINCT FROM (EXCLUDED.fold_version, EXCLUDED.changes_on)""",
        [household_id for household_id, _ in folds],
        [changes_on for _, changes_on in folds],
        FOLD_VERSION,
    )
