"""As which data steward a command acts (docs/CONTRACTS.md 2.7): the bearer of a token, or the sandbox's steward.

Not a command itself: `hub household show` and `hub quarantine export` ask it. The system operator's own identity is
never used. As long as no steward has an account of his own, the sandbox steward acts, and standard error says so.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hub.app import token_issuer
from hub.auth.tokens import InvalidTokenError, TokenVerifier
from hub.cli.session import open_database, read_settings
from hub.core.errors import InputError, RefusedError
from hub.core.names import Role
from hub.flows.people.issue_token import SANDBOX_PREFIX
from hub.flows.receipts import receipt_desk
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.settings import Settings
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys, KeyService

SANDBOX_STEWARD = "sandbox-steward"
"""The account that acts while nobody is registered."""

STEWARDS = frozenset({Role.STEWARD})
AUDITORS = frozenset({Role.AUDITOR, Role.REGULATOR, Role.STEWARD})
"""Who may have a past answer made again."""


async def acting_steward(database: Database, keys: KeyService, settings: Settings, token_file: Path | None) -> str:
    """The account id of the steward who acts.

    Raises :class:`RefusedError` if a steward is registered and no good token of a steward is given.
    """
    if token_file is not None:
        return await _bearer(database, keys, settings, _read_token(token_file), STEWARDS)
    if settings.is_production or await _is_registered(database, STEWARDS):
        raise RefusedError(
            "this is production, or a data steward is registered, so this command needs his token.",
            remedy="Give the file that holds it with --steward-token-file.",
            code="STEWARD_SIGN_IN",
        )
    print(f"hub: no data steward is registered; acting as the sandbox steward (`{SANDBOX_STEWARD}`).", file=sys.stderr)
    return SANDBOX_STEWARD


@asynccontextmanager
async def steward_desk() -> AsyncIterator[StewardDesk]:
    """What a command of a data steward works with; the database is started if it has to be."""
    settings = read_settings()
    database = await open_database(settings)
    keys = FileKeys(settings.keys_folder)
    async with receipt_desk(database, keys, settings.home) as receipts:
        yield StewardDesk(database, keys, receipts)


async def steward_act(
    desk: StewardDesk, reason: str, document: str, variables: dict[str, Any], token_file: Path | None
) -> StewardAct:
    """The act of the steward who acts; raises as :func:`acting_steward`."""
    steward = await acting_steward(desk.database, desk.keys, read_settings(), token_file)
    return StewardAct(steward, reason, document, variables)


async def acting_auditor(database: Database, keys: KeyService, settings: Settings, token_file: Path | None) -> str:
    """The account id of the auditor, regulator or steward who acts; as for a steward while none of them is registered.

    Raises :class:`RefusedError` if one is registered and no good token is given.
    """
    if token_file is not None:
        return await _bearer(database, keys, settings, _read_token(token_file), AUDITORS)
    if settings.is_production or await _is_registered(database, AUDITORS):
        raise RefusedError(
            "this is production, or somebody who audits is registered, so this command needs his token.",
            remedy="Give the file that holds it with --token-file.",
            code="AUDITOR_SIGN_IN",
        )
    print(
        f"hub: nobody who audits is registered; acting as the sandbox steward (`{SANDBOX_STEWARD}`).", file=sys.stderr
    )
    return SANDBOX_STEWARD


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"the token file {path} cannot be read.", remedy="Check the option that names it.") from None


async def _is_registered(database: Database, roles: frozenset[Role]) -> bool:
    """Whether there ever was such an account: suspending the last one does not bring the sandbox steward back."""
    connection = await database.connect(DbRole.INGEST)
    try:
        found: bool = await connection.fetchval(
            """SELECT EXISTS (SELECT FROM auth.account
               WHERE role = ANY($1) AND NOT starts_with(account_id, $2))""",
            [role.value for role in roles],
            SANDBOX_PREFIX,
        )
    finally:
        await connection.close()
    return found


async def _bearer(database: Database, keys: KeyService, settings: Settings, token: str, roles: frozenset[Role]) -> str:
    claims = TokenVerifier.of(token_issuer(settings, keys)).verify(token)
    connection = await database.connect(DbRole.APP)
    try:
        role = await connection.fetchval(
            "SELECT found_role FROM auth.bearer_state($1, $2)", claims.token_id, claims.subject
        )
    finally:
        await connection.close()
    if role not in {each.value for each in roles}:
        named = " or ".join(sorted(each.value.lower() for each in roles))
        raise InvalidTokenError(f"the token is not that of an active {named}.", remedy="Sign in as one.")
    return claims.subject
