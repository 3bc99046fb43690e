"""``python -m bench.load``: the first load of a prefecture, a day that changes 1% of it, and one without any change.

The agencies of the sandbox answer at once, in a process of their own; the hub pulls as ``hub pull`` does, from the wire
to the folded sections. Printed as JSON: rows and seconds by source, seconds by phase, memory of the hub.
``HUB_BENCH_HOUSEHOLDS`` sets the size (default 2,000; the whole of Dehong is 245,208).
"""

import asyncio
import json
import resource
import shutil
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from bench.options import read_options
from bench.sizes import database_cpu_seconds, database_memory, postmaster
from hub.connectors.registry import connector_for
from hub.connectors.sources import kind_of, load_sources
from hub.core.clock import day_of, system_clock
from hub.flows.intake.pull import SourceToPull, pull
from hub.flows.receipts import receipt_desk
from hub.sandbox.prefecture import yesterday
from hub.sandbox.process import SandboxProcess
from hub.settings import Settings, load
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from hub.store.prepare import prepare
from hub.store.server import EmbeddedServer

_PHASES = """
SELECT source, phase, times, round(seconds::numeric, 2)::float8 AS seconds FROM ingest.run_phase
WHERE run_id = $1 ORDER BY source, phase
"""


async def measure(households: int, seed: int) -> dict[str, Any]:
    """Load, let a day pass and load it, load again; everything in a folder that is removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="hub-bench-load-"))
    settings = load({"HUB_HOME": str(home)})
    try:
        database = await prepare(settings.store_options())
        began = time.monotonic()
        sandbox = await SandboxProcess.start(
            home / "agencies",
            households=households,
            seed=seed,
            as_of=yesterday(system_clock()) - timedelta(days=1),
            at_once=True,
        )
        result: dict[str, Any] = {"households": households, "agencies are up, seconds": time.monotonic() - began}
        try:
            result["first load"] = await _pull(settings, database, sandbox)
            await sandbox.advance(day_of(system_clock()) - timedelta(days=1), households // 100)
            result["one day"] = await _pull(settings, database, sandbox)
            result["nothing new"] = await _pull(settings, database, sandbox)
        finally:
            await sandbox.stop()
        return result
    finally:
        if (home / "postgres").exists():
            await EmbeddedServer(home).remove()
        await asyncio.to_thread(shutil.rmtree, home)


async def _pull(settings: Settings, database: Database, sandbox: SandboxProcess) -> dict[str, Any]:
    server, keys = EmbeddedServer(settings.home), FileKeys(settings.keys_folder)
    to_pull = [
        SourceToPull(each.name, kind_of(each), each.agreement_no, connector_for(each, paced=False))
        for each in load_sources(sandbox.sources_file)
    ]
    began, own, stored = time.monotonic(), time.process_time(), _database_cpu(server)
    async with receipt_desk(database, keys, settings.home) as desk:
        report = await pull(database, keys, desk, to_pull, system_clock, lambda *_: None)
    seconds = time.monotonic() - began
    fetched = sum(entry["fetched"] for entry in report["sources"].values())
    return {
        "seconds": round(seconds, 2),
        "rows": fetched,
        "rows/s": round(fetched / seconds),
        "CPU seconds of the hub": round(time.process_time() - own, 2),
        "CPU seconds of the database": round(_database_cpu(server) - stored, 2),
        "most memory of the hub so far, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "memory of the database, MiB": database_memory(server) >> 20,
        "sources": {
            name: {key: entry[key] for key in ("status", "fetched", "accepted", "unchanged", "superseded", "seconds")}
            for name, entry in report["sources"].items()
        },
        "phases": await _phases(database, report["run_id"]),
    }


def _database_cpu(server: EmbeddedServer) -> float:
    """CPU seconds of all backends, those that have ended included."""
    ended = psutil.Process(postmaster(server)).cpu_times()
    return database_cpu_seconds(server) + float(ended.children_user + ended.children_system)


async def _phases(database: Database, run_id: str) -> dict[str, dict[str, float]]:
    connection = await database.connect(DbRole.OWNER)
    try:
        records = await connection.fetch(_PHASES, run_id)
    finally:
        await connection.close()
    phases: dict[str, dict[str, float]] = {}
    for record in records:
        phases.setdefault(record["source"] or "the run as a whole", {})[record["phase"]] = record["seconds"]
    return phases


def main() -> int:
    """Measure and print."""
    options = read_options()
    print(json.dumps(asyncio.run(measure(options.households, options.seed)), ensure_ascii=False, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
