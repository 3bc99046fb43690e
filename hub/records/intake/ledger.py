"""The ledger: every row a source ever delivered, and which of them is the current version of its key.

One step of a pull is merged in one transaction: the rows are compared with what is held under their keys, new ones are
judged (hub/records/intake/judge.py) and copied in (hub/records/intake/ledger_copy.py), and where a key was held
before, its currency
is worked out again by one statement. Cost grows with the rows of the step and the versions held under their keys, not
with the ledger.
"""

from collections import Counter
from collections.abc import Sequence, Set
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from hub.core.names import QuarantineReason
from hub.core.phases import Phase, passing
from hub.core.rows import CheckedRow, FileRead, FileRefused, RowKind, Step
from hub.records.intake.currency import recompute_currency
from hub.records.intake.judge import BookedConsent, Held, Judge, JudgedRow, Judgement
from hub.records.intake.ledger_copy import SourceInRun, copy_new_rows
from hub.store.ids import ascending_ids
from hub.store.keys import KeyService

__all__ = ["SourceInRun", "merge_step"]

LATEST_WINS_KINDS = frozenset({"social-view"})
"""Source kinds that show only the current state, where what is read later is newer."""


async def merge_step(
    connection: asyncpg.Connection, keys: KeyService, source: SourceInRun, step: Step, now: datetime
) -> Judgement:
    """Merge one step in the caller's transaction and move the counts, the file list and the watermark with it."""
    arrivals: int = await connection.fetchval(
        "SELECT arrivals FROM ingest.source_state WHERE source = $1 FOR UPDATE", source.name
    )
    with passing(Phase.STAGE):
        held, purged = await _held(connection, source, step) if arrivals else ({}, {})
        known = {key for key, _ in held}
    with passing(Phase.JUDGE):
        judge = await _judge(connection, keys, source, step, held, purged)
    new = judge.result.new
    with passing(Phase.MERGE):
        contested = await _contested(connection, source, step, new, known)
        await copy_new_rows(connection, keys, source, step.file, new, arrivals, _plainly_current(new, contested), now)
        if step.file is not None and step.file_ended:
            await _note_file(connection, source, step.file)
        if step.refused is not None:
            await _note_refused(connection, source, step.refused)
        await store_consents(connection, source.name, judge.consents)
        if contested:
            await recompute_currency(connection, source.name, contested, source.run_id, now)
        await _note_seen_again(connection, source, judge.result, now)
        await _count(connection, source, step, judge.result)
    return judge.result


async def _judge(
    connection: asyncpg.Connection,
    keys: KeyService,
    source: SourceInRun,
    step: Step,
    held: dict[tuple[str, int], list[Held]],
    purged: dict[str, int],
) -> Judge:
    """Judge row after row against what is held under their keys."""
    judge = Judge(
        ids=ascending_ids(),
        held=held,
        consents=await booked_consents(connection, source.name, step.rows),
        business_date=step.file.business_date if step.file else None,
        latest_wins=source.kind in LATEST_WINS_KINDS,
        unreadable=await _unreadable(connection, source, step),
        has_file=step.file is not None,
        purged=purged,
    )
    content_index, identity_index = keys.indexer("content"), keys.indexer("identity")
    people: dict[str, tuple[bytes, ...]] = {}

    def subject(id_number: str) -> tuple[bytes, ...]:
        indexes = people.get(id_number)
        if indexes is None:
            indexes = people[id_number] = identity_index(id_number.encode())
        return indexes

    for row in step.rows:
        judge.judge(
            row,
            content_index(row.content),
            () if row.id_number is None else subject(row.id_number),
            {g.id_number: subject(g.id_number) for g in row.guarantors if g.id_number} if row.guarantors else {},
        )
    return judge


async def _held(
    connection: asyncpg.Connection, source: SourceInRun, step: Step
) -> tuple[dict[tuple[str, int], list[Held]], dict[str, int]]:
    """All rows under the keys of the step, by key and version rank; and the newest rank of those that were purged."""
    held: dict[tuple[str, int], list[Held]] = {}
    purged: dict[str, int] = {}
    for key, rank, content_hash, state, reason, is_current, purged_at in await connection.fetch(
        """SELECT source_key, version_rank, content_hash, state, reason, is_current, purged_at FROM ingest.held_row
           WHERE source = $1 AND source_key = ANY($2)""",
        source.name,
        sorted({row.source_key for row in step.rows}),
    ):
        if purged_at is not None:
            purged[key] = max(rank, purged.get(key, rank))
        held.setdefault((key, rank), []).append(
            Held(
                content_hash,
                state,
                None if reason is None else QuarantineReason(reason),
                is_superseded=state == "VALID" and not is_current,
            )
        )
    return held, purged


