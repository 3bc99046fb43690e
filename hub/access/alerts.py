"""Alarms about officers' queries: found in the ledger, kept, listed, closed. ``connection`` is one as hub_ingest."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg

from hub.access.anomaly import Rule, unusual


class AlertKind(StrEnum):
    """Why an alarm was raised."""

    CANARY = "CANARY"
    OFFICER_RATE = "OFFICER_RATE"
    VILLAGE_RATE = "VILLAGE_RATE"
    DENIED = "DENIED"
    NO_RESULT = "NO_RESULT"
    ASSISTED = "ASSISTED"
    BREACH = "BREACH"


class AlertOutcome(StrEnum):
    """What a look at an alarm found."""

    JUSTIFIED = "JUSTIFIED"
    MISUSE = "MISUSE"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alarm. ``observed`` counts queries (NO_RESULT: those without result), ``usual`` what was usual."""

    alert_id: UUID
    kind: AlertKind
    raised_at: datetime
    day: date
    county: str | None
    organisation_id: str | None
    officer: str | None
    village_code: str | None
    observed: float
    usual: float | None
    score: float | None
    status: str
    outcome: AlertOutcome | None
    closed_at: datetime | None
    closed_by: str | None


@dataclass(frozen=True, slots=True)
class AlertRule:
    """The thresholds of one kind (migration ``alerts``)."""

    kind: AlertKind
    minimum: int
    score: float
    window_days: int
    settled_days: int


@dataclass(frozen=True, slots=True)
class OfficerOutcome:
    """What came of an officer's queries in a span of days."""

    organisation_id: str
    officer: str
    queries: int
    people: int
    denied: int
    applied: int
    resulted: int
    neither: int


@dataclass(frozen=True, slots=True)
class _Found:
    kind: AlertKind
    day: date
    county: str | None
    organisation_id: str | None
    officer: str | None
    village_code: str | None
    observed: int
    usual: float
    score: float


async def alert_rules(connection: asyncpg.Connection) -> dict[AlertKind, AlertRule]:
    """The thresholds in force."""
    records = await connection.fetch("SELECT kind, minimum, score, window_days, settled_days FROM access.alert_rule")
    return {
        AlertKind(r["kind"]): AlertRule(
            AlertKind(r["kind"]), r["minimum"], float(r["score"]), r["window_days"], r["settled_days"]
        )
        for r in records
    }


async def officer_outcomes(
    connection: asyncpg.Connection, since: date, until: date, settled_days: int
) -> list[OfficerOutcome]:
    """What came of each officer's queries of these days, those with most that led to nothing first."""
    records = await connection.fetch("SELECT * FROM access.query_outcomes($1, $2, $3)", since, until, settled_days)
    found = [OfficerOutcome(**dict(record)) for record in records]
    return sorted(found, key=lambda each: (-each.neither, each.organisation_id, each.officer))


async def find_alerts(connection: asyncpg.Connection, today: date, now: datetime) -> int:
    """Raise an alarm for everything unusual of today and yesterday; one that stands is not raised twice.

    Returns how many are new.
    """
    rules = await alert_rules(connection)
    days = (today - timedelta(days=1), today)
    found = [*await _by_officer(connection, rules, days), *await _by_village(connection, rules, days)]
    found += await _without_result(connection, rules[AlertKind.NO_RESULT], today)
    raised = await connection.fetch(
        """INSERT INTO access.alert (kind, raised_at, day, county, organisation_id, officer, village_code, observed,
               usual, score)
           SELECT f.kind, $1, f.day, f.county, f.organisation_id, f.officer, f.village_code, f.observed, f.usual,
               f.score
           FROM unnest($2::text[], $3::date[], $4::bpchar[], $5::text[], $6::text[], $7::text[], $8::numeric[],
                       $9::numeric[], $10::numeric[])
                AS f (kind, day, county, organisation_id, officer, village_code, observed, usual, score)
           ON CONFLICT DO NOTHING RETURNING alert_id""",
        now,
        *_columns(found),
    )
    return len(raised)


def _columns(found: Sequence[_Found]) -> tuple[list[Any], ...]:
    names = ("kind", "day", "county", "organisation_id", "officer", "village_code", "observed", "usual", "score")
    return tuple([_number(getattr(each, name)) for each in found] for name in names)


