"""Registration of organisations and their systems: who may ask, in which role, for what, where."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from hub.access.compile import compiled
from hub.core.errors import InputError
from hub.core.names import Purpose, Role

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_COUNTY = re.compile(r"[0-9]{6}")
_BANK_CODE = re.compile(r"[0-9]{12}")
KINDS = ("BANK", "AGENCY", "INSURER", "MUTUAL_SOCIETY", "PROVIDER", "GOVERNMENT")
STATUSES = ("ACTIVE", "SUSPENDED", "CLOSED")
RESERVED_CLIENTS = frozenset({"hub-accounts"})
"""The client of tokens that the sandbox gives to its accounts."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
RESERVED_ORGANISATIONS = frozenset({"hub", "unknown"})
"""Written in the audit log for the hub's own people and for askers that nobody knows."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation; a bank's id is its 12-digit code (CNAPS), which also owns its contracts in the record."""

    organisation_id: str
    name_zh: str
    name_en: str
    kind: str


@dataclass(frozen=True, slots=True)
class Client:
    """A system that may ask. ``jwks`` is its public key set (RFC 7517), already checked by the caller.

    ``status``: ``None`` leaves it as it is; a new system is ACTIVE.
    ``redirect_uris`` are where a browser may be sent back to after a person's decision, compared to the letter.
    ``is_dpop_required``: its tokens are bound to a key that it proves with every use (RFC 9449).
    """

    client_id: str
    organisation_id: str
    role: Role
    county_codes: tuple[str, ...]
    purposes: tuple[Purpose, ...]
    jwks: Mapping[str, Any]
    max_subjects_per_day: int
    status: str | None = None
    redirect_uris: tuple[str, ...] = ()
    is_dpop_required: bool = True


@dataclass(frozen=True, slots=True)
class App:
    """An app through which people use the hub themselves; it has keys of its own and belongs to no organisation.

    ``status``: ``None`` leaves it as it is; a new app is ACTIVE.
    """

    client_id: str
    name_zh: str
    name_en: str
    jwks: Mapping[str, Any]
    redirect_uris: tuple[str, ...]
    status: str | None = None


def check_organisation(organisation: Organisation) -> None:
    """Refuse an organisation that cannot be registered. Raises :class:`InputError`."""
    if not _ID.fullmatch(organisation.organisation_id) or organisation.organisation_id in RESERVED_ORGANISATIONS:
        raise _refused("the organisation's id must be 1 to 64 letters, digits or ._:- and not a reserved word")
    if organisation.kind not in KINDS:
        raise _refused(f"the kind of an organisation is one of {', '.join(KINDS)}")
    if organisation.kind == "BANK" and not _BANK_CODE.fullmatch(organisation.organisation_id):
        raise _refused("a bank's id is its 12-digit code, because its contracts carry that code")
    if not organisation.name_zh.strip() or not organisation.name_en.strip():
        raise _refused("an organisation has a Chinese and an English name")


def check_redirect_uris(uris: tuple[str, ...]) -> None:
    """Refuse addresses to which no code may be sent: https, or http on the machine itself, and nothing to guess at.

    Raises :class:`InputError`.
    """
    for uri in uris:
        parts = urlsplit(uri)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        plain = uri.isascii() and uri.isprintable() and not set(uri) & set(" #\\*<>\"';,")
        if not is_safe or not parts.hostname or parts.username is not None or not plain or len(uri) > 1000:
            raise _refused("a redirect URI is an https address (or http on 127.0.0.1) without fragment and wildcard")
    if len(uris) > 10:
        raise _refused("a client has at most 10 redirect URIs")


def check_client(client: Client) -> None:
    """Refuse a system that could never get an answer, or too many. Raises :class:`InputError`."""
    if not _ID.fullmatch(client.client_id):
        raise _refused("the client's id must be 1 to 64 letters, digits or ._:-")
    if not client.county_codes or not all(_COUNTY.fullmatch(code) for code in client.county_codes):
        raise _refused("a client has at least one county, by its 6-digit code")
    if client.max_subjects_per_day < 1:
        raise _refused("the daily limit of people must be at least 1")
    if client.client_id in RESERVED_CLIENTS:
        raise _refused("this id is the hub's own")
    if client.status is not None and client.status not in STATUSES:
        raise _refused(f"a client's status is one of {', '.join(STATUSES)}")
    check_redirect_uris(client.redirect_uris)
    open_purposes = {cell.purpose for cell in compiled().cells if cell.role is client.role and cell.closed is None}
    idle = sorted(set(client.purposes) - open_purposes)
    if not client.purposes or idle:
        raise _refused(f"the rules open nothing to {client.role} for {idle[0] if idle else 'no purpose'}")


