"""The peer of the write path: dlt merges the same rows into the same server, as Python rows and as an Arrow table.

It is given its fastest loader for each. It stores the rows as they are: unchecked, unencrypted, without history.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.stage import EMPTY, Stage
from hub.store.database import DbRole
from hub.store.passwords import password_of

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")


@dataclass
class MergePeer:
    """Samples of dlt's merge; each works on a database and a pipeline of its own."""

    stage: Stage
    records: dict[str, list[dict[str, Any]]]
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def merge(self, kind: str, *, arrow: bool) -> dict[str, float]:
        """All rows of one file by one run of a pipeline, keyed and merged."""
        name = f"bench_peer_{next(self._numbers)}"
        database = await self.stage.copy(name, EMPTY)
        folder = Path(tempfile.mkdtemp(prefix="hub-bench-dlt-"))
        password = password_of(database.keys_folder, DbRole.OWNER) or ""
        credentials = (
            f"postgresql://{DbRole.OWNER}:{quote(password, safe='')}@localhost:{database.port}/{name}"
            f"?host={quote(database.host, safe='')}"  # the socket
        )
        try:
            seconds, own = await asyncio.to_thread(self._run, kind, arrow, credentials, folder)
        finally:
            shutil.rmtree(folder)
            await self.stage.drop(name)
        rows = len(self.records[kind])
        return {"rate": rows / seconds, "server_ms": own / rows * 1000}

    def _run(self, kind: str, arrow: bool, credentials: str, folder: Path) -> tuple[float, float]:
        os.environ["DLT_DATA_DIR"] = str(folder)  # nothing of it stays on the machine
        import dlt
        import pyarrow as pa
        from dlt.destinations import postgres

        records = self.records[kind]
        data = pa.Table.from_pylist(records) if arrow else records
        pipeline = dlt.pipeline(
            "bench", pipelines_dir=str(folder), destination=postgres(credentials=credentials), dataset_name="peer"
        )
        resource = dlt.resource([data], name="rows", primary_key="row_key", write_disposition="merge")
        began, own = time.perf_counter(), time.process_time()
        pipeline.run(resource, loader_file_format="csv")
        seconds, own = time.perf_counter() - began, time.process_time() - own
        with pipeline.sql_client() as client:
            stored = client.execute_sql('SELECT count(*) FROM "rows"')
        if not stored or stored[0][0] < len(records) * 0.9:
            raise RuntimeError("the peer did not keep the rows")
        return seconds, own
