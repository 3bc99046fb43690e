"""The terms of a consent: what may be asked for at most, and the record of what was agreed to.

The record is canonical JSON; nothing in it ever changes. A change of mind is a new record, or the end of its basis. Its
members are those of ISO/IEC TS 27560 and PublicSchema's ConsentRecord under the hub's names (docs/CONSENT.md has the
table). Records of version 1 lack some of them and stay valid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hub.consent.minors import MinorSide
from hub.consent.notice import NOTICE_VERSION, PURPOSE_WORDS, needs_written_notice, notice_text
from hub.core.canonical import digest
from hub.core.clock import iso
from hub.core.disclosure import Part
from hub.core.errors import InputError
from hub.core.names import Purpose

SCHEMA_VERSION = 2

CONFORMS_TO = ("ISO/IEC TS 27560:2023", "https://publicschema.org/ConsentRecord")

ANSWER_WITHIN = timedelta(days=14)
"""How long a person may take to answer a request."""


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that a consent for one purpose may allow; ``version`` of the purpose as the database has it.

    ``fetch_type``: ONETIME (one decision) or PERIODIC. ``data_life_days``: how long the recipient may keep what it got.
    """

    days: int
    uses: int
    fetch_type: str = "ONETIME"
    data_life_days: int = 90
    version: int = 1


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request as the person sees it. ``supersedes``: the consent that a yes would take the place of.

    ``minor``: set where it is about a minor; then ``person_id`` is the minor, whoever looks at it. ``programme``: the
    version of a benefit programme that it is for, with the members that the signed record has of it: id, version,
    nameZh, nameEn, document.
    """

    request_id: UUID
    organisation_id: str
    name_zh: str
    name_en: str
    role: str
    purpose: Purpose
    parts: tuple[str, ...]
    application_ref: str | None
    valid_days: int
    max_uses: int
    asked_at: datetime
    expires_at: datetime
    state: str
    person_id: UUID
    county: str
    supersedes: UUID | None = None
    minor: MinorSide | None = None
    programme: Mapping[str, Any] | None = None

    @property
    def programme_key(self) -> str | None:
        """The version of the programme as ``id@version``."""
        return None if self.programme is None else f"{self.programme['id']}@{self.programme['version']}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """How the person said yes: his own signed-in account and the token of that session."""

    account_id: str
    token_id: str


@dataclass(frozen=True, slots=True)
class Capture:
    """How a yes taken in the field reached the hub; ids only, names stay on the paper.

    ``captured`` says by whom it was captured, who witnessed it, and which pictures prove it, as the database has it.
    ``device_jws`` is the device's signature over the batch, ``slip`` the hash of the slip in it. ``notice`` is version
    and hash of the words that were shown. ``verified_by`` looked at it and was neither the collector nor a witness.
    """

    captured: Mapping[str, Any]
    signed_at: datetime
    form_no: str
    read_aloud: bool
    notice: tuple[str, str]
    device_jws: str
    slip: str
    verified_by: str
    level: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What the person chose of a request. ``indicated_by``: who said so for him, with kind and document of his right.

    ``until``: the consent ends then at the latest (a minor's coming of age). ``child_notice``: the notice about
    children under 14 was accepted.
    """

    parts: tuple[str, ...]
    heightened_notice: bool
    child_notice: bool = False
    indicated_by: dict[str, str] = field(default_factory=dict)
    until: datetime | None = None


def check_request(
    cap: Cap | None, purpose: Purpose, parts: tuple[Part, ...], days: int | None, uses: int | None
) -> Cap:
    """What a request may allow: the purpose's cap, or less where less is asked. Raises :class:`InputError`."""
    if cap is None or purpose not in PURPOSE_WORDS:
        raise InputError(
            f"Nobody can be asked to consent for the purpose {purpose}.",
            remedy=f"Use one of {', '.join(PURPOSE_WORDS)}.",
            code="PURPOSE_WITHOUT_CONSENT",
        )
    if not parts:
        raise InputError("A request for consent must name at least one part.", code="PARTS_MISSING")
    wanted = Cap(cap.days if days is None else days, cap.uses if uses is None else uses)
    if not (1 <= wanted.days <= cap.days and 1 <= wanted.uses <= cap.uses):
        raise InputError(
            f"A consent for {purpose} lasts at most {cap.days} days and {cap.uses} uses.",
            remedy="Ask for less.",
            code="CONSENT_CAP",
        )
    return wanted


