"""A person gets the receipt of a consent, to keep. It shows only what he agreed to, so it leaves no entry."""

from typing import Any
from uuid import UUID

from hub.consent import store
from hub.consent.receipt import make_receipt
from hub.core.disclosure import Asker
from hub.flows.consent.consent_change import ConsentDesk


async def consent_receipt(desk: ConsentDesk, asker: Asker, consent_id: UUID) -> dict[str, Any]:
    """The signed receipt. Raises CONSENT_NOT_IN_FORCE for a consent that is not the person's own, CONSENT_DAMAGED."""
    now = desk.clock()
    async with desk.reading() as conn:
        record, standing, steps, _, _ = await store.record_of(conn, asker, consent_id, now)
    return make_receipt(desk.keys, record, standing, steps, now)
