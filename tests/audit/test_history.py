"""A person's list of accesses: opened with the keys, provably without a gap, unreadable after erasure."""

import json
import shutil
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from hub.audit.damage import VerifyError
from hub.audit.data_keys import destroy_person_keys
from hub.audit.events import Decision, Kind
from hub.audit.export import export_bundle
from hub.audit.history import check_complete, count_accesses, list_accesses
from hub.audit.outbox import PendingEntry, append
from hub.audit.verify import verify_bundle
from hub.core.errors import AuditError, InputError
from hub.store.database import DbRole
from hub.store.keys import FileKeys
from tests.audit.conftest import Log


async def test_person_sees_every_access_about_him_and_nobody_elses(log: Log) -> None:
    me, wife, stranger = uuid4(), uuid4(), uuid4()
    await log.record(2, me, wife)
    await log.record(1, stranger)
    await log.record(1, wife, me)
    async with log.connection() as conn:
        accesses = await list_accesses(conn, log.keys, me)
        check_complete(accesses, await count_accesses(conn, me))
        assert await count_accesses(conn, stranger) == 1
        assert await list_accesses(conn, log.keys, uuid4()) == []
    assert [(access.seq, access.n) for access in accesses] == [(3, 3), (1, 2), (0, 1)]
    newest, oldest = accesses[0], accesses[-1]
    assert (newest.organisation, newest.purpose, newest.decision) == ("313731038005", "LOAN_APPLICATION", "mask")
    assert (newest.actor, newest.intact) == ("officer-17", True)
    assert (newest.own or {})["named"] is False
    assert (oldest.own or {})["named"] is True
    assert (newest.shared or {})["client"] == "bank-a"
    assert str(wife) not in str(accesses)


async def test_pages_continue_below(log: Log) -> None:
    me = uuid4()
    await log.record(5, me)
    async with log.connection() as conn:
        first = await list_accesses(conn, log.keys, me, limit=2)
        rest = await list_accesses(conn, log.keys, me, before=first[-1].n)
    assert [access.n for access in first + rest] == [5, 4, 3, 2, 1]
    check_complete(first + rest, 5)


async def test_hidden_access_leaves_a_gap(log: Log) -> None:
    me = uuid4()
    await log.record(3, me)
    await log.owner(
        "ALTER TABLE audit.detail DISABLE TRIGGER ALL",
        "UPDATE audit.detail SET subject = gen_random_uuid() WHERE n = 2",
    )
    async with log.connection() as conn:
        accesses = await list_accesses(conn, log.keys, me)
        count = await count_accesses(conn, me)
    with pytest.raises(AuditError, match="link 2"):
        check_complete(accesses, count)


async def test_renumbering_cannot_close_the_gap(log: Log) -> None:
    me = uuid4()
    await log.record(3, me)
    await log.owner(
        "ALTER TABLE audit.detail DISABLE TRIGGER ALL",
        "UPDATE audit.detail SET subject = gen_random_uuid() WHERE n = 2",
        "UPDATE audit.detail SET n = 2 WHERE n = 3",
        f"UPDATE audit.subject_head SET n = 2 WHERE subject = '{me}'",
    )
    async with log.connection() as conn:
        accesses = await list_accesses(conn, log.keys, me)
        with pytest.raises(AuditError, match="link 2"):
            check_complete(accesses, await count_accesses(conn, me))


async def test_detail_swapped_between_entries_does_not_open(log: Log) -> None:
    me = uuid4()
    await log.record(2, me)
    await log.owner(
        "ALTER TABLE audit.detail DISABLE TRIGGER ALL",
        "UPDATE audit.detail d SET sealed = o.sealed FROM audit.detail o"
        " WHERE d.part = 1 AND o.part = 1 AND o.seq = 1 - d.seq",
    )
    async with log.connection() as conn:
        with pytest.raises(AuditError, match="altered or moved"):
            await list_accesses(conn, log.keys, me)


