"""Writes the membership of people in households: valid time x recorded time, closed and added, never overwritten."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from hub.core.ids import uuid7
from hub.records.intake.payloads import identity_context, seal_identity
from hub.records.people.effective import MemberRow, Stay, with_remembered
from hub.store.keys import KeyService

_COLUMNS = [
    "county", "membership_id", "household_id", "member_no", "person_id", "relation", "birth_date", "valid_from",
    "valid_to", "died_on", "name_index", "number_index", "identity_index", "sealed", "digest", "source", "changed_at",
    "recorded_from",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class HouseholdKey:
    """Where a household's rows lie."""

    household_id: UUID
    county: str


@dataclass(frozen=True, slots=True)
class EffectiveMember:
    """A member after the events, ready to be written. ``number`` is the present ID number of the person."""

    row: MemberRow
    stays: list[Stay]
    person_id: UUID | None
    number: str | None
    name_index: bytes
    number_index: bytes | None
    identity_index: bytes | None
    source: str


@dataclass(slots=True)
class Written:
    """People and households whose membership changed."""

    people: set[UUID]
    households: set[UUID]


async def write_memberships(
    connection: asyncpg.Connection,
    keys: KeyService,
    member_nos: Collection[str],
    members: Sequence[EffectiveMember],
    households: dict[str, HouseholdKey],
    now: datetime,
) -> Written:
    """Make the recorded memberships of ``member_nos`` equal to ``members``; who is not among them is taken back.

    ``households`` must hold every household number named in a stay. One read, one update and one COPY for the batch.
    """
    recorded = await _recorded(connection, member_nos)
    by_number = {member.row.member_no: member for member in members}
    result = Written(set(), set())
    closed: list[asyncpg.Record] = []
    added: list[tuple[Any, ...]] = []
    for member_no in member_nos:
        kept: set[UUID] = set()
        member = by_number.get(member_no)
        if member is not None:
            for record, matched in _wanted(keys, member, recorded[member_no], households, now):
                if matched is None:
                    added.append(record)
                    result.households.add(record[2])
                else:
                    kept.add(matched)
        gone = [old for old in recorded[member_no] if old["membership_id"] not in kept]
        closed += gone
        people = {old["person_id"] for old in gone} | ({member.person_id} if member is not None else set())
        result.people |= {person_id for person_id in people if person_id is not None}
    result.households |= {old["household_id"] for old in closed}
    await _close(connection, closed, now)
    await connection.copy_records_to_table("membership", schema_name="record", columns=_COLUMNS, records=added)
    return result


async def _recorded(
    connection: asyncpg.Connection, member_nos: Collection[str]
) -> defaultdict[str, list[asyncpg.Record]]:
    by_member: defaultdict[str, list[asyncpg.Record]] = defaultdict(list)
    records = await connection.fetch(
        """SELECT m.membership_id, m.county, m.household_id, h.household_no, m.member_no, m.person_id, m.relation,
               m.valid_from, m.valid_to, m.died_on, m.digest
           FROM record.membership m JOIN record.household h ON h.county = m.county AND h.household_id = m.household_id
           WHERE m.recorded_to = 'infinity' AND m.member_no = ANY($1)""",
        list(member_nos),
    )
    for record in records:
        by_member[record["member_no"]].append(record)
    return by_member


def _wanted(
    keys: KeyService,
    member: EffectiveMember,
    recorded: Sequence[asyncpg.Record],
    households: dict[str, HouseholdKey],
    now: datetime,
) -> list[tuple[tuple[Any, ...], UUID | None]]:
    """The rows that should be recorded, each with the id of the recorded row that already says it."""
    remembered = [
        Stay(old["household_no"], old["relation"], old["valid_from"], old["valid_to"], old["died_on"])
        for old in recorded
    ]
    by_digest = {old["digest"]: old["membership_id"] for old in recorded}
    past_homes = {old["household_no"]: HouseholdKey(old["household_id"], old["county"]) for old in recorded}
    result: list[tuple[tuple[Any, ...], UUID | None]] = []
    context = identity_context(member.person_id, member.row.member_no)
    for stay in with_remembered(member.stays, remembered):
        key = past_homes.get(stay.household_no) or households[stay.household_no]
        digests = keys.indexes("roster", _text(member, stay, key.household_id))
        matched = next((by_digest[digest] for digest in digests if digest in by_digest), None)
        sealed = b"" if matched else seal_identity(keys, member.row.name, member.number, context)
        record = (
            key.county, uuid7(), key.household_id, member.row.member_no, member.person_id, stay.relation,
            member.row.birth_date, stay.joined_on, stay.left_on, stay.died_on, member.name_index, member.number_index,
            member.identity_index, sealed, digests[0], member.source, member.row.changed_at, now,
        )  # fmt: skip
        result.append((record, matched))
    return result


def _text(member: EffectiveMember, stay: Stay, household_id: UUID) -> str:
    parts = (
        member.row.member_no, household_id, member.person_id, stay.relation, member.row.birth_date, stay.joined_on,
        stay.left_on, stay.died_on, member.row.name, member.row.id_number, member.number, member.source,
    )  # fmt: skip
    return "\x1f".join("" if part is None else str(part) for part in parts)


async def _close(connection: asyncpg.Connection, closed: Sequence[asyncpg.Record], now: datetime) -> None:
    if closed:
        await connection.execute(
            """UPDATE record.membership m SET recorded_to = greatest($3, recorded_from)
               FROM unnest($1::bpchar[], $2::uuid[]) AS c (county, membership_id)
               WHERE m.county = c.county AND m.membership_id = c.membership_id""",
            [old["county"] for old in closed],
            [old["membership_id"] for old in closed],
            now,
        )
