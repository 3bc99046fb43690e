"""The disclosure statement alone, without HTTP and GraphQL: from Python over asyncpg, and by pgbench."""

import asyncio
import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.client import quantile
from bench.documents import FULL, OFFICER, PURPOSE, variables
from hub.access.parts import PARTS, part_key
from hub.audit.outbox import operation_hash, seal_request
from hub.core.fields import CLINIC_VALUE, ELIGIBILITY, RELIEF_VALUE
from hub.core.ids import uuid7
from hub.core.text import normalise_name
from hub.flows.disclosure.disclose import BATCH_MAX
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from hub.store.passwords import password_of
from hub.store.server import EmbeddedServer

SQL = "SELECT * FROM access.disclose($1::jsonb)"
_EV = "00000000-0000-0000-0000-0000000000ee"
_PGBENCH = """\\set n random(1, :count)
SELECT d.* FROM bench.request r
CROSS JOIN LATERAL access.disclose(jsonb_set(r.body, '{0,ev}', to_jsonb(gen_random_uuid()))) d WHERE r.n = :n;
"""


def wires(keys: KeyService, client: str, people: Sequence[tuple[str, str]]) -> list[str]:
    """One request per person as hub/flows/disclosure/disclose.py sends it, with a placeholder where each call's own
    id goes.
    """
    parts = [part_key(part) for part in PARTS if part not in (CLINIC_VALUE, ELIGIBILITY, RELIEF_VALUE)]
    return [
        json.dumps(
            {
                "asker": client,
                "token": "bench",
                "actor": OFFICER,
                "purpose": PURPOSE,
                "parts": parts,
                "operation": operation_hash(FULL).hex(),
                "ev": _EV,
                "sealed": base64.b64encode(seal_request(keys, uuid4(), FULL, variables(number, name))).decode(),
                "retry_key": None,
                "identity": [index.hex() for index in keys.indexes("identity", number)],
                "names": [index.hex() for index in keys.indexes("name", normalise_name(name))],
            }
        )
        for number, name in people
    ]


async def by_asyncpg(database: Database, texts: list[str], job: dict[str, Any]) -> dict[str, float]:
    """``concurrency`` connections ask about ``batch`` people each time, in as many calls as that takes."""
    batch, until = job["batch"], 0.0
    latencies: list[float] = []
    place = 0

    async def ask(connection: Any) -> None:
        nonlocal place
        statement = await connection.prepare(SQL)
        while (began := time.perf_counter()) < until:
            chosen = [texts[(place + n) % len(texts)].replace(_EV, str(uuid7())) for n in range(batch)]
            place += batch
            calls = [chosen[at : at + BATCH_MAX] for at in range(0, batch, BATCH_MAX)]
            rows = [row for call in calls for row in await statement.fetch(f"[{','.join(call)}]")]
            if len(rows) != batch or any(row["person_id"] is None for row in rows):
                raise RuntimeError("the statement did not answer every request")
            latencies.append(time.perf_counter() - began)

    connections = [await database.connect(DbRole.APP) for _ in range(job["concurrency"])]
    try:
        began = time.perf_counter()
        until = began + job["seconds"]
        await asyncio.gather(*map(ask, connections))
        seconds = time.perf_counter() - began
    finally:
        for connection in connections:
            await connection.close()
    await _empty_outbox(database)
    return _figures(len(latencies) * batch / seconds, latencies)


async def prepare_pgbench(database: Database, texts: list[str]) -> None:
    """Put the requests into the database, where pgbench finds them."""
    owner = await database.connect(DbRole.OWNER)
    try:
        await owner.execute("CREATE SCHEMA bench; CREATE TABLE bench.request (n int PRIMARY KEY, body jsonb NOT NULL)")
        await owner.copy_records_to_table(
            "request", schema_name="bench", records=[(n, f"[{text}]") for n, text in enumerate(texts, 1)]
        )
        await owner.execute(
            f"GRANT USAGE ON SCHEMA bench TO {DbRole.APP}; GRANT SELECT ON bench.request TO {DbRole.APP}"
        )
        await owner.execute("ANALYZE bench.request")
    finally:
        await owner.close()


async def by_pgbench(
    server: EmbeddedServer, database: Database, *, count: int, concurrency: int, seconds: float
) -> dict[str, float]:
    """One sample of pgbench in prepared mode. Raises :class:`RuntimeError` with its last line if it fails."""
    with tempfile.TemporaryDirectory(prefix="hub-pgbench-") as folder:
        script = Path(folder) / "disclose.sql"
        script.write_text(_PGBENCH, encoding="ascii")
        command = [str(server.place.programs / "bin" / "pgbench"), "--no-vacuum", "--protocol=prepared"]
        command += [f"--client={concurrency}", "--jobs=1", f"--time={max(1, round(seconds))}", f"--file={script}"]
        command += [f"--define=count={count}", "--log", f"--log-prefix={folder}/latency"]
        command += [f"--host={database.host}", f"--port={database.port}", f"--username={DbRole.APP}", database.name]
        environment = {**os.environ, "PGPASSWORD": password_of(database.keys_folder, DbRole.APP)}
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"pgbench failed: {done.stderr.strip().splitlines()[-1:]}")
        latencies = await asyncio.to_thread(_logged, Path(folder))
    rate = next(float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps ="))
    await _empty_outbox(database)
    return _figures(rate, latencies)


def _logged(folder: Path) -> list[float]:
    """Seconds of each transaction in pgbench's logs: client, number, microseconds, and more."""
    lines = [line for log in folder.glob("latency.*") for line in log.read_text().splitlines()]
    return [int(line.split()[2]) / 1e6 for line in lines]


def _figures(rate: float, latencies: list[float]) -> dict[str, float]:
    ordered = sorted(latencies)
    return {"rate": rate, "p50_ms": quantile(ordered, 0.5) * 1000, "p99_ms": quantile(ordered, 0.99) * 1000}


async def _empty_outbox(database: Database) -> None:
    """Nobody leads a log in this copy; what a sample left in the outbox must not slow the next one."""
    owner = await database.connect(DbRole.OWNER)
    try:
        await owner.execute("DELETE FROM audit.pending")
        await owner.execute("VACUUM audit.pending")
    finally:
        await owner.close()
