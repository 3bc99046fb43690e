"""``python -m bench.linkage_tuning``: estimates the parameters of the linkage model on the tuning seeds.

``m``: how often row and right person agree so far, counted over the bad rows whose truth is known. ``u`` of names: how
often two people of one village do, because villages share names and most pairs compared come from one village; ``u`` of
numbers: how often two people of the prefecture do, rows damaged as rows are. Half a pair is added to every count.
"""

import json
from random import Random

import duckdb

from bench.linkage import TUNING_SEEDS, make_case
from hub.records.linkage.model import ATTRIBUTES, level_sql, levels, nothing_said
from hub.records.linkage.scoring import workspace
from hub.records.linkage.tables import people_table, rows_table

_STRANGERS = 40
"""Random other people compared with each row."""


def estimate(households: int = 10_000, rows: int = 10_000) -> dict[str, dict[str, dict[str, float]]]:
    """Counts over all tuning seeds, as parameters."""
    matched: dict[tuple[str, str], float] = {}
    strange: dict[tuple[str, str], float] = {}
    for seed in TUNING_SEEDS:
        case = make_case(seed, households, rows)
        rng = Random(seed)
        with workspace() as connection:
            connection.register("people", people_table(case.people))
            connection.register("rows", rows_table(case.rows))
            right = [(key, person) for key, person in case.truth.items() if person is not None]
            neighbours: dict[str, list[int]] = {}
            for person in case.people:
                neighbours.setdefault(person.village_code, []).append(person.key)
            villages = {person.key: person.village_code for person in case.people}
            near = [
                (key, other)
                for key, person in right
                for other in rng.sample(
                    neighbours[villages[person]], min(_STRANGERS, len(neighbours[villages[person]]))
                )
                if other != person
            ]
            everybody = [person.key for person in case.people]
            far = [(key, rng.choice(everybody)) for key, _ in right for _ in range(_STRANGERS)]
            for attribute in ATTRIBUTES:
                _count(connection, attribute, right, matched)
                _count(connection, attribute, far if attribute in {"number", "place"} else near, strange)
    return {
        attribute: {
            level: {"m": _share(matched, attribute, level), "u": _share(strange, attribute, level)}
            for level in levels(attribute)
        }
        for attribute in ATTRIBUTES
    }


def _count(
    connection: duckdb.DuckDBPyConnection,
    attribute: str,
    pairs: list[tuple[int, int]],
    counts: dict[tuple[str, str], float],
) -> None:
    connection.execute("CREATE OR REPLACE TEMP TABLE pairs (r BIGINT, l BIGINT)")
    connection.execute(
        "INSERT INTO pairs SELECT unnest($1::BIGINT[]), unnest($2::BIGINT[])",
        [[pair[0] for pair in pairs], [pair[1] for pair in pairs]],
    )
    columns = ", ".join(f"{side}.{name} AS {name}_{side}" for side in "lr" for name in _columns(connection))
    query = (
        f"WITH compared AS (SELECT {columns} FROM pairs p JOIN people l ON l.unique_id = p.l"
        f" JOIN rows r ON r.unique_id = p.r)"
        f" SELECT {level_sql(attribute)} AS level, count(*) FROM compared"
        f" WHERE NOT ({nothing_said(attribute)}) GROUP BY 1"
    )
    for level, number in connection.sql(query).fetchall():
        counts[attribute, level] = counts.get((attribute, level), 0) + number


def _columns(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [row[0] for row in connection.sql("DESCRIBE people").fetchall()]


def _share(counts: dict[tuple[str, str], float], attribute: str, level: str) -> float:
    total = sum(number for (name, _), number in counts.items() if name == attribute)
    return float(f"{(counts.get((attribute, level), 0) + 0.5) / (total + 1):.3g}")


if __name__ == "__main__":
    print(json.dumps(estimate(), indent=2))
