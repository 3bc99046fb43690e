"""Bytes on disk and in memory."""

import psutil

from bench.stage import Stage
from hub.store.database import Database, DbRole
from hub.store.server import EmbeddedServer

_GROUPS = """
SELECT CASE WHEN n.nspname = 'record' AND c.relname = 'section' THEN 'sections'
            WHEN n.nspname = 'record' AND c.relname = 'observation' THEN 'observations'
            ELSE n.nspname END AS what, sum(pg_total_relation_size(c.oid))::bigint AS bytes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('record', 'ingest', 'audit', 'consent') AND c.relkind = 'r'
GROUP BY 1
"""


async def disk(stage: Stage) -> dict[str, int]:
    """Bytes of tables with their indexes, by what they are for, and how many households they are about."""
    owner = await stage.database.connect(DbRole.OWNER)
    try:
        rows = await owner.fetch(_GROUPS)
        counts = await owner.fetchrow(
            "SELECT (SELECT count(*) FROM record.household WHERE held) AS households,"
            " (SELECT count(*) FROM record.person) AS people, (SELECT count(*) FROM record.section) AS section_rows"
        )
    finally:
        await owner.close()
    return {row["what"]: row["bytes"] for row in rows} | dict(counts)


async def log_size(database: Database) -> tuple[int, int]:
    """Entries in the audit log, and bytes of its tables."""
    owner = await database.connect(DbRole.OWNER)
    try:
        entries = await owner.fetchval("SELECT coalesce(max(size), 0) FROM audit.head")
        size = await owner.fetchval(
            "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'audit' AND c.relkind = 'r'"
        )
    finally:
        await owner.close()
    return entries, size


def postmaster(server: EmbeddedServer) -> int:
    """The process id of the database server."""
    return int((server.place.data / "postmaster.pid").read_text().split("\n", 1)[0])


def database_memory(server: EmbeddedServer) -> int:
    """Proportional bytes of the database server and its backends: what they share is counted once."""
    parent = psutil.Process(postmaster(server))
    total = 0
    for process in (parent, *parent.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def cpu_seconds(pid: int) -> float:
    """CPU seconds that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def database_cpu_seconds(server: EmbeddedServer) -> float:
    """CPU seconds that the database server and its living backends have used."""
    total = 0.0
    for process in psutil.Process(postmaster(server)).children():
        try:
            total += cpu_seconds(process.pid)
        except psutil.Error:
            continue
    return total
