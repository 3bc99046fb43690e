"""One DataLoader per relation, made anew for every request."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
from strawberry.dataloader import DataLoader

from bench.peer.tables import FACTS, columns

LINES_IN_FORCE = "(p_valid_from IS NULL OR p_valid_from <= $3) AND (p_valid_to IS NULL OR p_valid_to >= $3)"


class Loaders:
    """The loaders of one request by one bank."""

    def __init__(self, pool: asyncpg.Pool, bank: str, purpose: str, today: str) -> None:
        self._pool, self._bank, self._purpose, self._today = pool, bank, purpose, today
        self.household = DataLoader(load_fn=self._one("household", "household_id"))
        self.facts: dict[str, DataLoader[UUID, list[asyncpg.Record]]] = {
            table: DataLoader(load_fn=self._facts(table)) for table in FACTS
        }
        self.other_lines = DataLoader(load_fn=self._other_lines)
        self.other_loans = DataLoader(load_fn=self._other_loans)
        self.adults = DataLoader(load_fn=self._adults)

    def _one(self, table: str, key: str) -> Callable[[list[UUID]], Awaitable[list[Any]]]:
        async def load(keys: list[UUID]) -> list[Any]:
            rows = await self._pool.fetch(f"SELECT * FROM {table} WHERE {key} = ANY ($1)", keys)
            found = {row[key]: row for row in rows}
            return [found.get(each) for each in keys]

        return load

    def _facts(self, table: str) -> Callable[[list[UUID]], Awaitable[list[list[asyncpg.Record]]]]:
        own = " AND bank = $2" if table in ("credit_line", "loan") else ""
        query = f"SELECT person_id, {', '.join(columns(table))} FROM {table} WHERE person_id = ANY ($1){own}"
        more = (self._bank,) if own else ()

        async def load(keys: list[UUID]) -> list[list[asyncpg.Record]]:
            found = defaultdict(list)
            for row in await self._pool.fetch(f"{query} ORDER BY row_id", keys, *more):
                found[row["person_id"]].append(row)
            return [found[each] for each in keys]

        return load

    async def _other_lines(self, keys: list[UUID]) -> list[asyncpg.Record | None]:
        rows = await self._pool.fetch(
            f"""SELECT person_id, count(DISTINCT bank) AS lenders, sum(amount) AS total_amount FROM credit_line
                WHERE person_id = ANY ($1) AND bank <> $2 AND {LINES_IN_FORCE} GROUP BY person_id""",
            keys,
            self._bank,
            self._today,
        )
        found = {row["person_id"]: row for row in rows}
        return [found.get(each) for each in keys]

    async def _other_loans(self, keys: list[UUID]) -> list[asyncpg.Record | None]:
        rows = await self._pool.fetch(
            """SELECT person_id, count(DISTINCT bank) AS lenders, sum(balance) AS total_balance, count(*) AS loans,
                      max(five_class) AS worst_class FROM loan
               WHERE person_id = ANY ($1) AND bank <> $2 AND p_valid_to IS NULL GROUP BY person_id""",
            keys,
            self._bank,
        )
        found = {row["person_id"]: row for row in rows}
        return [found.get(each) for each in keys]

    async def _adults(self, keys: list[UUID]) -> list[list[asyncpg.Record]]:
        """Living adults of households, with whether each agreed to be shown to this bank."""
        rows = await self._pool.fetch(
            """SELECT p.*, c.person_id IS NOT NULL AS agreed FROM person p
               LEFT JOIN consent c ON c.person_id = p.person_id AND c.organisation_id = $2 AND c.purpose = $3
                                  AND c.expires_at > now()
               WHERE p.household_id = ANY ($1) AND p.adult AND p.alive ORDER BY p.person_id""",
            keys,
            self._bank,
            self._purpose,
        )
        found = defaultdict(list)
        for row in rows:
            found[row["household_id"]].append(row)
        return [found[each] for each in keys]
