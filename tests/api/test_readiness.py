"""/readyz and /metrics tell the truth: about the database, its rules, the log, and the sources."""

from datetime import UTC, datetime

import httpx
import pytest
from starlette.applications import Starlette

from hub.app import build_metrics
from hub.flows import readiness
from tests.api.world import Api


@pytest.fixture(autouse=True)
def _nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "KEPT_SECONDS", 0.0)


async def _ready(api: Api) -> tuple[int, list[str]]:
    reply = await api.http.get("/readyz")
    return reply.status_code, reply.json()["problems"]


async def test_it_is_ready_only_with_the_rules_the_schema_and_a_log_that_records(api: Api) -> None:
    assert await _ready(api) == (200, [])
    await api.owner.execute("UPDATE access.policy_set SET retired_at = clock_timestamp()")
    assert await _ready(api) == (503, ["RULES_DIFFER"])
    await api.owner.execute("UPDATE access.policy_set SET retired_at = NULL")
    newest = await api.owner.fetchval("UPDATE public.alembic_version SET version_num = '0001' RETURNING version_num")
    assert newest == "0001"
    assert await _ready(api) == (503, ["SCHEMA"])


async def test_a_log_that_cannot_record_is_told(api: Api) -> None:
    await api.owner.execute("ALTER TABLE audit.entry RENAME TO elsewhere")
    status, problems = await _ready(api)
    await api.owner.execute("ALTER TABLE audit.elsewhere RENAME TO entry")
    assert status == 503
    assert [problem.startswith("AUDIT") for problem in problems] == [True]


async def _metrics(app: Starlette) -> list[str]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as http:
        reply = await http.get("/metrics")
    assert reply.status_code == 200
    return reply.text.splitlines()


async def test_metrics_say_how_the_sources_stand_and_are_not_on_the_apis_address(api: Api) -> None:
    at = datetime(2026, 11, 10, tzinfo=UTC)
    await api.owner.execute(
        "INSERT INTO ingest.source_state (source, kind, last_status, last_ok_at) VALUES ('tax9', 'tax-rest', 'OK', $1)",
        at,
    )
    await api.owner.execute("INSERT INTO ingest.circuit VALUES ('tax9', 'OPEN', 4, $1, $1, 'SOURCE_BUSY')", at)
    await api.owner.execute(
        "INSERT INTO record.unfolded_household VALUES ('533103', gen_random_uuid(), 'KeyError at x.py:1', $1, $1)", at
    )
    await api.owner.execute(
        "INSERT INTO ingest.run (run_id, started_at, finished_at) VALUES (gen_random_uuid(), $1, $1),"
        " (gen_random_uuid(), now(), NULL)",
        at,
    )
    lines = await _metrics(build_metrics(api.hub))
    assert "hub_ready 1.0" in lines
    (ended,) = [line for line in lines if line.startswith("hub_run_finished_timestamp_seconds ")]
    assert float(ended.split()[-1]) == at.timestamp(), "the run that has not ended does not count"
    assert "hub_households_unfolded 1.0" in lines
    assert "hub_database_up 1.0" in lines
    assert 'hub_source_circuit{source="tax9",state="OPEN"} 1.0' in lines
    assert 'hub_source_circuit{source="tax9",state="CLOSED"} 0.0' in lines
    assert 'hub_source_failures{source="tax9"} 4.0' in lines
    (last,) = [line for line in lines if line.startswith('hub_source_last_ok_timestamp_seconds{source="tax9"}')]
    assert float(last.split()[-1]) == at.timestamp()
    assert (await api.http.get("/metrics")).status_code == 404
