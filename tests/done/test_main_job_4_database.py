"""What the application's database login could read if somebody had it: nothing that is in a record."""

import base64
import itertools
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from hub.core.text import normalise_name
from hub.store.database import Database, DbRole
from tests.done.served import ALL_PARTS, COUNTY, HEAD, WIFE, Person, Served, household_of, served_hub

MAY_DO = {"audit.pending": {"INSERT"}, "record.precedence_rule": {"SELECT"}}
"""Every right of hub_app on a table, view or sequence of the hub's own: it writes to the outbox, and reads nothing but
the published rules of precedence, which are about nobody."""

MAY_CALL = {
    "access.disclose", "access.fitness", "access.official_coverage", "access.organisation_of", "audit.find_entry",
    "access.check_officer", "access.shadow_differences",
    "audit.log_origin", "audit.subject_count", "audit.subject_entries",
    "audit.tree_parts", "auth.bearer_state", "auth.claim_key", "auth.find_client", "auth.known_as",
    "auth.organisation_names", "auth.revoke_token", "auth.settle_key", "consent.ask",
    "consent.consents_of", "consent.grant_request", "consent.refuse_request", "consent.request_state",
    "consent.requests_of", "consent.cap_of", "consent.change", "consent.deliveries_of",
    "consent.agree_for_minor", "consent.wards_of",
    "consent.in_force", "consent.record_of", "consent.revoke",
    "consent.bases", "consent.decide_basis", "consent.declare_basis", "consent.end_basis",
    # Consent captured in the field.
    "consent.captures", "consent.destroy_evidence", "consent.evidence_wanted", "consent.flag_altered",
    "consent.form_for", "consent.open_capture", "consent.open_device", "consent.own_holder",
    "consent.read_evidence", "consent.reject_capture",
    "consent.requests_shown", "consent.store_evidence", "consent.take_batch", "consent.verify_capture",
    "consent.open_withdrawal", "consent.settle_withdrawal", "consent.withdrawals",
    # Benefit programmes.
    "benefit.assess", "benefit.decide_review", "benefit.open_reviews", "benefit.own_decisions",
    "benefit.request_review",
    # Tokens.
    "auth.count_refusal", "auth.finish_request", "auth.grant_of", "auth.open_request", "auth.push_request",
    "auth.refresh_token_of", "auth.revoke_refresh_token", "auth.use_code", "auth.use_credentials", "auth.use_proof",
    "auth.use_refresh_token", "auth.narrow_token",
    # Signing in.
    "auth.begin_by_code", "auth.begin_by_passkey", "auth.find_passkey", "auth.find_session",
    "auth.sign_out", "auth.try_code", "auth.find_enrolment", "auth.enrol_passkey",
    "auth.pending_changes", "auth.decide_change",
    # Duties toward people.
    "access.breaches_to_decide", "access.decide_breach", "access.issue_report", "access.own_challenges",
    "access.own_notices", "auth.assistance_of", "auth.begin_assisted", "auth.end_assisted", "auth.try_assistance",
}  # fmt: skip
"""Every function of the hub's own that hub_app may execute."""

_OWN = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'watched')"
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_hub(database, tmp_path / "home") as hub:
        yield hub


class Intruder:
    """A session of hub_app that keeps every byte it gets back, errors and notices included."""

    def __init__(self, conn: asyncpg.Connection) -> None:
        self.conn = conn
        self.got: list[str] = []
        conn.add_log_listener(lambda _, message: self.got.append(repr(message.as_dict())))

    async def run(self, statement: str, *arguments: Any) -> bool:
        """Whether the server did it; what it said is kept either way."""
        transaction = self.conn.transaction()
        await transaction.start()
        try:
            rows = await (self.conn.fetch(statement, *arguments) if arguments else self._script(statement))
            self.got.append(repr(rows))
        except asyncpg.PostgresError as error:
            self.got.append(repr(error.as_dict()) + str(error))
            return False
        except asyncpg.InternalClientError as error:  # the driver does not speak COPY here
            self.got.append(str(error))
            return False
        finally:
            await transaction.rollback()
            await self.conn.execute("RESET ALL")
        return True

    async def _script(self, statement: str) -> list[Any]:
        *before, last = [part for part in statement.split(";;") if part.strip()]
        for part in before:
            await self.conn.execute(part)
        return list(await self.conn.fetch(last))


