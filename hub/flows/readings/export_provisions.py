"""Records of provision (对外提供记录): what was given to whom, when, for what, on which basis, which categories.

Kept for three years at least, whatever else is purged (网络数据安全管理条例 art. 12; 个人信息保护法 art. 23, 55, 56).
They are made in the transaction of each answer (``access.officer_query``) and hold no value and no name. A person
stands in an export by an id that is the same in all exports and means nothing elsewhere.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.core.clock import iso
from hub.core.errors import InputError
from hub.core.ids import uuid7
from hub.core.version import VERSION
from hub.store.keys import KeyService

SPACE = "provision"
"""Whose pseudonyms the persons of an export have."""

_RECEIPT_SECONDS = 60.0
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: lines, and the SHA-256 of the text in hexadecimal, which stands in the log."""

    rows: int
    digest: str


async def export_provisions(
    connection: asyncpg.Connection,
    keys: KeyService,
    receipts: Receipts,
    write: Callable[[str], object],
    *,
    since: datetime,
    until: datetime,
    organisation: str | None,
    operator: str,
) -> Exported:
    """Write one JSON line for each provision from ``since`` until before ``until``, oldest first.

    ``connection`` is as hub_ingest. The export is in the log before this returns. Raises :class:`AuditError` if it
    cannot be recorded: what was written must then be thrown away.
    """
    if since >= until:
        raise InputError("the span of an export ends after it begins.", remedy="Give --from before --to.", code="SPAN")
    await receipts.ready()
    rows, digest = 0, hashlib.sha256()
    async with connection.transaction(isolation="repeatable_read"):
        statement = "SELECT * FROM access.provisions($1, $2, $3)"
        async for row in connection.cursor(statement, since, until, organisation, prefetch=_ROWS_AT_ONCE):
            line = json.dumps(shown_provision(keys, row), ensure_ascii=False) + "\n"
            write(line)
            digest.update(line.encode())
            rows += 1
        facts = {"since": iso(since), "until": iso(until), "rows": rows, "digest": digest.hexdigest()}
        entry = PendingEntry(
            ev=uuid7(),
            kind=Kind.ADMIN,
            event="provision:operator:exported",
            organisation="hub",
            actor=operator,
            decision=Decision.ALLOW,
            policy=f"hub-{VERSION}",
            facts=facts if organisation is None else facts | {"about": organisation},
        )
        await append(connection, entry)
    await receipts.wait(entry.ev, _RECEIPT_SECONDS)
    return Exported(rows, digest.hexdigest())


def shown_provision(keys: KeyService, row: asyncpg.Record) -> dict[str, Any]:
    """One record as it leaves; the persons under their ids of exports."""
    people = [row["person_id"], *(row["others"] or ())]
    return {
        "entry": str(row["ev"]),
        "at": iso(row["asked_at"]),
        "recipient": row["organisation_id"],
        "system": row["asker"],
        "officer": row["officer"],
        "purpose": row["purpose"],
        "county": row["county"],
        "persons": [keys.pseudonym(SPACE, person) for person in people if person is not None],
        "parts": None if row["parts"] is None else list(row["parts"]),
        "basis": None if row["basis_id"] is None else str(row["basis_id"]),
        "basisKind": row["basis_kind"],
        "reference": row["reference"],
    }
