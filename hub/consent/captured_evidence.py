"""Pictures of captured consents in the database: announced, stored sealed, read by the few who may, destroyed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from hub.consent.captures import REFUSALS, OwnIndexes, altered
from hub.consent.evidence import piece_context
from hub.core.disclosure import Asker
from hub.store.keys import DamagedSealError, KeyService
from hub.store.refusals import refusing

EVIDENCE_PURPOSE = "evidence"
"""Under which pictures are sealed."""


@dataclass(frozen=True, slots=True)
class WantedEvidence:
    """A picture that was announced; ``is_uploaded`` if it has come already."""

    county: str
    evidence_id: UUID
    kind: str
    media_type: str
    is_uploaded: bool
    capture_id: UUID
    person_id: UUID | None


@dataclass(frozen=True, slots=True)
class SealedEvidence:
    """A picture as it lies sealed, for whoever may look at it; ``by_role`` says as what he may."""

    county: str
    kind: str
    media_type: str
    sha256: bytes
    capture_id: UUID
    person_id: UUID | None
    purpose: str | None
    by_role: str
    basis_id: UUID | None
    pieces: list[bytes]


@dataclass(frozen=True, slots=True)
class DestroyedEvidence:
    """What was destroyed, or condemned and not yet ``is_done``; ``consent_id`` ended with it, if one was in force."""

    capture_id: UUID
    person_id: UUID | None
    county: str
    sha256: bytes
    consent_id: UUID | None
    organisation_id: str | None
    purpose: str | None
    is_done: bool


async def evidence_wanted(conn: asyncpg.Connection, asker: Asker, sha256: bytes) -> list[WantedEvidence]:
    """What of the collector's captures waits for this picture, locked. Raises EVIDENCE_UNANNOUNCED."""
    with refusing(REFUSALS):
        rows = await conn.fetch(
            "SELECT * FROM consent.evidence_wanted($1, $2, $3)", asker.client_id, asker.token_id, sha256
        )
    return [WantedEvidence(**dict(row)) for row in rows]


async def store_evidence(
    conn: asyncpg.Connection, asker: Asker, evidence_id: UUID, size: int, pieces: list[bytes], now: datetime
) -> None:
    """Store the sealed pieces of a picture, once. Raises EVIDENCE_UNANNOUNCED."""
    with refusing(REFUSALS):
        await conn.execute(
            "SELECT consent.store_evidence($1, $2, $3, $4, $5, $6)",
            asker.client_id,
            asker.token_id,
            evidence_id,
            size,
            pieces,
            now,
        )


async def read_evidence(
    conn: asyncpg.Connection, asker: Asker, evidence_id: UUID, now: datetime, own: OwnIndexes
) -> SealedEvidence:
    """A picture for whoever may look at it. Raises EVIDENCE_UNKNOWN (also where there is none), REVIEWER_CONCERNED."""
    with refusing(REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM consent.read_evidence($1, $2, $3, $4, $5, $6)",
            asker.client_id,
            asker.token_id,
            evidence_id,
            now,
            own.identity,
            own.holder,
        )
    return SealedEvidence(**dict(row))


async def destroy_evidence(
    conn: asyncpg.Connection, asker: Asker, evidence_id: UUID, now: datetime, ev: UUID, own: OwnIndexes
) -> DestroyedEvidence:
    """Condemn a picture of a decided capture; or, after another person did, destroy it and end what rests on it.

    Raises EVIDENCE_UNKNOWN, REVIEWER_CONCERNED, and CAPTURE_CLOSED where the capture still waits for its reviewer.
    """
    with refusing(REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM consent.destroy_evidence($1, $2, $3, $4, $5, $6, $7)",
            asker.client_id,
            asker.token_id,
            evidence_id,
            now,
            ev,
            own.identity,
            own.holder,
        )
    return DestroyedEvidence(**dict(row))


def opened_content(keys: KeyService, evidence_id: UUID, sha256: bytes, pieces: Sequence[bytes]) -> bytes:
    """A picture out of its sealed pieces. Raises EVIDENCE_ALTERED if it is not the one whose hash was signed."""
    try:
        content = b"".join(
            keys.open(EVIDENCE_PURPOSE, piece, piece_context(evidence_id.bytes, number))
            for number, piece in enumerate(pieces)
        )
    except DamagedSealError:
        raise altered() from None
    if hashlib.sha256(content).digest() != sha256:
        raise altered()
    return content
