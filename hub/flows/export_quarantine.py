"""Hand held-back rows back to their agency: a disclosure by a steward, recorded before the file is written."""

from collections.abc import Callable
from enum import StrEnum

import orjson

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.connectors.returned_files import is_returnable, returned_file
from hub.core.ids import uuid7
from hub.core.names import QuarantineReason
from hub.core.version import VERSION
from hub.flows.readmit_quarantined import kept_row
from hub.records.quarantine import require_source
from hub.records.quarantine_entries import open_entries
from hub.store.database import Database, DbRole
from hub.store.keys import KeyService

_RECEIPT_SECONDS = 30.0


class ExportFormat(StrEnum):
    """How the rows are written: one JSON object per line with the entry, or as the agency itself delivers."""

    JSONL = "jsonl"
    NATIVE = "native"


async def export(
    database: Database,
    keys: KeyService,
    receipts: Receipts,
    source: str,
    reason: QuarantineReason | None,
    steward: str,
    write: Callable[[bytes, bytes | None], None],
    form: ExportFormat = ExportFormat.JSONL,
) -> int:
    """Write the open rows of ``source`` whose content may be kept; returns how many.

    ``write`` gets the file, and in the agency's own format a second one: the entry of each row, line by line in the
    order of the rows. It is called only after the audit log has signed for the disclosure. Raises :class:`AuditError`
    otherwise, :class:`~hub.core.errors.InputError` if there is no such source. In the agency's own format a row of
    which only its place was kept is left out.
    """
    await receipts.ready()
    connection = await database.connect(DbRole.INGEST)
    event = uuid7()
    try:
        async with connection.transaction():
            kind = await require_source(connection, source)
            kept = [entry for entry in await open_entries(connection, keys, source, reason) if entry.wire is not None]
            index: bytes | None = None
            if form is ExportFormat.NATIVE:
                rows = [(entry, await kept_row(connection, entry)) for entry in kept]
                rows = [(entry, row) for entry, row in rows if is_returnable(row)]
                content = returned_file(kind, [row for _, row in rows])
                index = b"".join(orjson.dumps(entry.listed()) + b"\n" for entry, _ in rows)
                number = len(rows)
            else:
                lines = [orjson.dumps({**entry.listed(), "row": entry.wire}) + b"\n" for entry in kept]
                number, content = len(lines), b"".join(lines)
            facts = {"source": source, "rows": number} | ({"reasonCode": reason.name} if reason else {})
            await append(
                connection,
                PendingEntry(
                    ev=event,
                    kind=Kind.QUERY,
                    event="quarantine:steward:exported",
                    organisation="hub",
                    actor=steward,
                    decision=Decision.ALLOW,
                    policy=f"hub-{VERSION}",
                    purpose="DATA_QUALITY",
                    facts=facts,
                ),
            )
    finally:
        await connection.close()
    await receipts.wait(event, _RECEIPT_SECONDS)
    write(content, index)
    return number
