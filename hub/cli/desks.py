"""Desks that several commands work at: opened with the audit log, closed with their connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hub.cli.session import open_database, operator_name, read_settings
from hub.core.clock import system_clock
from hub.flows.people.account_desk import AccountDesk
from hub.flows.receipts import receipt_desk
from hub.flows.rules.approve_rules import ApprovalDesk
from hub.store.database import DbRole
from hub.store.keys import FileKeys


@asynccontextmanager
async def account_desk(role: DbRole) -> AsyncIterator[AccountDesk]:
    """What a command about accounts, organisations or devices works with, over connections of a role."""
    settings = read_settings()
    database = await open_database(settings)
    keys = FileKeys(settings.keys_folder)
    pool = await database.pool(role, size=1)
    try:
        async with receipt_desk(database, keys, settings.home) as receipts:
            yield AccountDesk(pool, keys, receipts)
    finally:
        await pool.close()


@asynccontextmanager
async def approval_desk() -> AsyncIterator[ApprovalDesk]:
    """What a command about things that two people approve works with, as owner."""
    settings = read_settings()
    database = await open_database(settings)
    owner = await database.connect(DbRole.OWNER)
    try:
        async with receipt_desk(database, FileKeys(settings.keys_folder), settings.home) as receipts:
            yield ApprovalDesk(owner, receipts, operator_name(), system_clock())
    finally:
        await owner.close()
