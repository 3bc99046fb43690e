"""Approval of rules by two people: what is proposed, who may sign for it, and whether two have.

A proposal is a set of rules with whose view it changes (hub/access/compare.py) against the rules in force, and the
instant from which it shall hold. An approval is an Ed25519 signature (RFC 8032) over all of that, made with a key that
was registered for an account of role SECURITY_ADMIN and confirmed by himself with his passkey. Two approvals of
different accounts and different people are needed. In production rules without them are never served. In the sandbox
two generated accounts approve whatever the program brings, through the same code; their approvals count nowhere else.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from hub.access.compare import changed_bases, compare
from hub.access.compile import Decisions, compile_rules, compiled
from hub.access.legal_mode import LegalMode
from hub.access.rules import RuleSet
from hub.core.canonical import canonical_bytes
from hub.core.errors import InputError, RefusedError, SettingsError
from hub.core.names import Role

APPROVALS_NEEDED = 2
"""How many administrators must sign."""

SANDBOX_PREFIX = "sandbox-"
"""Beginning of the ids of generated accounts; their approvals count in the sandbox only."""

_CONTEXT = b"hub/access-rules-approval/v1\0"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Rules that wait. ``changes`` is JSON text: the list of :func:`changed_bases` and, after them, of
    :meth:`hub.access.compare.Change.as_json`.
    """

    digest: bytes
    previous: bytes | None
    source: str
    legal_mode: LegalMode
    changes: str
    effective_from: datetime

    @property
    def changes_digest(self) -> bytes:
        """SHA-256 of the changes, as it is signed."""
        return hashlib.sha256(self.changes.encode()).digest()

    def statement(self, account_id: str) -> bytes:
        """The bytes that an administrator signs."""
        return _CONTEXT + canonical_bytes(
            {
                "account": account_id,
                "changes": self.changes_digest.hex(),
                "digest": self.digest.hex(),
                "effectiveFrom": self.effective_from.astimezone(UTC).isoformat(),
                "legalMode": self.legal_mode.value,
                "previous": "" if self.previous is None else self.previous.hex(),
            }
        )


