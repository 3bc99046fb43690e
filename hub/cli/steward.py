"""As which data steward a command acts (docs/CONTRACTS.md 2.7): the bearer of a token, or the sandbox's steward.

Not a command itself: `hub household show` and `hub quarantine export` ask it. The system operator's own identity is
never used. As long as no steward has an account of his own, the sandbox steward acts, and standard error says so.
"""

import sys
from pathlib import Path

from hub.app import token_issuer
from hub.auth.tokens import InvalidTokenError, TokenVerifier
from hub.core.errors import InputError, RefusedError
from hub.core.names import Role
from hub.settings import Settings
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

SANDBOX_STEWARD = "sandbox-steward"
"""The account that acts while nobody is registered."""

_SANDBOX_PREFIX = "sandbox"


async def acting_steward(database: Database, keys: KeyService, settings: Settings, token_file: Path | None) -> str:
    """The account id of the steward who acts.

    Raises :class:`RefusedError` if a steward is registered and no good token of a steward is given.
    """
    if token_file is not None:
        return await _bearer(database, keys, settings, _read_token(token_file))
    connection = await database.connect(DbRole.INGEST)
    try:
        registered = await connection.fetchval(
            """SELECT count(*) FROM auth.account
               WHERE role = $1 AND status = 'ACTIVE' AND NOT starts_with(account_id, $2)""",
            Role.STEWARD.value,
            _SANDBOX_PREFIX,
        )
    finally:
        await connection.close()
    if registered:
        raise RefusedError(
            "a data steward is registered, so this command needs his token.",
            remedy="Give the file that holds it with --steward-token-file.",
            code="STEWARD_SIGN_IN",
        )
    print(f"hub: no data steward is registered; acting as the sandbox steward (`{SANDBOX_STEWARD}`).", file=sys.stderr)
    return SANDBOX_STEWARD


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"the token file {path} cannot be read.", remedy="Check --steward-token-file.") from None


async def _bearer(database: Database, keys: KeyService, settings: Settings, token: str) -> str:
    claims = TokenVerifier.of(token_issuer(settings, keys)).verify(token)
    connection = await database.connect(DbRole.APP)
    try:
        role = await connection.fetchval(
            "SELECT found_role FROM auth.bearer_state($1, $2)", claims.token_id, claims.subject
        )
    finally:
        await connection.close()
    if role != Role.STEWARD.value:
        raise InvalidTokenError("the token is not that of an active data steward.", remedy="Sign in as a steward.")
    return claims.subject
