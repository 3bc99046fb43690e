"""Derives people, households and memberships from the roster rows and life events that changed since the last time.

What changed is read from ``record.touched``, which triggers fill whenever an observation begins or ceases to be
current; the work is done once, in the caller's transaction. Cost: proportional to what was touched, in batches; the
roster of a whole prefecture is one such run.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from hub.core.identifiers import birth_date
from hub.core.rows import RowKind
from hub.core.text import normalise_name
from hub.records.intake.current_rows import current_rows
from hub.records.intake.payloads import open_payload
from hub.records.intake.statistics import BULK, take_statistics
from hub.records.people.aliases import regroup_aliases
from hub.records.people.effective import (
    EventEffect,
    MemberRow,
    effective_stays,
    member_from_value,
)
from hub.records.people.events import events_of_members, replace_events
from hub.records.people.households import derive_households, household_keys
from hub.records.people.membership import EffectiveMember, Written, write_memberships
from hub.records.people.persons import CHUNK, Aliases, Subject, load_aliases, people_of, settle_people, subject_of
from hub.store.keys import KeyService

_ROSTER_TABLES = ("directory", "household_directory", "household", "person", "membership")


@dataclass(slots=True)
class Touched:
    """Numbers (without the kind in front) of roster entries to derive again."""

    households: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    events: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)


class FoundMember(NamedTuple):
    """The newest current row of one member."""

    row: MemberRow
    source: str


async def derive_roster(connection: asyncpg.Connection, keys: KeyService, now: datetime) -> None:
    """Bring people, households and memberships up to date with the current roster observations.

    ``now`` becomes the recorded time of what changes. Running it again without new observations changes nothing.
    """
    async with connection.transaction():
        touched = await _take_touched(connection)
        if not (touched.households or touched.members or touched.events):
            return
        is_bulk = len(touched.households) + len(touched.members) + len(touched.events) >= BULK
        if is_bulk:
            await take_statistics(connection, "observation", "ingest.held_row")
        sources = await _roster_sources(connection, touched.sources)
        change = await replace_events(connection, keys, sources, touched.events, now)
        touched.members |= change.members
        touched.households |= change.households
        if change.numbers_changed:
            touched.members |= await regroup_aliases(connection, now)
        written = Written(set(), set())
        changed = await derive_households(connection, keys, sources, touched.households, now)
        written.households |= changed
        written.people |= await _people_in(connection, changed)
        aliases = await load_aliases(connection, keys)
        for number, part in enumerate(_parts(sorted(touched.members))):
            if is_bulk and number <= 1:
                await take_statistics(connection, *_ROSTER_TABLES)
            some = await _derive_members(connection, keys, aliases, sources, part, now)
            written.people |= some.people
            written.households |= some.households
        if is_bulk:
            await take_statistics(connection, *_ROSTER_TABLES)
        await settle_people(connection, written.people)
        if is_bulk:
            await take_statistics(connection, "person", "directory")
        await mark_stale(connection, written.households, written.people)


async def _take_touched(connection: asyncpg.Connection) -> Touched:
    touched = Touched()
    records = await connection.fetch(
        """DELETE FROM record.touched WHERE kind IN ('HOUSEHOLD', 'MEMBER', 'EVENT')
           RETURNING kind, source, source_key"""
    )
    numbers = {
        RowKind.HOUSEHOLD: touched.households,
        RowKind.MEMBER: touched.members,
        RowKind.EVENT: touched.events,
    }
    for record in records:
        numbers[RowKind(record["kind"])].add(record["source_key"].partition("|")[2])
        touched.sources.add(record["source"])
    return touched


async def _roster_sources(connection: asyncpg.Connection, touched: Collection[str]) -> list[str]:
    records = await connection.fetch("SELECT source FROM ingest.source_state WHERE kind = 'civil-soap'")
    return sorted({record["source"] for record in records} | set(touched))


async def mark_stale(connection: asyncpg.Connection, household_ids: Iterable[UUID], person_ids: Iterable[UUID]) -> None:
    """Note that the sections of these households, and of every household these people are in, must be folded anew."""
    await connection.execute(
        """INSERT INTO record.stale_household (household_id)
           SELECT unnest($1::uuid[])
           UNION
           SELECT m.household_id FROM record.membership m
           WHERE m.person_id = ANY($2) AND m.recorded_to = 'infinity' AND m.valid_to IS NULL
           ON CONFLICT DO NOTHING""",
        list(household_ids),
        list(person_ids),
    )


async def _people_in(connection: asyncpg.Connection, household_ids: Collection[UUID]) -> set[UUID]:
    records = await connection.fetch(
        """SELECT DISTINCT person_id FROM record.membership
           WHERE household_id = ANY($1) AND recorded_to = 'infinity' AND valid_to IS NULL AND person_id IS NOT NULL""",
        list(household_ids),
    )
    return {record["person_id"] for record in records}


def _parts(numbers: Sequence[str]) -> Iterator[Sequence[str]]:
    return (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))


async def _derive_members(
    connection: asyncpg.Connection,
    keys: KeyService,
    aliases: Aliases,
    sources: Sequence[str],
    member_nos: Sequence[str],
    now: datetime,
) -> Written:
    found = await _member_rows(connection, keys, sources, member_nos)
    events = await events_of_members(connection, member_nos)
    homes = await household_keys(connection, {member.row.household_no for member in found})
    subjects = {
        row.member_no: subject_of(keys, row.id_number, row.name, homes[row.household_no].county)
        for row, _ in found
        if row.id_number is not None
    }
    people = await people_of(connection, keys, aliases, list(subjects.values()))
    members = [
        _effective(keys, aliases, member, events.get(member.row.member_no, []), subjects, people) for member in found
    ]
    named = {stay.household_no for member in members for stay in member.stays} - homes.keys()
    homes |= await household_keys(connection, named)
    return await write_memberships(connection, keys, member_nos, members, homes, now)


async def _member_rows(
    connection: asyncpg.Connection, keys: KeyService, sources: Sequence[str], member_nos: Sequence[str]
) -> list[FoundMember]:
    wanted = [f"member|{number}" for number in member_nos]
    records = await current_rows(connection, RowKind.MEMBER, sources, wanted)
    newest: dict[str, FoundMember] = {}
    for record in records:
        value: dict[str, Any] = open_payload(keys, record["payload"], record["row_id"])["value"]
        row = member_from_value(value, _born(value))
        known = newest.get(row.member_no)
        if known is None or (row.changed_at, record["source"]) > (known.row.changed_at, known.source):
            newest[row.member_no] = FoundMember(row, record["source"])
    return list(newest.values())


def _born(value: dict[str, Any]) -> date:
    return birth_date(value["id_number"]) if value["id_number"] else date.fromisoformat(value["birth_date"])


def _effective(
    keys: KeyService,
    aliases: Aliases,
    member: FoundMember,
    events: Sequence[EventEffect],
    subjects: dict[str, Subject],
    people: dict[bytes, UUID],
) -> EffectiveMember:
    row, source = member
    subject = subjects.get(row.member_no)
    canonical, number = aliases.present(subject.index, subject.number) if subject else (None, None)
    if number is not None and number != row.id_number:
        row = replace(row, birth_date=birth_date(number))
    return EffectiveMember(
        row=row,
        stays=effective_stays(row, events),
        person_id=people[subject.index] if subject else None,
        number=number,
        name_index=keys.index("name", normalise_name(row.name)),
        number_index=subject.index if subject else None,
        identity_index=canonical,
        source=source,
    )
