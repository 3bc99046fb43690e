"""Benefit programmes on their way: proposed by one person, approved by another, retired; each step recorded.

Both sign with the key that is registered for their account (``hub access approver``): whose name is only given on a
command line has done nothing. The second person signs the terms, and names every other version of the same organisation
that reads some of the same: two such programmes together may tell what each alone does not.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hub.access.approvals import SANDBOX_PREFIX
from hub.audit.outbox import append
from hub.benefits.programme import Overlap, Programme, proposal, shared_parts, statement
from hub.core.clock import iso
from hub.core.errors import InputError, RefusedError
from hub.flows.rules.approve_rules import RECEIPT_SECONDS, ApprovalDesk, rules_entry

COUNTED = timedelta(days=366)
"""For how long a version counts: against its organisation's budget, and as one that another may overlap with."""


@dataclass(frozen=True, slots=True)
class Version:
    """A stored version. ``overlaps``: with what was approved at the moment of reading."""

    programme_id: str
    version: int
    organisation_id: str
    terms: dict[str, Any]
    digest: bytes
    overlaps: tuple[Overlap, ...]

    @property
    def name(self) -> str:
        """``programme@version``."""
        return f"{self.programme_id}@{self.version}"


async def propose_programme(
    desk: ApprovalDesk, programme: Programme, account_id: str, key: Ed25519PrivateKey, *, production: bool
) -> Version:
    """Store a new version of a programme, signed by who proposes it; it may not be asked yet. In production the
    sandbox's generated accounts sign for nothing.

    Raises :class:`InputError`, and :class:`RefusedError` with ``APPROVER`` for a key or account that may not sign.
    """
    conn = desk.conn
    public = key.public_key().public_bytes_raw()
    async with conn.transaction():
        await _lock(conn)
        if (production and account_id.startswith(SANDBOX_PREFIX)) or not await _may_sign(conn, account_id, public):
            raise _no_approver()
        kind = await conn.fetchval(
            "SELECT kind FROM access.organisation WHERE organisation_id = $1", programme.organisation
        )
        owner = await conn.fetchval(
            "SELECT organisation_id FROM benefit.programme WHERE programme_id = $1 LIMIT 1", programme.programme_id
        )
        if kind != "PROVIDER" or owner not in (None, programme.organisation):
            raise InputError(
                "the organisation is no registered provider, or the id is that of another's programme.",
                remedy="Register the provider with `hub client register`, or choose another id.",
                code="PROGRAMME_ORGANISATION",
            )
        if await conn.fetchval("SELECT true FROM benefit.programme WHERE digest = $1", programme.digest):
            raise InputError("this very version is stored already.", remedy="See `hub programme list`.")
        version = await conn.fetchval(
            """INSERT INTO benefit.programme (programme_id, version, organisation_id, terms, digest, period, reads,
                   begins_on, ends_on, proposed_by, proposed_at, proposed_key, proposed_signature)
               SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
               FROM benefit.programme WHERE programme_id = $1 RETURNING version""",
            programme.programme_id,
            programme.organisation,
            programme.terms,
            programme.digest,
            programme.period.value,
            list(programme.reads),
            programme.begins_on,
            programme.ends_on,
            account_id,
            desk.at,
            public,
            key.sign(proposal(programme.digest, account_id)),
        )
        facts = {"programme": programme.programme_id, "version": version, "digest": programme.digest.hex()}
        more = {"organisation": programme.organisation, "account": account_id, "key": public.hex()}
        entry = rules_entry("programme:operator:proposed", desk.actor, facts | more)
        await append(conn, entry)
        await desk.receipts.ready()
    await desk.receipts.wait(entry.ev, RECEIPT_SECONDS)
    return await _version(desk, programme.programme_id, version)


