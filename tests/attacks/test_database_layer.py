"""Attacks 55 to 60, on the database: the number stands in the name of each test."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from hub.audit.damage import VerifyError
from hub.audit.export import export_bundle
from hub.audit.verify import verify_bundle
from hub.core.errors import AuditError, InputError
from hub.core.names import Category
from hub.flows.people.change_reader import Reader, register_reader, remove_reader
from hub.flows.rules.approve_rules import ApprovalDesk
from hub.store.database import Database, DbRole
from hub.store.server import EmbeddedServer
from tests.done.served import COUNTY, HEAD, OTHER_COUNTY, Served, served_hub
from tests.done.test_main_job_4_database import Intruder, wire

_HUB = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'watched')"


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_hub(database, tmp_path / "home") as hub:
        yield hub


@pytest.fixture
async def intruder(served: Served, database: Database) -> AsyncIterator[Intruder]:
    conn = await database.connect(DbRole.APP)
    yield Intruder(conn)
    await conn.close()


async def recorded(served: Served) -> int:
    return int(await served.owner.fetchval("SELECT count(*) FROM watched.pending"))


async def test_attack_55_select_on_every_table_view_and_sequence(served: Served, intruder: Intruder) -> None:
    """Whoever has the application's login reads none of them, whatever column and way he tries."""
    await served.grant(HEAD)
    before = await recorded(served)
    relations = await served.owner.fetch(
        f"""SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind::text AS kind
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND {_HUB}"""
    )
    assert len(relations) > 50
    for row in relations:
        name = row["name"]
        ways = [f"SELECT * FROM {name}", f"SELECT count(*) FROM {name}", f"SELECT EXISTS (TABLE {name})"]
        if row["kind"] == "r":
            ways += [f"DELETE FROM {name}", f"TRUNCATE {name}", f"COPY {name} TO STDOUT", f"LOCK TABLE {name}"]
        for statement in ways:
            done = await intruder.run(statement)
            assert not done or name == "record.precedence_rule", statement
    assert served.marks.found(*intruder.got) == set()
    assert await recorded(served) == before


