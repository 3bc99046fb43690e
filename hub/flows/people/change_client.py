"""An operator changes the keys or the status of an organisation's system; always recorded.

Keys are changed with an overlap, so that the organisation can change over without a gap; whoever lost a key to somebody
else leaves no overlap. A suspension holds from the next statement on, whatever tokens are out.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hub.audit.outbox import append
from hub.audit.proof import Receipt
from hub.core.canonical import digest
from hub.core.clock import iso
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.flows.people.account_desk import RECEIPT_SECONDS, AccountDesk
from hub.flows.people.register_client import registration_entry
from hub.store.refusals import refusing

OVERLAP_DAYS_MAX = 90
"""The longest time for which earlier keys stay good."""

REFUSALS = {
    "HB171": RefusedError(
        "there is no such system, or it has this status already or is closed.", code="CLIENT_UNKNOWN"
    ),
    "HB174": RefusedError(
        "the keys before the present ones are still good; end them first with no overlap.", code="ROTATION_UNDER_WAY"
    ),
}


async def rotate_keys(
    desk: AccountDesk, client_id: str, jwks: Mapping[str, Any], overlap_days: int, *, operator: str
) -> Receipt:
    """Give a system new public keys; the present ones stay good for ``overlap_days``, 0 for not at all.

    ``desk`` works as owner. Raises :class:`InputError`, :class:`~hub.core.errors.RefusedError`.
    """
    if not 0 <= overlap_days <= OVERLAP_DAYS_MAX:
        raise InputError(f"keys overlap for 0 to {OVERLAP_DAYS_MAX} days.", code="OVERLAP_DAYS")
    ev, until = uuid7(), desk.clock() + timedelta(days=overlap_days)
    async with desk.change() as conn:
        with refusing(REFUSALS):
            row = await conn.fetchrow(
                "SELECT * FROM access.rotate_keys($1, $2::jsonb, $3)", client_id, json.dumps(dict(jwks)), until
            )
        overlap = {"oldKeysUntil": iso(until)} if overlap_days else {}
        facts = {"role": row["role"], "status": row["status"], "keys": [digest(key) for key in jwks["keys"]]}
        await append(conn, registration_entry(ev, client_id, facts | overlap, operator))
    return await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def set_client_status(desk: AccountDesk, client_id: str, status: str, *, operator: str) -> Receipt:
    """Suspend, resume (``ACTIVE``) or close a system; a closed one stays closed. ``desk`` works as owner."""
    ev = uuid7()
    async with desk.change() as conn:
        with refusing(REFUSALS):
            role = await conn.fetchval("SELECT access.set_client_status($1, $2)", client_id, status)
        await append(conn, registration_entry(ev, client_id, {"role": role, "status": status}, operator))
    return await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def list_clients(desk: AccountDesk) -> list[dict[str, Any]]:
    """Every system with what it is registered for; of its keys their digests only, as the log writes them."""
    async with desk.reading() as conn:
        rows = await conn.fetch(
            """SELECT c.*, o.kind, o.officers_since,
                      (SELECT count(*) FROM access.officer f
                        WHERE f.organisation_id = c.organisation_id AND f.removed_at IS NULL) AS officers
                 FROM access.client c JOIN access.organisation o ON o.organisation_id = c.organisation_id
                ORDER BY c.organisation_id, c.client_id"""
        )
    return [
        {
            "client": row["client_id"],
            "organisation": row["organisation_id"],
            "kind": row["kind"],
            "role": row["role"],
            "status": row["status"],
            "counties": list(row["county_codes"]),
            "purposes": list(row["purposes"]),
            "subjectsPerDay": row["max_subjects_per_day"],
            "dpopRequired": row["is_dpop_required"],
            "redirectUris": list(row["redirect_uris"]),
            "keys": [digest(key) for key in json.loads(row["jwks"])["keys"]],
            "oldKeysUntil": None if row["old_keys_until"] is None else iso(row["old_keys_until"]),
            "officers": row["officers"] if row["officers_since"] is not None else None,
        }
        for row in rows
    ]