async def approve_programme(
    desk: ApprovalDesk,
    programme_id: str,
    version: int,
    account_id: str,
    key: Ed25519PrivateKey,
    accepted: tuple[str, ...] = (),
    *,
    production: bool,
) -> Version:
    """The second person signs; the version may be asked, and takes the place of the one before. In production the
    sandbox's generated accounts sign for nothing.

    Raises :class:`InputError` for a version that is not waiting, :class:`RefusedError` with ``APPROVER`` for a key or
    account that may not approve or that proposed it, ``OVERLAP`` for an overlap that is not accepted by name, and
    ``PROGRAMME_BUDGET`` where the organisation had too many versions approved within a year.
    """
    conn = desk.conn
    async with conn.transaction():
        await _lock(conn)
        found = await _version(desk, programme_id, version)
        if production and account_id.startswith(SANDBOX_PREFIX):
            raise _no_approver()
        await _check_approver(conn, found, account_id, key)
        missing = [one for one in found.overlaps if one.other not in accepted]
        if missing:
            told = "; ".join(f"{one.other} ({', '.join(one.parts)})" for one in missing)
            raise RefusedError(
                f"the programme reads what others of the same provider read: {told}.",
                remedy="Two answers may tell more than each alone: accept each with --accept, or do not approve.",
                code="OVERLAP",
            )
        if unknown := set(accepted) - {one.other for one in found.overlaps}:
            raise InputError(f"there is no overlap with {min(unknown)[:60]} to accept.", code="OVERLAP")
        await _check_budget(desk, found.organisation_id)
        await conn.execute(
            """UPDATE benefit.programme SET retired_by = $2, retired_at = $3
               WHERE programme_id = $1 AND approved_at IS NOT NULL AND retired_at IS NULL""",
            programme_id,
            account_id,
            desk.at,
        )
        names = tuple(sorted(accepted))
        await conn.execute(
            """UPDATE benefit.programme SET approved_by = $3, approved_at = $4, public_key = $5, signature = $6,
                   accepted = $7 WHERE programme_id = $1 AND version = $2""",
            programme_id,
            version,
            account_id,
            desk.at,
            key.public_key().public_bytes_raw(),
            key.sign(statement(found.digest, account_id, names)),
            list(names),
        )
        facts = {"programme": programme_id, "version": version, "digest": found.digest.hex(), "account": account_id}
        more = {"key": key.public_key().public_bytes_raw().hex(), "accepted": list(names)}
        entry = rules_entry("programme:security:approved", desk.actor, facts | more)
        await append(conn, entry)
        await desk.receipts.ready()
    await desk.receipts.wait(entry.ev, RECEIPT_SECONDS)
    return found


async def retire_programme(desk: ApprovalDesk, programme_id: str, version: int) -> None:
    """A version may not be asked any more; what was answered stays explained. Raises :class:`InputError`."""
    async with desk.conn.transaction():
        done = await desk.conn.fetchval(
            """UPDATE benefit.programme SET retired_by = $3, retired_at = $4
               WHERE programme_id = $1 AND version = $2 AND retired_at IS NULL RETURNING true""",
            programme_id,
            version,
            desk.actor,
            desk.at,
        )
        if not done:
            raise _unknown()
        entry = rules_entry("programme:operator:retired", desk.actor, {"programme": programme_id, "version": version})
        await append(desk.conn, entry)
        await desk.receipts.ready()
    await desk.receipts.wait(entry.ev, RECEIPT_SECONDS)


async def list_programmes(conn: asyncpg.Connection) -> list[dict[str, Any]]:
    """Every version, newest first, as JSON objects. ``conn`` is as owner."""
    rows = await conn.fetch("SELECT * FROM benefit.programme ORDER BY programme_id, version DESC")
    return [
        {
            "programme": row["programme_id"],
            "version": row["version"],
            "organisation": row["organisation_id"],
            "state": "RETIRED" if row["retired_at"] else "APPROVED" if row["approved_at"] else "PROPOSED",
            "period": row["period"],
            "reads": row["reads"],
            "beginsOn": row["begins_on"].isoformat(),
            "endsOn": row["ends_on"].isoformat(),
            "proposedBy": row["proposed_by"],
            "approvedBy": row["approved_by"],
            "approvedAt": None if row["approved_at"] is None else iso(row["approved_at"]),
            "accepted": row["accepted"],
            "digest": row["digest"].hex(),
        }
        for row in rows
    ]


