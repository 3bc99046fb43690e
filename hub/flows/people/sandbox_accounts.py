"""Accounts that a sandbox makes have no place in production: their ways in ask nobody who he is."""

import asyncpg

from hub.core.errors import SettingsError
from hub.flows.people.issue_token import SANDBOX_PREFIX


async def refuse_sandbox_accounts(conn: asyncpg.Connection) -> None:
    """Raise :class:`SettingsError` (SANDBOX_ACCOUNTS) if an account of a sandbox is open. ``conn`` is as owner."""
    count = await conn.fetchval(
        "SELECT count(*) FROM auth.account a WHERE starts_with(a.account_id, $1) AND a.status = 'ACTIVE'",
        SANDBOX_PREFIX,
    )
    if count:
        raise SettingsError(
            f"{count} accounts of a sandbox are open, and HUB_ENVIRONMENT says that this is production.",
            remedy="Close them with `hub account close ID`; better, begin with a database that never was a sandbox.",
            code="SANDBOX_ACCOUNTS",
        )
