"""The terms of a consent: what may be asked for at most, the text that the person reads, and the record of it.

The record is canonical JSON; nothing in it ever changes. A change of mind is a new record, or the end of its basis.
Vocabulary after ISO/IEC TS 27560 (who, to whom, what for, what, how long, how to take it back).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hub.core.canonical import digest
from hub.core.clock import iso
from hub.core.disclosure import Part
from hub.core.errors import InputError
from hub.core.names import Category, Form, Purpose

SCHEMA_VERSION = 1
NOTICE_VERSION = "2026-1"
"""Version of the words of :func:`notice_text`; a new wording gets a new one."""

ANSWER_WITHIN = timedelta(days=14)
"""How long a person may take to answer a request."""

WRITTEN_NOTICE_CATEGORIES = frozenset({Category.TAX_BAND})
"""Categories that need written consent after notice of adverse consequences (征信业管理条例 art. 14(2))."""


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that a consent for one purpose may allow."""

    days: int
    uses: int


CAPS: dict[Purpose, Cap] = {
    Purpose.LOAN_APPLICATION: Cap(30, 3),
    Purpose.CARD_APPLICATION: Cap(30, 3),
    Purpose.GUARANTOR_REVIEW: Cap(30, 3),
    Purpose.ENTERPRISE_PRINCIPAL_REVIEW: Cap(30, 3),
    Purpose.POST_LOAN_REVIEW: Cap(366, 12),
}
"""Purposes for which a person can be asked (PBoC order 2005-3 art. 12); a running loan is watched once a month."""

PURPOSE_WORDS: dict[Purpose, tuple[str, str]] = {
    Purpose.LOAN_APPLICATION: ("审批您的贷款申请", "to decide on your application for a loan"),
    Purpose.CARD_APPLICATION: ("审批您的贷记卡申请", "to decide on your application for a credit card"),
    Purpose.GUARANTOR_REVIEW: ("审核您作为担保人的资格", "to review you as a guarantor"),
    Purpose.ENTERPRISE_PRINCIPAL_REVIEW: (
        "审核您作为法定代表人或出资人的资格",
        "to review you as legal representative or investor",
    ),
    Purpose.POST_LOAN_REVIEW: ("对您未结清的贷款进行贷后管理", "to look after your loan until it is repaid"),
}

CATEGORY_WORDS: dict[Category, tuple[str, str]] = {
    Category.ROSTER: ("家庭所在地、人数和状态", "where the household lives, its size and status"),
    Category.IDENTITY: ("姓名、部分隐藏的身份证号、年龄段", "name, partly hidden ID number, age band"),
    Category.TAX_REGISTRATION: ("税务登记", "tax registrations"),
    Category.TAX_GRADE: ("纳税信用级别", "tax credit grades"),
    Category.TAX_ARREARS: ("欠税", "tax arrears"),
    Category.TAX_BAND: ("纳税额和申报收入区间", "bands of tax paid and income declared"),
    Category.SOCIAL_INSURANCE: ("社会保险参保情况", "social insurance"),
    Category.CLINIC_ARREARS: ("卫生院医药费欠款", "arrears at township clinics, nothing medical"),
    Category.CIVIL_RELIEF: ("是否正在享受社会救助", "relief in force"),
    Category.BANK_LINE: ("授信额度", "credit lines"),
    Category.BANK_LOAN: ("贷款", "loans"),
    Category.ADVERSE: ("不良信息", "adverse items"),
    Category.CONFLICT: ("各部门数据不一致之处", "where sources disagree"),
}

