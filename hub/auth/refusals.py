"""Refused token requests: counted for everybody, recorded in the audit log for clients that had proved themselves.

Whoever has not proved who he is can be anybody, and could fill the log; he is counted in a metric. A client that signed
its request is known, and what it is refused is a security event in the log, the first few of each minute.
Decided in docs/adr/0010.
"""

import logging

from prometheus_client import Counter

from hub.auth.store import RegisteredClient
from hub.core.errors import HubError
from hub.flows.consent.consent_change import ConsentDesk
from hub.flows.people.record_token_refusal import record_token_refusal

LOG = logging.getLogger("hub.auth")


class Refusals:
    """The place where refusals are told. ``counter`` has labels from closed lists only."""

    def __init__(self, desk: ConsentDesk) -> None:
        self._desk = desk
        self.counter = Counter(
            "hub_token_refusals",
            "Refused requests to the authorization server and for want of a good token.",
            labelnames=["endpoint", "reason"],
            registry=None,
        )

    def count(self, endpoint: str, reason: str) -> None:
        """Count a refusal of somebody unknown."""
        self.counter.labels(endpoint, reason).inc()

    async def record(self, endpoint: str, reason: str, client: RegisteredClient) -> None:
        """Count and record a refusal of a client that had authenticated; a log that is down refuses nothing more."""
        self.count(endpoint, reason)
        try:
            await record_token_refusal(self._desk, client.client_id, client.organisation_id or "hub", reason, endpoint)
        except HubError as error:
            LOG.error("a refused token request could not be recorded: %s", error.code)
