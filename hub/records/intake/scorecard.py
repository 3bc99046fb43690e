"""Scorecards of sources, measured by the receiver over a span of days: what came, how good, how late, how it answered.

Counts of rows and times only; nothing personal. The figures come from the log of runs (hub/records/intake/runs.py),
the files read, the open quarantine and the challenges.
"""

from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from hub.core.names import QuarantineReason

MISSING = frozenset(
    reason.name
    for reason in (
        QuarantineReason.ROW_UNREADABLE,
        QuarantineReason.ID_MISSING,
        QuarantineReason.CONSENT_MISSING,
        QuarantineReason.ADVERSE_NOTICE_MISSING,
        QuarantineReason.REF_MISSING,
    )
)
"""Reasons that say that something mandatory was not there."""

_RUNS = """
SELECT s.source, s.kind, s.last_status, s.last_ok_at, coalesce(c.state, 'CLOSED') AS circuit, c.retry_at,
    count(r.run_id) AS pulls, count(*) FILTER (WHERE r.status IN ('OK', 'PARTIAL')) AS ended_well,
    count(*) FILTER (WHERE r.status = 'FAILED') AS failed,
    count(DISTINCT (r.started_at AT TIME ZONE 'Asia/Shanghai')::date)
        FILTER (WHERE r.status IN ('OK', 'PARTIAL')) AS days_pulled,
    coalesce(sum(r.fetched), 0)::bigint AS fetched, coalesce(sum(r.unchanged), 0)::bigint AS unchanged,
    coalesce(sum(r.accepted), 0)::bigint AS accepted, coalesce(sum(r.superseded), 0)::bigint AS superseded,
    coalesce(sum(r.fields), 0)::bigint AS fields, coalesce(sum(r.filled), 0)::bigint AS filled,
    greatest((SELECT min((f.started_at AT TIME ZONE 'Asia/Shanghai')::date) FROM ingest.run_source f
              WHERE f.source = s.source), ($1 AT TIME ZONE 'Asia/Shanghai')::date) AS known_from
FROM ingest.source_state s LEFT JOIN ingest.circuit c USING (source)
    LEFT JOIN ingest.run_source r ON r.source = s.source AND r.started_at >= $1 AND r.started_at < $2
GROUP BY s.source, s.kind, s.last_status, s.last_ok_at, c.state, c.retry_at ORDER BY s.source
"""
_REASONS = """
SELECT r.source, q.key AS name, sum(q.value::bigint)::bigint AS number
FROM ingest.run_source r CROSS JOIN jsonb_each_text(r.quarantined) q
WHERE r.started_at >= $1 AND r.started_at < $2 GROUP BY 1, 2
"""
_AGES = """
SELECT r.source, a.key AS name, sum(a.value::bigint)::bigint AS number
FROM ingest.run_source r CROSS JOIN jsonb_each_text(r.ages) a
WHERE r.started_at >= $1 AND r.started_at < $2 AND r.watermark_before IS NOT NULL GROUP BY 1, 2
"""
_FILES = """
SELECT f.source, count(*) FILTER (WHERE f.state = 'READ') AS files,
    count(*) FILTER (WHERE f.state = 'REFUSED') AS refused,
    avg((r.started_at AT TIME ZONE 'Asia/Shanghai')::date - f.business_date)::float8 AS days_late,
    count(DISTINCT f.business_date) FILTER (WHERE f.state = 'READ'
        AND f.business_date BETWEEN ($1 AT TIME ZONE 'Asia/Shanghai')::date
                                AND ($2 AT TIME ZONE 'Asia/Shanghai')::date) AS days_delivered,
    greatest(min(f.business_date), ($1 AT TIME ZONE 'Asia/Shanghai')::date) AS delivers_from
FROM ingest.file f JOIN ingest.run r USING (run_id) WHERE r.started_at >= $1 AND r.started_at < $2 GROUP BY 1
"""
_PHASES = """
SELECT p.source, p.phase, sum(p.times)::bigint AS times, sum(p.failed)::bigint AS failed, sum(p.seconds) AS seconds,
    max(p.longest) AS longest
FROM ingest.run_phase p JOIN ingest.run_source r USING (run_id, source)
WHERE r.started_at >= $1 AND r.started_at < $2 GROUP BY 1, 2 ORDER BY 1, 2
"""
_OPEN = "SELECT source, count(*) AS number FROM ingest.quarantine WHERE status = 'OPEN' GROUP BY 1"
_LOST = """
SELECT source, count(*) AS number FROM record.challenge
WHERE cause = 'LOST' AND opened_at >= $1 AND opened_at < $2 GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class PhaseScore:
    """How often a phase of the source's pulls was passed, how often it failed, and how long it took in seconds."""

    phase: str
    times: int
    failed: int
    seconds: float
    longest: float

    @property
    def success(self) -> float:
        """Share of passages that went well."""
        return 1 - self.failed / self.times