async def propose(
    conn: asyncpg.Connection, mode: LegalMode, *, by: str, at: datetime, effective_from: datetime | None = None
) -> Proposal:
    """Put down the repository's rules as a proposal, anew if they were proposed against others than those in force;
    approvals of what was replaced are gone with it. Rules that are in force keep the proposal they came by, with its
    approvals. ``conn`` is as owner, in a transaction.
    """
    rules = RuleSet.load(mode=mode)
    held = await conn.fetchrow("SELECT digest, source FROM access.policy_set WHERE retired_at IS NULL")
    if held is not None and held["digest"] == rules.digest and (came_by := await proposal_of(conn, rules.digest)):
        return came_by
    before = None if held is None or held["source"] is None else RuleSet.of_source(held["source"])
    old = None if before is None else compile_rules(before)
    new = compiled(mode)
    changes = compare(Decisions(b"", ()) if old is None else old, new)
    bases = changed_bases(None if before is None else before.bases, rules.bases)
    proposal = Proposal(
        digest=rules.digest,
        previous=None if old is None else old.digest,
        source=rules.source,
        legal_mode=mode,
        changes=json.dumps([*bases, *(change.as_json() for change in changes)], sort_keys=True),
        effective_from=at if effective_from is None else effective_from,
    )
    await conn.execute("DELETE FROM access.policy_approval WHERE digest = $1", proposal.digest)
    await conn.execute("DELETE FROM access.policy_proposal WHERE digest = $1", proposal.digest)
    await conn.execute(
        """INSERT INTO access.policy_proposal
               (digest, previous, source, legal_mode, changes, effective_from, proposed_at, proposed_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        proposal.digest,
        proposal.previous,
        proposal.source,
        mode.value,
        proposal.changes,
        proposal.effective_from,
        at,
        by,
    )
    return proposal


async def proposal_of(conn: asyncpg.Connection, digest: bytes) -> Proposal | None:
    """The proposal of a digest, ``None`` if there is none."""
    row = await conn.fetchrow(
        """SELECT digest, previous, source, legal_mode, changes, effective_from
           FROM access.policy_proposal WHERE digest = $1""",
        digest,
    )
    if row is None:
        return None
    return Proposal(
        row["digest"],
        row["previous"],
        row["source"],
        LegalMode(row["legal_mode"]),
        row["changes"],
        row["effective_from"],
    )


async def register_approver(
    conn: asyncpg.Connection, account_id: str, public_key: bytes, at: datetime, *, change: UUID | None, by: str
) -> None:
    """Put down the key of a security administrator; once he confirmed it, it takes the place of the one before.

    ``change``: the id under which it waits for that; ``None`` for a generated account of a sandbox, whose key counts
    at once. Raises :class:`InputError` for an account of another role, and for a key that stands for an account
    already.
    """
    found = await conn.fetchrow("SELECT role, status FROM auth.account WHERE account_id = $1", account_id)
    if found is None or (found["role"], found["status"]) != (Role.SECURITY_ADMIN, "ACTIVE"):
        raise InputError(
            "approvals are given by active accounts of role SECURITY_ADMIN.",
            remedy="Open such an account first.",
            code="APPROVER",
        )
    await conn.execute("DELETE FROM access.approver WHERE account_id = $1 AND confirmed_at IS NULL", account_id)
    if await conn.fetchval("SELECT true FROM access.approver WHERE public_key = $1", public_key):
        raise InputError("this key is registered already.", remedy="Make a new key.", code="APPROVER")
    if change is not None:
        await conn.fetchval("SELECT auth.propose_change($1, $2, 'APPROVER', $3)", change, account_id, by)
    else:
        assert account_id.startswith(SANDBOX_PREFIX), "only generated accounts need nobody"
        await revoke_approver(conn, account_id, at)
    await conn.execute(
        """INSERT INTO access.approver (account_id, public_key, registered_at, change_id, confirmed_at)
           VALUES ($1, $2, $3, $4, $5)""",
        account_id,
        public_key,
        at,
        change,
        at if change is None else None,
    )


async def revoke_approver(conn: asyncpg.Connection, account_id: str, at: datetime) -> bool:
    """Take back the key of an account; what it signed before keeps counting."""
    done = await conn.fetchval(
        """UPDATE access.approver SET revoked_at = $2
           WHERE account_id = $1 AND revoked_at IS NULL AND confirmed_at IS NOT NULL RETURNING true""",
        account_id,
        at,
    )
    return bool(done)


async def approve(
    conn: asyncpg.Connection, proposal: Proposal, account_id: str, key: Ed25519PrivateKey, at: datetime
) -> None:
    """Sign for a proposal. Raises :class:`RefusedError` unless the key is the one registered for the account."""
    public_key = key.public_key().public_bytes_raw()
    registered = await conn.fetchval(
        """SELECT true FROM access.approver r JOIN auth.account a USING (account_id)
           WHERE r.account_id = $1 AND r.public_key = $2 AND r.revoked_at IS NULL AND r.confirmed_at IS NOT NULL
             AND a.role = 'SECURITY_ADMIN' AND a.status = 'ACTIVE'""",
        account_id,
        public_key,
    )
    if not registered:
        raise RefusedError(
            "the key is not registered for this account, or the account may not approve.",
            remedy="Use `hub access approver add`; he confirms it at /accounts/changes.",
            code="APPROVER",
        )
    await conn.execute(
        """INSERT INTO access.policy_approval (digest, account_id, public_key, signature, approved_at)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (digest, account_id) DO UPDATE SET public_key = excluded.public_key,
               signature = excluded.signature, approved_at = excluded.approved_at""",
        proposal.digest,
        account_id,
        public_key,
        key.sign(proposal.statement(account_id)),
        at,
    )


async def approved_by(conn: asyncpg.Connection, proposal: Proposal, *, production: bool) -> list[str]:
    """The accounts whose approvals count: signature good, key confirmed when it signed, different people."""
    rows = await conn.fetch(
        """SELECT p.account_id, p.public_key, p.signature,
                  coalesce(encode(a.holder, 'hex'), a.person_id::text, a.account_id) AS person
           FROM access.policy_approval p
           JOIN access.approver r ON r.account_id = p.account_id AND r.public_key = p.public_key
           JOIN auth.account a ON a.account_id = p.account_id
           WHERE p.digest = $1 AND r.confirmed_at <= p.approved_at
             AND (r.revoked_at IS NULL OR p.approved_at < r.revoked_at)
           ORDER BY p.approved_at, p.account_id""",
        proposal.digest,
    )
    good: dict[str, str] = {}
    for row in rows:
        if production and row["account_id"].startswith(SANDBOX_PREFIX):
            continue
        try:
            statement = proposal.statement(row["account_id"])
            Ed25519PublicKey.from_public_bytes(row["public_key"]).verify(row["signature"], statement)
        except InvalidSignature:
            continue
        good.setdefault(row["person"], row["account_id"])
    return list(good.values())


async def check_approved(conn: asyncpg.Connection, digest: bytes, *, production: bool) -> Proposal:
    """The proposal of rules that may be served. Raises :class:`SettingsError` unless enough people approved them."""
    proposal = await proposal_of(conn, digest)
    approvals = [] if proposal is None else await approved_by(conn, proposal, production=production)
    if proposal is None or len(approvals) < APPROVALS_NEEDED:
        raise SettingsError(
            f"the access rules {digest.hex()[:12]} have {len(approvals)} of {APPROVALS_NEEDED} approvals.",
            remedy="See `hub access proposals`; two security administrators sign with `hub access approve`.",
            code="RULES_UNAPPROVED",
        )
    return proposal


def read_private_key(path: Path, password: bytes | None = None) -> Ed25519PrivateKey:
    """An administrator's key out of a PEM file (PKCS 8). Raises :class:`InputError`."""
    try:
        key = load_pem_private_key(path.read_bytes(), password)
    except (OSError, ValueError, TypeError):
        raise InputError(f"no key can be read from {path}.", remedy="Give a PEM file with an Ed25519 key.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"the key in {path} is not an Ed25519 key.", remedy="Make one with `hub access approver key`.")
    return key


def read_public_key(path: Path) -> bytes:
    """The 32 bytes of a public key out of a PEM file. Raises :class:`InputError`."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError):
        raise InputError(f"no public key can be read from {path}.", remedy="Give a PEM file.") from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"the key in {path} is not an Ed25519 key.", remedy="Make one with `hub access approver key`.")
    return key.public_bytes_raw()
