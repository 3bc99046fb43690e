"""Read the coverage of an area: statistics without personal data, recorded like every reading."""

from collections.abc import Mapping
from datetime import datetime

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.core.clock import Clock
from hub.core.disclosure import Asker
from hub.core.errors import RefusedError
from hub.core.ids import uuid7
from hub.core.names import Purpose, Role
from hub.flows.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation, client_facts
from hub.records.coverage import (
    AreaCoverage,
    AreaLevel,
    derive_missing,
    lines_of,
    read_coverage,
    without_small_cells,
)
from hub.store.database import Database, DbRole
from hub.store.refusals import refusing

POLICY = "coverage-1"
"""Version of the rule: officials read the coverage of their area, small numbers only data stewards."""

_REFUSALS = {
    "HB120": RefusedError(
        "Only regulators, data stewards, townships and collectors read the coverage.", code="NOT_ALLOWED"
    ),
    "HB121": RefusedError("The area is not yours.", code="OUT_OF_AREA"),
}


async def coverage_for_operator(
    database: Database,
    receipts: Receipts,
    clock: Clock,
    area: str,
    level: AreaLevel,
    *,
    operator: str,
    steward: str | None = None,
) -> list[AreaCoverage]:
    """The coverage for a command; a data steward sees small numbers too.

    Files that were never worked out are worked out first. Raises :class:`~hub.core.errors.AuditError` if the reading
    cannot be recorded.
    """
    await receipts.ready()
    now, ev = clock(), uuid7()
    connection = await database.connect(DbRole.INGEST)
    try:
        await derive_missing(connection, now)
        async with connection.transaction():
            lines = await read_coverage(connection, area, level, now)
            role = Role.OPERATOR if steward is None else Role.STEWARD
            facts = {"level": level.name, "area": area, "areas": len(lines), "role": role.value}
            await append(
                connection,
                PendingEntry(
                    ev=ev,
                    kind=Kind.QUERY,
                    event="coverage:official:queried",
                    organisation="hub",
                    actor=steward or operator,
                    decision=Decision.ALLOW,
                    policy=POLICY,
                    purpose=Purpose.STATISTICS.value,
                    facts=facts,
                ),
            )
    finally:
        await connection.close()
    await receipts.wait(ev, RECEIPT_SECONDS)
    return lines if steward is not None else [without_small_cells(line) for line in lines]


async def coverage_for_official(
    desk: ConsentDesk, asker: Asker, operation: Operation, area: str, level: AreaLevel
) -> tuple[list[AreaCoverage], Receipt]:
    """The coverage of what lies in the official's area, over the API.

    Raises :class:`RefusedError` for another role (NOT_ALLOWED) or an area outside his own (OUT_OF_AREA).
    """
    ev = uuid7()
    async with desk.recording() as connection:
        found = await _read(connection, asker, area, level, desk.clock())
        lines = lines_of(found["lines"])
        facts = {"level": level.name, "area": area, "areas": len(lines), **client_facts(asker, found["role"])}
        await append(
            connection,
            PendingEntry(
                ev=ev,
                kind=Kind.QUERY,
                event="coverage:official:queried",
                organisation=found["organisation_id"] or "hub",
                actor=asker.actor,
                decision=Decision.ALLOW,
                policy=POLICY,
                purpose=Purpose.STATISTICS.value,
                operation=operation_hash(operation.document),
                facts=facts,
                sealed=seal_request(desk.keys, ev, operation.document, operation.variables),
            ),
        )
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    if found["role"] != Role.STEWARD.value:
        lines = [without_small_cells(line) for line in lines]
    return lines, receipt


async def _read(
    connection: asyncpg.Connection, asker: Asker, area: str, level: AreaLevel, now: datetime
) -> Mapping[str, str]:
    with refusing(_REFUSALS):
        found: Mapping[str, str] = await connection.fetchrow(
            "SELECT * FROM access.official_coverage($1, $2, $3, $4, $5)",
            asker.client_id,
            asker.token_id,
            area,
            int(level),
            now,
        )
    return found
