"""Later steps of a consent: pause, resumption, revocation with cause, and the receipt that the person keeps."""

from typing import Annotated

import strawberry

from hub.consent.states import RevocationCause
from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound
from hub.schema.types.scalars import DateTime

_KEY_TEXT = "由调用方生成；同一键不会重复执行。 Made by the caller; the same key is never applied twice."

CAUSE = strawberry.enum(RevocationCause, description="他人终止同意的事由。 Why another than the person ends a consent.")


@strawberry.type(description="已暂停或恢复。 The consent was paused, or counts again; the very next query finds it so.")
class ConsentPaused:
    """Effective at once."""

    consent_id: strawberry.ID = strawberry.field(description="同意编号。 The consent.")
    organisation_id: strawberry.ID = strawberry.field(description="机构编号。 Who may see the data while it counts.")
    state: str = strawberry.field(description="SUSPENDED 或 IN_FORCE。 How it stands now.")


@strawberry.type(description="已终止。 The consent was ended by another than the person.")
class ConsentRevoked:
    """Effective at once."""

    consent_id: strawberry.ID = strawberry.field(description="同意编号。 The consent.")
    organisation_id: strawberry.ID = strawberry.field(description="机构编号。 Who could see the data.")
    state: str = strawberry.field(description="状态。 Always REVOKED.")


@strawberry.type(
    description="同意回执，请妥善保存；可离线验证。 A receipt to keep; it can be verified without the hub."
)
class ConsentReceipt:
    """The signed text, to be kept byte for byte."""

    consent_id: strawberry.ID = strawberry.field(description="同意编号。 The consent.")
    document: str = strawberry.field(
        description="签名的JSON文本，原样保存；用 `hub consent verify` 验证。 The signed JSON text; keep it as it is."
    )


@strawberry.type(description="同意或请求状态的一次变化。 One thing that the organisation was told.")
class ConsentChange:
    """The same text that its endpoint is sent."""

    delivery_id: strawberry.ID = strawberry.field(
        description="消息编号，供去重。 Its id; it may arrive by message too."
    )
    topic: str = strawberry.field(description="CONSENT、CHALLENGE、CORRECTION、BREACH。 What it is about.")
    request_id: strawberry.ID | None = strawberry.field(description="请求编号。 The request.")
    consent_id: strawberry.ID | None = strawberry.field(description="同意编号。 The consent.")
    purpose: str | None = strawberry.field(description="目的。 What for.")
    state: str | None = strawberry.field(description="变化后的状态。 The state it led to.")
    at: DateTime = strawberry.field(description="时间。 When.")


@strawberry.type(description="本机构同意的变化，由旧到新。 Changes of the organisation's consents, oldest first.")
class ConsentChanges:
    """A page; nothing is left out between two pages."""

    changes: list[ConsentChange] = strawberry.field(description="变化。 Changes.")
    cursor: str = strawberry.field(description="下次从此处继续。 Continue here, now or later.")
    has_more: bool = strawberry.field(description="是否还有。 Whether there are more now.")


ConsentChangesResult = Annotated[
    ConsentChanges | InvalidInput | NotAllowed,
    strawberry.union(name="ConsentChangesResult", description="结果。 What came of it."),
]
SuspendConsentResult = Annotated[
    ConsentPaused | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="SuspendConsentResult", description="结果。 What came of it."),
]
RevokeConsentResult = Annotated[
    ConsentRevoked | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="RevokeConsentResult", description="结果。 What came of it."),
]
ConsentReceiptResult = Annotated[
    ConsentReceipt | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="ConsentReceiptResult", description="结果。 What came of it."),
]


@strawberry.input(description="本人暂停或恢复同意，无需理由。 A person pauses a consent, or lets it count again.")
class SuspendConsentInput:
    """The argument of ``suspendConsent`` and ``resumeConsent``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    consent_id: strawberry.ID = strawberry.field(description="同意编号。 Which consent.")


@strawberry.input(description="他人依据事由终止同意。 Another than the person ends a consent, with cause.")
class RevokeConsentInput:
    """The argument of ``revokeConsent``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    consent_id: strawberry.ID = strawberry.field(description="同意编号。 Which consent.")
    cause: RevocationCause = strawberry.field(description="事由。 Why.")
    officer: str | None = strawberry.field(default=None, description="经办人编号；机构系统必填。 The named officer.")