async def _lock(conn: asyncpg.Connection) -> None:
    """One change of programmes at a time: what overlaps is looked at and approved as one step."""
    await conn.execute("LOCK TABLE benefit.programme IN SHARE ROW EXCLUSIVE MODE")


async def _version(desk: ApprovalDesk, programme_id: str, version: int) -> Version:
    row = await desk.conn.fetchrow(
        "SELECT * FROM benefit.programme WHERE programme_id = $1 AND version = $2 AND num_nonnulls(approved_at,"
        " retired_at) = 0",
        programme_id,
        version,
    )
    if row is None:
        raise _unknown()
    others = await desk.conn.fetch(
        """SELECT programme_id || '@' || version AS name, terms FROM benefit.programme
           WHERE organisation_id = $1 AND approved_at IS NOT NULL AND (retired_at IS NULL OR retired_at > $2)
           ORDER BY programme_id, version""",
        row["organisation_id"],
        desk.at - COUNTED,
    )
    terms = json.loads(row["terms"])
    overlaps = (
        Overlap(o["name"], shared_parts(terms["condition"], json.loads(o["terms"])["condition"])) for o in others
    )
    return Version(
        programme_id,
        version,
        row["organisation_id"],
        terms,
        row["digest"],
        tuple(one for one in overlaps if one.parts),
    )


async def _may_sign(conn: asyncpg.Connection, account_id: str, public_key: bytes) -> bool:
    """Whether the key is that of an active security administrator, who confirmed it."""
    found = await conn.fetchval(
        """SELECT true FROM access.approver r JOIN auth.account a USING (account_id)
           WHERE r.account_id = $1 AND r.public_key = $2 AND r.revoked_at IS NULL AND r.confirmed_at IS NOT NULL
             AND a.role = 'SECURITY_ADMIN' AND a.status = 'ACTIVE'""",
        account_id,
        public_key,
    )
    return bool(found)


async def _check_approver(conn: asyncpg.Connection, found: Version, account_id: str, key: Ed25519PrivateKey) -> None:
    """The key is the account's, and its holder is another person than the one who signed the proposal."""
    first = await conn.fetchrow(
        """SELECT proposed_by, proposed_key, proposed_signature, auth.same_person(proposed_by, $2) AS same
           FROM benefit.programme WHERE digest = $1""",
        found.digest,
        account_id,
    )
    if (
        first["proposed_key"] is None
        or first["same"] is not False
        or not await _may_sign(conn, first["proposed_by"], first["proposed_key"])
        or not await _may_sign(conn, account_id, key.public_key().public_bytes_raw())
    ):
        raise _no_approver()
    try:
        proposed = Ed25519PublicKey.from_public_bytes(first["proposed_key"])
        proposed.verify(first["proposed_signature"], proposal(found.digest, first["proposed_by"]))
    except (ValueError, InvalidSignature):
        raise _no_approver() from None


async def _check_budget(desk: ApprovalDesk, organisation_id: str) -> None:
    spent = await desk.conn.fetchval(
        """SELECT count(*) >= (SELECT per_provider FROM benefit.budget) FROM benefit.programme
           WHERE organisation_id = $1 AND approved_at > $2""",
        organisation_id,
        desk.at - COUNTED,
    )
    if spent:
        raise RefusedError(
            "the provider has had as many versions approved in a year as it may.",
            remedy="Each further version is one question more about everybody. Wait, or ask less.",
            code="PROGRAMME_BUDGET",
        )


def _no_approver() -> RefusedError:
    return RefusedError(
        "the key is not that of this account, or the account may not sign, or no other person signed the proposal.",
        remedy="Two people sign, each with a key of `hub access approver add` that he confirmed at /accounts/changes.",
        code="APPROVER",
    )


def _unknown() -> InputError:
    return InputError(
        "no such version waits or may be asked.", remedy="See `hub programme list`.", code="PROGRAMME_UNKNOWN"
    )
