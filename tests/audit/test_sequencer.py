"""The way of an event into the log: crash points, refusals, two leaders, poisoned rows."""

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from hub.audit.export import export_bundle
from hub.audit.note import VerifierKey
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.audit.sequencer import Step
from hub.audit.verify import verify_bundle
from hub.core.errors import AuditError
from hub.store.database import DbRole
from tests.audit.conftest import ORIGIN, Log, refused


def key_of(log: Log) -> VerifierKey:
    return VerifierKey.of(ORIGIN, log.keys.signing_key("audit-log").public_key().public_bytes_raw())


async def check_whole(log: Log, folder: Path) -> int:
    """Export and verify everything; the number of entries."""
    async with log.connection(DbRole.AUDITOR) as conn:
        await export_bundle(conn, folder)
    return verify_bundle(folder).size


async def test_one_event_gets_a_receipt_that_verifies(log: Log) -> None:
    async with log.running() as (_, receipts):
        [ev] = await log.write(log.query(uuid4(), uuid4()))
        receipt = await receipts.wait(ev, 5)
    checkpoint = receipt.verify(key_of(log))
    assert (receipt.leaf().ev, receipt.index, checkpoint.size) == (ev, 0, 1)
    assert receipt.as_json()["event"] == str(ev)
    assert Receipt.parse(receipt.as_text()) == receipt
    assert await log_rows(log, "SELECT count(*) FROM audit.pending") == 0


async def test_a_receipt_may_be_waited_for_until_its_head_is_stored(log: Log) -> None:
    async with log.running() as (_, receipts), log.connection(DbRole.OWNER) as owner:
        async with owner.transaction():
            await owner.execute("LOCK TABLE audit.checkpoint IN EXCLUSIVE MODE")  # the head is signed, not yet stored
            [ev] = await log.write(log.query())
            receipt = await receipts.wait(ev, 5)
            with pytest.raises(AuditError, match="in time"):
                await receipts.wait(ev, 0.3, stored=True)
        assert (await receipts.wait(ev, 5, stored=True)).entry == receipt.entry
        assert await log_rows(log, "SELECT max(size) FROM audit.checkpoint") == 1


async def log_rows(log: Log, query: str) -> int:
    async with log.connection(DbRole.SEQUENCER) as conn:
        number: int = await conn.fetchval(query)
        return number


async def test_many_at_once_share_batches_and_all_verify(log: Log, tmp_path: Path) -> None:
    people = [uuid4() for _ in range(7)]
    async with log.running() as (_, receipts):

        async def one(number: int) -> Receipt:
            [ev] = await log.write(log.query(*people[: number % 4]))
            return await receipts.wait(ev, 20)

        got = await asyncio.gather(*(one(number) for number in range(60)))
    for receipt in got:
        receipt.verify(key_of(log))
    assert sorted(receipt.index for receipt in got) == list(range(60))
    assert await check_whole(log, tmp_path / "bundle") == 60


async def test_log_larger_than_two_tiles_restarts_and_goes_on(log: Log, tmp_path: Path) -> None:
    for number in (300, 300, 1):
        await log.record(number)
    assert await check_whole(log, tmp_path / "bundle") == 601
    assert await log_rows(log, "SELECT count(*) FROM audit.tile") == 2


@pytest.mark.parametrize("step", list(Step))
async def test_crash_at_any_step_leaves_no_gap_and_the_same_bytes(log: Log, tmp_path: Path, step: Step) -> None:
    before = await log.record(3, uuid4())
    crashes = iter([True])

    def crash(reached: Step) -> None:
        if reached is step and next(crashes, False):
            raise OSError("the power went")

    [ev] = await log.write(log.query(uuid4()))
    async with log.running(crash) as (sequencer, receipts):
        while sequencer.failure is None and await log_rows(log, "SELECT max(size) FROM audit.checkpoint") == 3:
            sequencer.notify()
            await asyncio.sleep(0.01)
        after_crash = log.guard.read_bytes()
        entries = await log_rows(log, "SELECT count(*) FROM audit.entry")
        assert entries == (3 if step is Step.WRITTEN else 4)
        while not sequencer.leading:
            await asyncio.sleep(0.01)
        receipt = await receipts.wait(ev, 5)
    receipt.verify(key_of(log))
    assert receipt.index == 3
    if step in {Step.GUARDED, Step.RELEASED}:
        assert receipt.note.encode() in after_crash, "the head was signed again with other bytes"
    assert await check_whole(log, tmp_path / "bundle") == len(before) + 1


