"""Consent: asked for by an organisation, given, refused and taken back by each adult for himself."""

from typing import Annotated

import strawberry

from hub.core.names import Form, Purpose
from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound
from hub.schema.types.profile import IdentityKey
from hub.schema.types.scalars import DateTime, Digest


@strawberry.type(description="数据类别与形式。 One category in one form.")
class ConsentPart:
    """What is asked for, or agreed to."""

    category: str = strawberry.field(description="类别，例如 `tax.grade`。 Category.")
    form: Form = strawberry.field(description="形式。 How much of it is shown.")


@strawberry.type(description="机构。 An organisation that asks.")
class Organisation:
    """Named as it is registered."""

    id: strawberry.ID = strawberry.field(description="机构编号。 Its id.")
    name_zh: str = strawberry.field(description="中文名称。 Its Chinese name.")
    name_en: str = strawberry.field(description="英文名称。 Its English name.")


@strawberry.type(description="征求同意的请求。 A request for consent, as the person asked sees it.")
class ConsentRequest:
    """Shown to the person who is asked, and to nobody else."""

    id: strawberry.ID = strawberry.field(description="请求编号。 Its id.")
    organisation: Organisation = strawberry.field(description="请求机构。 Who asks.")
    purpose: Purpose = strawberry.field(description="目的。 What for.")
    parts: list[ConsentPart] = strawberry.field(description="所请求的数据。 What is asked for.")
    application_ref: str | None = strawberry.field(description="业务申请编号。 The organisation's application.")
    programme: str | None = strawberry.field(
        description="惠民项目及版本（id@version）。 The benefit programme and its version that it is for."
    )
    valid_days: int = strawberry.field(description="同意后有效天数。 How many days a consent would last.")
    max_uses: int = strawberry.field(description="最多查询次数。 How many queries it would allow.")
    asked_at: DateTime = strawberry.field(description="请求时间。 When it was asked.")
    answer_by: DateTime = strawberry.field(description="答复期限。 Until when it can be answered.")
    state: str = strawberry.field(description="状态：REQUESTED、CAPTURED、GIVEN、REFUSED、INVALIDATED。 How it stands.")
    notice: str = strawberry.field(description="告知书，同意前须阅读。 The words to be read before saying yes.")
    awaits: list[str] = strawberry.field(
        description="未成年人的请求尚待谁同意：GUARDIAN、MINOR。 About a minor: who has yet to agree."
    )


@strawberry.type(description="一份同意。 A consent of the person who asks.")
class Consent:
    """A consent and how it stands now."""

    id: strawberry.ID = strawberry.field(description="编号。 Its id.")
    organisation: Organisation = strawberry.field(description="可查询的机构。 Who may see the data.")
    purpose: Purpose = strawberry.field(description="目的。 For what.")
    parts: list[ConsentPart] = strawberry.field(description="所同意的数据。 What was agreed to.")
    has_heightened_notice: bool = strawberry.field(
        description="是否确认了不利后果告知。 Whether the notice of adverse consequences was accepted."
    )
    effective_from: DateTime = strawberry.field(description="生效时间。 Since when.")
    expires_at: DateTime = strawberry.field(description="到期时间。 When it ends by itself.")
    max_uses: int | None = strawberry.field(description="最多查询次数。 How many queries it allows.")
    uses: int = strawberry.field(description="已查询次数。 How many were made.")
    state: str = strawberry.field(
        description="状态：IN_FORCE、SUSPENDED、USED_UP、EXPIRED、WITHDRAWN、REVOKED、SUPERSEDED、INVALIDATED、UNFIT、"
        "UNAGREED（未成年人：尚缺一方同意）。"
        " How it stands."
    )
    ended_at: DateTime | None = strawberry.field(description="终止时间。 When it was ended.")
    evidence_level: str = strawberry.field(description="证据级别，L0至L4。 How far it is proved, L0 to L4.")
    programme: str | None = strawberry.field(
        description="惠民项目及版本（id@version）；只对这一版有效。 The programme and version it is for."
    )


@strawberry.type(
    description="本人收到的请求和已作出的同意。 Requests to the person who asks, and the person's consents."
)
class ConsentBook:
    """Newest first."""

    requests: list[ConsentRequest] = strawberry.field(description="收到的请求。 Requests.")
    consents: list[Consent] = strawberry.field(description="已作出的同意。 Consents.")


@strawberry.type(description="请求的状态。 How a request of the asking organisation stands.")
class ConsentRequestState:
    """The organisation's own knowledge only."""

    id: strawberry.ID = strawberry.field(description="请求编号。 The request.")
    state: str = strawberry.field(
        description="REQUESTED、CAPTURED、GIVEN、REFUSED、INVALIDATED、EXPIRED。 How it stands."
    )


@strawberry.type(description="请求已受理；不说明是否有此人。 The request was taken; it tells nothing about the person.")
class ConsentRequested:
    """The same whether or not there is such a person."""

    request_id: strawberry.ID = strawberry.field(description="请求编号。 The request.")
    answer_by: DateTime = strawberry.field(description="答复期限。 Until when it can be answered.")
    state: str = strawberry.field(description="状态。 Always REQUESTED.")


@strawberry.type(description="已同意。 The consent is in force.")
class ConsentGranted:
    """What was put in force."""

    consent_id: strawberry.ID = strawberry.field(description="同意编号。 The consent.")
    organisation_id: strawberry.ID = strawberry.field(description="机构编号。 Who may see the data.")
    parts: list[ConsentPart] = strawberry.field(description="所同意的数据。 What was agreed to.")
    effective_from: DateTime = strawberry.field(description="生效时间。 Since when.")
    expires_at: DateTime = strawberry.field(description="到期时间。 When it ends by itself.")
    max_uses: int = strawberry.field(description="最多查询次数。 How many queries it allows.")
    terms_digest: Digest = strawberry.field(description="条款摘要。 SHA-256 of the signed terms.")


