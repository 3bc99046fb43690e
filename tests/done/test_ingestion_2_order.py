"""Deliveries repeated, reordered within what each agency's document allows, and interleaved, give the same record.

What the agencies of a sandbox deliver is read once over their protocols. Every example delivers it in another way, in
up to three runs, into an empty hub:

* tax and civil affairs: records in any order, each perhaps twice; of rows that contradict one another under one key and
  version, or one ID number, the first stays first, because the documents let it win;
* social insurance shows the present state, so versions of a key keep their order and only the last one may repeat;
* clinics: lists in any order; banks: files by number, whose rows may be repeated in a later file;
* civil affairs in one run, any of the three: a link made while a namesake was unknown stays (docs/CONTRACTS.md 1.3).
"""

import asyncio
import itertools
import random
import tempfile
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.connectors.port import Memory
from hub.connectors.registry import connector_for
from hub.connectors.sources import kind_of, load_sources
from hub.core.clock import Clock, system_clock
from hub.core.rows import CheckedRow, Step
from hub.flows.intake.pull import SourceToPull, pull
from hub.flows.receipts import receipt_desk
from hub.sandbox.prefecture import Prefecture
from hub.sandbox.sandbox import Sandbox
from hub.store.database import Database
from hub.store.keys import FileKeys
from hub.store.roles import ensure_database
from hub.store.server import EmbeddedServer
from tests.done.state import State, differences, state_of

RUNS = 3
ROWS_IN_A_STEP = 150
NOW = datetime(2026, 11, 10, 4, tzinfo=UTC)
PARTS = ("sections", "current observations", "candidates", "consents", "households", "memberships", "aliases")
"""What readers and stewards can meet. Which of his numbers a person was first met under is remembered and differs."""

_numbers = itertools.count(1)


class Nothing:
    """What a hub remembers that never pulled."""

    async def refused_files(self) -> dict[str, str]:
        return {}

    async def read_files(self, names: Set[str]) -> Set[str]:
        return set()


@dataclass
class Delivered:
    """A connector that yields what it was given."""

    kind: str
    steps: Sequence[Step]

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        for step in self.steps:
            yield step

    async def close(self) -> None:
        """There is nothing to close."""


@dataclass
class Feed:
    """All that one source delivers."""

    name: str
    kind: str
    agreement_no: str
    steps: tuple[Step, ...]


@pytest.fixture(scope="module")
def feeds() -> list[Feed]:
    async def read(folder: Path) -> list[Feed]:
        sandbox = await Sandbox.start(folder, Prefecture(7, 100, date(2026, 11, 10)))
        try:
            return [await _feed(source) for source in load_sources(sandbox.sources_file)]
        finally:
            await sandbox.stop(remove=True)

    with tempfile.TemporaryDirectory(prefix="hub-order-") as folder:
        return asyncio.run(read(Path(folder) / "sandbox"))


