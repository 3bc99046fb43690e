"""``python -m bench``: measure, print a table, write JSON. Exit code 0 if everything could be measured."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from typing import Any

from bench import linkage_speed, report, rules, tokens
from bench.files import Files
from bench.ingest import Ingest
from bench.merge_peer import MergePeer
from bench.options import Options, read_options
from bench.queries import Queries
from bench.rounds import Variant, take_rounds
from bench.sizes import disk, postmaster
from bench.stage import open_stage
from bench.watch import ForeignLoad
from hub.core.clock import system_clock
from hub.sandbox.prefecture import Prefecture, yesterday

FILE_HOUSEHOLDS = 1000
"""Households whose rows fill the files, again and again under new numbers."""

_EXTRA_SECONDS = 200
"""A run of full size is to end within six minutes, also where others keep the machine busy."""


def _tell(sentence: str) -> None:
    print(f"bench: {sentence}", file=sys.stderr, flush=True)


async def measure(options: Options) -> dict[str, Any]:
    """Do the whole run."""
    began = time.monotonic()
    load = ForeignLoad()
    async with open_stage(options, _tell) as stage, AsyncExitStack() as stack:
        load.own(postmaster(stage.server))
        ingest = Ingest(stage)
        await ingest.load()
        files = Files(stage, options.file_rows)
        await asyncio.to_thread(files.make, Prefecture(options.seed, FILE_HOUSEHOLDS, yesterday(system_clock())))
        peer = MergePeer(stage, {kind: files.records(kind) for kind in ("bank", "clinic")})
        writing = [
            Variant("bank file, bytes to commit", "rows/s", partial(files.take_in, "bank"), "judged, checked, sealed"),
            Variant("dlt, rows of the bank file", "rows/s", partial(peer.merge, "bank", arrow=False), "merge"),
            Variant("dlt, Arrow table of the bank file", "rows/s", partial(peer.merge, "bank", arrow=True), "merge"),
            Variant(
                "clinic list, bytes to commit", "rows/s", partial(files.take_in, "clinic"), "judged, checked, sealed"
            ),
            Variant("dlt, rows of the clinic list", "rows/s", partial(peer.merge, "clinic", arrow=False), "merge"),
            Variant(
                "dlt, Arrow table of the clinic list", "rows/s", partial(peer.merge, "clinic", arrow=True), "merge"
            ),
            Variant("merge of checked rows", "rows/s", ingest.merge, "set-merge, judged, sealed, indexed"),
            Variant("merge of rows seen before", "rows/s", ingest.merge_again),
            Variant("COPY of the observations, logged", "rows/s", lambda: ingest.copy("")),
            Variant("COPY of the observations, unlogged", "rows/s", lambda: ingest.copy("UNLOGGED")),
        ]
        _tell("measuring the write path")
        await take_rounds(writing, options.rounds, load, _tell, extra=0)
        _tell("measuring tokens, proofs, rules and consent")
        with tokens.variants() as proving:
            proving += rules.variants()
            await take_rounds(proving, options.rounds, load, _tell, extra=0)
        stored = await disk(stage)
        queries = await stack.enter_async_context(Queries.open(stage, options))
        _tell("measuring the queries")
        reading = queries.variants()
        await queries.warm_up(reading)
        await take_rounds(reading, options.rounds, load, _tell, extra_until=began + _EXTRA_SECONDS)
        facts = await queries.facts()
    _tell("measuring the scoring of links")
    scored = await linkage_speed.measure(options.persons, options.unnamed, min(options.rounds, linkage_speed.ROUNDS))
    seconds = stage.report["seconds"]
    per_household = {
        name: round(size / stored["households"])
        for name, size in stored.items()
        if name not in ("households", "people", "section_rows")
    }
    facts = {
        "households / people / rows delivered": f"{stored['households']} / {stored['people']} / {stage.rows}",
        "whole pull, rows/s (paced by the agencies' limits)": round(stage.rows / seconds),
        "whole pull, seconds": seconds,
        "bytes on disk per household before the queries": per_household,
        **facts,
        "scoring of rows that name people badly": scored,
    }
    chosen = {name: value for name, value in asdict(options).items() if name != "results"}  # a place, not a choice
    return report.assemble(chosen, [*reading, *writing, *proving], facts, time.monotonic() - began)


def main() -> int:
    """Measure, print, write."""
    options = read_options()
    result = asyncio.run(measure(options))
    report.write(options.results, result)
    report.show(result)
    print(f"JSON: {options.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
