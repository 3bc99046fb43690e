"""A request as the gate's database functions take it: blind indexes instead of numbers, the operation sealed."""

import base64
from typing import Any
from uuid import UUID

from hub.access.parts import part_key
from hub.audit.outbox import operation_hash, seal_request
from hub.core.disclosure import DisclosureRequest, SubjectByNumber, SubjectByPseudonym, SubjectSelf
from hub.core.text import normalise_name
from hub.store.keys import KeyService


def gate_wire(keys: KeyService, request: DisclosureRequest, ev: UUID, space: str) -> dict[str, Any]:
    """The request under the id of its event. ``space``: whose pseudonyms are read, where the person is named by one."""
    wire: dict[str, Any] = {
        "asker": request.asker.client_id,
        "token": request.asker.token_id,
        "actor": request.asker.actor,
        "purpose": request.purpose.value,
        "parts": [part_key(part) for part in dict.fromkeys(request.parts)],
        "operation": operation_hash(request.operation).hex(),
        "ev": str(ev),
        "sealed": base64.b64encode(seal_request(keys, ev, request.operation, request.variables)).decode(),
        "retry_key": request.idempotency_key,
        "others": request.others,
    }
    if request.asker.proof is not None:
        wire["proof"] = request.asker.proof.digest.hex()
        wire["proof_until"] = request.asker.proof.until.isoformat()
    if request.asker.grant is not None:
        wire["grant_id"] = str(request.asker.grant)
    match request.subject:
        case SubjectByNumber(id_number, name):
            wire["identity"] = [index.hex() for index in keys.indexes("identity", id_number)]
            wire["names"] = [index.hex() for index in keys.indexes("name", normalise_name(name))]
        case SubjectByPseudonym(pseudonym):
            person = keys.person_of(space, pseudonym)
            # Text that is no pseudonym at all must look like one that belongs to nobody.
            wire["person"] = str(person or UUID(bytes=operation_hash(pseudonym)[:16]))
        case SubjectSelf(person_id):
            wire["person"] = str(person_id)
    return wire


def pseudonym_space(organisation: str, client_id: str) -> str:
    """Whose pseudonyms these are: an organisation's, or those of one account that speaks for itself."""
    return organisation or f"account:{client_id}"
