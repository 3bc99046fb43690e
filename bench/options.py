"""What a run measures and for how long; each is an environment variable, so that a test can make it tiny."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Options:
    """Sizes and times of a run."""

    households: int = 2000
    """Households of the sandbox prefecture (HUB_BENCH_HOUSEHOLDS)."""
    borrowers: int = 500
    """Borrowers who consent and are asked about (HUB_BENCH_BORROWERS)."""
    rounds: int = 5
    """Rounds; each takes one sample of every variant (HUB_BENCH_ROUNDS)."""
    seconds: float = 2.0
    """Length of one sample (HUB_BENCH_SECONDS)."""
    file_rows: int = 20_000
    """Rows of the bank's file and of the clinic's list that are taken in (HUB_BENCH_FILE_ROWS)."""
    seed: int = 1
    """Seed of the prefecture (HUB_BENCH_SEED)."""
    persons: int = 50_000
    """People against whom rows without number are scored (HUB_BENCH_PERSONS)."""
    unnamed: int = 5_000
    """Rows that are scored against them (HUB_BENCH_UNNAMED)."""
    results: Path = RESULTS / "latest.json"
    """Where the figures are written (HUB_BENCH_RESULTS)."""


def read_options(environment: Mapping[str, str] | None = None) -> Options:
    """The options of this run. Raises :class:`ValueError` for text that cannot be read."""
    given = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for field in fields(Options):
        text = given.get(f"HUB_BENCH_{field.name.upper()}")
        if text:
            read: Callable[[str], Any] = Path if field.name == "results" else type(getattr(Options, field.name))
            values[field.name] = read(text)
    return Options(**values)
