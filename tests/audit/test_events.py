"""The closed list: its grammar, its document, the database's copy of it, and what it refuses."""

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hub.audit.events import EVENTS, NAME, as_markdown, check_event
from hub.core.errors import AuditError
from tests.audit.conftest import Log

ROOT = Path(__file__).parents[2]


def test_names_follow_the_grammar() -> None:
    assert all(NAME.match(name) for name in EVENTS)


def test_document_is_up_to_date() -> None:
    assert (ROOT / "docs/AUDIT-EVENTS.md").read_text() == as_markdown(), "run python -m hub.audit.events"


def test_database_knows_the_same_list() -> None:
    versions = ROOT / "hub/store/migrations/versions"
    newest = [text for path in sorted(versions.glob("*.sql")) if "audit.check_pending()" in (text := path.read_text())][
        -1
    ]
    listed = re.search(r"NEW\.event NOT IN \((.*?)\)", newest, re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"'([^']+)'", listed[1])) == set(EVENTS)


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
