"""The worker for what is measured in Python without HTTP: takes jobs as JSON lines, in a process of its own."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import uvloop

from bench.append import append_for
from bench.statement import by_asyncpg, prepare_pgbench, wires
from hub.store.keys import FileKeys
from hub.store.prepare import StoreOptions, embedded_database
from hub.store.server import EmbeddedServer


class Worker:
    """What the jobs share."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._keys = FileKeys(home / "keys")
        self._database = embedded_database(EmbeddedServer(home), StoreOptions(home))
        self._texts: list[str] = []

    async def do(self, job: dict[str, Any]) -> dict[str, Any]:
        """One job."""
        database = self._database.named(job["database"])
        match job["kind"]:
            case "prepare":
                self._texts = wires(self._keys, job["client"], job["people"])
                await prepare_pgbench(database, self._texts)
                return {"requests": len(self._texts)}
            case "statement":
                return await by_asyncpg(database, self._texts, job)
            case "append":
                # The log of a copy has a guard of its own: its head is not the hub's.
                return await append_for(database, self._keys, self._home / "bench-log", job)
            case other:
                raise ValueError(f"no such job: {other}")


def main() -> None:
    """Do the jobs that come in."""
    worker = Worker(Path(sys.argv[1]))
    for line in sys.stdin:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(worker.do(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