async def test_attack_56_no_context_and_any_context(
    served: Served, database: Database, server: EmbeddedServer, tmp_path: Path
) -> None:
    """A person's own login sees rows of its counties and categories, no value, and nothing by settings it makes."""
    login = f"reader_{uuid4().hex[:8]}"
    superuser = await server.connect(database.name)
    try:
        await superuser.execute(f"CREATE ROLE {login} NOLOGIN IN ROLE hub_viewer")
        await superuser.execute(f"SET SESSION AUTHORIZATION {login}")
        assert await superuser.fetchval("SELECT count(*) FROM record.section_state") == 0, "not registered: no rows"
        for setting in ("SET app.county = '533103'", f"SET app.login = '{login}'", "SET row_security = on"):
            await superuser.execute(setting)
            assert await superuser.fetchval("SELECT count(*) FROM record.section_state") == 0
        await superuser.execute("SET row_security = off")
        assert await superuser.fetchval("SELECT count(*) FROM record.section_state") == 0
        await superuser.execute("RESET ALL; RESET SESSION AUTHORIZATION")
        desk = ApprovalDesk(served.owner, served.hub.ports.consents.receipts, "operator", datetime.now(UTC))
        until = datetime.now(UTC) + timedelta(days=1)
        await register_reader(desk, Reader(login, (COUNTY,), (Category.TAX_GRADE,), until))
        await superuser.execute(f"SET SESSION AUTHORIZATION {login}")
        rows = await superuser.fetch("SELECT DISTINCT county, category FROM record.section_state")
        assert {tuple(row) for row in rows} == {(COUNTY, "tax.grade")}
        for column in ("body", "person_id", "household_id", "digest", "owner"):
            with pytest.raises(asyncpg.UndefinedColumnError):
                await superuser.fetch(f"SELECT {column} FROM record.section_state")
        for other in (
            "record.section",
            "record.person",
            "record.household",
            "access.reader",
            "audit.entry",
            "consent.basis",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await superuser.fetch(f"SELECT 1 FROM {other}")
        await superuser.execute("RESET SESSION AUTHORIZATION")
        await remove_reader(desk, login)
        with pytest.raises(InputError):
            await remove_reader(desk, login)
        with pytest.raises(InputError):
            await register_reader(desk, Reader(login, (COUNTY,), (Category.TAX_GRADE,), desk.at))
        await superuser.execute(f"SET SESSION AUTHORIZATION {login}")
        assert await superuser.fetchval("SELECT count(*) FROM record.section_state") == 0
    finally:
        await superuser.execute("RESET SESSION AUTHORIZATION")
        await superuser.execute(f"DROP ROLE IF EXISTS {login}")
        await superuser.close()
    told = [row["facts"] for row in await served.owner.fetch(
        "SELECT facts FROM watched.pending WHERE event = 'reader:operator:changed' ORDER BY queued_at"
    )]  # fmt: skip
    assert [json.loads(facts)["status"] for facts in told] == ["REGISTERED", "REMOVED"]


SHADOWING = [
    "SET ROLE hub_owner;; SELECT body FROM record.section",
    "SET LOCAL ROLE hub_ingest;; SELECT body FROM record.section",
    "SELECT set_config('role', 'hub_ingest', true);; SELECT body FROM record.section",
    "SET search_path = pg_temp, record, access;; SELECT body FROM section",
    "CREATE TEMP TABLE decision AS SELECT 'BANK_RISK' AS role;; SELECT 1",
    "CREATE FUNCTION pg_temp.has_own_loan(access.asked) RETURNS boolean LANGUAGE sql AS 'SELECT true';; SELECT 1",
    "CREATE SCHEMA access2;; SELECT 1",
    "CREATE OPERATOR = (leftarg = text, rightarg = text, procedure = texteq);; SELECT 1",
    "SET SESSION AUTHORIZATION hub_owner;; SELECT body FROM record.section",
    "DO $$ BEGIN PERFORM set_config('search_path', 'pg_temp', false); EXECUTE 'TABLE record.section'; END $$",
    "SELECT access.read_sections(NULL, '{identity/VALUE}')",
    "SELECT access.rule_parts(NULL, NULL, '\\x')",
    "SELECT dblink('dbname=x', 'SELECT body FROM record.section')",
    "SELECT lo_get(1)",
    "SELECT pg_read_server_files('x')",
]


async def test_attack_57_other_roles_and_names_that_shadow(served: Served, intruder: Intruder) -> None:
    """No role but its own, and nothing that a definer function would take for something else."""
    await served.request(HEAD)
    before = await recorded(served)
    for statement in SHADOWING:
        assert not await intruder.run(statement), statement
    assert await recorded(served) == before
    search = "SET search_path = pg_temp, public;; SELECT * FROM access.disclose('{}'::jsonb)"
    text = json.dumps([wire(served, "risk-a", HEAD)]).replace("'", "''")
    assert await intruder.run(search.replace("'{}'", f"'{text}'"))
    assert served.marks.found(*intruder.got) == set()
    assert any("NO_BASIS" in got for got in intruder.got)


async def test_attack_58_errors_that_tell(
    served: Served, database: Database, server: EmbeddedServer, intruder: Intruder
) -> None:
    """An error thrown by a row that may not be seen would tell of it; no expression of an asker ever meets one."""
    for statement in (
        "SELECT 1 / (fold_version - 3) FROM record.section", "SELECT CAST(body AS int) FROM record.section",
        "SELECT (SELECT count(*) FROM record.section WHERE CAST(body AS int) = 1)",
        "INSERT INTO audit.pending SELECT * FROM audit.pending",
    ):  # fmt: skip
        assert not await intruder.run(statement)
    assert all("42501" in got for got in intruder.got), "refused before any row is looked at"
    login = f"reader_{uuid4().hex[:8]}"
    superuser = await server.connect(database.name)
    try:
        await superuser.execute(f"CREATE ROLE {login} NOLOGIN IN ROLE hub_viewer")
        await served.owner.execute(
            "INSERT INTO access.reader (login, counties, categories, until)"
            " VALUES ($1, $2, '{tax.grade}', now() + interval '1 hour')",
            login, [COUNTY],
        )  # fmt: skip
        await served.owner.execute("UPDATE record.section SET fold_version = 161 WHERE county = $1", OTHER_COUNTY)
        await served.owner.execute("UPDATE record.section SET fold_version = 161 WHERE category = 'tax.band'")
        await superuser.execute(f"SET SESSION AUTHORIZATION {login}")
        for expression in ("1 / (fold_version - 161)", "CAST('x' || fold_version AS int) WHERE fold_version = 161"):
            asked = expression if "WHERE" in expression else f"{expression} AS x"
            head, _, condition = asked.partition(" WHERE ")
            query = f"SELECT {head} FROM record.section_state" + (f" WHERE {condition}" if condition else "")
            await superuser.fetch(query)
        assert await superuser.fetchval("SELECT count(*) FROM record.section_state WHERE fold_version = 161") == 0
    finally:
        await superuser.execute("RESET SESSION AUTHORIZATION")
        await superuser.execute(f"DROP ROLE IF EXISTS {login}")
        await superuser.close()


async def test_attack_59_no_record_no_data(served: Served, intruder: Intruder) -> None:
    """Where the record of a disclosure cannot be written, the statement that would have read gives nothing."""
    await served.grant(HEAD)
    await served.owner.execute(
        "ALTER TABLE audit.pending ADD CONSTRAINT full_up CHECK (event <> 'profile:client:queried')"
    )
    before = await recorded(served)
    text = json.dumps([wire(served, "risk-a", HEAD)])
    assert not await intruder.run("SELECT * FROM access.disclose($1::jsonb)", text)
    reply = await served.profile("risk-a", HEAD)
    assert reply.json()["data"] is None
    assert served.marks.found(reply.content, *intruder.got) == set()
    assert await recorded(served) == before
    uses = await served.owner.fetchval("SELECT coalesce(max(uses), 0) FROM consent.quota")
    assert uses == 0, "nothing was used up either"


async def copied(auditor: asyncpg.Connection, folder: Path) -> None:
    """A regulator's copy of the log, verified."""
    await export_bundle(auditor, folder)
    verify_bundle(folder)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit.entry SET entry = replace(convert_from(entry, 'UTF8'), '\"allow\"', '\"deny\"')::bytea",
        "DELETE FROM audit.entry WHERE seq = 1",
        "UPDATE audit.entry SET seq = -seq WHERE seq IN (1, 2); UPDATE audit.entry SET seq = 3 + seq WHERE seq < 0",
    ],
)
async def test_attack_60_a_superuser_edits_what_was_recorded(
    served: Served, database: Database, server: EmbeddedServer, tmp_path: Path, change: str
) -> None:
    """Nobody can be kept from writing into his own disk; but the copy that a regulator verifies says what was done."""
    await served.grant(HEAD)
    await served.profile("risk-a", HEAD)
    superuser = await server.connect(database.name)
    auditor = await database.connect(DbRole.AUDITOR)
    try:
        await copied(auditor, tmp_path / "good")
        await superuser.execute(f"SET session_replication_role = replica; {change}")
        with pytest.raises((VerifyError, AuditError)):
            await copied(auditor, tmp_path / "bad")
    finally:
        await auditor.close()
        await superuser.close()
