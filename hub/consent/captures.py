"""Consents captured in the field, in the database; every call is a function that decides who may do what.

Each runs in the caller's transaction. A refusal of the database comes back as a :class:`HubError` with a stable code.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg

from hub.consent.batch import Batch, Named, Slip, read_batch
from hub.consent.record import SignedTerms
from hub.consent.store import shown_of
from hub.consent.terms import OpenRequest
from hub.core.disclosure import Asker
from hub.core.errors import HubError, InputError, RefusedError
from hub.core.text import normalise_name
from hub.store.keys import DamagedSealError, KeyService
from hub.store.refusals import refusing

BATCH_PURPOSE = "capture"
"""Under which batches are sealed."""

REFUSALS: dict[str, HubError] = {
    "HB106": InputError("The terms differ from what was captured.", code="CONSENT_TERMS"),
    "HB109": RefusedError(
        "The proof that the person agreed is too weak for this purpose.",
        remedy="See the levels of evidence in docs/CONSENT.md.",
        code="EVIDENCE_TOO_LOW",
    ),
    "HB184": RefusedError(
        "This device may not deliver: it is not registered to you, or lost.",
        remedy="Keep the slips and ask the hub's operator.",
        code="DEVICE_REFUSED",
    ),
    "HB185": RefusedError("There is no such capture for you to look at.", code="CAPTURE_UNKNOWN"),
    "HB186": RefusedError(
        "You took part in this capture, or it is about your household.",
        remedy="Another reviewer decides.",
        code="REVIEWER_CONCERNED",
    ),
    "HB187": RefusedError(
        "This capture cannot be verified: it is decided, blocked, or its request is over.",
        remedy="Look at its flags; reject it with its cause.",
        code="CAPTURE_CLOSED",
    ),
    "HB195": RefusedError(
        "Nobody whom the hub knows has this number and name.",
        remedy="Copy both from the identity card.",
        code="PERSON_UNKNOWN",
    ),
    "HB188": RefusedError(
        "The person was drawn to be called back before this is verified.",
        remedy="Call him, then say so.",
        code="CALL_BACK_NEEDED",
    ),
    "HB189": RefusedError(
        "Evidence that was announced has not come yet.",
        remedy="Wait for it, or reject the capture.",
        code="EVIDENCE_MISSING",
    ),
    "HB190": RefusedError(
        "None of your captures waits for evidence with this hash.",
        remedy="Deliver the batch that announces it first.",
        code="EVIDENCE_UNANNOUNCED",
    ),
    "HB191": RefusedError("There is no such evidence for you to look at.", code="EVIDENCE_UNKNOWN"),
}
"""What the functions of the database refuse, by SQLSTATE."""


class RejectionCause(StrEnum):
    """Why a reviewer rejects a capture: the closed list."""

    PRINT_NOT_MASKED = "PRINT_NOT_MASKED"  # a fingerprint shows: the pictures are destroyed
    FORM_UNREADABLE = "FORM_UNREADABLE"
    FORM_DIFFERS = "FORM_DIFFERS"
    PERSON_DENIES = "PERSON_DENIES"
    PERSON_UNREACHABLE = "PERSON_UNREACHABLE"
    WITNESS_DOUBTED = "WITNESS_DOUBTED"
    CLOCK_DOUBTED = "CLOCK_DOUBTED"
    EVIDENCE_MISSING = "EVIDENCE_MISSING"
    EVIDENCE_ALTERED = "EVIDENCE_ALTERED"
    CANNOT_STAND = "CANNOT_STAND"


class CaptureState(StrEnum):
    """How a captured consent stands."""

    CAPTURED = "CAPTURED"
    VERIFIED = "VERIFIED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class OwnIndexes:
    """By what the database tells whether whoever acts is concerned himself: blind indexes of his own ID number, and its
    keyed hashes as an account holder. Empty for accounts of the sandbox, which nobody holds.
    """

    identity: list[bytes]
    holder: list[bytes]


@dataclass(frozen=True, slots=True)
class OpenDevice:
    """A collector's own device, locked. ``held``: (counter, hash, capture, kind, flags) of slips about the batch's."""

    county: str
    jwk: dict[str, Any]
    last_counter: int
    last_time: datetime | None
    held: list[tuple[int, str, UUID, str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one slip; ``ended`` are the consents that a withdrawal ended, as the log writes them.

    The person is called back where ``draw`` is less than ``draw_below`` (of 1000); ``None`` for a withdrawal.
    """

    place: int
    capture_id: UUID
    kind: str
    flags: tuple[str, ...]
    person_id: UUID | None
    person_county: str | None
    organisation_id: str | None
    purpose: str | None
    draw: int | None
    draw_below: int | None
    ended: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class ListedCapture:
    """A capture in the reviewers' list: nobody's name, nothing of a record."""

    capture_id: UUID
    county: str
    device_id: str
    counter: int
    device_time: datetime
    received_at: datetime
    organisation_id: str | None
    purpose: str | None
    method: str
    flags: tuple[str, ...]
    state: str
    call_back: bool
    evidence: int
    evidence_in: int
    decided_at: datetime | None
    cause: str | None
    consent_id: UUID | None


