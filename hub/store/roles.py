"""The login roles of the hub. They belong to the whole server; what each may do is granted by the migrations."""

import base64
import hashlib
import hmac
import os

import asyncpg

from hub.core.errors import StoreError
from hub.store.database import Database, DbRole
from hub.store.passwords import password_of

_ROUNDS = 4096
_LOCK = 7_241_018
"""Advisory lock held while roles and databases are made."""

_ATTRIBUTES = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT"


READERS = "hub_viewer"
"""The group of people's own logins; nobody logs in as it. What its members see is in ``access.reader``."""


async def ensure_roles(connection: asyncpg.Connection, database: Database) -> None:
    """Make every role of :class:`DbRole` that is missing and give it the password of the key folder; and the group of
    people's own logins.

    ``connection`` may make roles (embedded: superuser; external: the login of the URL). Several commands may do this at
    once. A role whose password already works is left alone, so an external server needs no right to make roles once
    they exist. Raises :class:`StoreError` if the right is missing.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    making = READERS
    try:
        existing = {row[0] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
        if READERS not in existing:
            await connection.execute(f"CREATE ROLE {READERS} NO{_ATTRIBUTES}")
        for role in DbRole:
            making = role
            if database.administrator is not None and database.administrator[0] == role:
                continue
            password = password_of(database.keys_folder, role)
            if role not in existing:
                await connection.execute(f"CREATE ROLE {role} {_ATTRIBUTES} PASSWORD '{scram_verifier(password)}'")
            elif not await _lets_in(database, role):
                await connection.execute(f"ALTER ROLE {role} {_ATTRIBUTES} PASSWORD '{scram_verifier(password)}'")
    except asyncpg.InsufficientPrivilegeError:
        raise StoreError(
            f"the login of HUB_DATABASE_URL may not make or change the role {making} on {database.host}.",
            remedy="Give it CREATEROLE for the set-up, or make the roles yourself, with the key folder's passwords.",
            code="STORE_RIGHTS",
        ) from None
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def ensure_database(connection: asyncpg.Connection, name: str, *, template: str = "template0") -> None:
    """Make the database ``name`` for the owner role if it is missing, closed to everybody who is not a hub role.

    ``connection`` is to another database of the embedded server, as superuser. A copy of a ``template`` does not carry
    the rights on the database itself; they are given here.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            await connection.execute(f'CREATE DATABASE "{name}" OWNER {DbRole.OWNER} TEMPLATE "{template}"')
        if await connection.fetchval("SELECT has_database_privilege('public', $1, 'CONNECT, TEMPORARY')", name):
            await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
        await _give_rights(connection, name)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def open_external(connection: asyncpg.Connection, database: Database) -> None:
    """Let the roles connect to an external database that the login of the URL owns, and the owner role make schemas.

    Does nothing where the rights are there. Raises :class:`StoreError` if they are missing and cannot be given.
    """
    try:
        await _give_rights(connection, database.name)
        allowed = "has_schema_privilege($1, 'public', 'CREATE WITH GRANT OPTION')"
        if not await connection.fetchval(f"SELECT {allowed}", DbRole.OWNER):
            await connection.execute(f"GRANT ALL ON SCHEMA public TO {DbRole.OWNER} WITH GRANT OPTION")
    except asyncpg.InsufficientPrivilegeError:
        raise StoreError(
            f"the login of HUB_DATABASE_URL may not give rights on the database `{database.name}`.",
            remedy="Let it own that database for the set-up.",
            code="STORE_RIGHTS",
        ) from None


async def _give_rights(connection: asyncpg.Connection, name: str) -> None:
    """Give the rights on the database itself that are missing: all may connect, few may do more."""
    wanted: list[tuple[str, str]] = [(role, "CONNECT") for role in (*DbRole, READERS)]
    # The owner makes schemas; the merge of delivered rows works over temporary tables, nobody else needs any.
    wanted += [(DbRole.OWNER, "CREATE"), (DbRole.INGEST, "TEMPORARY")]
    quoted = name.replace('"', '""')
    for role, right in wanted:
        if not await connection.fetchval("SELECT has_database_privilege($1, $2, $3)", role, name, right):
            await connection.execute(f'GRANT {right} ON DATABASE "{quoted}" TO {role}')


async def _lets_in(database: Database, role: DbRole) -> bool:
    try:
        connection = await database.connect(role)
    except StoreError as error:
        if error.code == "STORE_LOGIN":
            return False
        if error.code in {"STORE_MISSING", "STORE_RIGHTS"}:  # the password was right, the database is not ready
            return True
        raise
    await connection.close()
    return True


def scram_verifier(password: str) -> str:
    """What the server stores of a password (RFC 5802, RFC 7677), so that the password itself is never sent."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(raw).decode() for raw in (salt, stored, server))
    return f"SCRAM-SHA-256${_ROUNDS}:{salt64}${stored64}:{server64}"
