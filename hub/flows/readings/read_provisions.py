"""Regulators and auditors read the records of provision; the reading is recorded before anything is shown."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.proof import Receipt
from hub.core.clock import iso
from hub.core.disclosure import Asker
from hub.core.errors import StoreError
from hub.core.ids import uuid7
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation
from hub.flows.readings.export_provisions import shown_provision
from hub.flows.readings.supervised_reading import record_supervision
from hub.store.database import DATABASE_ERRORS

POLICY = "provision-reading-1"
"""Version of the rule: whoever reads the log reads the records of provision."""


@dataclass(frozen=True, slots=True)
class ProvisionsWanted:
    """Which records; ``None`` means all. ``since`` belongs to the span, ``until`` does not."""

    first: int
    after: UUID | None = None
    organisation: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def facts(self) -> dict[str, str]:
        """As the log writes it."""
        told = {
            "about": self.organisation,
            "since": self.since and iso(self.since),
            "until": self.until and iso(self.until),
        }
        return {name: value for name, value in told.items() if value}


async def read_provisions(
    desk: ConsentDesk, auditor: asyncpg.Pool, asker: Asker, operation: Operation, wanted: ProvisionsWanted
) -> tuple[list[dict[str, Any]], Receipt]:
    """One record more than asked for, oldest first, so that the caller knows whether there are more.

    ``auditor`` is a pool as ``hub_auditor``. Raises :class:`RefusedError` for everybody but regulators and auditors.
    """
    ev = uuid7()
    async with desk.recording() as conn:
        await record_supervision(
            conn,
            asker,
            operation,
            ev,
            "provision:auditor:listed",
            POLICY,
            what="the records of provision",
            facts=wanted.facts(),
        )
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    try:
        async with auditor.acquire() as conn:
            rows = await conn.fetch(
                "SELECT * FROM access.provisions_after($1, $2, $3, $4, $5)",
                wanted.since, wanted.until, wanted.organisation, wanted.after, wanted.first + 1,
            )  # fmt: skip
    except DATABASE_ERRORS as error:
        raise StoreError("The records of provision cannot be read now.", remedy="Try again.") from error
    return [shown_provision(desk.keys, row) for row in rows], receipt
