"""Scores rows against people with Splink on DuckDB, in memory, within a bound of memory and threads.

Splink weighs each pair by itself. The weights of one row's candidates are then set against each other and against the
chance that the person is on no roster: of two namesakes in one village neither is likely, however well he fits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import duckdb
import pyarrow as pa
from splink import DuckDBAPI, Linker

from hub.records.linkage.model import ATTRIBUTES, BANDS, Roster, level_weights, parameters, prior, settings

THREADS = 2
MEMORY_LIMIT = "512MB"
"""What DuckDB may take. It may not spill to the disk, where names and numbers would stand in clear."""

PEOPLE_AT_ONCE, ROWS_AT_ONCE = 250_000, 50_000
"""How many are paired at a time, so that the memory suffices whatever the size."""

CANDIDATES_MAX = 5
"""Members proposed for one row."""

NO_FORMER = 2**62
"""Greater than every key."""

WEIGHT_MIN = -6.0
"""Pairs with a lower match weight (log2 of the odds) are forgotten at once: 1 in 64 at the most for a pair alone."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A proposal: row and person by their keys, probability, band, and level and weight (bits) per attribute."""

    row: int
    person: int
    score: float
    band: str
    evidence: tuple[tuple[str, str, float], ...]


@contextmanager
def workspace(memory_limit: str = MEMORY_LIMIT, threads: int = THREADS) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in memory that keeps within its bounds and reaches nothing outside."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory_limit, "threads": threads, "preserve_insertion_order": False, "temp_directory": "",
            "autoinstall_known_extensions": False, "autoload_known_extensions": False,
        },
    )  # fmt: skip
    try:
        yield connection
    finally:
        connection.close()


def count_roster(connection: duckdb.DuckDBPyConnection, people: pa.Table) -> Roster:
    """The share of people who live in the same village, township and county as another one."""
    connection.register("people_counted", people)
    shares = [
        connection.sql(
            f"SELECT coalesce(sum(n * n) / greatest(sum(n) * sum(n), 1), 0)::DOUBLE"
            f" FROM (SELECT count(*)::DOUBLE AS n FROM people_counted GROUP BY {column})"
        ).fetchall()[0][0]
        for column in ("village", "township", "county")
    ]
    connection.unregister("people_counted")
    return Roster(people.num_rows, *shares)


def make_linker(connection: duckdb.DuckDBPyConnection, people: pa.Table, rows: pa.Table, roster: Roster) -> Linker:
    """Splink over the two tables, people on the left side."""
    api = DuckDBAPI(connection)
    tables = [api.register(people, dataset_display_name="a_people"), api.register(rows, dataset_display_name="b_rows")]
    return Linker(tables, settings(roster), log_level=None, validate_settings=False)


def _weigh(connection: duckdb.DuckDBPyConnection, people: pa.Table, rows: pa.Table, roster: Roster) -> None:
    """Fill the table ``weighed`` part by part, each reduced at once to what is still needed of it."""
    linker = make_linker(connection, people, rows, roster)
    parts = -(-people.num_rows // PEOPLE_AT_ONCE), -(-rows.num_rows // ROWS_AT_ONCE)
    columns = "unique_id_l, unique_id_r, match_weight, " + ", ".join(
        f"mw_{name} AS level_{name}, {_bits(name)} AS bits_{name}" for name in ATTRIBUTES
    )
    for left, right in product(range(1, parts[0] + 1), range(1, parts[1] + 1)):
        part = linker.inference.predict_chunk(
            left_chunk=(left, parts[0]),
            right_chunk=(right, parts[1]),
            threshold_match_weight=WEIGHT_MIN,
            warning_mode="never",
        )
        into = "CREATE TABLE weighed AS" if (left, right) == (1, 1) else "INSERT INTO weighed"
        connection.execute(f"{into} SELECT {columns} FROM {part.physical_name}")
        part.drop_table_from_database_and_remove_from_cache()


def score(
    people: pa.Table, rows: pa.Table, *, former_from: int = NO_FORMER, memory_limit: str = MEMORY_LIMIT
) -> list[Scored]:
    """The proposals for these rows, by row and from the likeliest on.

    Lines of ``people`` with keys from ``former_from`` on repeat a person under a number that was corrected since; they
    count for rows that give a number only.
    """
    if not people.num_rows or not rows.num_rows:
        return []
    with workspace(memory_limit) as connection:
        known = count_roster(connection, people)
        _weigh(connection, people, rows, known)
        weights = level_weights(known)
        return [_scored(record, weights) for record in connection.sql(_shares(known, former_from)).fetchall()]


def _shares(roster: Roster, former_from: int) -> str:
    """Each candidate's share in all explanations of its row, the absence from the roster among them."""
    on_roster = parameters()["on_roster"]
    chance = prior(roster)
    odds = chance / (1 - chance)
    shown = ", ".join(f"level_{name}, bits_{name}" for name in ATTRIBUTES)
    limits = parameters()["bands"]
    return f"""
        WITH likelihoods AS (
            SELECT *, pow(2, least(match_weight, 200)) / {odds!r} * {on_roster / roster.people!r} AS likely FROM weighed
            WHERE unique_id_l < {former_from} OR level_number <> 0
        ), shared AS (
            SELECT *, likely / (sum(likely) OVER (PARTITION BY unique_id_r) + {1 - on_roster!r}) AS score
            FROM likelihoods
        )
        SELECT unique_id_r, unique_id_l, score, {shown} FROM shared
        WHERE score >= {limits["D"]!r}
        QUALIFY row_number() OVER (PARTITION BY unique_id_r ORDER BY score DESC, unique_id_l) <= {CANDIDATES_MAX}
        ORDER BY unique_id_r, score DESC, unique_id_l"""


def _bits(attribute: str) -> str:
    return "mw_name + mw_tf_adj_name" if attribute == "name" else f"mw_{attribute}"


def _scored(record: tuple[Any, ...], weights: dict[str, list[tuple[float, str]]]) -> Scored:
    row, person, likely, *rest = record
    evidence = []
    for attribute, weight, bits in zip(ATTRIBUTES, rest[::2], rest[1::2], strict=True):
        _, level = min(weights[attribute], key=lambda known: abs(known[0] - weight))
        evidence.append((attribute, level, round(bits, 2)))
    return Scored(row, person, likely, band_of(likely), tuple(evidence))


def band_of(score: float) -> str:
    """The band of a score: the first whose limit it reaches."""
    limits = parameters()["bands"]
    return next((band for band in BANDS if score >= limits[band]), BANDS[-1])
