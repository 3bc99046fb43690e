"""The access rules of this program come into force; approved by two people, and recorded like any other change."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from hub.access.approvals import Proposal, check_approved, proposal_of
from hub.access.legal_mode import LegalMode
from hub.access.publish import publish
from hub.access.rules import RuleSet
from hub.audit.outbox import append
from hub.audit.receipts import Receipts
from hub.core.clock import Clock, system_clock
from hub.core.version import VERSION
from hub.flows.receipts import receipt_desk
from hub.flows.rules.approve_rules import ApprovalDesk, approve_in_sandbox, propose_rules, rules_entry
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

_RECEIPT_SECONDS = 10.0
_IN_FORCE = "SELECT digest FROM access.policy_set WHERE retired_at IS NULL"


@dataclass(frozen=True, slots=True)
class RuleTerms:
    """Under which terms rules come into force: approvals by people are demanded in production only."""

    mode: LegalMode = LegalMode.LICENSED_BUREAU
    production: bool = False


SANDBOX = RuleTerms()
"""The terms of a sandbox under the default mode."""


async def load_rules(
    database: Database,
    keys: KeyService,
    home: Path,
    terms: RuleTerms = SANDBOX,
    clock: Clock = system_clock,
) -> bool:
    """Put the rules in force; ``False`` if they are, or if they are approved for a later instant.

    Raises :class:`SettingsError` in production as long as two people have not approved them (they are then proposed),
    :class:`AuditError` if the log cannot record it; the rules are then as they were.
    """
    connection = await database.connect(DbRole.OWNER)
    try:
        digest = RuleSet.load(mode=terms.mode).digest
        if digest == await connection.fetchval(_IN_FORCE):
            if terms.production:
                await check_approved(connection, digest, production=True)
            return False
        async with receipt_desk(database, keys, home) as receipts:
            if terms.production:
                proposal = await _approved(connection, receipts, digest, terms, clock())
                if clock() < proposal.effective_from and proposal.previous is not None:
                    await check_approved(connection, proposal.previous, production=True)
                    return False
            await _put_in_force(connection, keys, receipts, terms, clock())
    finally:
        await connection.close()
    return True


async def _approved(
    connection: asyncpg.Connection, receipts: Receipts, digest: bytes, terms: RuleTerms, at: datetime
) -> Proposal:
    """The proposal of the rules, with its approvals; made, and refused, where there is none against the rules in force:
    two people signed for whose view changes, so that must still be what changes.
    """
    proposal = await proposal_of(connection, digest)
    if proposal is None or proposal.previous != await connection.fetchval(_IN_FORCE):
        await propose_rules(ApprovalDesk(connection, receipts, "hub serve", at), terms.mode)
    return await check_approved(connection, digest, production=True)


async def _put_in_force(
    connection: asyncpg.Connection, keys: KeyService, receipts: Receipts, terms: RuleTerms, at: datetime
) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '5s'")
        entries = [] if terms.production else await approve_in_sandbox(connection, keys, terms.mode, at)
        digest = await publish(connection, keys, terms.mode)
        entries.append(rules_entry("rules:operator:loaded", "hub serve", {"version": VERSION, "digest": digest.hex()}))
        for entry in entries:
            await append(connection, entry)
        await receipts.ready()
    await receipts.wait(entries[-1].ev, _RECEIPT_SECONDS)