@pytest.fixture
async def intruder(served: Served, database: Database) -> AsyncIterator[Intruder]:
    conn = await database.connect(DbRole.APP)
    yield Intruder(conn)
    await conn.close()


async def test_the_application_reads_no_table(served: Served) -> None:
    relations = await served.owner.fetch(
        f"""SELECT format('%I.%I', n.nspname, c.relname) AS name, c.oid, c.relkind::text AS kind
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_OWN}"""
    )
    names = {row["name"] for row in relations}
    assert {"record.section", "record.person", "ingest.held_row", "consent.record", "audit.detail"} <= names
    rights: dict[str, set[str]] = {}
    for row in relations:
        wanted = ("SELECT", "UPDATE", "USAGE") if row["kind"] == "S" else _RIGHTS
        check = "has_sequence_privilege" if row["kind"] == "S" else "has_table_privilege"
        for right in wanted:
            if await served.owner.fetchval(f"SELECT {check}('hub_app', $1::oid, $2)", row["oid"], right):
                rights.setdefault(row["name"], set()).add(right)
    assert rights == MAY_DO
    columns = await served.owner.fetch(
        f"""SELECT format('%I.%I', n.nspname, c.relname) AS name, r.right FROM pg_attribute a
            JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS r ("right")
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT a.attisdropped AND {_OWN}
              AND has_column_privilege('hub_app', c.oid, a.attnum, r.right)"""
    )
    assert {(row["name"], row["right"]) for row in columns} == {
        (name, right) for name, rights in MAY_DO.items() for right in rights
    }


async def test_the_application_may_call_few_functions_and_make_nothing(served: Served, database: Database) -> None:
    callable_ = await served.owner.fetch(
        f"""SELECT n.nspname || '.' || p.proname AS name, p.prosecdef, p.proconfig FROM pg_proc p
            JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE {_OWN} AND has_schema_privilege('hub_app', n.oid, 'USAGE')
              AND has_function_privilege('hub_app', p.oid, 'EXECUTE')"""
    )
    assert {row["name"] for row in callable_} == MAY_CALL
    for row in callable_:
        assert row["prosecdef"], row["name"]
        assert any(each.startswith("search_path=pg_catalog") for each in row["proconfig"]), row["name"]
    facts = await served.owner.fetchrow(
        """SELECT r.rolsuper OR r.rolcreatedb OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls AS more,
               EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid OR m.roleid = r.oid) AS member,
               has_database_privilege(r.oid, current_database(), 'CREATE, TEMPORARY') AS makes,
               EXISTS (SELECT FROM pg_namespace n WHERE has_schema_privilege(r.oid, n.oid, 'CREATE')) AS fills,
               has_table_privilege(r.oid, 'pg_statistic', 'SELECT') OR has_table_privilege(r.oid, 'pg_authid', 'SELECT')
                   OR has_table_privilege(r.oid, 'pg_largeobject', 'SELECT') AS looks,
               EXISTS (SELECT FROM pg_default_acl) AS defaults,
               EXISTS (SELECT FROM pg_proc p WHERE p.proname IN ('pg_read_file', 'pg_read_binary_file', 'pg_ls_dir',
                       'lo_import', 'lo_export', 'pg_stat_file') AND has_function_privilege(r.oid, p.oid, 'EXECUTE'))
                   AS files
           FROM pg_roles r WHERE r.rolname = 'hub_app'"""
    )
    assert not any(facts.values()), dict(facts)


