"""Whether the log can record, asked before a change: in the process that leads, in others, and when nobody leads."""

import asyncio
from uuid import uuid4

import pytest

from hub.audit.receipts import Receipts
from hub.core.errors import AuditError
from hub.store.database import DbRole
from tests.audit.conftest import Log


async def tables(log: Log) -> list[tuple[object, ...]]:
    """The rows of everything a batch writes."""
    async with log.connection(DbRole.OWNER) as conn:
        return [
            tuple(row)
            for name in ("pending", "head", "entry", "data_key", "detail", "subject_head", "tile", "checkpoint")
            for row in await conn.fetch(f"SELECT * FROM audit.{name} ORDER BY 1, 2")
        ]


async def unready(receipts: Receipts) -> str:
    with pytest.raises(AuditError) as caught:
        await receipts.ready(1.5)
    return caught.value.code


@pytest.mark.parametrize("before", [0, 255])
async def test_a_rehearsal_leaves_nothing_behind(log: Log, before: int) -> None:
    if before:
        await log.record(before, uuid4())
    async with log.running() as (_, receipts):
        kept, guard = await tables(log), log.guard.read_bytes().split(b"\n\n")[0]
        await asyncio.gather(*(receipts.ready() for _ in range(5)))
        assert await tables(log) == kept
        assert log.guard.read_bytes().split(b"\n\n")[0] == guard
        [ev] = await log.write(log.query(uuid4()))
        assert (await receipts.wait(ev, 5)).index == before


async def test_another_process_is_told_by_the_leader(log: Log) -> None:
    async with log.running(), Receipts(log.database) as elsewhere:
        await asyncio.gather(*(elsewhere.ready() for _ in range(5)))


async def test_nobody_leads(log: Log) -> None:
    async with Receipts(log.database) as receipts:
        assert await unready(receipts) == "AUDIT_TIMEOUT"


@pytest.mark.parametrize(
    "fault",
    [
        "ALTER TABLE audit.entry RENAME TO elsewhere",
        "REVOKE INSERT ON audit.detail FROM hub_sequencer",
        "ALTER TABLE audit.head ADD CHECK (size < 0) NOT VALID",
        "REVOKE DELETE ON audit.pending FROM hub_sequencer",
    ],
)
async def test_a_fault_is_found_before_the_first_entry_that_meets_it(log: Log, fault: str) -> None:
    async with log.running() as (_, receipts), Receipts(log.database) as elsewhere:
        await receipts.ready()
        await log.owner(fault)
        assert await unready(receipts) in {"AUDIT_UNAVAILABLE", "AUDIT_TIMEOUT"}
        assert await unready(elsewhere) in {"AUDIT_UNAVAILABLE", "AUDIT_TIMEOUT"}


async def test_a_guard_that_cannot_be_written_is_found(log: Log) -> None:
    await log.record(1)
    async with log.running() as (sequencer, receipts):
        saved = log.guard.read_bytes()
        log.guard.unlink()
        log.guard.mkdir()
        assert await unready(receipts) == "AUDIT_DISK"
        log.guard.rmdir()
        log.guard.write_bytes(saved)
        while sequencer.failure is not None:
            await asyncio.sleep(0.02)
        await receipts.ready()
