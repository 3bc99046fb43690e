"""The state that pulls lead to, in words that do not depend on when or in how many attempts it was reached.

Ids are replaced by what they stand for (household number, blind index, row), times of the hub's own are left out.
Two states are comparable if both were made with the same keys.
"""

import re
from collections import Counter
from typing import Any

import asyncpg

from hub.store.database import Database, DbRole

State = dict[str, Counter[str]]

_ROW = "(SELECT h.source || ' ' || h.source_key || ' ' || h.version FROM ingest.held_row h WHERE h.row_id = {0}.row_id)"
_PERSON = "(SELECT encode(p.identity_index, 'hex') FROM record.person p WHERE p.person_id = {0}.person_id)"
_HOUSEHOLD = """(SELECT h.household_no FROM record.household_directory h WHERE h.household_id = {0}.household_id)"""

_PARTS = {
    "ledger": """SELECT source, source_key, version, version_rank, content_hash, kind, tombstone, state, reason,
        is_current, subject_index, file_name, file_group, file_number FROM ingest.held_row""",
    "files": "SELECT source, name, state, reason, fingerprint, business_date, file_group, file_number FROM ingest.file",
    "watermarks": "SELECT source, kind, watermark FROM ingest.source_state",
    # Whether a row once had to wait for another one depends on which run brought that.
    "quarantine": f"""SELECT q.source, q.source_key, q.reason, q.other_reasons, q.status, q.sealed_row IS NULL,
        {_ROW.format("q")} FROM ingest.quarantine q
        WHERE NOT (q.status = 'CLEARED' AND q.reason IN (21, 22))""",
    "current observations": f"""SELECT o.county, o.source, o.source_key, o.version, o.kind, o.category, o.tombstone,
        o.subject_index, o.household_no, {_PERSON.format("o")}, o.link, o.valid_from, o.valid_to, o.adverse,
        o.suppressed, o.consent_id, o.source_time, o.agreement_no, o.digest, o.hint IS NULL
        FROM record.observation o WHERE recorded_to = 'infinity'""",
    "consents": f"""SELECT c.source, c.consent_id, {_ROW.format("c")}, c.version_rank, c.deleted, c.subject_index,
        c.granted_on, c.expires_on, c.withdrawn_on FROM record.furnishing_consent c""",
    "directory": f"SELECT d.blind_index, {_PERSON.format('d')}, d.county FROM record.directory d",
    # By which number somebody was first known, and who was taken for another before, depends on what came first.
    "people": f"""SELECT p.county, p.identity_index, p.name_index, p.birth_date, p.status,
        {_HOUSEHOLD.format("p")}, p.member_no FROM record.person p WHERE p.merged_into IS NULL""",
    "households": """SELECT county, household_no, held, status, village_code, group_no, row_village_code, township_name,
        village_name, phone_index, source, changed_at FROM record.household""",
    "memberships": f"""SELECT m.county, {_HOUSEHOLD.format("m")}, m.member_no, {_PERSON.format("m")}, m.relation,
        m.birth_date, m.valid_from, m.valid_to, m.died_on, m.name_index, m.number_index, m.identity_index, m.source,
        m.changed_at FROM record.membership m WHERE recorded_to = 'infinity'""",
    "events": f"""SELECT e.event_no, e.position, {_ROW.format("e")}, e.event_type, e.effective_on, e.registered_at,
        e.from_household, e.to_household, e.to_village_code, e.to_group_no, e.member_no, e.relation, e.old_index,
        e.new_index FROM record.roster_event e""",
    "aliases": "SELECT alias_index, canonical_index FROM record.alias",
    "candidates": f"SELECT {_ROW.format('c')}, c.member_no, {_PERSON.format('c')} FROM record.link_candidate c",
    "work left": "SELECT kind, source, source_key FROM record.touched",
    "households left": f"SELECT {_HOUSEHOLD.format('s')} FROM record.stale_household s",
    "sections": f"""SELECT s.county, {_HOUSEHOLD.format("s")}, {_PERSON.format("s")}, s.category, s.form, s.owner,
        s.body, s.source, s.source_time, s.changes_on, s.fold_version FROM record.section s""",
    "open challenges": f"""SELECT c.county, {_PERSON.format("c")}, {_HOUSEHOLD.format("c")}, c.source, c.source_key,
        c.attribute, c.cause, c.rule_version, c.stated FROM record.challenge c WHERE c.closed_at IS NULL""",
}
_RECORDED_AT = re.compile(r'"recordedAt": ?"[^"]*"')

_OWN_TIMES = {
    "ingest.quarantine": {"last_seen"},
    "ingest.source_state": {"last_ok_at", "last_status"},
}
"""Columns that speak of the last run and differ after a further one that found nothing new."""

_LOG_OF_RUNS = {"ingest.run", "ingest.run_source", "ingest.run_phase", "ingest.circuit", "record.settled"}


async def state_of(database: Database) -> State:
    """Everything pulled, linked and folded, part by part."""
    connection = await database.connect(DbRole.OWNER)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return {part: await _rows(connection, query) for part, query in _PARTS.items()}
    finally:
        await connection.close()


async def _rows(connection: asyncpg.Connection, query: str) -> Counter[str]:
    return Counter(_RECORDED_AT.sub("", str(tuple(record))) for record in await connection.fetch(query))


async def whole_tables(database: Database) -> State:
    """Every table of delivery and record, ids and sealed bytes included; only the log of runs is left out."""
    connection = await database.connect(DbRole.OWNER)
    try:
        tables = await connection.fetch(
            """SELECT table_schema || '.' || table_name AS name, array_agg(column_name::text ORDER BY ordinal_position)
                   AS columns
               FROM information_schema.columns WHERE table_schema IN ('ingest', 'record') GROUP BY 1 ORDER BY 1"""
        )
        state: State = {}
        for table in tables:
            if table["name"] not in _LOG_OF_RUNS:
                columns = [name for name in table["columns"] if name not in _OWN_TIMES.get(table["name"], set())]
                records = await connection.fetch(f"SELECT {', '.join(columns)} FROM {table['name']}")
                state[table["name"]] = Counter(str(tuple(record)) for record in records)
        return state
    finally:
        await connection.close()


def differences(expected: State, found: State, most: int = 5) -> list[str]:
    """What is missing and what is too much, part by part, at most so many examples of each."""
    lines = []
    for part in sorted(expected.keys() | found.keys()):
        for word, more in (("missing", expected), ("too much", found)):
            less = found if more is expected else expected
            rest = more.get(part, Counter()) - less.get(part, Counter())
            lines += [f"{part}: {word}: {row}" for row in sorted(rest)[:most]]
            if len(rest) > most:
                lines.append(f"{part}: {word}: {len(rest) - most} more")
    return lines


def comparable(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Household records as shown, without the times at which the hub came to know."""
    for record in records:
        for fact in record.get("facts", ()):
            del fact["recorded_at"]
    return records
