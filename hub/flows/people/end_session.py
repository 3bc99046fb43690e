"""A person signs out: the session and every token that came of it end in the same statement."""

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.core.ids import uuid7
from hub.flows.people.account_desk import RECEIPT_SECONDS, AccountDesk
from hub.flows.people.begin_session import POLICY, digest_of


async def end_session(desk: AccountDesk, secret: str) -> bool:
    """End the session of this cookie; ``False`` where there is none. Raises :class:`~hub.core.errors.AuditError`."""
    ev = uuid7()
    async with desk.change() as conn:
        row = await conn.fetchrow("SELECT * FROM auth.sign_out($1)", digest_of(secret))
        if row is None:
            return False
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.ADMIN,
                event="session:person:ended",
                organisation="",
                actor=row["account_id"],
                decision=Decision.ALLOW,
                policy=POLICY,
                facts={"session": str(row["session_id"]), "cause": "SIGNED_OUT"},
            ),
        )
    await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return True
