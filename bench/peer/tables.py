"""The peer's tables: one per kind of fact, indexed by person, filled with what the hub's record says.

Dates and instants are kept as text, which costs the peer least: nothing is converted on the way out.
"""

from typing import Any

import asyncpg
import orjson

from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

_PROVENANCE = ("source", "source_time", "recorded_at", "source_version", "valid_from", "valid_to")

FACTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tax_registration": ("tax.registration/VALUE", ("taxpayer_id", "taxpayer_name", "taxpayer_status")),
    "tax_grade": ("tax.grade/VALUE", ("grade_year int", "grade")),
    "tax_arrears": ("tax.arrears/VALUE", ("arrears_no", "amount numeric", "notice_date", "cleared_on")),
    "tax_band": (
        "tax.band/BAND",
        ("period_from", "period_to", "tax_paid_band", "declared_income_band", "authorisation_no"),
    ),
    "social_insurance": (
        "social.insurance/VALUE",
        ("insurance_type", "enrol_status", "paid_months int", "arrears_months int", "latest_period", "employer_uscc"),
    ),
    "clinic_arrears": ("clinic.arrears/BAND", ("balance_band", "due_date", "plan_in_force bool", "settled bool")),
    "credit_line": ("bank.line/VALUE", ("line_no", "amount numeric", "expires_on")),
    "loan": (
        "bank.loan/VALUE",
        (
            "contract_no", "receipt_no", "product_code", "principal numeric", "balance numeric",
            "overdue_amount numeric", "overdue_days int", "maturity_date", "rate_percent numeric", "five_class",
            "repay_status24m", "guarantor_count int",
        ),
    ),
    "adverse": ("adverse/VALUE", ("kind", "since", "notice_date", "ended_on", "expires_on", "statement")),
    "conflict": ("conflict/VALUE", ("type", "source")),
}  # fmt: skip
"""Table -> the hub's part it is filled from, and its columns (text unless a type is named)."""

_SCHEMA = """
CREATE TABLE household (household_id uuid PRIMARY KEY, county_code text, county_name text, township_name text,
    village_name text, village_code text, group_no text, size int, minors int, status text, relief_in_force bool);
CREATE TABLE person (person_id uuid PRIMARY KEY, household_id uuid REFERENCES household, id_number text UNIQUE,
    full_name text, adult bool, alive bool, name text, masked_id_number text, relation text, age_band text, status text,
    has_tax_arrears bool);
CREATE INDEX person_household ON person (household_id);
CREATE TABLE consent (person_id uuid, organisation_id text, purpose text, expires_at timestamptz,
    PRIMARY KEY (person_id, organisation_id, purpose));
CREATE TABLE audit (audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT now(),
    organisation_id text, officer text, purpose text, person_id uuid, operation text, decision text);
"""
_HOUSEHOLD = (
    "county_code", "county_name", "township_name", "village_name", "village_code", "group_no", "size", "minors",
    "status",
)  # fmt: skip
_IDENTITY = ("name", "masked_id_number", "relation", "age_band", "status")


def names(table: str) -> list[str]:
    """Names of a table's own columns."""
    return [column.split()[0] for column in FACTS[table][1]]


def columns(table: str) -> list[str]:
    """Names of all columns that are answered with, the provenance last."""
    return names(table) + ([] if table == "conflict" else [f"p_{name}" for name in _PROVENANCE])


async def fill(hub: Database, peer: Database, keys: KeyService) -> int:
    """Make and fill the peer's tables; how many rows of facts they hold."""
    source, target = await hub.connect(DbRole.INGEST), await peer.connect(DbRole.OWNER)
    try:
        await target.execute(_SCHEMA)
        bodies = await _bodies(source)
        await _people(source, target, keys, bodies)
        owner = await hub.connect(DbRole.OWNER)
        try:
            consents = await owner.fetch(
                "SELECT person_id, organisation_id, purpose, expires_at FROM consent.basis WHERE status = 'IN_FORCE'"
            )
        finally:
            await owner.close()
        await target.copy_records_to_table("consent", records=[tuple(row) for row in consents])
        count = 0
        for table in FACTS:
            count += await _facts(target, table, bodies)
        await target.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {DbRole.APP}")
        await target.execute("VACUUM ANALYZE")
    finally:
        await source.close()
        await target.close()
    return count