FORM_WORDS: dict[Form, tuple[str, str]] = {
    Form.VALUE: ("明细", "in detail"),
    Form.BAND: ("仅区间", "as a band only"),
    Form.TOTAL: ("其他机构仅汇总", "other lenders only as a total"),
    Form.YES_NO: ("仅是或否", "yes or no only"),
}


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request as the person sees it."""

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


@dataclass(frozen=True, slots=True)
class Evidence:
    """How the person said yes: his own signed-in account (level L3 of five) and the token of that session."""

    account_id: str
    token_id: str


def check_request(purpose: Purpose, parts: tuple[Part, ...], days: int | None, uses: int | None) -> Cap:
    """What a request may allow: the purpose's cap, or less where less is asked. Raises :class:`InputError`."""
    cap = CAPS.get(purpose)
    if cap is None:
        raise InputError(
            f"Nobody can be asked to consent for the purpose {purpose}.",
            remedy=f"Use one of {', '.join(CAPS)}.",
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


def notice_text(request: OpenRequest, parts: tuple[str, ...]) -> str:
    """The words that the person reads before saying yes: Chinese first, then English. Its hash is in the record."""
    zh_purpose, en_purpose = PURPOSE_WORDS[request.purpose]
    lines = [_part_words(key) for key in parts]
    zh = [
        f"“{request.name_zh}”请求查询您的信用信息。",
        f"目的：{zh_purpose}。只能用于这个目的，不得转给他人。",
        f"有效期：最多 {request.valid_days} 天，最多查询 {request.max_uses} 次。",
        "内容：" + "；".join(line[0] for line in lines) + "。",
        "您可以不同意，也可以只同意一部分。您可以随时撤回，撤回后立即生效，不需要理由。",
    ]
    en = [
        f"“{request.name_en}” asks to see your credit information,",
        f"{en_purpose}, for no other purpose and for nobody else,",
        f"for at most {request.valid_days} days and {request.max_uses} queries:",
        "; ".join(line[1] for line in lines) + ".",
        "You may refuse, or agree to a part. You may take it back at any time, at once and without giving a reason.",
    ]
    if any(needs_written_notice(key) for key in parts):
        zh.insert(4, HEIGHTENED_NOTICE[0])
        en.insert(4, HEIGHTENED_NOTICE[1])
    return "\n".join(zh) + "\n\n" + " ".join(en)


HEIGHTENED_NOTICE = (
    "特别提示：纳税额和收入区间可能使您的申请被拒绝、额度降低或利率提高。只有您在了解这些不利后果后书面同意，才会提供。",
    "Please note: bands of tax and income may lead to a refusal, a smaller loan or a higher rate. They are given only"
    " if you agree in writing after reading this.",
)
"""The notice of adverse consequences (征信业管理条例 art. 14(2), 19)."""


def needs_written_notice(part: str) -> bool:
    """Whether a part (``category/FORM``) needs the heightened notice."""
    return part.partition("/")[0] in WRITTEN_NOTICE_CATEGORIES


def _part_words(key: str) -> tuple[str, str]:
    category, _, form = key.partition("/")
    (zh, en), (zh_form, en_form) = CATEGORY_WORDS[Category(category)], FORM_WORDS[Form(form)]
    return f"{zh}（{zh_form}）", f"{en} ({en_form})"


def make_terms(
    consent_id: UUID,
    request: OpenRequest,
    parts: tuple[str, ...],
    *,
    heightened_notice: bool,
    evidence: Evidence,
    now: datetime,
) -> dict[str, Any]:
    """The record of a consent. Parts that need the heightened notice fall away where it was not accepted.

    Raises :class:`InputError` if parts were chosen that were not asked for, or nothing is left.
    """
    if not set(parts) <= set(request.parts):
        raise InputError("A consent cannot cover more than was asked for.", code="PARTS_NOT_ASKED")
    kept = tuple(key for key in request.parts if key in parts and (heightened_notice or not needs_written_notice(key)))
    if not kept:
        raise InputError(
            "Nothing is left to consent to.", remedy="Choose at least one part, or refuse.", code="PARTS_MISSING"
        )
    heightened = [key for key in kept if needs_written_notice(key)]
    return {
        "schemaVersion": SCHEMA_VERSION,
        "consentId": str(consent_id),
        "requestId": str(request.request_id),
        "subject": str(request.person_id),
        "controller": "credit-hub",
        "jurisdiction": "CN",
        "recipient": request.organisation_id,
        "recipientRole": request.role,
        "onwardTransfer": False,
        "purpose": request.purpose.value,
        "purposeText": list(PURPOSE_WORDS[request.purpose]),
        "applicationRef": request.application_ref,
        "parts": list(kept),
        "heightenedParts": heightened,
        "heightenedNotice": bool(heightened),
        "legalBasis": ["征信业管理条例 art. 18", "个人信息保护法 art. 23"],
        "noticeVersion": NOTICE_VERSION,
        "noticeHash": digest(notice_text(request, request.parts)),
        "language": "zh-CN",
        "signedAt": iso(now),
        "effectiveFrom": iso(now),
        "expiresAt": iso(now + timedelta(days=request.valid_days)),
        "maxUses": request.max_uses,
        "medium": "DIGITAL",
        "expression": "OPT_IN",
        "evidenceLevel": "L3",
        "evidence": {"account": evidence.account_id, "token": evidence.token_id},
        "withdrawal": ["ONLINE", "VILLAGE_OFFICE", "COLLECTOR", "PAPER"],
    }