@pytest.mark.long
@pytest.mark.parametrize("step", [Step.WRITTEN, Step.COMMITTED, Step.SIGNED, Step.GUARDED])
async def test_killed_process_is_taken_over(log: Log, tmp_path: Path, step: Step) -> None:
    [ev] = await log.write(log.query(uuid4()))
    script = textwrap.dedent(
        """
        import asyncio, os, pickle, signal, sys
        from pathlib import Path
        from hub.audit.sequencer import Sequencer, Step
        from hub.store.keys import FileKeys
        database, keys, guard, step = pickle.load(sys.stdin.buffer)
        die = lambda reached: os.kill(os.getpid(), signal.SIGKILL) if reached == step else None
        asyncio.run(Sequencer(database, FileKeys(keys), guard, origin="test.example/audit", at_step=die).run())
        """
    )
    given = pickle.dumps((log.database, tmp_path / "keys", log.guard, str(step)))
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], input=given, timeout=60, check=False, env=dict(os.environ)
    )
    assert ended.returncode == -signal.SIGKILL
    async with log.running() as (_, receipts):
        receipt = await receipts.wait(ev, 10)
    assert receipt.verify(key_of(log)).size == 1
    assert await check_whole(log, tmp_path / "bundle") == 1


async def test_only_one_leads_and_the_other_process_still_gets_receipts(log: Log) -> None:
    async with log.running() as (leader, _), log.running() as (follower, receipts):
        assert (leader.leading, follower.leading) == (True, False)
        [ev] = await log.write(log.query(uuid4()))
        receipt = await receipts.wait(ev, 5)
        async with Receipts(log.database) as without_sequencer:
            assert (await without_sequencer.wait(ev, 5)).entry == receipt.entry
    receipt.verify(key_of(log))


async def test_deposed_leader_fails_before_it_writes(log: Log) -> None:
    async with log.running() as (_, receipts):
        await log.owner("UPDATE audit.head SET epoch = epoch + 5")
        [ev] = await log.write(log.query())
        error = await refused(receipts, ev)
        assert error.code == "AUDIT_UNAVAILABLE"
        assert await log_rows(log, "SELECT count(*) FROM audit.entry") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "REVOKE DELETE ON audit.pending FROM hub_sequencer",
        "ALTER TABLE audit.entry ADD CHECK (seq < 1) NOT VALID",
        "ALTER TABLE audit.detail RENAME TO elsewhere",
    ],
)
async def test_no_receipt_when_the_log_cannot_record(log: Log, statement: str) -> None:
    async with log.running() as (_, receipts):
        await receipts.wait((await log.write(log.query(uuid4())))[0], 5)
        await log.owner(statement)
        [ev] = await log.write(log.query(uuid4()))
        await refused(receipts, ev, 1.5)


async def test_nothing_is_written_and_no_receipt_given_without_the_schema(log: Log) -> None:
    async with log.running() as (_, receipts):
        [ev] = await log.write(log.query())
        await receipts.wait(ev, 5)
        await log.owner("DROP SCHEMA audit CASCADE")
        entry = log.query()
        with pytest.raises(AuditError, match="outbox"):
            await log.write(entry)
        await refused(receipts, entry.ev, 1.0)