async def _contested(
    connection: asyncpg.Connection, source: SourceInRun, step: Step, new: Sequence[JudgedRow], known: Set[str]
) -> set[str]:
    """Keys whose current version must be worked out from all that is held under them.

    Where nothing was held under a key before (it is not ``known``), the step itself shows which row is current. A
    replacement takes back what the lower numbers of its group brought, so all keys of the group are contested.
    """
    contested = {judged.row.source_key for judged in new if not judged.reasons} & known
    if step.file is None or step.file.group is None or not await _is_group_known(connection, source, step.file):
        return contested
    group = await connection.fetch(
        "SELECT DISTINCT source_key FROM ingest.held_row WHERE source = $1 AND file_group = $2",
        source.name,
        step.file.group,
    )
    return contested | {record["source_key"] for record in group} | {row.source_key for row in step.rows}


def _plainly_current(new: Sequence[JudgedRow], contested: Set[str]) -> set[UUID]:
    """Rows that are current because nothing else is held under their key; of several, the newest."""
    best: dict[str, JudgedRow] = {}
    for judged in new:
        key = judged.row.source_key
        if not judged.reasons and key not in contested:
            other = best.get(key)
            if other is None or _rank(judged) >= _rank(other):
                best[key] = judged
    return {judged.row_id for judged in best.values()}


def _rank(judged: JudgedRow) -> tuple[int, bool]:
    return judged.row.version_rank, judged.row.tombstone


async def _is_group_known(connection: asyncpg.Connection, source: SourceInRun, file: FileRead) -> bool:
    known: bool = await connection.fetchval(
        """SELECT EXISTS (SELECT FROM ingest.file
                          WHERE source = $1 AND file_group = $2 AND state = 'READ' AND name <> $3)""",
        source.name,
        file.group,
        file.name,
    )
    return known


async def _unreadable(connection: asyncpg.Connection, source: SourceInRun, step: Step) -> set[bytes]:
    if not any(row.reasons and row.reasons[0] is QuarantineReason.ROW_UNREADABLE for row in step.rows):
        return set()
    records = await connection.fetch(
        "SELECT content_hash FROM ingest.held_row WHERE source = $1 AND reason = $2",
        source.name,
        QuarantineReason.ROW_UNREADABLE,
    )
    return {record["content_hash"] for record in records}


async def booked_consents(
    connection: asyncpg.Connection, source: str, rows: Sequence[CheckedRow]
) -> dict[str, BookedConsent]:
    """The furnishing consents that these rows name, as the hub holds them."""
    wanted = {row.consent_id for row in rows if row.consent_id} | {
        g.consent_id for row in rows for g in row.guarantors if g.consent_id
    }
    wanted |= {row.source_key.removeprefix("consent|") for row in rows if row.kind is RowKind.CONSENT}
    if not wanted:
        return {}
    records = await connection.fetch(
        "SELECT * FROM record.furnishing_consent WHERE source = $1 AND consent_id = ANY($2)", source, list(wanted)
    )
    return {
        record["consent_id"]: BookedConsent(
            rank=record["version_rank"],
            deleted=record["deleted"],
            subject_indexes=() if record["subject_index"] is None else (record["subject_index"],),
            granted_on=record["granted_on"],
            expires_on=record["expires_on"],
            withdrawn_on=record["withdrawn_on"],
        )
        for record in records
    }


async def store_consents(connection: asyncpg.Connection, source: str, consents: dict[str, BookedConsent]) -> None:
    """Store the consents that rows of this step changed."""
    changed = [(name, c) for name, c in consents.items() if c.changed_by is not None]
    if not changed:
        return
    booked = [
        (name, c.changed_by, c.rank, c.deleted, next(iter(c.subject_indexes), None), c.granted_on, c.expires_on,
         c.withdrawn_on)
        for name, c in changed
    ]  # fmt: skip
    await connection.execute(
        """INSERT INTO record.furnishing_consent
               (source, consent_id, row_id, version_rank, deleted, subject_index, granted_on, expires_on, withdrawn_on)
           SELECT $1, booked.* FROM unnest($2::text[], $3::uuid[], $4::bigint[], $5::boolean[], $6::bytea[],
                                           $7::date[], $8::date[], $9::date[]) AS booked
           ON CONFLICT (source, consent_id) DO UPDATE SET
               row_id = EXCLUDED.row_id, version_rank = EXCLUDED.version_rank, deleted = EXCLUDED.deleted,
               subject_index = EXCLUDED.subject_index, granted_on = EXCLUDED.granted_on,
               expires_on = EXCLUDED.expires_on, withdrawn_on = EXCLUDED.withdrawn_on""",
        source,
        *zip(*booked, strict=True),
    )


