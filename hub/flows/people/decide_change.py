"""A security administrator approves or refuses what somebody else asked for about an account.

The database asks for the cookie of his session itself: no request to the application can approve in his name. That a
passkey signed the session in is checked by the application, so its own database login is trusted with that.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.ids import uuid7
from hub.flows.people.account_desk import RECEIPT_SECONDS, AccountDesk
from hub.flows.people.begin_session import digest_of
from hub.flows.people.change_account import POLICY, REFUSALS
from hub.flows.people.enrol_passkey import code_digest, new_code
from hub.store.refusals import refusing


@dataclass(frozen=True, slots=True)
class PendingChange:
    """What waits for a decision; ``is_own``: the administrator who looks may not decide it. What concerns himself is
    decided by another, but a key to sign with is confirmed by its owner.

    ``key_digest``: SHA-256 of the key that is to be registered, if one is.
    """

    change_id: UUID
    account_id: str
    role: str
    verb: str
    proposed_by: str
    proposed_at: datetime
    organisation_id: str | None
    is_own: bool
    key_digest: bytes | None


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided. ``second_code``: of an approved enrolment, to be handed over; never stored or logged."""

    account_id: str
    verb: str
    second_code: str | None = field(default=None, repr=False)


async def pending_changes(desk: AccountDesk, secret: str) -> list[PendingChange]:
    """What waits, for the security administrator with this cookie. Raises RefusedError (NOT_ALLOWED)."""
    async with desk.reading() as conn:
        with refusing(REFUSALS):
            rows = await conn.fetch("SELECT * FROM auth.pending_changes($1)", digest_of(secret))
    return [PendingChange(*row) for row in rows]


async def decide_change(desk: AccountDesk, secret: str, change_id: UUID, *, approve: bool) -> Decided:
    """Approve or refuse. Raises RefusedError: NOT_ALLOWED for one's own, ACCOUNT_UNKNOWN where nothing waits."""
    code, ev = new_code(), uuid7()
    async with desk.change() as conn:
        with refusing(REFUSALS):
            row = await conn.fetchrow(
                "SELECT * FROM auth.decide_change($1, $2, $3, $4)",
                digest_of(secret),
                change_id,
                approve,
                code_digest(code),
            )
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.ADMIN,
                event="account:administrator:decided",
                organisation="hub",
                actor=row["decided_by"],
                decision=Decision.ALLOW if approve else Decision.DENY,
                policy=POLICY,
                facts={
                    "account": row["account_id"],
                    "role": row["role"],
                    "change": str(change_id),
                    "verb": row["verb"],
                },
            ),
        )
    await desk.receipts.wait(ev, RECEIPT_SECONDS)
    has_code = approve and row["verb"] == "ENROL"
    return Decided(row["account_id"], row["verb"], code if has_code else None)
