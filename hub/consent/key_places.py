"""What a rotation of the keys does with consents: requests carry the blind indexes that were asked with; batches of
devices and pictures lie sealed.
"""

from uuid import UUID

import asyncpg

from hub.consent.captured_evidence import EVIDENCE_PURPOSE
from hub.consent.captures import BATCH_PURPOSE
from hub.store.rekey import Place, Sealed

CONSENT_PLACES: tuple[Place, ...] = (
    Place(
        "consent.capture_batch",
        (("county", "bpchar"), ("batch_id", "uuid")),
        (Sealed("sealed", BATCH_PURPOSE, "uuid_send(t.batch_id)"),),
    ),
    Place(
        "consent.evidence_piece",
        (("county", "bpchar"), ("evidence_id", "uuid"), ("piece_no", "int")),
        (Sealed("sealed", EVIDENCE_PURPOSE, "uuid_send(t.evidence_id) || int4send(t.piece_no)"),),
    ),
)

ROWS_AT_ONCE = 500

_EXTEND = """
WITH page AS (
    SELECT request_id FROM consent.request WHERE $1::uuid IS NULL OR request_id > $1 ORDER BY request_id LIMIT $2
), extended AS (
    UPDATE consent.request r SET
        identity_indexes = r.identity_indexes || ARRAY (
            SELECT m.new_index FROM keyring.index_map m
            WHERE m.old_index = ANY (r.identity_indexes) AND NOT m.new_index = ANY (r.identity_indexes)),
        name_indexes = r.name_indexes || ARRAY (
            SELECT m.new_index FROM keyring.index_map m
            WHERE m.old_index = ANY (r.name_indexes) AND NOT m.new_index = ANY (r.name_indexes))
    FROM page p
    WHERE r.request_id = p.request_id AND EXISTS (
        SELECT FROM keyring.index_map m
        WHERE m.old_index = ANY (r.identity_indexes || r.name_indexes)
          AND NOT m.new_index = ANY (r.identity_indexes || r.name_indexes))
)
SELECT request_id FROM page ORDER BY request_id DESC LIMIT 1
"""

_STRANDED = """
SELECT count(*) FROM consent.request r
WHERE r.state = 'REQUESTED' AND r.expires_at > now() AND EXISTS (
    SELECT FROM unnest(r.identity_indexes) AS i (blind_index) WHERE get_byte(i.blind_index, 0) = $1)
  AND NOT EXISTS (SELECT FROM unnest(r.identity_indexes) AS i (blind_index) WHERE get_byte(i.blind_index, 0) <> $1)
"""


async def extend_requests(connection: asyncpg.Connection, rows_at_once: int = ROWS_AT_ONCE) -> None:
    """Let whoever a request fits find it by the new blind index too. Idempotent; ``connection`` is one as owner.

    Of a number that the hub has never met nothing is known, so such a request keeps its old index until it runs out.
    """
    last: UUID | None = None
    while True:
        last = await connection.fetchval(_EXTEND, last, rows_at_once)
        if last is None:
            return


async def stranded_requests(connection: asyncpg.Connection, version: int) -> int:
    """How many open requests can be found under this key version alone."""
    found: int = await connection.fetchval(_STRANDED, version)
    return found
