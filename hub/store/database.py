"""Addresses and credentials of one database, and the connections of each role.

The embedded database is reached through its private socket. An external one (``HUB_DATABASE_URL``) must be
PostgreSQL 18; over a network it must use TLS with a verified server certificate.
"""

import ssl
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from hub.core.errors import SettingsError, StoreError
from hub.store.passwords import password_of

DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""What a statement raises where the database refuses it, is gone, or does not answer in time."""

MAJOR_VERSION = 18
"""The PostgreSQL version that the hub's statements are written for."""

_SESSION = {"timezone": "Asia/Shanghai", "search_path": "public", "client_encoding": "UTF8"}
_LOCAL_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
_VERIFIED = frozenset({"verify-ca", "verify-full"})
_KNOWN_PARAMETERS = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "host"})


class DbRole(StrEnum):
    """The login roles of the hub, each with the least it needs (hub/store/roles.py)."""

    OWNER = "hub_owner"
    APP = "hub_app"
    INGEST = "hub_ingest"
    SEQUENCER = "hub_sequencer"
    AUDITOR = "hub_auditor"


@dataclass(frozen=True)
class Database:
    """Addresses and credentials of ONE database. Values of equal address share nothing but the server."""

    host: str
    """Host name, or the folder of the server's Unix socket."""
    port: int
    name: str
    keys_folder: Path = field(repr=False)
    """Where the generated passwords of the roles lie."""
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    administrator: tuple[str, str | None] | None = field(default=None, repr=False)
    """Login and password out of an external URL; may make roles. ``None`` for the embedded server."""

    def named(self, name: str) -> "Database":
        """The database of another name on the same server."""
        return replace(self, name=name)

    async def connect(self, role: DbRole) -> asyncpg.Connection:
        """A connection as ``role``; the caller closes it.

        json and jsonb arrive as text, uuid as :class:`uuid.UUID`, timestamptz as an aware datetime. Raises
        :class:`StoreError` if the server cannot be reached, refuses, or is not PostgreSQL 18.
        """
        return await self._open(role, self._arguments(role))

    async def pool(self, role: DbRole, *, size: int) -> asyncpg.Pool:
        """An open pool of at most ``size`` connections as ``role``; the caller closes it. Raises as connect does."""
        try:
            pool = await asyncpg.create_pool(**self._arguments(role), min_size=min(1, size), max_size=size)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise self._refusal(role, error) from None
        try:
            async with pool.acquire() as connection:
                check_version(connection)
        except StoreError:
            await pool.close()
            raise
        return pool

    async def connect_administrator(self) -> asyncpg.Connection:
        """A connection with the login of the external URL. Raises :class:`StoreError` like :meth:`connect`."""
        if self.administrator is None:
            raise StoreError("this database has no administrator's login: it is the embedded one.")
        user, password = self.administrator
        return await self._open(None, self._arguments(None) | {"user": user, "password": password})

    async def _open(self, role: DbRole | None, arguments: dict[str, Any]) -> asyncpg.Connection:
        try:
            connection = await asyncpg.connect(**arguments)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise self._refusal(role, error) from None
        try:
            check_version(connection)
        except StoreError:
            await connection.close()
            raise
        return connection

    def _arguments(self, role: DbRole | None) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "database": self.name,
            "ssl": self.tls if self.tls is not None else False,
            "timeout": 10,
            "server_settings": _SESSION | {"application_name": f"credit-hub {role or 'administration'}"},
        }
        if role is not None:
            arguments |= {"user": str(role), "password": self._password(role)}
        return arguments

    def _password(self, role: DbRole) -> str | None:
        if self.administrator is not None and self.administrator[0] == role:
            return self.administrator[1]
        return password_of(self.keys_folder, role)

    def _refusal(self, role: DbRole | None, error: Exception) -> StoreError:
        who = role or "the login of HUB_DATABASE_URL"
        if isinstance(error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError):
            return StoreError(
                f"the database server at {self.host} does not let {who} in.",
                remedy="Run `hub database prepare`, or restore the key folder that belongs to this database.",
                code="STORE_LOGIN",
            )
        if isinstance(error, asyncpg.InvalidCatalogNameError):
            return StoreError(
                f"there is no database `{self.name}` on the server at {self.host}.",
                remedy="Run `hub database prepare`, or make it on the external server.",
                code="STORE_MISSING",
            )
        if isinstance(error, asyncpg.InsufficientPrivilegeError):
            return StoreError(
                f"{who} may not connect to the database `{self.name}` on the server at {self.host}.",
                remedy="Run `hub database prepare` with a login that owns the database.",
                code="STORE_RIGHTS",
            )
        # A server without TLS is told by a bare ConnectionError of the driver.
        refused = type(error) is ConnectionError and "SSL" in str(error)
        if isinstance(error, ssl.SSLError) or refused:
            why = getattr(error, "reason", None) or ("it offers none" if refused else "certificate not accepted")
            return StoreError(
                f"TLS with the database server at {self.host} failed: {why}.",
                remedy="Check sslrootcert in HUB_DATABASE_URL and the name in the server's certificate.",
                code="STORE_TLS",
            )
        return StoreError(
            f"the database server at {self.host} cannot be reached ({type(error).__name__}).",
            remedy="Run `hub database start`, or check HUB_DATABASE_URL; `hub doctor` says more.",
            code="STORE_DOWN",
        )


