"""A reviewer's decisions about links: append-only, and kept for new versions of a row that say the same of the person.

A decision is about one source key and one *hint*: what the row says about whom it means (name, address and phone, or
name and ID number). While the hint stays the same the decision stands for every version of the key, also for an earlier
one that is current again; a row with another hint is judged by the machine's rules anew.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.core.ids import uuid7
from hub.core.names import LinkState, LinkVerdict
from hub.core.text import normalise_name, remove_white_space
from hub.records.intake.payloads import open_hint, open_payload
from hub.records.linkage.relink import NewLink, relink
from hub.records.people.persons import NOWHERE
from hub.store.keys import KeyService

STATE_AFTER: Mapping[LinkVerdict, LinkState] = {
    LinkVerdict.LINK: LinkState.CONFIRMED,
    LinkVerdict.UNLINK: LinkState.REVIEW,
    LinkVerdict.NONE: LinkState.UNLINKED,
}
"""How a row is linked once a decision holds for it."""


@dataclass(frozen=True, slots=True)
class LinkDecision:
    """One decision. ``person_id``: the person linked to, or for ``UNLINK`` the one the row was linked to."""

    decision_id: UUID
    number: int
    verdict: LinkVerdict
    person_id: UUID | None
    member_no: str | None
    row_id: UUID
    steward: str
    reason: str
    decided_at: datetime
    hint_index: bytes
    event: UUID


@dataclass(frozen=True, slots=True)
class DecidedRow:
    """The version of a row that a reviewer decides about."""

    row_id: UUID
    source: str
    source_key: str
    hint_index: bytes


def hint_indexes(keys: KeyService, hint: Mapping[str, str | None] | None, payload: Mapping[str, Any]) -> list[bytes]:
    """The keyed hash of what a row says about the person, under every key version, newest first.

    ``hint`` is that of a row without ID number, else ``None``. White space and the kind of middle dot do not count.
    """
    if hint is not None:
        said = [hint["name"], hint["address"], hint["phone"]]
    else:
        said = [payload["name"], payload["id_number"], None]
    name, *others = (remove_white_space(text or "") for text in said)
    return keys.indexes("hint", orjson.dumps([normalise_name(name), *others]).decode())


_UNDER_DECIDED_KEYS = """
SELECT DISTINCT ON (o.row_id) o.row_id, o.source, o.source_key, o.hint, o.payload FROM record.observation o
WHERE o.row_id = ANY($1) AND o.kind = 'FACT' AND NOT o.tombstone
  AND EXISTS (SELECT FROM record.link_decision d WHERE d.source = o.source AND d.source_key = o.source_key)
