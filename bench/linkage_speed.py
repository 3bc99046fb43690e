"""``python -m bench.linkage_speed``: the hub's scoring beside bare Splink with the same settings.

Scoring: from ready tables to proposals, that is, Splink and the setting of a row's candidates against each other. Bare:
Splink's ``predict`` over the very same tables. The two take turns. Whole: people and rows are read from the database
and opened as well, their names put into all forms, and the proposals written. Sizes: HUB_BENCH_PERSONS (50,000) and
HUB_BENCH_UNNAMED (5,000).
"""

import asyncio
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import pyarrow as pa

from hub.core.clock import day_of, years_before
from hub.core.identifiers import ADULT_AGE
from hub.core.ids import uuid7
from hub.records.intake.payloads import seal_identity
from hub.records.linkage import store
from hub.records.linkage.scoring import WEIGHT_MIN, count_roster, make_linker, score, workspace
from hub.records.linkage.tables import rows_table
from hub.sandbox.feeds.unnumbered import BadRowMaker
from hub.sandbox.people import Person
from hub.sandbox.population import draw_population
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys, KeyService
from hub.store.prepare import StoreOptions, prepare
from hub.store.server import EmbeddedServer

NOW = datetime(2026, 11, 10, tzinfo=UTC)
ADULTS_PER_HOUSEHOLD = 2.6
ROUNDS = 3
BARE_MEMORY = "6GB"


async def fill(database: Database, keys: KeyService, persons: int, unnamed: int) -> None:
    """Put a prefecture and its rows straight into the tables of the record."""
    population = draw_population("linkage speed", int(persons / ADULTS_PER_HOUSEHOLD) + 200, date(2026, 11, 10))
    adults = [p for h in population.households for p in h.adults(population.as_of)][:persons]
    assert len(adults) == persons, "too few households for so many adults"
    owner = await database.connect(DbRole.OWNER)
    try:
        await _households(owner, keys, adults)
        rows = BadRowMaker(population, Random("linkage speed")).make(unnamed)
        hints = [{"name": row.name, "address": row.address, "phone": row.phone or None} for row in rows]
        await _observations(owner, keys, hints)
        await owner.execute("ANALYZE record.person, record.household, record.observation")
    finally:
        await owner.close()


async def _households(owner: asyncpg.Connection, keys: KeyService, adults: Sequence[Person]) -> None:
    ids = {person.household.number: uuid4() for person in adults}
    households = {person.household.number: person.household for person in adults}
    await owner.copy_records_to_table(
        "household",
        schema_name="record",
        columns=["county", "household_id", "household_no", "held", "status", "village_code", "row_village_code",
                 "township_name", "village_name", "phone_index", "source", "changed_at"],
        records=[
            (h.village.county, ids[h.number], h.number, True, "ACTIVE", h.village.code, h.village.code,
             h.village.township, h.village.name, keys.index("phone", h.phone) if h.phone else None, "civil", NOW)
            for h in households.values()
        ],
    )  # fmt: skip

    def people() -> Iterator[tuple[Any, ...]]:
        for person in adults:
            person_id, index = uuid4(), keys.index("identity", person.number)
            sealed = seal_identity(keys, person.name, person.number, person_id.bytes)
            household = person.household
            yield (household.village.county, person_id, index, index, person.born, ids[household.number],
                   person.member_no, sealed)  # fmt: skip

    await owner.copy_records_to_table(
        "person",
        schema_name="record",
        columns=["county", "person_id", "identity_index", "first_index", "birth_date", "household_id", "member_no",
                 "sealed_identity"],
        records=people(),
    )  # fmt: skip


async def _observations(owner: asyncpg.Connection, keys: KeyService, hints: Sequence[dict[str, Any]]) -> None:
    def rows() -> Iterator[tuple[Any, ...]]:
        for number, hint in enumerate(hints):
            row_id = uuid7()
            sealed = keys.seal("hint", orjson.dumps(hint), row_id.bytes)
            yield (uuid7(), row_id, "clinic", f"K|{number}", "1", "FACT", "clinic.arrears", False, "REVIEW", NOW,
                   "DH-SJ", b"", b"", sealed)  # fmt: skip

    await owner.copy_records_to_table(
        "observation",
        schema_name="record",
        columns=["observation_id", "row_id", "source", "source_key", "version", "kind", "category", "tombstone", "link",
                 "recorded_from", "agreement_no", "digest", "payload", "hint"],
        records=rows(),
    )  # fmt: skip


async def whole(database: Database, keys: KeyService) -> tuple[float, float, int]:
    """Seconds of wall time and of the hub's own processor time, and the number of proposals."""
    connection = await database.connect(DbRole.INGEST)
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        async with connection.transaction():
            proposed = await store.propose(connection, keys, day_of(NOW), NOW)
        return time.perf_counter() - wall, time.process_time() - cpu, sum(proposed.proposals.values())
    finally:
        await connection.close()


