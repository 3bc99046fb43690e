"""The audit log alone: entries per second, each with its receipt, from many writers at once."""

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from bench.client import quantile
from bench.documents import FULL, OFFICER, PURPOSE
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.core.ids import uuid7
from hub.flows.receipts import receipt_desk
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

_SECTIONS = 10


async def append_for(database: Database, keys: KeyService, home: Path, job: dict[str, Any]) -> dict[str, float]:
    """``concurrency`` writers record a query like the profile's and wait for the receipt, again and again."""
    latencies: list[float] = []
    persons = [UUID(text) for text in job["persons"]]
    until = time.perf_counter() + job["seconds"]
    place = 0
    async with receipt_desk(database, keys, home) as receipts:
        pool = await database.pool(DbRole.APP, size=job["concurrency"])

        async def write() -> None:
            nonlocal place
            while (began := time.perf_counter()) < until:
                place += 1
                entry = _entry(keys, persons[place % len(persons)])
                async with pool.acquire() as connection:
                    await append(connection, entry)
                await receipts.wait(entry.ev, 10)
                latencies.append(time.perf_counter() - began)

        began = time.perf_counter()
        until = began + job["seconds"]
        await asyncio.gather(*(write() for _ in range(job["concurrency"])))
        seconds = time.perf_counter() - began
        await pool.close()
    ordered = sorted(latencies)
    return {
        "rate": len(latencies) / seconds,
        "p50_ms": quantile(ordered, 0.5) * 1000,
        "p99_ms": quantile(ordered, 0.99) * 1000,
    }


def _entry(keys: KeyService, person: UUID) -> PendingEntry:
    ev = uuid7()
    sections = [["tax.grade", "VALUE", "", 1, "0" * 64]] * _SECTIONS
    asked = [["tax.grade", "VALUE"]] * _SECTIONS
    return PendingEntry(
        ev=ev,
        kind=Kind.QUERY,
        event="profile:client:queried",
        organisation="402739000011",
        actor=OFFICER,
        decision=Decision.ALLOW,
        policy="0" * 64,
        purpose=PURPOSE,
        operation=operation_hash(FULL),
        county="533103",
        subjects=(person,),
        facts={
            "asOf": "2026-01-01T00:00:00.000000+08:00",
            "client": "rcb-risk",
            "role": "BANK_RISK",
            "token": "bench",
            "asked": asked,
            "withheld": [],
            "absent": [],
            "adultsNotShown": 1,
            "persons": {str(person): {"household": str(person), "basis": str(ev), "named": True, "sections": sections}},
        },
        sealed=seal_request(keys, ev, FULL, {}),
    )