async def _note_file(connection: asyncpg.Connection, source: SourceInRun, file: FileRead) -> None:
    await connection.execute(
        """INSERT INTO ingest.file (source, name, state, business_date, file_group, file_number, run_id)
           VALUES ($1, $2, 'READ', $3, $4, $5, $6)
           ON CONFLICT (source, name) DO UPDATE SET state = 'READ', reason = NULL, fingerprint = NULL,
               business_date = EXCLUDED.business_date, file_group = EXCLUDED.file_group,
               file_number = EXCLUDED.file_number, run_id = EXCLUDED.run_id""",
        source.name, file.name, file.business_date, file.group, file.number, source.run_id,
    )  # fmt: skip


async def _note_refused(connection: asyncpg.Connection, source: SourceInRun, refused: FileRefused) -> None:
    await connection.execute(
        """INSERT INTO ingest.file (source, name, state, reason, fingerprint, run_id)
           VALUES ($1, $2, 'REFUSED', $3, $4, $5)
           ON CONFLICT (source, name) DO UPDATE SET state = 'REFUSED', reason = EXCLUDED.reason,
               fingerprint = EXCLUDED.fingerprint, run_id = EXCLUDED.run_id""",
        source.name, refused.name, refused.reason.value, refused.fingerprint, source.run_id,
    )  # fmt: skip


async def _note_seen_again(
    connection: asyncpg.Connection, source: SourceInRun, judgement: Judgement, now: datetime
) -> None:
    """Rows in quarantine that came again unchanged carry the day on which they last did."""
    if not judgement.waiting_again:
        return
    await connection.execute(
        """UPDATE ingest.quarantine q SET last_seen = $2
           FROM ingest.held_row h, unnest($3::text[], $4::bigint[]) AS seen (source_key, version_rank)
           WHERE h.row_id = q.row_id AND q.status = 'OPEN' AND h.source = $1
             AND h.source_key = seen.source_key AND h.version_rank = seen.version_rank""",
        source.name,
        now,
        [key for key, _ in judgement.waiting_again],
        [rank for _, rank in judgement.waiting_again],
    )


async def _count(connection: asyncpg.Connection, source: SourceInRun, step: Step, judgement: Judgement) -> None:
    """Move the report's counts and the watermark in the same transaction as the rows."""
    dropped = Counter(name for judged in judgement.new for name in judged.row.dropped)
    repaired = Counter(name for judged in judgement.new for name in judged.row.repaired)
    refused = [] if step.refused is None else [{"name": step.refused.name, "reason": step.refused.reason.value}]
    await connection.execute(
        """UPDATE ingest.run_source SET fetched = fetched + $3, unchanged = unchanged + $4,
               files_processed = files_processed + $5, files_refused = files_refused || $6::jsonb
           WHERE run_id = $1 AND source = $2""",
        source.run_id, source.name, len(step.rows), judgement.seen_again,
        int(step.file is not None and step.file_ended), orjson.dumps(refused).decode(),
    )  # fmt: skip
    if dropped or repaired:
        record = await connection.fetchrow(
            "SELECT dropped_fields, repaired_fields FROM ingest.run_source WHERE run_id = $1 AND source = $2",
            source.run_id,
            source.name,
        )
        await connection.execute(
            "UPDATE ingest.run_source SET dropped_fields = $3, repaired_fields = $4 WHERE run_id = $1 AND source = $2",
            source.run_id,
            source.name,
            orjson.dumps(Counter(orjson.loads(record["dropped_fields"])) + dropped).decode(),
            orjson.dumps(Counter(orjson.loads(record["repaired_fields"])) + repaired).decode(),
        )
    if step.watermark is not None:
        await connection.execute(
            "UPDATE ingest.source_state SET watermark = $2 WHERE source = $1",
            source.name,
            orjson.dumps(step.watermark).decode(),
        )
