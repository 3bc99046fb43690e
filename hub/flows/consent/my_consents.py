"""What a person is asked and what he has agreed to; what an organisation may know of its own requests.

Nothing of a record is shown, so no entry is made; but while the log cannot record, these are not answered either.
"""

from dataclasses import dataclass
from uuid import UUID

from hub.consent import store
from hub.consent.notice import notice_text
from hub.consent.store import HeldConsent
from hub.consent.terms import OpenRequest
from hub.core.disclosure import Asker
from hub.flows.consent.consent_change import ConsentDesk


@dataclass(frozen=True, slots=True)
class RequestShown:
    """A request together with the words that must be read before it is answered."""

    request: OpenRequest
    notice: str


async def my_requests(desk: ConsentDesk, asker: Asker, ward: UUID | None = None) -> list[RequestShown]:
    """All requests to the person behind the account, or about a ward of his, newest first. Raises NOT_AN_ADULT."""
    async with desk.reading() as conn:
        found = await store.requests_of(conn, asker, desk.clock(), ward)
    return [RequestShown(request, notice_text(request, request.parts)) for request in found]


async def my_consents(desk: ConsentDesk, asker: Asker, ward: UUID | None = None) -> list[HeldConsent]:
    """All consents of the person behind the account, or about a ward of his, with their present state, newest first."""
    async with desk.reading() as conn:
        return await store.consents_of(conn, asker, desk.clock(), ward)


async def request_state(desk: ConsentDesk, asker: Asker, request_id: UUID) -> str:
    """How a request of the asker's organisation stands. Raises REQUEST_UNKNOWN."""
    async with desk.reading() as conn:
        return await store.request_state(conn, asker, request_id, desk.clock())
