"""The register of an organisation's officers: each id one real person (docs/adr/0012).

From its first officer on, a query that names anybody else is refused before anyone is looked up, and recorded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.core.canonical import canonical_bytes
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.flows.people.account_desk import RECEIPT_SECONDS, AccountDesk
from hub.flows.people.change_account import HOLDER_PURPOSE, Holder
from hub.flows.people.register_client import POLICY
from hub.store.refusals import refusing

OFFICER_ID = re.compile(r"[A-Za-z0-9._@-]{1,64}")
"""What an officer's id looks like."""

REFUSALS = {
    "HB171": RefusedError("there is no such organisation or officer.", code="OFFICER_UNKNOWN"),
    "HB172": RefusedError(
        "this person is an officer of the organisation under another id already.", code="OFFICER_PER_PERSON"
    ),
    "HB173": RefusedError("this id stands for another person of the organisation, for good.", code="OFFICER_ID_TAKEN"),
}


@dataclass(frozen=True, slots=True)
class Officer:
    """A person who asks for an organisation, under the organisation's own id."""

    officer_id: str
    holder: Holder


async def add_officers(
    desk: AccountDesk, organisation_id: str, officers: Sequence[Officer], *, operator: str
) -> tuple[int, Receipt]:
    """Add officers, all or none; gives how many are new. ``desk`` works as owner.

    Raises :class:`RefusedError` naming the officer's id, never the person.
    """
    for officer in officers:
        if not OFFICER_ID.fullmatch(officer.officer_id):
            raise InputError(
                "an officer's id has 1 to 64 letters, digits or . _ @ -, as the organisation's queries name him.",
                code="OFFICER_MALFORMED",
            )
    ev, added = uuid7(), 0
    async with desk.change() as conn:
        for officer in officers:
            text = canonical_bytes({"id_number": officer.holder.id_number, "name": officer.holder.name})
            sealed = desk.keys.seal(HOLDER_PURPOSE, text, f"{organisation_id}|{officer.officer_id}".encode())
            holders = desk.keys.indexes(HOLDER_PURPOSE, officer.holder.id_number)
            try:
                with refusing(REFUSALS):
                    added += await conn.fetchval(
                        "SELECT access.add_officer($1, $2, $3, $4)",
                        organisation_id,
                        officer.officer_id,
                        holders,
                        sealed,
                    )
            except RefusedError as refusal:
                raise RefusedError(f"`{officer.officer_id}`: {refusal.message}", code=refusal.code) from None
        await append(conn, _entry(ev, organisation_id, {"added": added}, operator))
    return added, await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def remove_officer(desk: AccountDesk, organisation_id: str, officer_id: str, *, operator: str) -> Receipt:
    """Remove an officer (a leaver): the next query in his name is refused. ``desk`` works as owner."""
    ev = uuid7()
    async with desk.change() as conn:
        with refusing(REFUSALS):
            await conn.execute("SELECT access.remove_officer($1, $2)", organisation_id, officer_id)
        await append(conn, _entry(ev, organisation_id, {"removed": 1}, operator))
    return await desk.receipts.wait(ev, RECEIPT_SECONDS)


def _entry(ev: UUID, organisation_id: str, facts: dict[str, int], operator: str) -> PendingEntry:
    return PendingEntry(
        ev=ev,
        kind=Kind.ADMIN,
        event="officer:operator:changed",
        organisation="hub",
        actor=operator,
        decision=Decision.ALLOW,
        policy=POLICY,
        facts={"organisation": organisation_id} | facts,
    )
