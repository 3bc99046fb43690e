"""What the tests of the whole way look at: reports, the quarantine list, household records."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from hub.core.names import QuarantineReason
from hub.records.held_back.quarantine import list_quarantine
from hub.store.database import DbRole
from tests.done.samples import HubUnderTest


@dataclass(frozen=True)
class Case:
    """One row that must be held back. ``key`` is its source key, ``None`` where the row has none of its own."""

    name: str
    reason: str
    row: Any
    key: str | None


def assert_counts_add_up(report: dict[str, Any]) -> None:
    """Every row read has exactly one outcome (docs/CONTRACTS.md 1.2)."""
    for source in report["sources"].values():
        held_back = sum(source["quarantined"].values())
        assert source["fetched"] == source["accepted"] + source["unchanged"] + source["superseded"] + held_back


def assert_nothing_new(report: dict[str, Any]) -> None:
    """What a further run must report while the agencies have nothing new (docs/CONTRACTS.md 2.3)."""
    for name, source in report["sources"].items():
        moved = {count: source[count] for count in ("accepted", "superseded", "withdrawn", "released")}
        assert moved == {"accepted": 0, "superseded": 0, "withdrawn": 0, "released": 0}, name
        assert not any(source["quarantined"].values()), name
        assert source["files"]["refused"] == [], name
        assert source["fetched"] == source["unchanged"], name


async def quarantine(hub: HubUnderTest, status: str | None = "OPEN", source: str | None = None) -> list[dict[str, Any]]:
    """The quarantine list as `hub quarantine list` prints it."""
    connection = await hub.database.connect(DbRole.INGEST)
    try:
        return await list_quarantine(connection, source=source, reason=None, status=status)
    finally:
        await connection.close()


async def reasons(hub: HubUnderTest, status: str | None = "OPEN") -> dict[str, str]:
    """Source key -> reason of every entry; every key stands there once."""
    entries = await quarantine(hub, status)
    found = {entry["source_key"]: entry["reason"] for entry in entries}
    assert len(found) == len(entries)
    return found


async def assert_cases(hub: HubUnderTest, report: dict[str, Any], source: str, cases: list[Case]) -> None:
    """Every case, and nothing else, is held back for its reason: in the list and in the report of the run."""
    found = {entry["source_key"]: entry["reason"] for entry in await quarantine(hub, source=source)}
    keyed = [case for case in cases if case.key is not None]
    assert len({case.name for case in cases}) == len(cases)
    assert {case.name: found.pop(case.key, "not held back") for case in keyed if case.key} == {
        case.name: case.reason for case in keyed
    }
    assert Counter(found.values()) == Counter(case.reason for case in cases if case.key is None)
    assert report["sources"][source]["quarantined"] == Counter(case.reason for case in cases)
    assert report["sources"][source]["status"] == "OK"
    assert_counts_add_up(report)


def members_of(cases: list[Case]) -> set[QuarantineReason]:
    """The reasons that a table of cases produces."""
    return {QuarantineReason[case.reason] for case in cases}
