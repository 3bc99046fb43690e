"""Metrics in Prometheus' text format, on a listener of their own (HUB_METRICS_PORT): never on the API's address.

Read from the database when asked, at most every few seconds, because pulls run in other processes. Labels are names of
sources, phases, reasons and states: closed lists and what the operator configured. Nothing is personal.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

import asyncpg
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.access.alerts import AlertKind
from hub.core.circuit import CircuitState
from hub.core.names import QuarantineReason
from hub.store.database import DATABASE_ERRORS

KEPT_SECONDS = 5.0
"""What was read stands so long."""

_WAIT_SECONDS = 5.0
_OUTCOMES = ("fetched", "accepted", "unchanged", "superseded", "withdrawn", "released")

_SOURCES = """
SELECT s.source, s.last_ok_at, coalesce(c.state, 'CLOSED') AS circuit, coalesce(c.failures, 0) AS failures
FROM ingest.source_state s LEFT JOIN ingest.circuit c USING (source)
"""
_ROWS = f"SELECT source, {', '.join(f'coalesce(sum({name}), 0)::bigint AS {name}' for name in _OUTCOMES)} " + (
    "FROM ingest.run_source GROUP BY source"
)
_PHASES = """
SELECT p.source, p.phase, sum(p.times)::bigint AS times, sum(p.failed)::bigint AS failed, sum(p.seconds) AS seconds
FROM ingest.run_phase p JOIN ingest.run r USING (run_id) WHERE r.started_at > now() - interval '1 day' GROUP BY 1, 2
"""
_HELD_BACK = "SELECT source, reason, count(*) AS number FROM ingest.quarantine WHERE status = 'OPEN' GROUP BY 1, 2"
_RUN = "SELECT max(finished_at) FROM ingest.run"
_UNFOLDED = "SELECT count(since) FROM record.unfolded_household"
_SHADOW = "SELECT checked, differed, unacknowledged FROM access.shadow"
_ALERTS = "SELECT kind, count(*) AS number FROM access.alert WHERE status = 'OPEN' GROUP BY kind"
_WORKER = "SELECT seen_at FROM ingest.worker"

Problems = Callable[[], Awaitable[tuple[str, ...]]]


class _Read(Collector):
    """Gives out families that were read before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def metrics_app(auditor: asyncpg.Pool, problems: Problems, more: Iterable[Collector] = ()) -> Starlette:
    """The application of the metrics listener. ``auditor`` is a pool as hub_auditor; ``problems`` are readiness';
    ``more`` are collectors of what this process counts itself.
    """
    process = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=process)
    for counted in more:
        process.register(counted)
    one = asyncio.Lock()
    kept: list[Metric] = []
    until = 0.0

    async def read() -> list[Metric]:
        nonlocal kept, until
        async with one:
            if time.monotonic() >= until:
                found = await problems()
                ready = GaugeMetricFamily("hub_ready", "Whether the hub can answer.", value=0.0 if found else 1.0)
                kept = [ready, *(await _families(auditor))]
                until = time.monotonic() + KEPT_SECONDS
            return kept

    async def metrics(_: Request) -> Response:
        registry = CollectorRegistry()
        registry.register(_Read(await read()))
        text = generate_latest(registry) + generate_latest(process)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/metrics", metrics, methods=["GET"])])


async def _families(auditor: asyncpg.Pool) -> list[Metric]:
    """What the database says; without it only that it does not answer."""
    up = GaugeMetricFamily("hub_database_up", "Whether the database answers.")
    try:
        async with asyncio.timeout(_WAIT_SECONDS), auditor.acquire() as connection:
            queries = (_SOURCES, _ROWS, _PHASES, _HELD_BACK, _WORKER, _ALERTS)
            sources, rows, phases, held_back, worker, alerts = [await connection.fetch(query) for query in queries]
            shadow = await connection.fetchrow(_SHADOW)
            unfolded, finished_at = await connection.fetchval(_UNFOLDED), await connection.fetchval(_RUN)
    except DATABASE_ERRORS:
        up.add_metric([], 0.0)
        return [up]
    up.add_metric([], 1.0)
    return [
        up,
        *_of_sources(sources),
        _of_rows(rows),
        *_of_phases(phases),
        _of_held_back(held_back),
        _of_worker(worker),
        _of_alerts(alerts),
        GaugeMetricFamily("hub_households_unfolded", "Households that could not be folded.", value=float(unfolded)),
        _of_run(finished_at),
        *_of_shadow(shadow),
    ]