"""

_DECISIONS = """
SELECT d.* FROM unnest($1::text[], $2::text[]) AS k (source, source_key)
JOIN record.link_decision d USING (source, source_key) ORDER BY d.number
"""


async def keep_decisions(
    connection: asyncpg.Connection, keys: KeyService, row_ids: Collection[UUID], now: datetime
) -> set[UUID]:
    """Link those of these rows for which a decision stands as it says; returns them.

    The candidates that the reviewer saw go with the decision. One look-up where nothing was ever decided.
    """
    records = await connection.fetch(_UNDER_DECIDED_KEYS, list(row_ids))
    if not records:
        return set()
    decided: defaultdict[tuple[str, str], list[asyncpg.Record]] = defaultdict(list)
    wanted = sorted({(record["source"], record["source_key"]) for record in records})
    for record in await connection.fetch(_DECISIONS, [key[0] for key in wanted], [key[1] for key in wanted]):
        decided[record["source"], record["source_key"]].append(record)
    standing: dict[UUID, asyncpg.Record] = {}
    for record in records:
        indexes = hint_indexes(keys, *opened(keys, record))
        for decision in decided[record["source"], record["source_key"]]:
            if decision["hint_index"] in indexes:
                standing[record["row_id"]] = decision
    await _copy_candidates(connection, {row_id: decision["row_id"] for row_id, decision in standing.items()})
    links = []
    for row_id, decision in standing.items():
        verdict = LinkVerdict(decision["verdict"])
        person_id = await present_person(connection, decision) if verdict is LinkVerdict.LINK else None
        if verdict is LinkVerdict.LINK and person_id is None:
            continue  # whoever was meant is known no more; the machine's rules apply again
        links.append(NewLink(row_id, STATE_AFTER[verdict], person_id))
    await relink(connection, links, now)
    return {link.row_id for link in links}


def opened(keys: KeyService, record: asyncpg.Record) -> tuple[dict[str, str | None] | None, dict[str, Any]]:
    """Hint (``None`` where the row has an ID number) and payload of an observation."""
    hint = None if record["hint"] is None else open_hint(keys, record["hint"], record["row_id"])
    return hint, open_payload(keys, record["payload"], record["row_id"])


async def present_person(connection: asyncpg.Connection, decision: asyncpg.Record) -> UUID | None:
    """The person of a decision today: found by the number of then, which follows corrections of numbers."""
    found: UUID | None = await connection.fetchval(
        """SELECT p.person_id FROM record.person p
           WHERE p.person_id = coalesce((SELECT d.person_id FROM record.directory d WHERE d.blind_index = $1), $2)""",
        decision["identity_index"],
        decision["person_id"],
    )
    return found


async def _copy_candidates(connection: asyncpg.Connection, decided_by: Mapping[UUID, UUID]) -> None:
    await connection.execute(
        """INSERT INTO record.link_candidate (row_id, member_no, person_id)
           SELECT c.new_row, l.member_no, l.person_id FROM unnest($1::uuid[], $2::uuid[]) AS c (new_row, old_row)
           JOIN record.link_candidate l ON l.row_id = c.old_row ON CONFLICT DO NOTHING""",
        list(decided_by),
        list(decided_by.values()),
    )


async def decisions_on(
    connection: asyncpg.Connection, keys: KeyService, source: str, source_key: str
) -> list[LinkDecision]:
    """All decisions on a key, in the order in which they were made."""
    return [
        LinkDecision(
            decision_id=record["decision_id"],
            number=record["number"],
            verdict=LinkVerdict(record["verdict"]),
            person_id=record["person_id"],
            member_no=record["member_no"],
            row_id=record["row_id"],
            steward=record["steward"],
            reason=keys.open("decision", record["sealed_reason"], record["decision_id"].bytes).decode(),
            decided_at=record["decided_at"],
            hint_index=record["hint_index"],
            event=record["event"],
        )
        for record in await connection.fetch(_DECISIONS, [source], [source_key])
    ]


async def write_decision(
    connection: asyncpg.Connection,
    keys: KeyService,
    row: DecidedRow,
    *,
    number: int,
    verdict: LinkVerdict,
    person_id: UUID | None,
    member_no: str | None,
    steward: str,
    reason: str,
    event: UUID,
    now: datetime,
) -> int:
    """Write the decision and link the row as it says, in the caller's transaction; returns the decision's number.

    ``number`` is the decision's place on its key. Raises :class:`asyncpg.UniqueViolationError` if that place is taken.
    """
    decision_id = uuid7()
    person = await connection.fetchrow(
        "SELECT county, identity_index FROM record.person WHERE person_id = $1", person_id
    )
    await connection.execute(
        """INSERT INTO record.link_decision (county, decision_id, source, source_key, number, row_id, hint_index,
               verdict, person_id, identity_index, member_no, steward, sealed_reason, decided_at, event)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)""",
        person["county"] if person is not None else NOWHERE,
        decision_id,
        row.source,
        row.source_key,
        number,
        row.row_id,
        row.hint_index,
        verdict.value,
        person_id,
        person["identity_index"] if person is not None else None,
        member_no,
        steward,
        keys.seal("decision", reason.encode(), decision_id.bytes),
        now,
        event,
    )
    if verdict is not LinkVerdict.LINK:
        # Whom the reviewer refused is not offered for this row any more: the one, or with NONE all of them.
        await connection.execute(
            "DELETE FROM record.link_proposal WHERE row_id = $1 AND (person_id = $2 OR $3)",
            row.row_id,
            person_id,
            verdict is LinkVerdict.NONE,
        )
    linked_to = person_id if verdict is LinkVerdict.LINK else None
    await relink(connection, [NewLink(row.row_id, STATE_AFTER[verdict], linked_to)], now)
    return number
