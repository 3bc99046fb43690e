"""What a collector shows or reads to a person whose consent is asked for: the hub's own words for this request.

The collector holds the request's id (the bank gave it to the person) and the identity card. Without both, or outside
his area, the answer is the same as for a request that does not exist.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hub.audit.events import Decision
from hub.audit.proof import Receipt
from hub.consent import captures
from hub.consent.batch import Named
from hub.consent.notice import NOTICE_VERSION, notice_text
from hub.core.canonical import digest
from hub.core.disclosure import Asker, SubjectByNumber
from hub.core.errors import RefusedError
from hub.core.ids import uuid7
from hub.core.names import Role
from hub.flows.capture.capture_desk import record
from hub.flows.consent.consent_change import RECEIPT_SECONDS, ConsentDesk, Operation


@dataclass(frozen=True, slots=True)
class CaptureForm:
    """The words to be shown, their version and hash, and what can be agreed to."""

    request_id: UUID
    notice: str
    notice_version: str
    notice_hash: str
    parts: tuple[str, ...]
    answer_by: datetime


async def capture_form(
    desk: ConsentDesk, asker: Asker, device: str, request_id: UUID, person: SubjectByNumber, operation: Operation
) -> tuple[CaptureForm, Receipt]:
    """The form for one person. Raises DEVICE_REFUSED, and REQUEST_UNKNOWN, which is recorded too."""
    ev, now = uuid7(), desk.clock()
    named = captures.indexes_of(desk.keys, Named(id_number=person.id_number, name=person.name))
    async with desk.change() as conn:
        found = await captures.form_for(conn, asker, device, request_id, named, now)
        shown = {} if found is None else await captures.requests_shown(conn, asker, [request_id], found)
        request = shown.get(request_id)
        await record(
            conn, desk, asker, Role.COLLECTOR.value, ev, "capture:collector:form_shown",
            {"consent": str(request_id), "device": device}, operation=operation,
            person=None if found is None else found[0], county=None if found is None else found[1],
            decision=Decision.DENY if request is None else Decision.ALLOW,
        )  # fmt: skip
    receipt = await desk.receipts.wait(ev, RECEIPT_SECONDS)
    if request is None:
        raise RefusedError("There is no such request to this person in your area.", code="REQUEST_UNKNOWN")
    notice = notice_text(request, request.parts)
    form = CaptureForm(request_id, notice, NOTICE_VERSION, digest(notice), request.parts, request.expires_at)
    return form, receipt