async def _bodies(source: asyncpg.Connection) -> dict[str, list[tuple[Any, Any, str, Any]]]:
    """Part -> (household, person, owner, body) of every section."""
    found: dict[str, list[tuple[Any, Any, str, Any]]] = {}
    for row in await source.fetch(
        "SELECT category || '/' || form AS part, household_id, person_id, owner, body FROM record.section"
    ):
        line = (row["household_id"], row["person_id"], row["owner"], orjson.loads(row["body"]))
        found.setdefault(row["part"], []).append(line)
    return found


async def _people(
    source: asyncpg.Connection, target: asyncpg.Connection, keys: KeyService, bodies: dict[str, Any]
) -> None:
    relief = {household: body["value"] for household, _, _, body in bodies.get("civil.relief/YES_NO", [])}
    await target.copy_records_to_table(
        "household",
        records=[
            (household, *(body[_camel(name)] for name in _HOUSEHOLD), relief.get(household))
            for household, _, _, body in bodies["roster/VALUE"]
        ],
    )
    held = {household for household, _, _, _ in bodies["roster/VALUE"]}
    arrears = {person: body["value"] for _, person, _, body in bodies.get("tax.arrears/YES_NO", [])}
    identities = {person: body for _, person, _, body in bodies["identity/VALUE"]}
    people = await source.fetch(
        """SELECT person_id, household_id, sealed_identity, status = 'ACTIVE' AS alive,
                  birth_date <= (now() AT TIME ZONE 'Asia/Shanghai')::date - interval '18 years' AS adult
           FROM record.person WHERE household_id IS NOT NULL"""
    )
    records = []
    for row in people:
        if row["household_id"] not in held:
            continue
        person = row["person_id"]
        identity = orjson.loads(keys.open("identity", row["sealed_identity"], person.bytes))
        shown = identities.get(person, {})
        own = (row["household_id"], identity["id_number"], identity["name"], row["adult"], row["alive"])
        records.append((person, *own, *(shown.get(_camel(name)) for name in _IDENTITY), arrears.get(person)))
    await target.copy_records_to_table("person", records=records)


async def _facts(target: asyncpg.Connection, table: str, bodies: dict[str, Any]) -> int:
    part, own = FACTS[table]
    declared = [column if " " in column else f"{column} text" for column in own]
    declared += [f"{name} text" for name in columns(table) if name.startswith("p_")]
    await target.execute(
        f"CREATE TABLE {table} (row_id int PRIMARY KEY, person_id uuid, bank text, {', '.join(declared)})"
    )
    texts = [
        (person, owner, orjson.dumps(_flat(table, item)).decode())
        for _, person, owner, body in bodies.get(part, [])
        for item in body["items"]
    ]
    await target.execute("CREATE TEMP TABLE incoming (row_id serial, person_id uuid, bank text, item jsonb)")
    await target.copy_records_to_table("incoming", columns=("person_id", "bank", "item"), records=texts)
    await target.execute(
        f"INSERT INTO {table} SELECT i.row_id, i.person_id, i.bank, {', '.join('r.' + name for name in columns(table))}"
        f" FROM incoming i CROSS JOIN LATERAL jsonb_to_record(i.item) AS r ({', '.join(declared)})"
    )
    await target.execute("DROP TABLE incoming")
    await target.execute(f"CREATE INDEX {table}_person ON {table} (person_id)")
    return len(texts)


def _flat(table: str, item: dict[str, Any]) -> dict[str, Any]:
    flat = {name: item[_camel(name)] for name in names(table)}
    provenance = item.get("provenance") or {}
    return flat | {f"p_{name}": provenance.get(_camel(name)) for name in _PROVENANCE}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
