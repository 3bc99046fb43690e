"""A resident has the minors listed for whom he may act as guardian; the reading stands in their lists of accesses."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.proof import Receipt
from hub.core.clock import day_of, full_years
from hub.core.disclosure import Asker
from hub.core.ids import uuid7
from hub.core.names import Purpose, Role
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation, client_facts
from hub.records.intake.payloads import identity_context, open_identity

POLICY = "guardianship-1"
"""Version of the rule: a present guardian of a minor, for that minor."""

_CHILD_UNTIL = 14


@dataclass(frozen=True, slots=True)
class Ward:
    """A minor for whom the asker may act. ``until``: when that ends by itself, with the ward's majority at the latest.

    ``needs_minor``: the ward is 14 or more and has to agree too. ``source``: CIVIL_AFFAIRS (the roster) or STEWARD (a
    registered document).
    """

    ward_id: UUID
    name: str | None
    birth_date: date
    ground: str
    source: str
    until: datetime
    needs_minor: bool


async def list_wards(desk: ConsentDesk, asker: Asker, operation: Operation) -> tuple[list[Ward], Receipt]:
    """The wards of the person behind the account at this moment, the eldest first; none for anybody else."""
    now, ev = desk.clock(), uuid7()
    async with desk.recording() as conn:
        rows = await conn.fetch("SELECT * FROM consent.wards_of($1, $2, $3)", asker.client_id, asker.token_id, now)
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.QUERY,
                event="wards:guardian:listed",
                organisation="",
                actor=asker.actor,
                decision=Decision.ALLOW,
                policy=POLICY,
                purpose=Purpose.SELF_ACCESS.value,
                operation=operation_hash(operation.document),
                county=rows[0]["county"] if rows else None,
                subjects=tuple(row["ward_id"] for row in rows),
                facts={"wards": len(rows), **client_facts(asker, Role.GUARDIAN.value)}
                | ({"persons": {str(row["ward_id"]): {} for row in rows}} if rows else {}),
                sealed=seal_request(desk.keys, ev, operation.document, operation.variables),
            ),
        )
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    wards = [
        Ward(
            row["ward_id"],
            open_identity(desk.keys, row["sealed_identity"], identity_context(row["ward_id"], ""))["name"],
            row["birth_date"],
            row["ground"],
            row["source"],
            row["until"],
            full_years(row["birth_date"], day_of(now)) >= _CHILD_UNTIL,
        )
        for row in rows
    ]
    return wards, receipt