async def test_locked_outbox_gives_no_receipt_and_recovers(log: Log) -> None:
    async with log.running() as (_, receipts):
        async with log.connection(DbRole.OWNER) as blocker:
            [ev] = await log.write(log.query())
            async with blocker.transaction():
                await blocker.execute("LOCK TABLE audit.entry IN ACCESS EXCLUSIVE MODE")
                [late] = await log.write(log.query())
                await refused(receipts, late, 1.0)
        assert (await receipts.wait(late, 10)).leaf().ev == late
        assert (await receipts.wait(ev, 10)).leaf().ev == ev


async def test_disk_error_at_the_guard_gives_no_receipt_and_recovers(log: Log) -> None:
    async with log.running() as (_, receipts):
        await receipts.wait((await log.write(log.query()))[0], 5)
        saved = log.guard.read_bytes()
        log.guard.unlink()
        log.guard.mkdir()
        [ev] = await log.write(log.query())
        error = await refused(receipts, ev)
        assert error.code == "AUDIT_DISK"
        log.guard.rmdir()
        log.guard.write_bytes(saved)
        for _ in range(200):
            try:
                receipt = await receipts.wait(ev, 0.2)
                break
            except AuditError:
                await asyncio.sleep(0.02)
        assert receipt.verify(key_of(log)).size == 2


async def started(log: Log) -> AuditError:
    """The error with which the sequencer refuses to start."""
    with pytest.raises(AuditError) as caught:
        async with log.running():
            pass
    return caught.value


async def test_database_behind_the_guard_is_refused(log: Log) -> None:
    await log.record(2)
    guard = log.guard.read_bytes()
    await log.record(2)
    newest = log.guard.read_bytes()
    assert guard != newest
    await log.owner(
        "ALTER TABLE audit.entry DISABLE TRIGGER ALL",
        "ALTER TABLE audit.checkpoint DISABLE TRIGGER ALL",
        "DELETE FROM audit.entry WHERE seq >= 2",
        "DELETE FROM audit.checkpoint WHERE size > 2",
        "UPDATE audit.head SET size = 2, root = (SELECT root FROM audit.checkpoint WHERE size = 2),"
        " frontier = ARRAY[(SELECT root FROM audit.checkpoint WHERE size = 2)]",
    )
    error = await started(log)
    assert error.code == "AUDIT_ROLLED_BACK"
    assert "rolled back" in error.message


async def test_rewritten_entry_at_the_edge_is_refused(log: Log) -> None:
    await log.record(3)
    await log.owner(
        "ALTER TABLE audit.entry DISABLE TRIGGER ALL",
        "UPDATE audit.entry SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'mask', 'deny'), 'UTF8')"
        " WHERE seq = 1",
    )
    error = await started(log)
    assert (error.code, "entry 1" in error.message) == ("AUDIT_DAMAGED", True)


async def test_guard_missing_or_foreign_is_refused(log: Log, tmp_path: Path) -> None:
    await log.record(2)
    saved = log.guard.read_bytes()
    log.guard.unlink()
    assert (await started(log)).code == "AUDIT_GUARD"
    log.guard.write_bytes(saved.replace(b"test.example", b"best.example"))
    assert (await started(log)).code == "AUDIT_GUARD"
    log.guard.write_bytes(saved)
    await log.record(1)


async def test_torn_slot_leaves_the_other_one(log: Log) -> None:
    await log.record(1)
    await log.record(1)
    raw = log.guard.read_bytes()
    newest = max((0, 4096), key=lambda at: raw[at : at + 4096].split(b"\n")[1])
    log.guard.write_bytes(raw[:newest] + raw[newest : newest + 9] + bytes(4087) + raw[newest + 4096 :])
    events = await log.record(1)
    async with Receipts(log.database) as receipts:
        assert (await receipts.wait(events[0], 2)).index == 2


