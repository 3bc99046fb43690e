"""Read the coverage of an area: statistics without personal data, recorded like every reading."""

from collections.abc import Mapping
from datetime import datetime
from uuid import NAMESPACE_OID, uuid5

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
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation, client_facts
from hub.records.folding.coverage import (
    AreaCoverage,
    AreaLevel,
    as_told,
    derive_missing,
    lines_of,
    read_coverage,
    summed,
)
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService
from hub.store.refusals import refusing

POLICY = "coverage-2"
"""Version of the rule: officials read the coverage of their area, exact numbers only data stewards."""

_REFUSALS = {
    "HB120": RefusedError(
        "Only regulators, data stewards, townships and collectors read the coverage.", code="NOT_ALLOWED"
    ),
    "HB121": RefusedError("The area is not yours.", code="OUT_OF_AREA"),
}


async def coverage_for_operator(
    database: Database,
    keys: KeyService,
    receipts: Receipts,
    clock: Clock,
    area: str,
    level: AreaLevel,
    *,
    operator: str,
    steward: str | None = None,
) -> list[AreaCoverage]:
    """The coverage for a command; a data steward sees exact numbers.

    Files that were never worked out are worked out first. Raises :class:`~hub.core.errors.AuditError` if the reading
    cannot be recorded.
    """
    await receipts.ready()
    now, ev = clock(), uuid7()
    connection = await database.connect(DbRole.INGEST)
    try:
        await derive_missing(connection, now)
        async with connection.transaction():
            role = Role.OPERATOR if steward is None else Role.STEWARD
            villages = await read_coverage(connection, area, AreaLevel.VILLAGE, now)
            lines = _lines(villages, level, role, keys)
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
    return lines


async def coverage_for_official(
    desk: ConsentDesk, asker: Asker, operation: Operation, area: str, level: AreaLevel
) -> tuple[list[AreaCoverage], Receipt]:
    """The coverage of what lies in the official's area, over the API.

    Raises :class:`RefusedError` for another role (NOT_ALLOWED) or an area outside his own (OUT_OF_AREA).
    """
    ev = uuid7()
    async with desk.recording() as connection:
        found = await _read(connection, asker, area, desk.clock())
        lines = _lines(lines_of(found["lines"]), level, Role(found["role"]), desk.keys)
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
    return lines, await desk.receipts.wait(ev, RECEIPT_SECONDS)


def _lines(villages: list[AreaCoverage], level: AreaLevel, role: Role, keys: KeyService) -> list[AreaCoverage]:
    """The lines of a level, made of its villages: exact for a data steward, as they may be told for everybody else."""
    if role is not Role.STEWARD:
        villages = [as_told(village, _threshold(keys, village.area)) for village in villages]
    return summed(villages, level)


def _threshold(keys: KeyService, village: str) -> float:
    """Where a village's numbers are rounded up, from 0 to below 1: known to whoever holds the keys, never changed.

    Made with the key of pseudonyms, since no rotation changes it.
    """
    return int(keys.pseudonym("statistics", uuid5(NAMESPACE_OID, village))[:8], 16) / 2**32


async def _read(connection: asyncpg.Connection, asker: Asker, area: str, now: datetime) -> Mapping[str, str]:
    with refusing(_REFUSALS):
        found: Mapping[str, str] = await connection.fetchrow(
            "SELECT * FROM access.official_coverage($1, $2, $3, $4, $5)",
            asker.client_id,
            asker.token_id,
            area,
            int(AreaLevel.VILLAGE),
            now,
        )
    return found
