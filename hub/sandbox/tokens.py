"""Access tokens and one-time codes for the sandbox's banks and people.

A system's token comes over the wire, as a bank gets its own: a signed assertion sent to the running hub. A person's
token is issued in this process with the hub's key, and recorded before it leaves.
"""

from datetime import timedelta

import httpx

from hub.app import token_issuer
from hub.auth.tokens import ACCOUNT_LIFETIME_MAX, LIFETIME
from hub.core.errors import InputError, SettingsError, SourceError
from hub.core.names import Role
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.issue_code import issue_code
from hub.flows.people.issue_token import issue_token
from hub.flows.receipts import receipt_desk
from hub.sandbox.caller import SystemCaller
from hub.sandbox.cast import RESIDENTS, STAFF, SYSTEMS, Cast, account_id
from hub.settings import Settings
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

PERSON_MINUTES = 60
"""How long a person's token lives unless told otherwise."""

PERSON_MINUTES_MAX = int(ACCOUNT_LIFETIME_MAX.total_seconds()) // 60
"""The longest life of a person's token, in minutes."""

_HUB_SECONDS = 10.0


def names_by_role() -> dict[Role, list[str]]:
    """Everybody in the sandbox, by role, in the order of the cast."""
    cast = [(system.role, name) for name, system in SYSTEMS.items()]
    cast += [(Role.RESIDENT, name) for name in RESIDENTS]
    cast += [(role, name) for name, role in STAFF.items()]
    found: dict[Role, list[str]] = {}
    for role, name in cast:
        found.setdefault(role, []).append(name)
    return found


def resolve(wanted: str) -> str:
    """The name that ``wanted`` means: a name itself, or a role, which means the first of that role.

    Raises :class:`InputError` for what is neither.
    """
    by_role = names_by_role()
    names = [name for group in by_role.values() for name in group]
    if wanted in names:
        return wanted
    if wanted in by_role:
        return by_role[Role(wanted)][0]
    raise InputError(
        "the sandbox has nobody of this name or role.",
        remedy=f"Names: {', '.join(names)}. Roles: {', '.join(by_role)}.",
        code="SANDBOX_ACCOUNT",
    )


async def system_token(settings: Settings, cast: Cast, client_id: str) -> str:
    """A token of a bank's system from the running hub; it lives five minutes.

    Raises :class:`SettingsError` if this home has no such system, :class:`SourceError` (codes HUB_UNREACHABLE, SOURCE)
    if the hub does not answer or refuses.
    """
    key = cast.private_key(client_id)
    async with httpx.AsyncClient(timeout=_HUB_SECONDS, trust_env=False) as http:
        try:
            return await SystemCaller(http, settings.public_url, client_id=client_id, key=key).bearer()
        except httpx.TransportError as error:
            raise SourceError(
                f"no hub answers at {settings.public_url} ({type(error).__name__}).",
                remedy="Start it with `make demo` or `hub serve`; if it runs at another address, set HUB_PUBLIC_URL.",
                code="HUB_UNREACHABLE",
            ) from None


async def person_token(
    settings: Settings, database: Database, keys: KeyService, name: str, lifetime: timedelta, *, operator: str
) -> str:
    """A token of one of the sandbox's people, recorded in the audit log before it is returned.

    ``operator`` names who asked, for the sealed part of the log. Raises :class:`InputError` if the account is not open
    here, :class:`AuditError` if the issue cannot be recorded.
    """
    issuer = token_issuer(settings, keys)
    account = account_id(name)
    async with receipt_desk(database, keys, settings.home) as receipts:
        connection = await database.connect(DbRole.INGEST)
        try:
            issued = await issue_token(
                connection,
                receipts,
                account,
                lambda: issuer.issue_for_account(account, lifetime),
                operator=operator,
            )
        finally:
            await connection.close()
    return issued.token


async def person_code(settings: Settings, database: Database, keys: KeyService, name: str, *, operator: str) -> str:
    """A one-time code with which one of the sandbox's people signs in; recorded before it is returned.

    Raises :class:`RefusedError` if the account is not open here, :class:`AuditError` if it cannot be recorded.
    """
    pool = await database.pool(DbRole.INGEST, size=1)
    try:
        async with receipt_desk(database, keys, settings.home) as receipts:
            issued = await issue_code(AccountDesk(pool, keys, receipts), account_id(name), operator=operator)
    finally:
        await pool.close()
    return issued.code


def check_person(name: str) -> str:
    """The name, if it is a person's. Raises :class:`InputError` for a system, which has a key of its own."""
    if name in SYSTEMS:
        raise InputError("systems do not sign in with codes.", remedy="See `hub sandbox token`.")
    return name


def check_sandbox(settings: Settings) -> Cast:
    """The cast of this home. Raises :class:`SettingsError` if no sandbox was ever set up in it; nothing is made. In
    production there is none.
    """
    if settings.is_production:
        raise SettingsError(
            "tokens and codes of a sandbox are not given out in production.",
            remedy="Open accounts with `hub account open`; people sign in with passkeys.",
            code="SANDBOX_ACCOUNTS",
        )
    cast = Cast(settings.home)
    if not cast.is_set_up():
        raise SettingsError(
            f"{settings.home} has no sandbox.", remedy="Run `make demo` first, and use the same HUB_HOME here."
        )
    return cast


def check_minutes(name: str, minutes: int | None) -> timedelta:
    """The life of a token. Raises :class:`InputError` if one is asked for that a system's token cannot have."""
    if name in SYSTEMS and minutes is not None:
        raise InputError(
            f"the token of a system lives {int(LIFETIME.total_seconds()) // 60} minutes, as the hub decides.",
            remedy="Leave out --minutes; ask for a new token when it has run out.",
        )
    return timedelta(minutes=PERSON_MINUTES if minutes is None else minutes)