async def test_erasure_hides_one_person_and_leaves_the_rest(log: Log, tmp_path: Path) -> None:
    me, wife = uuid4(), uuid4()
    await log.record(2, me, wife)
    async with log.connection(DbRole.SEQUENCER) as conn:
        with pytest.raises(AuditError):
            await destroy_person_keys(conn, me)
        async with conn.transaction():
            assert await destroy_person_keys(conn, me) == 1
            facts = {"legalBasis": "PIPL 47", "keys": 1}
            await append(
                conn,
                PendingEntry(
                    uuid4(), Kind.ERASURE, "person:operator:erased", "hub", "operator-1", Decision.ALLOW, "p", facts
                ),
            )
    await log.record(1, me, wife)
    async with log.connection() as conn:
        mine = await list_accesses(conn, log.keys, me)
        hers = await list_accesses(conn, log.keys, wife)
        check_complete(mine, 3)
        check_complete(hers, 3)
    assert [access.own is None for access in mine] == [False, True, True]
    assert all(access.own is not None and access.intact for access in hers)
    async with log.connection(DbRole.AUDITOR) as conn:
        await export_bundle(conn, tmp_path / "bundle", keys=log.keys, persons=[wife])
    report = verify_bundle(tmp_path / "bundle")
    assert (report.size, report.links) == (4, 3)
    assert str(me) not in (tmp_path / "bundle" / "openings.jsonl").read_text()
    async with log.connection(DbRole.OWNER) as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("UPDATE audit.data_key SET wrapped = '\\x00', destroyed_at = NULL")


async def test_other_keys_open_nothing(log: Log, tmp_path: Path) -> None:
    me = uuid4()
    await log.record(1, me)
    async with log.connection() as conn:
        with pytest.raises(Exception, match="cannot be opened"):
            await list_accesses(conn, FileKeys(tmp_path / "other"), me)


async def test_request_is_kept_for_replay_under_the_person_named(log: Log, tmp_path: Path) -> None:
    me, wife = uuid4(), uuid4()
    await log.record(1, me, wife)
    async with log.connection(DbRole.AUDITOR) as conn:
        await export_bundle(conn, tmp_path / "bundle", keys=log.keys, persons=[me, wife])
    names = [
        (line["person"], opening["name"])
        for line in _lines(tmp_path / "bundle" / "chains.jsonl")
        for opening in _lines(tmp_path / "bundle" / "openings.jsonl")
        if opening["group"] == line["step"]
    ]
    assert (str(me), "request") in names
    assert (str(wife), "request") not in names
    assert verify_bundle(tmp_path / "bundle").openings == len(_lines(tmp_path / "bundle" / "openings.jsonl"))


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_export_goes_only_into_a_new_folder(log: Log, tmp_path: Path) -> None:
    async with log.connection(DbRole.AUDITOR) as conn:
        with pytest.raises(AuditError, match="no signed head"):
            await export_bundle(conn, tmp_path / "empty")
    await log.record(1)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("x")
    async with log.connection(DbRole.AUDITOR) as conn:
        with pytest.raises(InputError):
            await export_bundle(conn, tmp_path / "used")


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM audit.entry WHERE seq = 3", "entry 3: missing"),
        ("DELETE FROM audit.entry WHERE seq = 259", "entry 259: missing"),
        ("UPDATE audit.entry SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'mask', 'deny'), 'UTF8')"
         " WHERE seq = 258", "entry 258: altered"),
        ("UPDATE audit.entry e SET entry = o.entry, leaf_hash = o.leaf_hash FROM audit.entry o"
         " WHERE (e.seq, o.seq) IN ((4, 9), (9, 4))", "entry 4: reordered"),
        ("UPDATE audit.tile SET hashes = set_byte(hashes, 39, 255 - get_byte(hashes, 39))", "tile at entry 1"),
        ("DELETE FROM audit.entry WHERE seq = 257", "entry 257: missing"),
        ("UPDATE audit.entry e SET entry = o.entry, leaf_hash = o.leaf_hash FROM audit.entry o"
         " WHERE (e.seq, o.seq) IN ((257, 259), (259, 257))", "entry 257: reordered"),
        ("UPDATE audit.entry e SET entry = o.entry, leaf_hash = o.leaf_hash FROM audit.entry o"
         " WHERE (e.seq, o.seq) IN ((9, 258), (258, 9))", "entry 9: reordered"),
    ],
)  # fmt: skip
async def test_what_is_done_in_the_database_shows_in_an_export(
    log: Log, tmp_path: Path, statement: str, told: str
) -> None:
    await log.record(260)
    await log.owner(
        "ALTER TABLE audit.entry DISABLE TRIGGER ALL", "ALTER TABLE audit.tile DISABLE TRIGGER ALL", statement
    )
    async with log.connection(DbRole.AUDITOR) as conn:
        await export_bundle(conn, tmp_path / "bundle")
    with pytest.raises(VerifyError, match=told):
        verify_bundle(tmp_path / "bundle")
    shutil.rmtree(tmp_path / "bundle")
