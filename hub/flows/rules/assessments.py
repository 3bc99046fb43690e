"""Impact assessments of sources (个人信息保护影响评估, 个人信息保护法 art. 55 and 56).

The assessment is a document of the operator's; the hub holds its number, its day, who answers for it, and its SHA-256,
so that nobody can put another one in its place. In production a source without one is not pulled.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.core.clock import Clock, day_of
from hub.core.errors import InputError, SourceError
from hub.core.ids import uuid7
from hub.core.version import VERSION

RECEIPT_SECONDS = 10.0
_TEXT_MAX = 200


@dataclass(frozen=True, slots=True)
class Assessment:
    """One assessment. ``document_digest``: SHA-256 of the document, 32 bytes."""

    source: str
    reference: str
    assessed_on: date
    approved_by: str
    document_digest: bytes


async def record_assessment(
    conn: asyncpg.Connection, receipts: Receipts, assessment: Assessment, *, operator: str, clock: Clock
) -> Receipt:
    """Put an assessment on record. ``conn`` is a connection as hub_ingest. Raises :class:`InputError`."""
    for text in (assessment.source, assessment.reference, assessment.approved_by):
        if not text.strip() or len(text) > _TEXT_MAX:
            raise InputError(f"source, reference and approver have 1 to {_TEXT_MAX} characters.", code="ASSESSMENT")
    if assessment.assessed_on > day_of(clock()):
        raise InputError("the day of an assessment cannot lie ahead.", code="ASSESSMENT")
    entry = PendingEntry(
        ev=uuid7(),
        kind=Kind.ADMIN,
        event="assessment:operator:recorded",
        organisation="hub",
        actor=operator,
        decision=Decision.ALLOW,
        policy=f"hub-{VERSION}",
        facts={
            "source": assessment.source,
            "reference": assessment.reference,
            "document": assessment.document_digest.hex(),
        },
    )
    async with conn.transaction():
        await conn.execute(
            """INSERT INTO ingest.assessment (assessment_id, source, reference, assessed_on, approved_by,
                   document_digest, recorded_at, recorded_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
            entry.ev,
            assessment.source,
            assessment.reference,
            assessment.assessed_on,
            assessment.approved_by,
            assessment.document_digest,
            clock(),
            operator,
        )
        await append(conn, entry)
        await receipts.ready()
    return await receipts.wait(entry.ev, RECEIPT_SECONDS)


async def list_assessments(conn: asyncpg.Connection) -> list[asyncpg.Record]:
    """All of them, newest first: source, reference, assessed_on, approved_by, document_digest, recorded_at."""
    rows: list[asyncpg.Record] = await conn.fetch(
        """SELECT source, reference, assessed_on, approved_by, document_digest, recorded_at
           FROM ingest.assessment ORDER BY recorded_at DESC"""
    )
    return rows


async def not_assessed(conn: asyncpg.Connection, sources: Iterable[str]) -> list[str]:
    """The sources of which no assessment is on record, in the order given."""
    held = {row["source"] for row in await conn.fetch("SELECT DISTINCT source FROM ingest.assessment")}
    return [source for source in sources if source not in held]


async def require_assessment(conn: asyncpg.Connection, source: str) -> None:
    """Raise :class:`SourceError` unless an assessment of the source is on record."""
    if await not_assessed(conn, [source]):
        raise SourceError(
            f"source `{source}` has no impact assessment on record (个人信息保护法 art. 55); nothing was read.",
            remedy="Put it on record with `hub assessment record`.",
            code="ASSESSMENT_MISSING",
        )