async def save_organisation(conn: asyncpg.Connection, organisation: Organisation) -> None:
    """Make or rename an organisation; ``conn`` is a connection as owner. Its kind cannot change."""
    check_organisation(organisation)
    kept = await conn.fetchval(
        "INSERT INTO access.organisation (organisation_id, name_zh, name_en, kind) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (organisation_id) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en"
        " RETURNING kind",
        organisation.organisation_id,
        organisation.name_zh,
        organisation.name_en,
        organisation.kind,
    )
    if kept != organisation.kind:
        raise _refused(f"this organisation is registered as {kept}")


async def save_client(conn: asyncpg.Connection, client: Client) -> str:
    """Make or change a system and give its status; ``conn`` is a connection as owner.

    Raises :class:`InputError`: organisation and role cannot change, and a closed system stays closed.
    """
    check_client(client)
    await _check_id_is_free(conn, client.client_id, "auth.app")
    if not await conn.fetchval(
        "SELECT true FROM access.organisation WHERE organisation_id = $1", client.organisation_id
    ):
        raise _refused("its organisation is not registered")
    kept = await conn.fetchrow(
        "INSERT INTO access.client AS c (client_id, organisation_id, role, county_codes, purposes, jwks, status,"
        " max_subjects_per_day, redirect_uris, is_dpop_required)"
        " VALUES ($1, $2, $3, $4, $5, $6::jsonb, coalesce($7, 'ACTIVE'), $8, $9, $10)"
        " ON CONFLICT (client_id) DO UPDATE SET county_codes = excluded.county_codes, purposes = excluded.purposes,"
        " jwks = excluded.jwks, status = coalesce($7, c.status), max_subjects_per_day = excluded.max_subjects_per_day,"
        " redirect_uris = excluded.redirect_uris, is_dpop_required = excluded.is_dpop_required,"
        # Whoever gives the keys here does not ask for an overlap.
        " old_jwks = NULL, old_keys_until = NULL"
        " WHERE c.status <> 'CLOSED'"
        " RETURNING organisation_id, role, status",
        client.client_id,
        client.organisation_id,
        client.role.value,
        list(client.county_codes),
        [purpose.value for purpose in client.purposes],
        json.dumps(dict(client.jwks)),
        client.status,
        client.max_subjects_per_day,
        list(client.redirect_uris),
        client.is_dpop_required,
    )
    if kept is None:
        raise _closed()
    if (kept["organisation_id"], kept["role"]) != (client.organisation_id, client.role.value):
        raise _refused("its organisation and role are fixed; register a new id instead")
    return str(kept["status"])


async def save_app(conn: asyncpg.Connection, app: App) -> str:
    """Make or change an app of people and give its status; ``conn`` is a connection as owner.

    Raises :class:`InputError`: a closed app stays closed.
    """
    if not _ID.fullmatch(app.client_id) or app.client_id in RESERVED_CLIENTS or app.status not in (None, *STATUSES):
        raise _refused(f"an app has an id of 1 to 64 letters, digits or ._:- and a status of {', '.join(STATUSES)}")
    if not app.redirect_uris or not app.name_zh.strip() or not app.name_en.strip():
        raise _refused("an app has a Chinese and an English name and at least one redirect URI")
    check_redirect_uris(app.redirect_uris)
    await _check_id_is_free(conn, app.client_id, "access.client")
    status = await conn.fetchval(
        "INSERT INTO auth.app AS a (client_id, name_zh, name_en, jwks, redirect_uris, status)"
        " VALUES ($1, $2, $3, $4::jsonb, $5, coalesce($6, 'ACTIVE'))"
        " ON CONFLICT (client_id) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en,"
        " jwks = excluded.jwks, redirect_uris = excluded.redirect_uris, status = coalesce($6, a.status)"
        " WHERE a.status <> 'CLOSED' RETURNING status",
        app.client_id,
        app.name_zh,
        app.name_en,
        json.dumps(dict(app.jwks)),
        list(app.redirect_uris),
        app.status,
    )
    if status is None:
        raise _closed()
    return str(status)


async def _check_id_is_free(conn: asyncpg.Connection, client_id: str, other: str) -> None:
    if await conn.fetchval("SELECT true FROM auth.account WHERE account_id = $1", client_id):
        raise _refused("this id belongs to a person's account")
    if await conn.fetchval(f"SELECT true FROM {other} WHERE client_id = $1", client_id):
        raise _refused("this id belongs to another kind of client")


def _closed() -> InputError:
    return _refused("what was closed stays closed; register a new id instead")


def _refused(why: str) -> InputError:
    return InputError(f"The registration cannot be made: {why}.", code="REGISTRATION")
