"""Planner statistics after bulk changes: without them a first load of a prefecture is planned for empty tables."""

import asyncpg

BULK = 1_000
"""From so many changed rows on, statistics are taken before the tables are read again."""


async def take_statistics(connection: asyncpg.Connection, *tables: str) -> None:
    """Take the statistics of tables now, by default those of schema ``record``; a fixed number of rows is sampled."""
    await connection.execute("ANALYZE " + ", ".join(t if "." in t else f"record.{t}" for t in tables))