def _of_sources(records: list[asyncpg.Record]) -> list[Metric]:
    last = GaugeMetricFamily(
        "hub_source_last_ok_timestamp_seconds", "When the source was last read well.", labels=["source"]
    )
    circuit = GaugeMetricFamily("hub_source_circuit", "1 for the state of the circuit.", labels=["source", "state"])
    failures = GaugeMetricFamily("hub_source_failures", "Failed pulls in a row.", labels=["source"])
    for record in records:
        if record["last_ok_at"] is not None:
            last.add_metric([record["source"]], _instant(record["last_ok_at"]))
        failures.add_metric([record["source"]], record["failures"])
        for state in CircuitState:
            circuit.add_metric([record["source"], state.value], float(state == record["circuit"]))
    return [last, circuit, failures]


def _of_alerts(records: list[asyncpg.Record]) -> Metric:
    alerts = GaugeMetricFamily("hub_security_alerts_open", "Alarms about queries nobody has closed.", labels=["kind"])
    open_ones = {record["kind"]: record["number"] for record in records}
    for kind in AlertKind:
        alerts.add_metric([kind.value], float(open_ones.get(kind.value, 0)))
    return alerts


def _of_run(finished_at: datetime | None) -> Metric:
    """Sources may be read well while what they said is not folded: only then has a run come to its end."""
    last = GaugeMetricFamily("hub_run_finished_timestamp_seconds", "When a run last came to its end, folding included.")
    if finished_at is not None:
        last.add_metric([], _instant(finished_at))
    return last


def _of_rows(records: list[asyncpg.Record]) -> Metric:
    rows = CounterMetricFamily("hub_rows", "Rows of the source by what came of them.", labels=["source", "outcome"])
    for record in records:
        for name in _OUTCOMES:
            rows.add_metric([record["source"], name], record[name])
    return rows


def _of_phases(records: list[asyncpg.Record]) -> list[Metric]:
    labels = ["source", "phase"]
    times = GaugeMetricFamily("hub_phase_passages_day", "Passages of a phase of pulls in a day.", labels=labels)
    failed = GaugeMetricFamily("hub_phase_failures_day", "Failed passages of a phase in a day.", labels=labels)
    seconds = GaugeMetricFamily("hub_phase_seconds_day", "Seconds spent in a phase in a day.", labels=labels)
    for record in records:
        place = [record["source"] or "run", record["phase"]]
        times.add_metric(place, record["times"])
        failed.add_metric(place, record["failed"])
        seconds.add_metric(place, record["seconds"])
    return [times, failed, seconds]


def _of_held_back(records: list[asyncpg.Record]) -> Metric:
    held = GaugeMetricFamily("hub_quarantine_open", "Rows in quarantine.", labels=["source", "reason"])
    for record in records:
        held.add_metric([record["source"], QuarantineReason(record["reason"]).name], record["number"])
    return held


def _of_worker(records: list[asyncpg.Record]) -> Metric:
    seen = GaugeMetricFamily("hub_worker_seen_timestamp_seconds", "When the worker last said that it lives.")
    for record in records:
        seen.add_metric([], _instant(record["seen_at"]))
    return seen


def _of_shadow(record: asyncpg.Record) -> list[Metric]:
    """``hub_decisions_differ`` above 0 is an alarm: a decision was not what the rules say
    (hub/flows/rules/shadow.py).
    """
    return [
        CounterMetricFamily(
            "hub_decisions_rechecked", "Recorded decisions run again through Cedar.", value=float(record["checked"])
        ),
        CounterMetricFamily(
            "hub_decisions_differed", "Of these, not what the rules say.", value=float(record["differed"])
        ),
        GaugeMetricFamily(
            "hub_decisions_differ", "Differences that nobody has acknowledged.", value=float(record["unacknowledged"])
        ),
    ]


def _instant(at: datetime) -> float:
    return at.timestamp()