@dataclass(frozen=True)
class Ready:
    """The two tables as the hub makes them."""

    people: pa.Table
    rows: pa.Table


async def make_tables(database: Database, keys: KeyService) -> Ready:
    """Read, open and prepare, without scoring."""
    connection = await database.connect(DbRole.INGEST)
    try:
        async with connection.transaction():
            said = await store._waiting(connection, keys)
            phones = await store._phones(connection, keys, said)
            rows = rows_table(store._unnamed(keys, said, await store._locator(connection), phones))
            people, _, _ = await store._people(connection, keys, phones, years_before(day_of(NOW), ADULT_AGE))
    finally:
        await connection.close()
    return Ready(people, rows)


def scoring(ready: Ready) -> tuple[float, float, int]:
    """From ready tables to proposals; the number is theirs."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = score(ready.people, ready.rows)
    return time.perf_counter() - wall, time.process_time() - cpu, len(found)


def bare(ready: Ready) -> tuple[float, float, int]:
    """The same for Splink alone, unbounded and in one piece; the number is that of the pairs kept."""
    with workspace(BARE_MEMORY) as duck:
        roster = count_roster(duck, ready.people)
        wall, cpu = time.perf_counter(), time.process_time()
        linker = make_linker(duck, ready.people, ready.rows, roster)
        pairs = linker.inference.predict(threshold_match_weight=WEIGHT_MIN, warning_mode="never").physical_name
        seconds = time.perf_counter() - wall, time.process_time() - cpu
        return *seconds, duck.sql(f"SELECT count(*) FROM {pairs}").fetchall()[0][0]


async def measure(persons: int, unnamed: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """The whole once, then scoring and bare Splink in turns, over a database that is removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="hub-bench-"))
    try:
        database = await prepare(StoreOptions(home))
        keys = FileKeys(home / "keys")
        # In a process of its own, so that the memory of the synthetic prefecture is not counted.
        filling = [sys.executable, "-m", "bench.linkage_speed", "--fill", str(home), str(persons), str(unnamed)]
        await asyncio.to_thread(subprocess.run, filling, check=True)
        everything = await whole(database, keys)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        ready = await make_tables(database, keys)
        taken: dict[str, list[tuple[float, float, int]]] = {"scoring": [], "bare": []}
        for number in range(rounds):
            turns = (("scoring", scoring), ("bare", bare))
            for name, act in turns if number % 2 == 0 else turns[::-1]:
                taken[name].append(act(ready))
        return {
            "persons": persons, "rows": unnamed, "rounds": rounds,
            "proposals": everything[2], "pairs kept by Splink": taken["bare"][0][2],
            "scoring, seconds": _median(taken["scoring"], 0), "bare Splink, seconds": _median(taken["bare"], 0),
            "scoring, CPU seconds": _median(taken["scoring"], 1), "bare Splink, CPU seconds": _median(taken["bare"], 1),
            "scoring / bare, wall": _ratio(taken, 0), "scoring / bare, CPU": _ratio(taken, 1),
            "whole with reading, opening and writing, seconds": round(everything[0], 2),
            "whole, CPU seconds of the hub": round(everything[1], 2),
            "peak memory of the hub, MiB": peak,
        }  # fmt: skip
    finally:
        if (home / "postgres").exists():
            await EmbeddedServer(home).remove()
        shutil.rmtree(home)


def _median(samples: list[tuple[float, float, int]], place: int) -> float:
    return round(statistics.median(sample[place] for sample in samples), 2)


def _ratio(taken: dict[str, list[tuple[float, float, int]]], place: int) -> float:
    pairs = zip(taken["scoring"], taken["bare"], strict=True)
    return round(statistics.median(one[place] / other[place] for one, other in pairs), 2)


async def _fill(home: Path, persons: int, unnamed: int) -> None:
    await fill(await prepare(StoreOptions(home)), FileKeys(home / "keys"), persons, unnamed)


def main() -> None:
    """Measure and print JSON, or (``--fill``) prepare the data in the folder given."""
    if sys.argv[1:2] == ["--fill"]:
        asyncio.run(_fill(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
        return
    persons = int(os.environ.get("HUB_BENCH_PERSONS") or 50_000)
    unnamed = int(os.environ.get("HUB_BENCH_UNNAMED") or 5_000)
    rounds = int(os.environ.get("HUB_BENCH_ROUNDS") or ROUNDS)
    print(json.dumps(asyncio.run(measure(persons, unnamed, rounds)), indent=1))


if __name__ == "__main__":
    main()