READING = [
    "TABLE record.section",
    "SELECT body FROM record.section",
    "SET search_path = record, access, audit, public;; SELECT body FROM section",
    "SELECT count(*) FROM record.section WHERE body LIKE '%a%'",
    "SELECT query_to_xml('SELECT * FROM record.section', true, true, '')",
    "SELECT table_to_xml('record.section', true, true, '')",
    "SELECT schema_to_xml('record', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT body FROM record.section",
    "COPY record.section TO STDOUT",
    "COPY record.section TO '/tmp/canary'",
    "COPY (SELECT 1) TO PROGRAM 'cat /etc/passwd'",
    "DECLARE c CURSOR FOR SELECT * FROM record.section",
    "PREPARE p AS SELECT body FROM record.section;; EXECUTE p",
    "DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM record.section LOOP RAISE NOTICE '%', r; END LOOP; END $$",
    "DO $$ DECLARE t text; BEGIN EXECUTE 'SELECT string_agg(body, '''') FROM record.section' INTO t;"
    " RAISE EXCEPTION '%', t; END $$",
    "SELECT s::text FROM pg_stats s WHERE schemaname = 'record'",
    "SELECT s::text FROM pg_statistic s",
    "SELECT s::text FROM pg_stats_ext_exprs s",
    "SELECT query FROM pg_stat_activity",
    "SELECT * FROM pg_prepared_statements",
    "SELECT * FROM pg_largeobject",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM pg_get_publication_tables('x')",
    "SELECT pg_logical_slot_get_changes('x', NULL, NULL)",
    "SELECT * FROM information_schema.columns WHERE column_default LIKE '%CANARY%'",
    "LOCK TABLE record.section IN SHARE MODE",
    "SELECT jsonb_agg(s) FROM record.section s",
    "WITH moved AS (DELETE FROM record.section RETURNING *) SELECT * FROM moved",
    "UPDATE record.section SET body = body RETURNING body",
    "MERGE INTO audit.pending p USING record.section s ON false WHEN NOT MATCHED THEN DO NOTHING",
    "INSERT INTO audit.pending (ev, kind, event, organisation, actor, decision, policy)"
    " SELECT gen_random_uuid(), 'query', 'log:auditor:queried', 'x', body, 'allow', 'x' FROM record.section",
    "INSERT INTO audit.pending (ev, kind, event, organisation, actor, decision, policy)"
    " VALUES (gen_random_uuid(), 'query', 'log:auditor:queried', 'x', 'x', 'allow', 'x') RETURNING *",
    "SELECT * FROM audit.pending",
    "SELECT * FROM audit.entry",
    "SELECT * FROM consent.record",
    "SELECT * FROM auth.account",
    "SELECT * FROM record.person",
    "SELECT * FROM ingest.held_row",
]
TAKING = [
    *[
        f"SET ROLE {role};; SELECT body FROM record.section"
        for role in [*DbRole, "postgres", "pg_read_all_data", "NONE"]
    ],
    *[f"SET SESSION AUTHORIZATION {role};; SELECT body FROM record.section" for role in [*DbRole, "postgres"]],
    "GRANT SELECT ON record.section TO hub_app",
    "GRANT hub_ingest TO hub_app",
    "GRANT pg_read_all_data TO hub_app",
    "ALTER ROLE hub_app SUPERUSER",
    "ALTER TABLE record.section OWNER TO hub_app",
    "ALTER FUNCTION access.disclose(jsonb) RESET search_path",
    "ALTER FUNCTION access.disclose(jsonb) OWNER TO hub_app",
    "ALTER TABLE audit.pending DISABLE TRIGGER ALL",
    "CREATE OR REPLACE FUNCTION access.use_basis(uuid, boolean, text, text, bytea) RETURNS boolean LANGUAGE sql"
    " AS 'SELECT true'",
    "CREATE TEMP TABLE section (body text)",
    "CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz'",
    "CREATE FUNCTION public.coalesce(text, text) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
    "CREATE OPERATOR public.= (leftarg = uuid, rightarg = uuid, procedure = uuid_eq)",
    "CREATE SCHEMA mine",
    "CREATE VIEW public.mine AS SELECT * FROM record.section",
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION postgres_fdw",
    "CREATE PUBLICATION p FOR TABLE record.section",
    "CREATE TRIGGER t AFTER INSERT ON audit.pending FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()",
    "CREATE RULE r AS ON INSERT TO audit.pending DO ALSO SELECT * FROM record.section",
    "CREATE POLICY p ON record.section USING (true)",
    "LOAD 'auto_explain'",
    "SET session_replication_role = replica",
    "SET log_statement = 'all'",
    "SET log_min_messages = debug5",
    "ALTER SYSTEM SET log_statement = 'all'",
    "ALTER DATABASE postgres SET search_path = x",
    "SELECT set_config('role', 'hub_owner', false)",
    "SELECT access.read_sections(NULL::access.asked, NULL::access.ruling[])",
    "SELECT access.rule_named(NULL, NULL, NULL, NULL, NULL)",
    "SELECT access.resolve('[]', current_date, '{}')",
    "SELECT access.sum_totals('bank.loan', '{}')",
    f"SELECT audit.integrate({', '.join(['NULL'] * 29)})",
    "SELECT audit.lookup('{}', 2026::smallint, '{}')",
    "SELECT consent.person_of('head', 't', now())",
    "SELECT access.find_asker('head')",
]