def _number(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


async def _by_officer(
    connection: asyncpg.Connection, rules: Mapping[AlertKind, AlertRule], days: Sequence[date]
) -> list[_Found]:
    window = max(rules[AlertKind.OFFICER_RATE].window_days, rules[AlertKind.DENIED].window_days)
    records = await connection.fetch("SELECT * FROM access.query_counts($1)", days[-1] - timedelta(days=window))
    found = []
    for kind, column in ((AlertKind.OFFICER_RATE, "queries"), (AlertKind.DENIED, "denied")):
        counts = {((r["organisation_id"], r["officer"]), r["day"]): int(r[column]) for r in records}
        for who, day, alarm in _unusual(counts, days, rules[kind]):
            found.append(_Found(kind, day, None, who[0], who[1], None, alarm.observed, alarm.usual, alarm.score))
    return found


async def _by_village(
    connection: asyncpg.Connection, rules: Mapping[AlertKind, AlertRule], days: Sequence[date]
) -> list[_Found]:
    rule = rules[AlertKind.VILLAGE_RATE]
    records = await connection.fetch(
        "SELECT * FROM access.village_counts($1)", days[-1] - timedelta(days=rule.window_days)
    )
    counts = {((r["county"], r["village_code"]), r["day"]): int(r["queries"]) for r in records}
    return [
        _Found(AlertKind.VILLAGE_RATE, day, where[0], None, None, where[1], alarm.observed, alarm.usual, alarm.score)
        for where, day, alarm in _unusual(counts, days, rule)
    ]


def _unusual(counts: Mapping[tuple[Any, date], int], days: Sequence[date], rule: AlertRule) -> Iterator[Any]:
    """Who is unusual on which of the days, by his own other days and by the others on the same day."""
    own: defaultdict[Any, dict[date, int]] = defaultdict(dict)
    for (who, day), count in counts.items():
        own[who][day] = count
    for who, history in own.items():
        for day in days:
            if day not in history:
                continue
            before = [count for other, count in history.items() if other < day]
            peers = [others[day] for other, others in own.items() if other != who and day in others]
            alarm = unusual(history[day], before, peers, Rule(rule.minimum, rule.score))
            if alarm is not None:
                yield who, day, alarm


async def _without_result(connection: asyncpg.Connection, rule: AlertRule, today: date) -> list[_Found]:
    """Officers most of whose queries led to nothing, once it can be told."""
    until = today - timedelta(days=rule.settled_days)
    outcomes = await officer_outcomes(connection, until - timedelta(days=rule.window_days), until, rule.settled_days)
    return [
        _Found(
            AlertKind.NO_RESULT, today.replace(day=1), None, each.organisation_id, each.officer, None, each.neither,
            each.queries, each.neither / each.queries,
        )
        for each in outcomes
        if each.neither >= rule.minimum and each.neither / each.queries >= rule.score
    ]  # fmt: skip


_SHOWN = """
SELECT alert_id, kind, raised_at, day, county, organisation_id, officer, village_code, observed, usual, score, status,
    outcome, closed_at, closed_by FROM access.alert
"""


async def list_alerts(
    connection: asyncpg.Connection,
    *,
    status: str | None = None,
    kind: AlertKind | None = None,
    first: int | None = None,
    after: UUID | None = None,
) -> list[Alert]:
    """Alarms in the order in which they were raised; their ids rise with time."""
    records = await connection.fetch(
        _SHOWN + "WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR kind = $2)"
        " AND ($3::uuid IS NULL OR alert_id > $3) ORDER BY alert_id LIMIT $4",
        status,
        None if kind is None else kind.value,
        after,
        first,
    )
    return [_alert(record) for record in records]


async def close_alert(
    connection: asyncpg.Connection, alert_id: UUID, outcome: AlertOutcome, who: str, now: datetime
) -> Alert | None:
    """Close an open alarm; ``None`` if there is no open one of this id."""
    record = await connection.fetchrow(
        """UPDATE access.alert SET status = 'CLOSED', outcome = $2, closed_by = $3, closed_at = $4
           WHERE alert_id = $1 AND status = 'OPEN' RETURNING *""",
        alert_id,
        outcome.value,
        who,
        now,
    )
    return None if record is None else _alert(record)


async def ring_canaries(connection: asyncpg.Connection, indexes: Sequence[bytes], steward: str) -> None:
    """Raise an alarm if any of these blind indexes of ID numbers is a canary's; the gate does so by itself."""
    await connection.execute("SELECT access.ring_canaries($1, $2)", list(indexes), steward)


async def unrecorded(connection: asyncpg.Connection) -> list[Alert]:
    """Alarms that the log does not know of yet, locked for the caller's transaction."""
    records = await connection.fetch(_SHOWN + "WHERE ev IS NULL ORDER BY alert_id LIMIT 500 FOR UPDATE SKIP LOCKED")
    return [_alert(record) for record in records]


async def note_recorded(connection: asyncpg.Connection, alert_id: UUID, event: UUID) -> None:
    """The log knows of an alarm, by this entry."""
    await connection.execute("UPDATE access.alert SET ev = $2 WHERE alert_id = $1", alert_id, event)


def _alert(record: asyncpg.Record) -> Alert:
    return Alert(
        record["alert_id"], AlertKind(record["kind"]), record["raised_at"], record["day"], record["county"],
        record["organisation_id"], record["officer"], record["village_code"], float(record["observed"]),
        None if record["usual"] is None else float(record["usual"]),
        None if record["score"] is None else float(record["score"]), record["status"],
        None if record["outcome"] is None else AlertOutcome(record["outcome"]), record["closed_at"],
        record["closed_by"],
    )  # fmt: skip