@dataclass(frozen=True, slots=True)
class OpenCapture:
    """A capture for its reviewer, locked. ``captured`` is what it proves, in the words of the record; ``blocked`` are
    the flags with which it can only be rejected.
    """

    capture_id: UUID
    county: str
    batch_id: UUID
    sealed: bytes
    place: int
    device_id: str
    jwk: dict[str, Any]
    collector: str
    counter: int
    slip_hash: bytes
    device_time: datetime
    received_at: datetime
    flags: tuple[str, ...]
    blocked: tuple[str, ...]
    state: str
    call_back: bool
    cause: str | None
    consent_id: UUID | None
    person_id: UUID | None
    person_county: str | None
    request_id: UUID
    captured: dict[str, Any]
    level: int
    min_level: int | None
    evidence: list[dict[str, Any]]
    supersedes: UUID | None


def indexes_of(keys: KeyService, named: Named) -> dict[str, list[str]]:
    """By what the database finds somebody who is named by number and name."""
    return {
        "identity": [index.hex() for index in keys.indexes("identity", named.id_number)],
        "names": [index.hex() for index in keys.indexes("name", normalise_name(named.name))],
    }


async def sealed_holder(conn: asyncpg.Connection, asker: Asker) -> bytes | None:
    """What names the holder of the acting account, sealed; ``None`` for accounts of the sandbox."""
    found: bytes | None = await conn.fetchval("SELECT consent.own_holder($1, $2)", asker.client_id, asker.token_id)
    return found


async def open_device(conn: asyncpg.Connection, asker: Asker, batch: Batch) -> OpenDevice:
    """The device of a batch, locked until the transaction ends. Raises DEVICE_REFUSED."""
    counters = [slip.counter for slip in batch.slips]
    with refusing(REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM consent.open_device($1, $2, $3, $4, $5)",
            asker.client_id,
            asker.token_id,
            batch.device,
            min(counters),
            max(counters),
        )
    held = [(each[0], each[1], UUID(each[2]), each[3], tuple(each[4])) for each in json.loads(row["held"])]
    return OpenDevice(row["county"], json.loads(row["jwk"]), row["last_counter"], row["last_time"], held)


async def requests_shown(
    conn: asyncpg.Connection,
    asker: Asker,
    requests: Sequence[UUID],
    person: tuple[UUID, str] | None = None,
    supersedes: UUID | None = None,
) -> dict[UUID, OpenRequest]:
    """Requests by id, as the hub worded them. ``person`` (id, county) and ``supersedes`` (the consent that a yes would
    take the place of) are filled in where they are known.
    """
    rows = await conn.fetch(
        "SELECT * FROM consent.requests_shown($1, $2, $3)", asker.client_id, asker.token_id, list(requests)
    )
    person_id, county = person or (UUID(int=0), "")
    return {
        row["request_id"]: OpenRequest(
            **dict(row) | shown_of(row) | {"person_id": person_id, "county": county, "supersedes": supersedes}
        )
        for row in rows
    }


async def form_for(
    conn: asyncpg.Connection, asker: Asker, device: str, request_id: UUID, named: dict[str, list[str]], now: datetime
) -> tuple[UUID, str] | None:
    """Whom (id, county) a request is to, if that is the named person and he lives in the collector's area."""
    with refusing(REFUSALS):
        row = await conn.fetchrow(
            "SELECT person_id, county FROM consent.form_for($1, $2, $3, $4, $5, $6)",
            asker.client_id,
            asker.token_id,
            device,
            request_id,
            json.dumps(named),
            now,
        )
    return None if row is None else (row["person_id"], row["county"])


