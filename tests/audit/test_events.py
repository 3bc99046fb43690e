"""The closed list: its grammar, its document, the database's copy of it, and what it refuses."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hub.audit.events import EVENTS, NAME, as_markdown, check_event
from hub.core.errors import AuditError
from hub.store.database import DbRole
from tests.audit.conftest import Log

ROOT = Path(__file__).parents[2]


def test_names_follow_the_grammar() -> None:
    assert all(NAME.match(name) for name in EVENTS)


def test_document_is_up_to_date() -> None:
    assert (ROOT / "docs/AUDIT-EVENTS.md").read_text() == as_markdown(), "run python -m hub.audit.events"


async def test_database_knows_the_same_list(log: Log) -> None:
    async with log.connection(DbRole.OWNER) as owner:
        names = {row["name"] for row in await owner.fetch("SELECT name FROM audit.event_name")}
        assert names == set(EVENTS), "a migration has to insert what is missing"
        assert await owner.fetchval("SELECT bool_and(audit.is_event(name)) FROM audit.event_name")
        assert await owner.fetchval("SELECT audit.is_event('profile:client:peeked')") is False


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"event": "profile:client:peeked"}, "AUDIT_EVENT_UNKNOWN"),
        ({"kind": "write"}, "AUDIT_EVENT_UNKNOWN"),
        ({"facts": {}}, "AUDIT_EVENT_FACTS"),
        ({"facts": {"asOf": "x", "asked": [], "more": 1}}, "AUDIT_EVENT_FACTS"),
        ({"facts": {"asOf": "x", "asked": [], "persons": {"somebody": {}}}}, "AUDIT_EVENT_FACTS"),
        ({"facts": {"asOf": "x", "asked": [], "quota": 1.5}}, "AUDIT_EVENT_FACTS"),
        ({"subjects": tuple(uuid4() for _ in range(1001)), "facts": {"asOf": "x", "asked": []}}, "AUDIT_EVENT_FACTS"),
        ({"organisation": "a b"}, "AUDIT_OUTBOX"),
    ],
)
async def test_event_off_the_list_is_not_written(log: Log, change: dict[str, Any], code: str) -> None:
    with pytest.raises(AuditError) as caught:
        await log.write(log.query(**change))
    assert caught.value.code == code
    assert "officer-17" not in str(caught.value)
    await log.record(1)
    async with log.running() as (_, receipts):
        assert (await receipts.wait(log.written[-1], 5)).index == 0


def test_error_names_the_fact() -> None:
    with pytest.raises(AuditError, match="lacks the facts asked"):
        check_event("profile:client:queried", "query", {"asOf": "x"}, [])