def make_terms(
    consent_id: UUID,
    request: OpenRequest,
    choice: Choice,
    *,
    evidence: Evidence | Capture,
    cap: Cap,
    now: datetime,
) -> dict[str, Any]:
    """The record of a consent. Parts that need the heightened notice fall away where it was not accepted.

    Raises :class:`InputError` if parts were chosen that were not asked for, or nothing is left.
    """
    if not set(choice.parts) <= set(request.parts):
        raise InputError("A consent cannot cover more than was asked for.", code="PARTS_NOT_ASKED")
    kept = [
        key
        for key in request.parts
        if key in choice.parts and (choice.heightened_notice or not needs_written_notice(key))
    ]
    if not kept:
        raise InputError(
            "Nothing is left to consent to.", remedy="Choose at least one part, or refuse.", code="PARTS_MISSING"
        )
    heightened = [key for key in kept if needs_written_notice(key)]
    ends = now + timedelta(days=request.valid_days)
    return {
        "schemaVersion": SCHEMA_VERSION,
        "conformsTo": list(CONFORMS_TO),
        "consentId": str(consent_id),
        "requestId": str(request.request_id),
        "supersedes": None if request.supersedes is None else str(request.supersedes),
        "subject": str(request.person_id),
        "indicatedBy": choice.indicated_by or {"kind": "SELF"},
        "controller": "credit-hub",
        "jurisdiction": "CN",
        "recipient": request.organisation_id,
        "recipientRole": request.role,
        "onwardTransfer": False,
        "purpose": request.purpose.value,
        "purposeVersion": cap.version,
        "purposeText": list(PURPOSE_WORDS[request.purpose]),
        "applicationRef": request.application_ref,
        "parts": kept,
        "dataRange": "as held at each query",
        "heightenedParts": heightened,
        "heightenedNotice": bool(heightened),
        "childNotice": choice.child_notice,
        "legalBasis": [
            "征信业管理条例 art. 18",
            "个人信息保护法 art. 23",
            *(["个人信息保护法 art. 31"] if request.minor else []),
        ],
        "noticeVersion": NOTICE_VERSION,
        "noticeHash": digest(notice_text(request, request.parts)),
        "language": "zh-CN",
        "effectiveFrom": iso(now),
        "expiresAt": iso(ends if choice.until is None else min(ends, choice.until)),
        "fetchType": cap.fetch_type,
        "maxUses": request.max_uses,
        "dataLifeDays": cap.data_life_days,
        "status": "GIVEN",
        # By the person himself, or on paper that a collector's device delivers: the ways that there are.
        "withdrawal": ["ONLINE", "COLLECTOR", "PAPER"],
        **({} if request.programme is None else {"programme": dict(request.programme)}),
    } | _expressed(evidence, now)


def _expressed(evidence: Evidence | Capture, now: datetime) -> dict[str, Any]:
    """How the yes was expressed and what proves it. The level is decided by the database again."""
    if isinstance(evidence, Evidence):
        return {
            "signedAt": iso(now),
            "medium": "DIGITAL",
            "expression": "OPT_IN",
            "readAloud": False,
            "evidenceLevel": "L3",
            "evidence": {"account": evidence.account_id, "token": evidence.token_id},
            "evidenceItems": [],
            "witnessedBy": [],
            "capturedBy": None,
            "verifiedBy": None,
        }
    return {
        "signedAt": iso(evidence.signed_at),
        "noticeVersion": evidence.notice[0],
        "noticeHash": evidence.notice[1],
        "medium": evidence.captured["medium"],
        "expression": "SIGNED_FORM" if evidence.captured["medium"] == "PAPER" else "SIGNED_ON_SCREEN",
        "readAloud": evidence.read_aloud,
        "evidenceLevel": f"L{evidence.level}",
        "evidence": {"formNo": evidence.form_no, "deviceJws": evidence.device_jws, "slip": evidence.slip},
        "evidenceItems": evidence.captured["evidenceItems"],
        "witnessedBy": evidence.captured["witnessedBy"],
        "capturedBy": evidence.captured["capturedBy"],
        "verifiedBy": evidence.verified_by,
    }