async def test_clock_set_back_stops_the_log(log: Log) -> None:
    await log.record(1)
    async with log.running(clock=lambda: datetime.now(UTC) - timedelta(hours=1)) as (_, receipts):
        [ev] = await log.write(log.query())
        error = await refused(receipts, ev)
    assert error.code == "AUDIT_CLOCK"
    async with log.running() as (_, receipts):
        assert (await receipts.wait(ev, 5)).index == 1


async def test_reused_event_id_is_recorded_under_a_fresh_one(log: Log) -> None:
    [ev] = await log.record(1)
    await log.write(log.query(ev=ev, actor="another"))
    await log.record(1)
    assert await log_rows(log, "SELECT count(*) FROM audit.entry") == 3
    assert await log_rows(log, "SELECT count(DISTINCT ev) FROM audit.entry") == 3


async def test_rows_without_canonical_form_do_not_stop_the_log(log: Log, tmp_path: Path) -> None:
    async with log.connection() as conn:
        for facts in ('{"n": 1.5}', '{"n": 90071992547409930}', '{"persons": {"nobody": {}}}', '{"bad key": 1}'):
            await conn.execute(
                "INSERT INTO audit.pending (ev, kind, event, organisation, actor, decision, policy, facts, sealed)"
                " VALUES ($1, 'query', 'profile:client:queried', 'bank', 'x', 'deny', 'p', $2, $3)",
                uuid4(),
                facts,
                b"\x01no sealed text",
            )
    await log.record(1)
    assert await check_whole(log, tmp_path / "bundle") == 5


async def test_deleted_outbox_row_gives_no_receipt(log: Log) -> None:
    [ev] = await log.write(log.query())
    async with log.connection(DbRole.SEQUENCER) as conn:
        await conn.execute("DELETE FROM audit.pending WHERE ev = $1", ev)
    async with log.running() as (_, receipts):
        assert (await refused(receipts, ev, 0.5)).code == "AUDIT_TIMEOUT"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM audit.pending",
        "DELETE FROM audit.pending",
        "UPDATE audit.entry SET ev = ev",
        "SELECT 1 FROM audit.entry",
        "SELECT 1 FROM audit.detail",
        "SELECT 1 FROM audit.data_key",
        "SELECT audit.take(1::smallint, 1, 1, '', 1)",
        "INSERT INTO audit.checkpoint VALUES (1, 1, '', '')",
    ],
)
@pytest.mark.parametrize("role", [DbRole.APP, DbRole.INGEST])
async def test_roles_that_write_events_can_do_nothing_else(log: Log, role: DbRole, statement: str) -> None:
    async with log.connection(role) as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)


@pytest.mark.parametrize("table", ["log", "entry", "detail", "tile", "checkpoint", "data_key"])
async def test_owner_meets_the_triggers(log: Log, table: str) -> None:
    await log.record(1, uuid4())
    async with log.connection(DbRole.OWNER) as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(f"DELETE FROM audit.{table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(f"TRUNCATE audit.{table} CASCADE")


async def test_unlisted_event_is_refused_by_the_database(log: Log) -> None:
    async with log.connection() as conn:
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute(
                "INSERT INTO audit.pending (ev, kind, event, organisation, actor, decision, policy)"
                " VALUES ($1, 'query', 'profile:client:peeked', 'bank', 'x', 'deny', 'p')",
                UUID(int=1),
            )


async def test_nothing_personal_stands_in_clear_after_recording(log: Log) -> None:
    subject = uuid4()
    await log.record(1, subject)
    async with log.connection(DbRole.OWNER) as conn:
        for table in ("entry", "detail", "tile", "checkpoint", "head", "pending", "data_key"):
            for row in await conn.fetch(f"SELECT * FROM audit.{table}"):
                text = json.dumps([value.hex() if isinstance(value, bytes) else str(value) for value in row.values()])
                for secret in (
                    "533103199001011234",
                    "刀岩",
                    "officer-17",
                    b"officer-17".hex(),
                    "刀岩".encode().hex(),
                ):
                    assert secret not in text, table
