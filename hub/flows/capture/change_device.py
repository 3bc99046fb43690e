"""An operator registers a collector's device, or takes it out of use; always recorded.

One device belongs to one person. A lost device delivers nothing from that moment on, and what it delivered and nobody
has looked at yet is flagged for the reviewer.
"""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.proof import Receipt
from hub.consent.batch import device_key
from hub.core.canonical import canonical_bytes
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.flows.capture.capture_desk import POLICY
from hub.flows.people.account_desk import RECEIPT_SECONDS, AccountDesk
from hub.store.refusals import refusing

_DEVICE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_VILLAGE = re.compile(r"[0-9]{9}(?:[0-9]{3})?")

_REFUSALS = {
    "HB180": RefusedError("There is no open account of a collector under this id.", code="DEVICE_OWNER"),
    "HB181": RefusedError("The village is not assigned to this collector today.", code="DEVICE_VILLAGE"),
    "HB182": RefusedError(
        "A device with this id or key is registered already; no key comes back.", code="DEVICE_TAKEN"
    ),
    "HB183": RefusedError(
        "This collector has a device in use.", remedy="Take it out of use first.", code="DEVICE_SECOND"
    ),
    "HB184": RefusedError("There is no such device in use.", code="DEVICE_UNKNOWN"),
}


async def register_device(
    desk: AccountDesk, device_id: str, account_id: str, village: str, jwk: dict[str, Any], *, operator: str
) -> Receipt:
    """Register the public key of a collector's device for a village. Raises DEVICE_KEY and the codes above."""
    if not _DEVICE.fullmatch(device_id) or not _VILLAGE.fullmatch(village):
        raise InputError(
            "A device's id has 1 to 64 of A-Z a-z 0-9 . _ -, its village a code of 9 or 12 digits.", code="DEVICE_ID"
        )
    key = device_key(jwk)
    public = canonical_bytes(key.as_dict(private=False)).decode()
    async with desk.change() as conn:
        with refusing(_REFUSALS):
            county = await conn.fetchval(
                "SELECT consent.register_device($1, $2, $3, $4, $5)",
                device_id,
                account_id,
                village,
                public,
                key.thumbprint(),
            )
        ev = await _record(
            conn, operator, county, {"device": device_id, "account": account_id, "status": "ACTIVE", "village": village}
        )
    return await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def end_device(desk: AccountDesk, device_id: str, status: str, *, operator: str) -> tuple[int, Receipt]:
    """Take a device out of use: LOST or RETIRED. Gives how many waiting captures of it were flagged."""
    async with desk.change() as conn:
        with refusing(_REFUSALS):
            row = await conn.fetchrow("SELECT * FROM consent.end_device($1, $2)", device_id, status)
        facts = {"device": device_id, "account": row["account_id"], "status": status, "flagged": row["flagged"]}
        ev = await _record(conn, operator, row["county"], facts)
    return row["flagged"], await desk.receipts.wait(ev, RECEIPT_SECONDS)


async def list_devices(desk: AccountDesk) -> Sequence[asyncpg.Record]:
    """Every device with its owner's account, its village and how far it has come; nobody's name."""
    async with desk.reading() as conn:
        rows: Sequence[asyncpg.Record] = await conn.fetch(
            """SELECT device_id, account_id, village_code, status, thumbprint, registered_at, ended_at, last_counter,
                      last_time FROM consent.device ORDER BY status, device_id"""
        )
        return rows


async def _record(conn: asyncpg.Connection, operator: str, county: str, facts: dict[str, Any]) -> UUID:
    ev = uuid7()
    await append(
        conn,
        PendingEntry(
            ev=ev,
            kind=Kind.ADMIN,
            event="device:operator:changed",
            organisation="hub",
            actor=operator,
            decision=Decision.ALLOW,
            policy=POLICY,
            county=county,
            facts=facts,
        ),
    )
    return ev