async def test_statements_of_an_intruder_get_no_value(served: Served, intruder: Intruder) -> None:
    await served.grant(HEAD)
    done = {statement for statement in (*READING, *TAKING) if await intruder.run(statement)}
    assert served.marks.found(*intruder.got) == set()
    assert {statement for statement in done if statement in TAKING} == set()
    assert len([text for text in intruder.got if "42501" in text]) > 40
    # What the server does carry out shows its own catalogue or this very session, and nothing else.
    assert {statement for statement in done if " record." in statement or " audit." in statement} == set()
    assert not await served.owner.fetchval("SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'mine')")


def odd_values(served: Served, kind: str) -> list[Any]:
    """Arguments that a caller in good faith would not send, and some that he would."""
    person, household = HEAD.person_id, household_of(HEAD)
    index = served.keys.index("identity", HEAD.number)
    texts = ["", "'", "' OR true --", "head", "risk-a", "%", "\\", "{}", "$1", COUNTY, "x" * 3000, "LOAN_APPLICATION"]
    match kind:
        case "uuid":
            return [None, person, household, uuid4()]
        case "uuid[]":
            return [None, [], [person, household]]
        case "text":
            return [None, *texts]
        case "text[]":
            return [None, [], texts, ALL_PARTS]
        case "bytea":
            return [None, b"", index, b"\0" * 32, b'{"parts": ["identity/VALUE"]}', b"\xff{"]
        case "bytea[]":
            return [None, [], [index], [b""]]
        case "integer" | "smallint" | "bigint":
            return [None, 0, 1, -1, 32767]
        case "smallint[]" | "bigint[]" | "integer[]":
            return [None, [], [0, 1, -1]]
        case "timestamp with time zone":
            return [None, served.hub.ports.clock()]
        case "boolean":
            return [None, True, False]
        case "jsonb":
            return [None, "[]", "{}", "null", '"x"', "[[]]", '[{"asker": "risk-a"}]', json.dumps([{}] * 33)]
    raise AssertionError(kind)


async def test_odd_arguments_of_every_function_get_no_value(served: Served, intruder: Intruder) -> None:
    await served.grant(HEAD)
    await served.request(WIFE)
    functions = await served.owner.fetch(
        f"""SELECT n.nspname || '.' || p.proname AS name,
                   ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, place)
                         ORDER BY place) AS kinds
            FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE {_OWN} AND has_function_privilege('hub_app', p.oid, 'EXECUTE')"""
    )
    chance, ran = random.Random(4), 0
    for function in functions:
        choices = [odd_values(served, kind) for kind in function["kinds"]]
        every = list(itertools.islice(itertools.product(*choices), 5000))
        names = ", ".join(f"${place}::{kind}" for place, kind in enumerate(function["kinds"], 1))
        for arguments in chance.sample(every, min(len(every), 30)):
            ran += await intruder.run(f"SELECT * FROM {function['name']}({names})", *arguments)
    assert ran > 100
    assert served.marks.found(*intruder.got) == set()