@strawberry.type(
    description="已记录；未成年人的同意须各方都同意才生效。 The yes is stored; about a minor it may take another."
)
class ConsentAgreed:
    """A yes about a minor that is not enough alone, or that is added to a consent that stands."""

    request_id: strawberry.ID = strawberry.field(description="请求编号。 Which request.")
    organisation_id: strawberry.ID = strawberry.field(description="机构编号。 Who asked.")
    awaits: list[str] = strawberry.field(description="尚待谁同意：GUARDIAN、MINOR。 Who has yet to agree.")
    added_to: strawberry.ID | None = strawberry.field(
        description="加入的已成立的同意。 The consent that stands, to which this yes was added."
    )


@strawberry.type(description="已拒绝。 The request was refused.")
class ConsentRefused:
    """No reason is asked."""

    request_id: strawberry.ID = strawberry.field(description="请求编号。 The request.")
    organisation_id: strawberry.ID = strawberry.field(description="机构编号。 Who asked.")
    state: str = strawberry.field(description="状态。 Always REFUSED.")


@strawberry.type(description="已撤回，立即生效。 The consent was taken back; the very next query finds it gone.")
class ConsentWithdrawn:
    """Effective at once."""

    consent_id: strawberry.ID = strawberry.field(description="同意编号。 The consent.")
    organisation_id: strawberry.ID = strawberry.field(description="机构编号。 Who could see the data.")
    state: str = strawberry.field(description="状态。 Always WITHDRAWN.")


ConsentBookResult = Annotated[
    ConsentBook | NotAllowed, strawberry.union(name="ConsentBookResult", description="结果。 What came of it.")
]
ConsentRequestStateResult = Annotated[
    ConsentRequestState | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="ConsentRequestStateResult", description="结果。 What came of it."),
]
RequestConsentResult = Annotated[
    ConsentRequested | InvalidInput | NotAllowed,
    strawberry.union(name="RequestConsentResult", description="结果。 What came of it."),
]
GrantConsentResult = Annotated[
    ConsentGranted | ConsentAgreed | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="GrantConsentResult", description="结果。 What came of it."),
]
RefuseConsentResult = Annotated[
    ConsentRefused | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="RefuseConsentResult", description="结果。 What came of it."),
]
WithdrawConsentResult = Annotated[
    ConsentWithdrawn | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="WithdrawConsentResult", description="结果。 What came of it."),
]

_KEY_TEXT = "由调用方生成；同一键不会重复执行。 Made by the caller; the same key is never applied twice."


@strawberry.input(description="数据类别与形式。 One category in one form.")
class ConsentPartInput:
    """One part."""

    category: str = strawberry.field(description="类别，例如 `tax.grade`。 Category.")
    form: Form = strawberry.field(description="形式。 How much of it is shown.")


@strawberry.input(description="向本人征求同意。 An organisation asks a person for consent.")
class RequestConsentInput:
    """The argument of ``requestConsent``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    borrower: IdentityKey = strawberry.field(description="向谁征求；只能用变量发送。 Whom to ask; variables only.")
    purpose: Purpose = strawberry.field(description="目的。 What for.")
    parts: list[ConsentPartInput] = strawberry.field(description="所请求的数据。 What is asked for.")
    officer: str | None = strawberry.field(default=None, description="经办人编号；机构系统必填。 The named officer.")
    application_ref: str | None = strawberry.field(default=None, description="业务申请编号。 The application.")
    valid_days: int | None = strawberry.field(default=None, description="有效天数，缺省为上限。 Days; else the most.")
    max_uses: int | None = strawberry.field(default=None, description="查询次数，缺省为上限。 Queries; else the most.")
    programme: str | None = strawberry.field(
        default=None,
        description="惠民项目：id（现行版本）或id@version；惠民机构必填。"
        " The benefit programme by id, or id@version; providers name one.",
    )


@strawberry.input(description="本人同意；可只同意一部分。 A person says yes, to all or to a part.")
class GrantConsentInput:
    """The argument of ``grantConsent``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    request_id: strawberry.ID = strawberry.field(description="请求编号。 Which request.")
    parts: list[ConsentPartInput] | None = strawberry.field(
        default=None, description="只同意这些；缺省为全部。 These only; else all that was asked."
    )
    heightened_notice: bool = strawberry.field(
        default=False,
        description="已阅读不利后果告知并书面同意。 The notice of adverse consequences was read and agreed to.",
    )
    ward: strawberry.ID | None = strawberry.field(
        default=None, description="监护人代被监护人同意时填写。 The ward for whom a guardian says it."
    )
    child_notice: bool = strawberry.field(
        default=False,
        description="监护人已单独阅读不满14周岁儿童信息告知。 The notice about children under 14 was accepted.",
    )


@strawberry.input(description="本人拒绝，无需理由。 A person says no; no reason is asked.")
class RefuseConsentInput:
    """The argument of ``refuseConsent``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    request_id: strawberry.ID = strawberry.field(description="请求编号。 Which request.")
    ward: strawberry.ID | None = strawberry.field(
        default=None, description="监护人代被监护人拒绝时填写。 The ward for whom a guardian says it."
    )


@strawberry.input(description="本人撤回同意，无需理由。 A person takes a consent back; no reason is asked.")
class WithdrawConsentInput:
    """The argument of ``withdrawConsent``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    consent_id: strawberry.ID = strawberry.field(description="同意编号。 Which consent.")
