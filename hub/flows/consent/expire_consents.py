"""Time ends consents and requests by itself; once in a while that is written down, told and recorded."""

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.consent import store
from hub.core.clock import Clock
from hub.flows.consent.consent_change import POLICY

_AT_ONCE = 100
"""Consents of one transaction."""


async def expire_consents(connection: asyncpg.Connection, receipts: Receipts, clock: Clock) -> int:
    """Write down every consent and request whose time is over; returns how many. ``connection`` is as hub_ingest.

    They were out of force the moment their time was over, whether or not this has run. Raises :class:`AuditError`.
    """
    done = 0
    while True:
        await receipts.ready()
        async with connection.transaction():
            lapsed = await store.expire_due(connection, clock(), _AT_ONCE)
            for one in lapsed:
                subjects = () if one.person_id is None else (one.person_id,)
                await append(
                    connection,
                    PendingEntry(
                        ev=one.ev,
                        kind=Kind.CONSENT,
                        event="consent:hub:expired",
                        organisation="hub",
                        actor="hub worker",
                        decision=Decision.ALLOW,
                        policy=POLICY,
                        purpose=one.purpose,
                        county=one.county,
                        subjects=subjects,
                        facts={
                            "consent": str(one.consent_id),
                            "persons": {str(person): {"recipient": one.organisation_id} for person in subjects},
                        },
                    ),
                )
        done += len(lapsed)
        if len(lapsed) < _AT_ONCE:
            return done
