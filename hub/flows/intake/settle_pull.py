"""The end of a pull: references, roster, links, quarantine of what cannot be placed, and the refreshed sections.

Order matters: a duplicate member is not held, so an event that names him has no reference; a household that came late
releases its members; only then are people known to whom clinic rows may be linked (docs/CONTRACTS.md 1.3).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.ids import uuid7
from hub.core.names import QuarantineReason
from hub.core.phases import Phase, passing
from hub.core.version import VERSION
from hub.flows.intake.challenge_sources import challenging
from hub.records.folding.sections import refresh_sections
from hub.records.intake.settle import clear_overtaken, close_ended_items, quarantine_rows, release_rows, retried_rows
from hub.records.linkage.links import link_facts, unlinked_rows
from hub.records.people.references import missing_references, roster_duplicates
from hub.records.people.roster import derive_roster
from hub.store.keys import KeyService
from hub.store.transaction import committing

_ROUNDS_MAX = 50
"""A chain of references is never longer than this; the bound turns an endless loop into an error."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling did: rows of earlier runs released, by source, and the audit event that recorded it."""

    released: dict[str, int]
    event: UUID


async def settle(
    connection: asyncpg.Connection,
    keys: KeyService,
    run_id: UUID,
    now: datetime,
    beside: Sequence[asyncpg.Connection] = (),
) -> Settled:
    """Settle the run in one transaction, then refresh the sections of the households it touched.

    The connections ``beside`` help to fold.
    """
    released: Counter[str] = Counter()
    event = uuid7()
    async with committing(connection, Phase.SETTLE_COMMIT):
        released.update(await settle_rows(connection, keys, run_id, now))
        with passing(Phase.CLEAR):
            for record in await connection.fetch("SELECT source FROM ingest.run_source WHERE run_id = $1", run_id):
                await clear_overtaken(connection, record["source"])
        households = await connection.fetchval("SELECT count(*) FROM record.stale_household")
        await append(connection, _folded(event, run_id, households))
    await refresh_sections(connection, keys, now, then=challenging(keys), beside=beside)
    return Settled(dict(released), event)


async def settle_rows(connection: asyncpg.Connection, keys: KeyService, run_id: UUID, now: datetime) -> Counter[str]:
    """Place what is new in references, roster and links, in the caller's transaction; rows released, by source."""
    with passing(Phase.REFERENCES):
        released = await _settle_references(connection, keys, run_id, now)
    with passing(Phase.ROSTER):
        await derive_roster(connection, keys, now)
    with passing(Phase.LINKS):
        await close_ended_items(connection, now)
        released.update(await _settle_links(connection, keys, run_id, now))
    return released


def _folded(event: UUID, run_id: UUID, households: int) -> PendingEntry:
    return PendingEntry(
        ev=event,
        kind=Kind.WRITE,
        event="record:hub:folded",
        organisation="hub",
        actor="hub pull",
        decision=Decision.ALLOW,
        policy=f"hub-{VERSION}",
        facts={"households": households, "run": str(run_id)},
    )


async def _settle_references(
    connection: asyncpg.Connection, keys: KeyService, run_id: UUID, now: datetime
) -> Counter[str]:
    """Until nothing moves any more: duplicates and dangling references out, those found again back in."""
    released: Counter[str] = Counter()
    for _ in range(_ROUNDS_MAX):
        retried = await retried_rows(connection, QuarantineReason.REF_MISSING)
        missing = await missing_references(connection, keys)
        found = retried - missing
        released.update(await release_rows(connection, found, run_id, now))
        moved = await quarantine_rows(connection, keys, missing - retried, QuarantineReason.REF_MISSING, run_id, now)
        duplicates = await roster_duplicates(connection, keys)
        moved += await quarantine_rows(connection, keys, duplicates, QuarantineReason.DUP_CONFLICT, run_id, now)
        if not found and not moved:
            return released
    raise RuntimeError("references of the roster did not settle")


async def _settle_links(connection: asyncpg.Connection, keys: KeyService, run_id: UUID, now: datetime) -> Counter[str]:
    reason = QuarantineReason.ID_MISSING_UNLINKED
    retried = await retried_rows(connection, reason)
    unlinked = await unlinked_rows(connection, keys)
    released = Counter(await release_rows(connection, retried - unlinked, run_id, now))
    await quarantine_rows(connection, keys, unlinked - retried, reason, run_id, now)
    await link_facts(connection, keys, now)
    return released
