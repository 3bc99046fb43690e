"""Every consent in force is compared with what the hub signed; one that was altered is frozen, told and recorded.

Of a consent that was captured in the field the device's signature and every picture are looked at too, of one about a
minor the statement of each who agreed.
"""

import json
from uuid import UUID

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.consent.captured_evidence import opened_content
from hub.consent.captures import opened_slip
from hub.consent.record import AGREEMENT_TYPE, SIGNING_KEY, SignedTerms, is_genuine
from hub.core.clock import Clock
from hub.core.errors import RefusedError
from hub.core.ids import uuid7
from hub.flows.consent.consent_change import POLICY
from hub.store.keys import KeyService

_AT_ONCE = 500


async def check_consents(
    connection: asyncpg.Connection, keys: KeyService, receipts: Receipts, clock: Clock
) -> tuple[int, int]:
    """How many consents were looked at, and how many were frozen just now. ``connection`` is as hub_ingest.

    A frozen consent counts for nothing until a new one is given. Raises :class:`AuditError`.
    """
    key = keys.signing_key(SIGNING_KEY).public_key()
    looked, frozen, after = 0, 0, None
    while True:
        rows = await connection.fetch("SELECT * FROM consent.standing_records($1, $2)", after, _AT_ONCE)
        for row in rows:
            looked += 1
            if row["agrees"] and is_genuine(SignedTerms(row["terms"], row["signature"], row["protected"]), key):
                proved = await _is_proved(connection, keys, row["consent_id"])
                if proved and await _is_agreed(connection, key, row["consent_id"]):
                    continue
                cause = "EVIDENCE_ALTERED"
            else:
                cause = "RECORD_ALTERED"
            await receipts.ready()
            async with connection.transaction():
                ev = uuid7()
                if not await connection.fetchval("SELECT consent.freeze($1, $2)", row["consent_id"], cause):
                    continue
                frozen += 1
                await append(
                    connection,
                    PendingEntry(
                        ev=ev,
                        kind=Kind.CONSENT,
                        event="consent:hub:frozen",
                        organisation="hub",
                        actor="hub worker",
                        decision=Decision.ALLOW,
                        policy=POLICY,
                        purpose=row["purpose"],
                        county=row["county"],
                        subjects=(row["person_id"],),
                        facts={
                            "consent": str(row["consent_id"]),
                            "reason": cause,
                            "persons": {str(row["person_id"]): {"recipient": row["organisation_id"]}},
                        },
                    ),
                )
        if len(rows) < _AT_ONCE:
            return looked, frozen
        after = rows[-1]["consent_id"]


async def _is_proved(connection: asyncpg.Connection, keys: KeyService, consent_id: UUID) -> bool:
    """Whether what a device signed for this consent is still that; true for consents that came otherwise."""
    try:
        for each in await connection.fetch("SELECT * FROM consent.captured_proof($1)", consent_id):
            jwk = json.loads(each["jwk"])
            opened_slip(keys, each["batch_id"], each["sealed"], each["place"], jwk, each["slip_hash"])
            if each["evidence_id"] is not None:
                opened_content(keys, each["evidence_id"], each["sha256"], each["pieces"])
    except RefusedError:
        return False
    return True


async def _is_agreed(connection: asyncpg.Connection, key: Ed25519PublicKey, consent_id: UUID) -> bool:
    """Whether everybody who agreed about a minor said what is stored of him; true of an adult's own consent."""
    for row in await connection.fetch("SELECT * FROM consent.agreements_of($1)", consent_id):
        if not is_genuine(SignedTerms(row["statement"], row["signature"], row["protected"]), key, AGREEMENT_TYPE):
            return False
        said = json.loads(row["statement"])
        told = {"party": "party", "agreedBy": "by_person", "subject": "person_id", "requestId": "request_id"}
        if any(said.get(name) != str(row[column]) for name, column in told.items()):
            return False
    return True
