"""Opens what the ledger sealed: payloads and hints of observations, identities of people."""

from typing import Any, cast
from uuid import UUID

import orjson

from hub.store.keys import KeyService


def open_payload(keys: KeyService, sealed: bytes, row_id: UUID) -> dict[str, Any]:
    """``{"value": ..., "name": ..., "id_number": ...}`` of one observation."""
    return cast("dict[str, Any]", orjson.loads(keys.open("payload", sealed, row_id.bytes)))


def open_hint(keys: KeyService, sealed: bytes, row_id: UUID) -> dict[str, str | None]:
    """``{"name", "address", "phone"}`` of a row without ID number."""
    return cast("dict[str, str | None]", orjson.loads(keys.open("hint", sealed, row_id.bytes)))


def identity_context(person_id: UUID | None, member_no: str) -> bytes:
    """What a sealed identity is bound to: the person, or the member where there is no person yet."""
    return person_id.bytes if person_id is not None else member_no.encode()


def seal_identity(keys: KeyService, name: str | None, id_number: str | None, context: bytes) -> bytes:
    """Seal name and ID number of one person."""
    return keys.seal("identity", orjson.dumps({"name": name, "id_number": id_number}), context)


def open_identity(keys: KeyService, sealed: bytes, context: bytes) -> dict[str, str | None]:
    """``{"name", "id_number"}`` of one person."""
    return cast("dict[str, str | None]", orjson.loads(keys.open("identity", sealed, context)))