async def _feed(source: Any) -> Feed:
    connector = connector_for(source)
    try:
        steps = [step async for step in connector.pull(None, Nothing(), system_clock)]
    finally:
        await connector.close()
    return Feed(source.name, kind_of(source), source.agreement_no, tuple(steps))


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Keys for all examples: blind indexes must be comparable."""
    with tempfile.TemporaryDirectory(prefix="hub-order-") as folder:
        yield Path(folder)


async def _record(server: EmbeddedServer, template: Database, home: Path, runs: list[list[SourceToPull]]) -> State:
    """What these runs make of an empty hub."""
    name = f"order_{next(_numbers)}"
    admin = await server.connect()
    try:
        await ensure_database(admin, name, template=template.name)
        database, keys = template.named(name), FileKeys(home / "keys")
        (home / "audit-guard").unlink(missing_ok=True)
        async with receipt_desk(database, keys, home) as desk:
            for sources in runs:
                report = await pull(database, keys, desk, sources, lambda: NOW, lambda *_: None)
                assert {entry["error"] for entry in report["sources"].values()} == {None}
        found = await state_of(database)
        return {part: found[part] for part in PARTS} | {"quarantine": _open(found)}
    finally:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.close()


def _open(state: State) -> Any:
    """Entries still open; one that waited for a later run is closed in some orders and was never made in others."""
    return type(state["quarantine"])({row: n for row, n in state["quarantine"].items() if "'OPEN'" in row})


def _plainly(feeds: list[Feed]) -> list[list[SourceToPull]]:
    return [[SourceToPull(f.name, f.kind, f.agreement_no, Delivered(f.kind, f.steps)) for f in feeds]]


def _otherwise(feeds: list[Feed], chance: random.Random) -> list[list[SourceToPull]]:
    """The same rows in another way."""
    runs: list[list[SourceToPull]] = [[] for _ in range(RUNS)]
    for feed in feeds:
        steps = _reordered(feed, chance)
        cuts = sorted(chance.randrange(len(steps) + 1) for _ in range(RUNS - 1))
        parts = [steps[a:b] for a, b in itertools.pairwise([0, *cuts, len(steps)])]
        if feed.kind == "civil-soap":
            parts = [[] for _ in range(RUNS)]
            parts[chance.randrange(RUNS)] = steps
        for run, part in zip(runs, parts, strict=True):
            if part or chance.random() < 0.5:
                run.append(SourceToPull(feed.name, feed.kind, feed.agreement_no, Delivered(feed.kind, part)))
    for run in runs:
        chance.shuffle(run)
    return [run for run in runs if run]


def _reordered(feed: Feed, chance: random.Random) -> list[Step]:
    if feed.kind == "clinic-sftp":
        return chance.sample(feed.steps, len(feed.steps))
    if feed.kind == "bank-files":
        return _repeating(feed.steps, chance)
    rows = _shuffled([row for step in feed.steps for row in step.rows], chance)
    last = {row.source_key: place for place, row in enumerate(rows)}
    again = [
        row
        for place, row in enumerate(rows)
        if chance.random() < 0.2 and (feed.kind != "social-view" or last[row.source_key] == place)
    ]
    rows += again
    steps = [Step(rows=tuple(rows[n : n + ROWS_IN_A_STEP])) for n in range(0, len(rows), ROWS_IN_A_STEP)]
    return [*steps[:-1], replace(steps[-1], walk_ended=feed.steps[-1].walk_ended)]


def _repeating(files: Sequence[Step], chance: random.Random) -> list[Step]:
    """Each file with some rows of the three before it in front of its own."""
    steps = []
    for place, step in enumerate(files):
        before = [row for other in files[max(0, place - 3) : place] for row in other.rows]
        again = tuple(row for row in before if chance.random() < 0.2)
        steps.append(step if step.file is None else replace(step, rows=again + step.rows))
    return steps


def _shuffled(rows: list[CheckedRow], chance: random.Random) -> list[CheckedRow]:
    """In any order, but rows that share a key or an ID number stand as they stood."""
    group: dict[str, int] = {}
    members: defaultdict[int, list[tuple[int, CheckedRow]]] = defaultdict(list)
    for number, row in enumerate(rows):
        names = [f"key {row.source_key}", *([f"id {row.id_number}"] if row.id_number else [])]
        known = sorted({group[name] for name in names if name in group})
        target = known[0] if known else number
        for other in known[1:]:
            members[target] = sorted(members[target] + members.pop(other), key=lambda each: each[0])
            group |= {name: target for name, held in group.items() if held == other}
        members[target].append((number, row))
        group |= dict.fromkeys(names, target)
    order = [each for each, found in members.items() for _ in found]
    chance.shuffle(order)
    waiting = {each: iter(found) for each, found in members.items()}
    return [next(waiting[each])[1] for each in order]


def _check(server: EmbeddedServer, template: Database, home: Path, feeds: list[Feed], seeds: int) -> None:
    plain = asyncio.run(_record(server, template, home, _plainly(feeds)))
    assert all(plain[part] for part in (*PARTS, "quarantine"))

    @settings(max_examples=seeds, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.integers(0, 2**32 - 1))
    def same(seed: int) -> None:
        chance = random.Random(seed)
        found = asyncio.run(_record(server, template, home, _otherwise(feeds, chance)))
        assert differences(plain, found) == []

    same()


@pytest.mark.long
def test_any_lawful_delivery_gives_the_same_record(
    server: EmbeddedServer, template: Database, home: Path, feeds: list[Feed]
) -> None:
    _check(server, template, home, feeds, 2)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_many_lawful_deliveries_give_the_same_record(
    server: EmbeddedServer, template: Database, home: Path, feeds: list[Feed]
) -> None:
    _check(server, template, home, feeds, 25)
