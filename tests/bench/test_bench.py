"""The harness itself: what it keeps, what it drops, and one tiny run of all of it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench import documents
from bench.client import quantile, run
from bench.options import Options, read_options
from bench.rounds import Variant, ratio, take_rounds
from bench.watch import ForeignLoad
from tests.loopback import listening


async def nothing() -> dict[str, float]:
    return {"rate": 1.0}


def variant(name: str, *samples: tuple[float, float]) -> Variant:
    """A variant with samples of (rate, foreign load), one per round."""
    made = Variant(name, "1/s", nothing)
    made.samples = [{"rate": rate, "foreign": foreign, "round": n} for n, (rate, foreign) in enumerate(samples)]
    return made


def test_disturbed_samples_are_dropped() -> None:
    summary = variant("a", (10, 0), (20, 0.1), (30, 0.15), (1, 0.16), (1, 2.0)).summary()
    assert (summary["median"], summary["min"], summary["max"]) == (20, 10, 30)
    assert (summary["clean"], summary["samples"], summary["disturbed"]) == (3, 5, False)


def test_all_samples_count_and_are_marked_where_too_few_are_clean() -> None:
    summary = variant("a", (10, 0), (4, 1), (5, 1), (6, 1)).summary()
    assert (summary["median"], summary["clean"], summary["disturbed"]) == (5.5, 1, True)


def test_a_ratio_compares_within_rounds() -> None:
    # The second round was slow for both: medians of the rows alone would say something else.
    one, other = variant("a", (40, 1), (4, 1), (44, 1)), variant("b", (10, 1), (1, 1), (11, 1))
    assert ratio(one, other) == 4
    assert ratio(one, variant("c")) is None


async def test_disturbed_variants_get_more_rounds() -> None:
    class Busy(ForeignLoad):
        def stop(self) -> float:
            super().stop()
            return 1.0

    calm, busy = Variant("calm", "1/s", nothing), Variant("busy", "1/s", nothing)
    await take_rounds([calm], 2, ForeignLoad(), lambda _: None, extra=0)
    await take_rounds([busy], 2, Busy(), lambda _: None, extra=3)
    assert [len(each.samples) for each in (calm, busy)] == [2, 5]


def test_work_of_others_is_seen_and_our_own_is_not() -> None:
    load = ForeignLoad()
    work = "import time; until = time.monotonic() + 30\nwhile time.monotonic() < until: pass"
    child = subprocess.Popen([sys.executable, "-c", work])
    try:
        time.sleep(0.2)
        load.start()
        time.sleep(0.5)
        own = load.stop()
        stranger = ForeignLoad()
        stranger._roots = {child.pid}  # as somebody else would see it: this test is foreign, the child is not
        stranger.start()
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            pass
        foreign = stranger.stop()
    finally:
        child.kill()
        child.wait()
    assert foreign > own
    assert foreign > 0.2


def test_quantiles() -> None:
    assert quantile([1, 2, 3, 4], 0.5) == 3
    assert quantile([1, 2, 3, 4], 0.99) == 4
    assert quantile([], 0.5) == 0


def test_options_come_from_the_environment() -> None:
    given = {"HUB_BENCH_HOUSEHOLDS": "120", "HUB_BENCH_SECONDS": "0.5", "HUB_BENCH_RESULTS": "/x.json", "OTHER": "1"}
    assert read_options(given) == Options(households=120, seconds=0.5, results=Path("/x.json"))
    with pytest.raises(ValueError, match="invalid literal"):
        read_options({"HUB_BENCH_ROUNDS": "many"})


def test_leaves_are_counted() -> None:
    assert documents.leaves({"a": [1, {"b": None, "c": "x"}], "d": []}) == 3


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that answers well to `good` and badly to everything else, in two pieces."""
    while head := await reader.readline():
        length = 0
        while (line := await reader.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line[15:])
        body = await reader.readexactly(length)
        text = b'{"mark": 1}' if body == b"good" else b'{"errors": 1}'
        assert head.startswith(b"POST /path ")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text))
        await writer.drain()
        writer.write(text)
        await writer.drain()


@pytest.mark.parametrize("body", ["good", "bad"])
async def test_the_client_counts_only_what_carries_the_marks(body: str) -> None:
    async with listening(answer) as port:
        job: dict[str, Any] = {
            "host": "127.0.0.1", "port": port, "path": "/path", "headers": {"A": "b"},
            "bodies": [body], "concurrency": 3, "seconds": 0.3, "marks": ['"mark"'],
        }  # fmt: skip
        result = await run(job)
    assert (result["answered"] > 0) is (body == "good")
    assert (result["errors"] > 0) is (body == "bad")
    assert 0 <= result["p50_ms"] <= result["p99_ms"]


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_tiny_run_measures_everything(tmp_path: Path) -> None:
    """The peer's answers equal the hub's, every answer is in the log, the table and the JSON are whole."""
    results = tmp_path / "results.json"
    tiny = {
        "HOUSEHOLDS": "100",
        "BORROWERS": "12",
        "ROUNDS": "1",
        "SECONDS": "0.4",
        "FILE_ROWS": "300",
        "PERSONS": "300",
        "UNNAMED": "40",
        "RESULTS": str(results),
    }
    environment = {**os.environ, **{f"HUB_BENCH_{name}": value for name, value in tiny.items()}}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "bench"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(results.read_text())
    assert result["schema"] == "hub.bench/1"
    for name, entry in result["results"].items():
        assert name in done.stdout
        assert 0 < entry["min"] <= entry["median"] <= entry["max"], name
    assert result["ratios"]["hub, 32 connections / naive Strawberry, 32 connections"] > 1
    answered, recorded = map(int, result["facts"]["answers that left / entries recorded"].split(" / "))
    assert 0 < answered <= recorded
    assert result["facts"]["scoring of rows that name people badly"]["proposals"] > 0
    assert result["facts"]["leaf values per answer"] > 60