@dataclass(frozen=True, slots=True)
class Scorecard:
    """One source over a span. Shares are from 0 to 1, ``None`` where there was nothing to measure."""

    source: str
    kind: str
    status: str | None
    circuit: str
    last_ok_at: datetime | None
    retry_at: datetime | None
    pulls: int
    failed_pulls: int
    success: float | None
    """Share of pulls that ended well."""
    fetched: int
    new_rows: int
    mandatory: float | None
    """Completeness: share of new rows in which nothing mandatory was missing."""
    filled: float | None
    """Completeness: share of values filled in, of those that the accepted rows could carry."""
    expected_days: int
    """Days on which something should have come: a file for the day, or a pull that ended well."""
    arrived_days: int
    validity: float | None
    """Share of new rows that broke no rule."""
    quarantined: dict[str, int]
    open_quarantine: int
    ages: dict[str, int]
    """New rows by the time from the source's own time to its being recorded; the first load is left out."""
    files: int
    refused_files: int
    days_late: float | None
    """Mean days from the business date of a file to its being read."""
    conflicts_lost: int
    phases: list[PhaseScore] = field(default_factory=list)


async def scorecards(connection: asyncpg.Connection, since: datetime, until: datetime) -> list[Scorecard]:
    """One card for each source that was ever pulled, by name. ``connection`` is as hub_ingest or hub_auditor."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        sources = await connection.fetch(_RUNS, since, until)
        reasons = _by_source(await connection.fetch(_REASONS, since, until))
        ages = _by_source(await connection.fetch(_AGES, since, until))
        files = {row["source"]: row for row in await connection.fetch(_FILES, since, until)}
        phases = await connection.fetch(_PHASES, since, until)
        still_open = {row["source"]: row["number"] for row in await connection.fetch(_OPEN)}
        lost = {row["source"]: row["number"] for row in await connection.fetch(_LOST, since, until)}
    return [
        _card(
            row,
            reasons.get(row["source"], {}),
            ages.get(row["source"], {}),
            files.get(row["source"]),
            [_phase(each) for each in phases if each["source"] == row["source"]],
            (still_open.get(row["source"], 0), lost.get(row["source"], 0)),
            until,
        )
        for row in sources
    ]


def _card(
    row: asyncpg.Record,
    reasons: dict[str, int],
    ages: dict[str, int],
    files: asyncpg.Record | None,
    phases: list[PhaseScore],
    numbers: tuple[int, int],
    until: datetime,
) -> Scorecard:
    new = row["fetched"] - row["unchanged"]
    begins = row["known_from"] if files is None else files["delivers_from"]
    arrived = row["days_pulled"] if files is None else files["days_delivered"]
    expected = 0 if begins is None else max(0, (until.date() - begins).days + (files is None))
    return Scorecard(
        source=row["source"],
        kind=row["kind"],
        status=row["last_status"],
        circuit=row["circuit"],
        last_ok_at=row["last_ok_at"],
        retry_at=row["retry_at"],
        pulls=row["pulls"],
        failed_pulls=row["failed"],
        success=_share(row["ended_well"], row["pulls"]),
        fetched=row["fetched"],
        new_rows=new,
        mandatory=_share(new - sum(n for name, n in reasons.items() if name in MISSING), new),
        filled=_share(row["filled"], row["fields"]),
        expected_days=max(expected, arrived),
        arrived_days=arrived,
        validity=_share(new - sum(reasons.values()), new),
        quarantined=dict(sorted(reasons.items())),
        open_quarantine=numbers[0],
        ages=ages,
        files=0 if files is None else files["files"],
        refused_files=0 if files is None else files["refused"],
        days_late=None if files is None else files["days_late"],
        conflicts_lost=numbers[1],
        phases=phases,
    )


def _phase(row: asyncpg.Record) -> PhaseScore:
    return PhaseScore(row["phase"], row["times"], row["failed"], row["seconds"], row["longest"])


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _by_source(rows: list[asyncpg.Record]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["source"], {})[row["name"]] = row["number"]
    return found


@dataclass(frozen=True, slots=True)
class Trend:
    """A card, and the card of the span of the same length before it, if the source was pulled then."""

    now: Scorecard
    before: Scorecard | None

    def change(self, name: str) -> float | None:
        """By how much a share of the card has risen."""
        new = getattr(self.now, name)
        old = None if self.before is None else getattr(self.before, name)
        return None if new is None or old is None else float(new - old)


TRENDS = ("success", "mandatory", "filled", "validity")
"""The shares of which a trend is told."""
