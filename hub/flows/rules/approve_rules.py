"""Access rules on their way into force: proposed, signed for by two administrators, each step recorded."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.access.approvals import (
    SANDBOX_PREFIX,
    Proposal,
    approve,
    approved_by,
    proposal_of,
    propose,
    register_approver,
    revoke_approver,
)
from hub.access.legal_mode import LegalMode
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.core.errors import InputError
from hub.core.ids import uuid7
from hub.core.names import Role
from hub.core.version import VERSION
from hub.store.keys import KeyService

RECEIPT_SECONDS = 10.0
POLICY = f"hub-{VERSION}"
SANDBOX_APPROVERS = (f"{SANDBOX_PREFIX}security-1", f"{SANDBOX_PREFIX}security-2")
"""The two generated accounts of a sandbox; their keys lie in its own key folder."""


@dataclass(frozen=True, slots=True)
class ApprovalDesk:
    """What the steps need: a connection as owner, the audit log, who acts, and when."""

    conn: asyncpg.Connection
    receipts: Receipts
    actor: str
    at: datetime


def rules_entry(event: str, actor: str, facts: dict[str, Any]) -> PendingEntry:
    """An entry about rules or approvals; all of them are administration of the hub itself."""
    return PendingEntry(
        ev=uuid7(),
        kind=Kind.ADMIN,
        event=event,
        organisation="hub",
        actor=actor,
        decision=Decision.ALLOW,
        policy=POLICY,
        facts=facts,
    )


async def propose_rules(desk: ApprovalDesk, mode: LegalMode, effective_from: datetime | None = None) -> Proposal:
    """Propose the repository's rules; approvals of an older proposal of the same rules are void."""
    async with desk.conn.transaction():
        proposal = await propose(desk.conn, mode, by=desk.actor, at=desk.at, effective_from=effective_from)
        entry = _proposed(desk.actor, proposal)
        await append(desk.conn, entry)
        await desk.receipts.ready()
    await desk.receipts.wait(entry.ev, RECEIPT_SECONDS)
    return proposal


async def approve_rules(
    desk: ApprovalDesk, digest: bytes, account_id: str, key: Ed25519PrivateKey, *, production: bool
) -> tuple[list[str], Receipt]:
    """Sign for a proposal; the accounts whose approvals count now. Raises :class:`InputError` if there is no such
    proposal, :class:`RefusedError` for a key that may not approve.
    """
    proposal = await proposal_of(desk.conn, digest)
    if proposal is None:
        raise InputError(
            "no rules of this digest are proposed.", remedy="See `hub access proposals`.", code="PROPOSAL_UNKNOWN"
        )
    async with desk.conn.transaction():
        await approve(desk.conn, proposal, account_id, key, desk.at)
        entry = _approved(desk.actor, proposal, account_id, key)
        await append(desk.conn, entry)
        await desk.receipts.ready()
    receipt = await desk.receipts.wait(entry.ev, RECEIPT_SECONDS)
    return await approved_by(desk.conn, proposal, production=production), receipt


async def change_approver(desk: ApprovalDesk, account_id: str, public_key: bytes | None) -> Receipt:
    """Put down the key of a security administrator, which counts once he has confirmed it on the page of pending
    changes; or take the key back (``None``), at once. Raises :class:`InputError`.
    """
    facts = {"account": account_id, "status": "REVOKED"}
    async with desk.conn.transaction():
        if public_key is not None:
            change = uuid7()
            await register_approver(desk.conn, account_id, public_key, desk.at, change=change, by=desk.actor)
            facts |= {"status": "PROPOSED", "change": str(change), "key": public_key.hex()}
        elif not await revoke_approver(desk.conn, account_id, desk.at):
            raise InputError("no key is registered for this account.", code="APPROVER")
        entry = rules_entry("approver:operator:changed", desk.actor, facts)
        await append(desk.conn, entry)
        await desk.receipts.ready()
    return await desk.receipts.wait(entry.ev, RECEIPT_SECONDS)


async def approve_in_sandbox(
    conn: asyncpg.Connection, keys: KeyService, mode: LegalMode, at: datetime
) -> list[PendingEntry]:
    """Propose the repository's rules and approve them by the two generated accounts, in the caller's transaction; the
    entries to be recorded are returned. What production demands of people is done here by a machine, and says so: the
    accounts carry the sandbox's prefix, which counts in no production.
    """
    entries = []
    for account_id in SANDBOX_APPROVERS:
        await conn.execute(
            "INSERT INTO auth.account (account_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            account_id,
            Role.SECURITY_ADMIN.value,
        )
        public_key = keys.signing_key(account_id).public_key().public_bytes_raw()
        if await conn.fetchval(
            "SELECT true FROM access.approver WHERE public_key = $1 AND revoked_at IS NULL", public_key
        ):
            continue
        await register_approver(conn, account_id, public_key, at, change=None, by="hub")
        facts = {"account": account_id, "status": "REGISTERED", "key": public_key.hex()}
        entries.append(rules_entry("approver:operator:changed", "hub", facts))
    proposal = await propose(conn, mode, by="hub", at=at)
    entries.append(_proposed("hub", proposal))
    for account_id in SANDBOX_APPROVERS:
        key = keys.signing_key(account_id)
        await approve(conn, proposal, account_id, key, at)
        entries.append(_approved(account_id, proposal, account_id, key))
    return entries


def _proposed(actor: str, proposal: Proposal) -> PendingEntry:
    facts = {
        "version": VERSION,
        "digest": proposal.digest.hex(),
        "changes": proposal.changes_digest.hex(),
        "effectiveFrom": proposal.effective_from.isoformat(),
    }
    previous = {} if proposal.previous is None else {"previous": proposal.previous.hex()}
    return rules_entry("rules:operator:proposed", actor, facts | previous)


def _approved(actor: str, proposal: Proposal, account_id: str, key: Ed25519PrivateKey) -> PendingEntry:
    return rules_entry(
        "rules:security:approved",
        actor,
        {
            "digest": proposal.digest.hex(),
            "account": account_id,
            "changes": proposal.changes_digest.hex(),
            "key": key.public_key().public_bytes_raw().hex(),
        },
    )
