"""The access rules come into force together with their entry in the log, or not at all."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from hub.access.publish import check_published
from hub.access.rules import RuleSet
from hub.core.errors import AuditError
from hub.flows.rules.load_rules import load_rules
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys

IN_FORCE = "SELECT digest FROM access.policy_set WHERE retired_at IS NULL"
RECORDED = "SELECT (SELECT count(*) FROM audit.pending) + (SELECT count(*) FROM audit.entry)"


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect(DbRole.OWNER)
    yield connection
    await connection.close()


STEPS = [
    "approver:operator:changed", "approver:operator:changed", "rules:operator:proposed", "rules:security:approved",
    "rules:security:approved", "rules:operator:loaded",
]  # fmt: skip
"""What a sandbox records when its rules come into force: two generated administrators sign for them."""


async def test_rules_come_into_force_with_an_entry_for_each_step(
    database: Database, keys: FileKeys, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    assert await load_rules(database, keys, tmp_path)
    assert await owner.fetchval(IN_FORCE) == RuleSet.load().digest
    await check_published(owner, keys)
    assert await owner.fetchval(RECORDED) == len(STEPS)
    assert not await load_rules(database, keys, tmp_path), "they are in force already"
    assert await owner.fetchval(RECORDED) == len(STEPS)


async def test_rules_that_come_back_are_recorded_again(
    database: Database, keys: FileKeys, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    await load_rules(database, keys, tmp_path)
    await owner.execute("UPDATE access.policy_set SET retired_at = now()")
    assert await load_rules(database, keys, tmp_path)
    assert await owner.fetchval(RECORDED) == len(STEPS) + 4, "the two keys are registered already"


async def test_the_entries_stand_in_the_outbox_in_the_words_of_the_list(
    database: Database, keys: FileKeys, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    await owner.execute("CREATE TABLE seen AS SELECT * FROM audit.pending")
    await owner.execute(
        "CREATE FUNCTION copy_row() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO public.seen SELECT NEW.*; RETURN NEW; END $$;"
        " CREATE TRIGGER copy_row AFTER INSERT ON audit.pending FOR EACH ROW EXECUTE FUNCTION copy_row()"
    )
    await load_rules(database, keys, tmp_path)
    rows = await owner.fetch("SELECT event, kind, decision, organisation, facts ->> 'digest' AS digest FROM seen")
    digest = (await owner.fetchval(IN_FORCE)).hex()
    assert [row["event"] for row in rows] == STEPS
    assert {tuple(row)[1:] for row in rows if row["digest"]} == {("admin", "allow", "hub", digest)}


async def test_without_the_log_the_rules_stay_as_they_were(
    database: Database, keys: FileKeys, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    await owner.execute("ALTER TABLE audit.pending ADD CONSTRAINT broken CHECK (kind <> 'admin')")
    with pytest.raises(AuditError):
        await load_rules(database, keys, tmp_path)
    assert await owner.fetchval(IN_FORCE) is None
    assert await owner.fetchval("SELECT count(*) FROM access.decision") == 0
    assert await owner.fetchval(RECORDED) == 0