async def take_batch(
    conn: asyncpg.Connection,
    asker: Asker,
    batch: Batch,
    *,
    batch_id: UUID,
    sealed: bytes,
    own: OwnIndexes,
    slips: list[dict[str, Any]],
    now: datetime,
) -> list[Taken]:
    """Store the slips that are not held yet, withdrawals first. Raises DEVICE_REFUSED."""
    with refusing(REFUSALS):
        rows = await conn.fetch(
            "SELECT * FROM consent.take_batch($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            asker.client_id,
            asker.token_id,
            batch.device,
            batch_id,
            batch.digest,
            sealed,
            own.identity,
            json.dumps(slips),
            now,
        )
    return [Taken(**dict(row) | {"flags": tuple(row["flags"]), "ended": json.loads(row["ended"])}) for row in rows]


async def listed(
    conn: asyncpg.Connection, asker: Asker, state: CaptureState | None, after: UUID | None, limit: int
) -> list[ListedCapture]:
    """Captures of the steward's counties, oldest first, at most 101; empty for anybody else."""
    rows = await conn.fetch(
        "SELECT * FROM consent.captures($1, $2, $3, $4, $5)",
        asker.client_id,
        asker.token_id,
        None if state is None else state.value,
        after,
        limit,
    )
    return [ListedCapture(**dict(row) | {"flags": tuple(row["flags"])}) for row in rows]


async def open_capture(conn: asyncpg.Connection, asker: Asker, capture_id: UUID, own: OwnIndexes) -> OpenCapture:
    """A capture for its reviewer, locked. Raises CAPTURE_UNKNOWN or REVIEWER_CONCERNED."""
    with refusing(REFUSALS):
        row = await conn.fetchrow(
            "SELECT * FROM consent.open_capture($1, $2, $3, $4, $5)",
            asker.client_id,
            asker.token_id,
            capture_id,
            own.identity,
            own.holder,
        )
    texts = {name: json.loads(row[name]) for name in ("jwk", "captured", "evidence")}
    return OpenCapture(**dict(row) | texts | {name: tuple(row[name]) for name in ("flags", "blocked")})


async def verify(
    conn: asyncpg.Connection,
    asker: Asker,
    capture_id: UUID,
    own: OwnIndexes,
    record: SignedTerms,
    *,
    called_back: bool,
    now: datetime,
    ev: UUID,
) -> int:
    """Put the signed terms of a capture in force; gives the level of evidence. Raises what :data:`REFUSALS` lists."""
    with refusing(REFUSALS):
        level: int = await conn.fetchval(
            "SELECT consent.verify_capture($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            asker.client_id,
            asker.token_id,
            capture_id,
            own.identity,
            own.holder,
            record.terms,
            record.signature,
            record.protected,
            called_back,
            now,
            ev,
        )
    return level


async def reject(
    conn: asyncpg.Connection,
    asker: Asker,
    capture_id: UUID,
    own: OwnIndexes,
    cause: RejectionCause,
    *,
    called_back: bool,
    now: datetime,
    ev: UUID,
) -> None:
    """Reject a capture. Raises CAPTURE_CLOSED where it is decided already, and as :func:`open_capture`."""
    with refusing(REFUSALS):
        await conn.execute(
            "SELECT consent.reject_capture($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            asker.client_id,
            asker.token_id,
            capture_id,
            own.identity,
            own.holder,
            cause.value,
            called_back,
            now,
            ev,
        )


async def flag_altered(conn: asyncpg.Connection, asker: Asker, capture_id: UUID) -> None:
    """Block a capture whose proof is not what came in."""
    await conn.execute("SELECT consent.flag_altered($1, $2, $3)", asker.client_id, asker.token_id, capture_id)


def opened_slip(
    keys: KeyService, batch_id: UUID, sealed: bytes, place: int, jwk: dict[str, Any], slip_hash: bytes
) -> tuple[Batch, Slip]:
    """The slip of a capture out of its sealed batch, with the device's signature checked again.

    Raises :class:`RefusedError` (EVIDENCE_ALTERED) if anything of it is not what the device signed.
    """
    try:
        batch = read_batch(keys.open(BATCH_PURPOSE, sealed, batch_id.bytes).decode())
        batch.check_signature(jwk)
        slip = batch.slips[place]
        if batch.hashes[place] != slip_hash.hex():
            raise altered()
    except (DamagedSealError, InputError, RefusedError, UnicodeDecodeError, IndexError):
        raise altered() from None
    return batch, slip


def altered() -> RefusedError:
    """What is stored is not what the device signed."""
    return RefusedError(
        "The capture or its evidence is not what the device signed.",
        remedy="It is blocked; ask the operator to look into the database.",
        code="EVIDENCE_ALTERED",
    )
