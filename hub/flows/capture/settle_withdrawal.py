"""A data steward looks at a withdrawal about which something is doubtful, and settles it: it is never lost.

Where its number is known it took effect when it came, whatever else is doubtful. Where nobody has the number, the
steward finds out whose it is (the collector holds the paper) and what that person gave ends then.
"""

from dataclasses import dataclass
from uuid import UUID

from hub.audit.proof import Receipt
from hub.consent import captures, withdrawals
from hub.consent.batch import Named
from hub.consent.withdrawals import ListedWithdrawal, OpenWithdrawal, SettledWithdrawal
from hub.core.disclosure import Asker
from hub.core.ids import uuid7
from hub.core.names import Role
from hub.flows.capture.capture_desk import check_reason, own_indexes, record
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation

_ROLE = Role.STEWARD.value


@dataclass(frozen=True, slots=True)
class WithdrawalShown:
    """A flagged withdrawal with the person as the slip names him."""

    withdrawal: OpenWithdrawal
    person: Named


async def list_withdrawals(
    desk: ConsentDesk, asker: Asker, operation: Operation, *, after: UUID | None, first: int
) -> tuple[list[ListedWithdrawal], Receipt]:
    """At most ``first + 1`` flagged withdrawals of the steward's counties that wait, oldest first."""
    ev = uuid7()
    async with desk.change() as conn:
        found = await withdrawals.listed(conn, asker, after, first + 1)
        facts = {"rows": min(len(found), first)}
        await record(conn, desk, asker, _ROLE, ev, "withdrawal:steward:listed", facts, operation=operation)
    return found, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def show_withdrawal(
    desk: ConsentDesk, asker: Asker, capture_id: UUID, reason: str, operation: Operation
) -> tuple[WithdrawalShown, Receipt]:
    """One of them with the name on its slip. Raises CAPTURE_UNKNOWN, REVIEWER_CONCERNED, EVIDENCE_ALTERED."""
    check_reason(reason)
    ev = uuid7()
    async with desk.change() as conn:
        found = await withdrawals.open_withdrawal(conn, asker, capture_id, await own_indexes(conn, desk.keys, asker))
        _, slip = captures.opened_slip(desk.keys, found.batch_id, found.sealed, found.place, found.jwk, found.slip_hash)
        await record(
            conn, desk, asker, _ROLE, ev, "withdrawal:steward:shown", {"capture": str(capture_id), "reason": reason},
            operation=operation, person=found.person_id, county=found.county,
        )  # fmt: skip
    return WithdrawalShown(found, slip.person), await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def settle_withdrawal(
    desk: ConsentDesk, asker: Asker, capture_id: UUID, person: Named | None, reason: str, operation: Operation
) -> tuple[SettledWithdrawal, Receipt]:
    """Settle it for the person whose it is, or as it is (``None``: nobody fits, or it took effect rightly).

    Raises CAPTURE_UNKNOWN, REVIEWER_CONCERNED, CAPTURE_CLOSED (it is settled), PERSON_UNKNOWN; then nothing is changed.
    """
    check_reason(reason)
    now, ev = desk.clock(), uuid7()
    async with desk.change() as conn:
        found = None if person is None else captures.indexes_of(desk.keys, person)
        own = await own_indexes(conn, desk.keys, asker)
        settled = await withdrawals.settle(conn, asker, capture_id, own, found, now)
        for ended in settled.ended:
            await record(
                conn, desk, asker, _ROLE, UUID(ended["ev"]), "consent:steward:withdrawn",
                {"consent": ended["consent"], "reason": reason}, operation=operation, person=UUID(ended["person"]),
                own={"recipient": ended["recipient"]}, purpose=ended["purpose"], county=ended["county"],
            )  # fmt: skip
        facts = {"capture": str(capture_id), "cause": settled.cause.value, "reason": reason}
        await record(
            conn, desk, asker, _ROLE, ev, "withdrawal:steward:settled", facts, operation=operation,
            person=settled.person_id, county=settled.county,
        )  # fmt: skip
    return settled, await desk.receipts.wait(ev, RECEIPT_SECONDS)
