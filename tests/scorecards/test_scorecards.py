"""Scorecards: what the receiver measured of real pulls, for the command and over the API."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.access.publish import publish
from hub.app import open_hub
from hub.connectors.port import Memory
from hub.core.clock import Clock, system_clock
from hub.core.errors import InputError, RetryableError
from hub.core.names import QuarantineReason
from hub.core.rows import FileRead, Step
from hub.flows.intake.pull import SourceToPull, pull
from hub.flows.readings.read_scorecards import check_days, scorecards_for_operator
from hub.flows.receipts import receipt_desk
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.api.world import Api, settings_in
from tests.ledger.rows import a_bad_row, a_row

QUERY = """query($days: Int!) { sourceScorecards(days: $days) { __typename
  ... on SourceScorecards { days sources { source circuit pulls success newRows validity mandatory filled openQuarantine
      quarantined { name rows } phases { phase times failed } trend { validity } } }
  ... on InvalidInput { fields { path code } } ... on NotAllowed { code } } }"""
NOW = datetime(2026, 11, 10, 4, tzinfo=UTC)


@dataclass
class Agency:
    """Delivers the given steps, then fails if it is to."""

    steps: tuple[Step, ...]
    kind: str = "tax-rest"
    fails: bool = False

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        for step in self.steps:
            yield step
        if self.fails:
            raise RetryableError("away.")

    async def close(self) -> None:
        """There is nothing to close."""


def _agencies(*, fails: bool = False) -> list[SourceToPull]:
    rows = [
        replace(a_row("1", content="A"), source_time=NOW - timedelta(hours=5)),
        a_row("2", value={"grade_year": 2025, "tax_credit_grade": None}),
        a_bad_row("3"),
        a_bad_row("4", 1, "missing", QuarantineReason.ID_MISSING),
    ]
    tax = Agency((Step(rows=tuple(rows), watermark={"n": 1}),), fails=fails)
    list_ = FileRead("a.csv", date(2026, 11, 8), "g")
    clinic = Agency((Step(rows=(a_row("c"),), file=list_, watermark={"n": 1}),), "clinic-sftp")
    return [SourceToPull("tax", "tax-rest", "A", tax), SourceToPull("clinic", "clinic-sftp", "B", clinic)]


async def test_a_card_says_what_the_receiver_measured(database: Database, keys: FileKeys, tmp_path: Path) -> None:
    async with receipt_desk(database, keys, tmp_path) as desk:
        await pull(database, keys, desk, _agencies(), lambda: NOW - timedelta(hours=2), lambda *_: None)
        await pull(database, keys, desk, _agencies(fails=True), lambda: NOW - timedelta(hours=1), lambda *_: None)
        cards = {
            trend.now.source: trend
            for trend in await scorecards_for_operator(database, desk, lambda: NOW, 7, "operator")
        }
        later = await scorecards_for_operator(database, desk, lambda: NOW + timedelta(days=7), 7, "operator")
    tax = cards["tax"].now
    assert (tax.pulls, tax.failed_pulls, tax.success, tax.status, tax.circuit) == (2, 1, 0.5, "FAILED", "CLOSED")
    assert (tax.fetched, tax.new_rows, tax.validity, tax.mandatory, tax.filled) == (8, 4, 0.5, 0.75, 0.75)
    assert tax.quarantined == {"ID_CHECK_DIGIT": 1, "ID_MISSING": 1}
    assert (tax.open_quarantine, tax.conflicts_lost) == (2, 0)
    assert tax.ages == {}, "the first load says nothing about lateness"
    assert tax.last_ok_at == NOW - timedelta(hours=2), "the last good pull"
    phases = {score.phase: score for score in tax.phases}
    assert (phases["commit"].times, phases["commit"].failed, phases["commit"].success) == (2, 0, 1.0)
    assert cards["tax"].change("validity") is None, "there is nothing before it"
    clinic = cards["clinic"].now
    assert (clinic.files, clinic.refused_files, clinic.days_late, clinic.success) == (1, 0, 2.0, 1.0)
    assert (clinic.arrived_days, clinic.expected_days) == (1, 2), "lists of the 8th and 9th were due"
    (calm,) = [trend for trend in later if trend.now.source == "tax"]
    assert (calm.now.pulls, calm.now.validity, calm.before is not None) == (0, None, True)


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    settings = settings_in(tmp_path / "home")
    keys = FileKeys(settings.keys_folder)
    owner = await database.connect(DbRole.OWNER)
    await publish(owner, keys)
    async with open_hub(settings, database) as hub:
        async with receipt_desk(database, keys, tmp_path / "home") as desk:
            await pull(database, keys, desk, _agencies(), system_clock, lambda *_: None)
        served = Api(hub, owner, keys)
        for role in ("STEWARD", "REGULATOR", "OPERATOR", "COLLECTOR"):
            await owner.execute(
                "INSERT INTO auth.account (account_id, role, county_codes) VALUES ($1, $2, '{533103}')",
                role.lower(),
                role,
            )
        yield served
        await served.http.aclose()
    await owner.close()


async def test_officials_read_the_cards_and_nobody_else(api: Api) -> None:
    async def ask(who: str, days: int = 30) -> Any:
        reply = await api.ask(api.account_token(who), QUERY, {"days": days})
        assert "errors" not in reply.json(), reply.text
        return reply.json()["data"]["sourceScorecards"]

    entries = await api.entries()
    for role in ("steward", "regulator", "operator"):
        cards = {card["source"]: card for card in (await ask(role))["sources"]}
        assert (cards["tax"]["newRows"], cards["tax"]["validity"], cards["tax"]["circuit"]) == (4, 0.5, "CLOSED")
        assert {"name": "ID_MISSING", "rows": 1} in cards["tax"]["quarantined"]
        assert "merge" in {phase["phase"] for phase in cards["tax"]["phases"]}
    assert await api.entries() == entries + 3, "each reading is recorded"
    assert await ask("collector") == {"__typename": "NotAllowed", "code": "NOT_ALLOWED"}
    assert (await ask("steward", 401))["fields"] == [{"path": ["days"], "code": "DAYS_RANGE"}]
    assert await api.entries() == entries + 3


@pytest.mark.parametrize("days", [0, -1, 401])
def test_a_span_has_bounds(days: int) -> None:
    with pytest.raises(InputError):
        check_days(days)