def check_version(connection: asyncpg.Connection) -> None:
    """Raise :class:`StoreError` unless the server is PostgreSQL 18."""
    found = connection.get_server_version()
    if found.major != MAJOR_VERSION:
        raise StoreError(
            f"the database server is PostgreSQL {found.major}.{found.minor}, the hub needs version {MAJOR_VERSION}.",
            remedy=f"Point HUB_DATABASE_URL to a server of version {MAJOR_VERSION}, or unset it.",
            code="STORE_VERSION",
        )


def external_database(url: str, keys_folder: Path) -> Database:
    """The database behind ``postgresql://login:password@host:port/name?sslmode=verify-full&sslrootcert=/path``.

    The login owns the database or may make roles. A socket is given as ``?host=/folder``. Without ``sslmode`` a remote
    server is verified fully against ``sslrootcert`` or the machine's authorities. Raises :class:`SettingsError`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
        query = {key: values[-1] for key, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
    except ValueError:
        raise _bad_url("it is not a URL") from None
    name = unquote(parts.path.lstrip("/"))
    if parts.scheme not in {"postgresql", "postgres"} or not parts.username or not name or "/" in name:
        raise _bad_url("scheme, login or database name is missing")
    if unknown := set(query) - _KNOWN_PARAMETERS:
        raise _bad_url(f"the parameter `{min(unknown)}` is not known")
    host = query.get("host") or parts.hostname
    if not host:
        raise _bad_url("the host is missing")
    password = unquote(parts.password) if parts.password is not None else None
    return Database(host, port, name, keys_folder, _tls(host, query), (unquote(parts.username), password))


def _bad_url(what: str) -> SettingsError:
    return SettingsError(
        f"HUB_DATABASE_URL cannot be used: {what}.",
        remedy="Write postgresql://login:password@host:5432/name?sslmode=verify-full&sslrootcert=/path/ca.pem",
    )


def _tls(host: str, query: dict[str, str]) -> ssl.SSLContext | None:
    """The TLS context, ``None`` on this machine without ``sslmode``; unverified TLS over a network is refused."""
    local = host.startswith("/") or host in _LOCAL_HOSTS
    mode = query.get("sslmode", "disable" if local else "verify-full")
    if mode == "disable" and local:
        return None
    if mode not in _VERIFIED:
        raise _bad_url(f"sslmode={mode} does not verify the server" if mode else "sslmode is empty")
    try:
        context = ssl.create_default_context(cafile=query.get("sslrootcert"))
        if "sslcert" in query:
            context.load_cert_chain(query["sslcert"], query.get("sslkey"))
    except (OSError, ssl.SSLError):
        raise _bad_url("a file named in sslrootcert, sslcert or sslkey cannot be read as PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode == "verify-full"
    context.hostname_checks_common_name = False
    return context
