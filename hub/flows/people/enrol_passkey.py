"""A person gets a passkey for an account: a code handed over in person, and the passkey that is made with it.

Whoever hands a code over has seen the person and the identity card; what was checked stands in the sealed part of the
log. Accounts that take two people have two codes: one for who asked, one for the security administrator who approved.
Only hashes of the codes are stored.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, seal_request
from hub.core.clock import iso
from hub.core.errors import InputError, RefusedError
from hub.core.identifiers import names_id_number
from hub.core.ids import uuid7
from hub.core.text import is_plain_text
from hub.flows.people.account_desk import RECEIPT_SECONDS, AccountDesk
from hub.flows.people.begin_session import NewPasskey
from hub.flows.people.change_account import POLICY, REFUSALS
from hub.store.refusals import refusing

HOURS_MAX = 72
"""The longest life of an enrolment code."""

CHECKED_MAX = 200
"""Characters of what was checked."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})
_LETTERS, _GROUP = 20, 5
_CODE_MAX = 64


@dataclass(frozen=True, slots=True)
class IssuedEnrolment:
    """A code to be handed over; it must never be stored or logged. With ``change_id`` it works after an approval."""

    code: str = field(repr=False)
    expires_at: datetime
    change_id: UUID | None


@dataclass(frozen=True, slots=True)
class OpenEnrolment:
    """The account that a code belongs to; ``known``: ids of the passkeys that it has."""

    enrolment_id: UUID
    account_id: str
    handle: UUID
    known: list[bytes]


@dataclass(frozen=True, slots=True)
class Codes:
    """What a person typed: one code or two."""

    first: str = field(repr=False)
    second: str = field(default="", repr=False)

    @property
    def digests(self) -> tuple[bytes, bytes | None]:
        """The hashes to look for."""
        return code_digest(self.first), code_digest(self.second) if self.second.strip() else None


def new_code() -> str:
    """Twenty letters, a hundred bits, in groups; without letters that are mistaken for each other."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LETTERS))
    return "-".join(letters[at : at + _GROUP] for at in range(0, _LETTERS, _GROUP))


def code_digest(code: str) -> bytes:
    """SHA-256 of a code as it is meant, however it was typed."""
    return hashlib.sha256(code[:_CODE_MAX].upper().translate(_READ_AS).encode()).digest()


async def issue_enrolment(
    desk: AccountDesk, account_id: str, checked: str, *, operator: str, hours: int = 24
) -> IssuedEnrolment:
    """Make a code for an account; earlier ones are worth nothing any more.

    ``checked``: how the person was identified, for instance the number of the form. Raises :class:`InputError`,
    :class:`~hub.core.errors.RefusedError`.
    """
    if not checked.strip() or len(checked) > CHECKED_MAX or not is_plain_text(checked) or names_id_number(checked):
        raise InputError(
            f"say in 1 to {CHECKED_MAX} characters how the person was identified, without the ID number.",
            remedy="For instance: identity card seen, form 17.",
            code="CHECKED_MISSING",
        )
    if not 1 <= hours <= HOURS_MAX:
        raise InputError(f"an enrolment code lives 1 to {HOURS_MAX} hours.", code="ENROLMENT_HOURS")
    code, enrolment, ev = new_code(), uuid7(), uuid7()
    expires_at = desk.clock() + timedelta(hours=hours)
    async with desk.change() as conn:
        with refusing(REFUSALS):
            row = await conn.fetchrow(
                "SELECT * FROM auth.issue_enrolment($1, $2, $3, $4, $5, $6)",
                enrolment,
                account_id,
                code_digest(code),
                expires_at,
                uuid7(),
                operator,
            )
        waits = {} if row["change_id"] is None else {"change": str(row["change_id"])}
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.ADMIN,
                event="enrolment:operator:issued",
                organisation="hub",
                actor=operator,
                decision=Decision.ALLOW,
                policy=POLICY,
                subjects=() if row["person_id"] is None else (row["person_id"],),
                facts={"account": account_id, "enrolment": str(enrolment), "expiresAt": iso(expires_at)} | waits,
                sealed=seal_request(desk.keys, ev, "enrolment", {"checked": checked}),
            ),
        )
    await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return IssuedEnrolment(code, expires_at, row["change_id"])


async def find_enrolment(desk: AccountDesk, codes: Codes) -> OpenEnrolment | None:
    """The enrolment that these codes open at this moment."""
    async with desk.reading() as conn:
        row = await conn.fetchrow("SELECT * FROM auth.find_enrolment($1, $2)", *codes.digests)
    if row is None:
        return None
    return OpenEnrolment(row["enrolment_id"], row["account_id"], row["handle"], list(row["known"]))


async def enrol_passkey(
    desk: AccountDesk, codes: Codes, passkey: NewPasskey, challenge: bytes, expires_at: datetime
) -> str:
    """Store a checked passkey for the account of the codes, which are gone afterwards; gives the account's id.

    Raises :class:`~hub.core.errors.RefusedError` (ACCOUNT_UNKNOWN, PASSKEY_KNOWN, CHALLENGE_USED).
    """
    passkey_id, ev = uuid7(), uuid7()
    refusals = REFUSALS | {"HB151": RefusedError("this enrolment was used already.", code="CHALLENGE_USED")}
    async with desk.change() as conn:
        with refusing(refusals):
            row = await conn.fetchrow(
                "SELECT * FROM auth.enrol_passkey($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                *codes.digests,
                passkey_id,
                passkey.credential_id,
                passkey.public_key,
                passkey.sign_count,
                passkey.synced,
                hashlib.sha256(challenge).digest(),
                expires_at,
            )
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.ADMIN,
                event="passkey:person:enrolled",
                organisation="",
                actor=row["account_id"],
                decision=Decision.ALLOW,
                policy=POLICY,
                subjects=() if row["person_id"] is None else (row["person_id"],),
                facts={"role": row["role"], "passkey": str(passkey_id), "enrolment": str(row["enrolment_id"])},
            ),
        )
    await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return str(row["account_id"])


async def revoke_passkey(desk: AccountDesk, passkey_id: UUID, *, operator: str) -> tuple[str, int]:
    """Revoke a passkey, for instance of a lost device, and end its sessions at once; gives account and their number."""
    ev = uuid7()
    async with desk.change() as conn:
        with refusing(REFUSALS):
            row = await conn.fetchrow("SELECT * FROM auth.revoke_passkey($1)", passkey_id)
        await append(
            conn,
            PendingEntry(
                ev=ev,
                kind=Kind.ADMIN,
                event="passkey:operator:revoked",
                organisation="hub",
                actor=operator,
                decision=Decision.ALLOW,
                policy=POLICY,
                subjects=() if row["person_id"] is None else (row["person_id"],),
                facts={"account": row["account_id"], "passkey": str(passkey_id), "sessions": row["sessions"]},
            ),
        )
    await desk.receipts.wait(ev, RECEIPT_SECONDS)
    return row["account_id"], row["sessions"]