def wire(served: Served, client: str, about: Person, **changes: Any) -> dict[str, Any]:
    """A request as hub/flows/disclosure/disclose.py sends it, and whatever an intruder adds."""
    return {
        "asker": client, "token": "t", "actor": "x", "purpose": "LOAN_APPLICATION", "parts": ALL_PARTS,
        "operation": "ab" * 32, "ev": str(uuid4()), "sealed": base64.b64encode(b"x").decode(), "retry_key": None,
        "identity": [served.keys.index("identity", about.number).hex()],
        "names": [served.keys.index("name", normalise_name(about.name)).hex()],
    } | changes  # fmt: skip


SMUGGLED: list[dict[str, Any]] = [
    {},
    {"role": "STEWARD", "organisation_id": "402739000022", "in_area": True, "adult": True, "second_factor": True},
    {"purpose_open": True, "has_area": True, "person_id": str(HEAD.person_id), "found_id": str(HEAD.person_id)},
    {"own_person": str(HEAD.person_id), "person": str(HEAD.person_id)},
    {"granted": ALL_PARTS, "basis_id": str(uuid4()), "limited": False},
    {"purpose": "SELF_ACCESS", "person": str(HEAD.person_id)},
    {"purpose": "DATA_QUALITY"},
    {"purpose": "SUPERVISION"},
    {"parts": ["identity/VALUE' OR true --"]},
    {"parts": ["*", "%", "identity%"]},
    {"parts": ALL_PARTS * 3},
    {"parts": ["identity/VALUE=NO_BASIS", "identity/VALUE"]},
    {"parts": None},
    {"asker": None},
    {"asker": "risk-a' OR true --"},
    {"names": ["%"], "identity": ["zz"]},
    {"identity": None, "names": None, "person": "x"},
    {"ev": "00000000-0000-0000-0000-000000000000"},
    {"retry_key": "' OR true --"},
    {"sealed": "not base64"},
]


async def test_requests_put_together_by_hand_get_no_value(served: Served, intruder: Intruder) -> None:
    await served.grant(WIFE, "risk-b")
    loud = "SET client_min_messages = debug5;; SET debug_print_plan = on;; SET debug_print_rewritten = on;; SELECT 1"
    for asker in ("risk-a", "officer-a", "regulator", "nobody"):
        for person in (HEAD, WIFE):
            for changes in SMUGGLED:
                text = json.dumps([wire(served, asker, person, **changes)])
                await intruder.run("SELECT * FROM access.disclose($1::jsonb)", text)
    text = json.dumps([wire(served, "risk-a", WIFE)]).replace("'", "''")
    assert await intruder.run(loud.replace("SELECT 1", f"SELECT * FROM access.disclose('{text}'::jsonb)"))
    assert served.marks.found(*intruder.got) == set()
    assert any("NO_BASIS" in got for got in intruder.got)


async def test_the_gate_shows_an_asker_no_more_to_an_intruder_than_to_himself(
    served: Served, database: Database
) -> None:
    """Whoever has the application's login can ask in anybody's name, as the application does; it is recorded."""
    conn = await database.connect(DbRole.APP)
    try:
        mine = wire(served, "wife", HEAD, purpose="SELF_ACCESS", person=str(HEAD.person_id))
        own = wire(served, "wife", WIFE, purpose="SELF_ACCESS", person=str(WIFE.person_id))
        rows = await conn.fetch("SELECT * FROM access.disclose($1::jsonb)", json.dumps([mine, own]))
    finally:
        await conn.close()
    assert served.marks.found(repr(rows[0])) == set()
    found = served.marks.found(repr(rows[1]))
    assert found
    assert {about for about, _, _ in found} == {WIFE.person_id, household_of(WIFE)}
    recorded = await served.owner.fetch("SELECT ev::text, decision FROM watched.pending WHERE actor = 'x'")
    assert {(row["ev"], row["decision"]) for row in recorded} == {(mine["ev"], "deny"), (own["ev"], "allow")}
