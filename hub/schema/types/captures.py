"""Consent captured in the field: batches of a collector's device, and what reviewers do with them."""

from typing import Annotated

import strawberry

from hub.consent.captures import CaptureState, RejectionCause
from hub.core.names import Purpose
from hub.schema.types.audit import PageInfo
from hub.schema.types.consent import ConsentPart
from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound
from hub.schema.types.profile import IdentityKey
from hub.schema.types.scalars import DateTime, Digest

_KEY_TEXT = "由调用方生成；同一键不会重复执行。 Made by the caller; the same key is never applied twice."

CAPTURE_STATE = strawberry.enum(CaptureState, description="采集单的状态。 How a captured consent stands.")
REJECTION_CAUSE = strawberry.enum(RejectionCause, description="否决事由。 Why a captured consent is rejected.")


@strawberry.type(description="一张采集单的受理结果。 What became of one slip.")
class CapturedSlip:
    """The same whether or not the hub knows the person."""

    counter: int = strawberry.field(description="设备序号。 The slip's counter.")
    kind: str = strawberry.field(description="CONSENT 或 WITHDRAWAL。 A yes, or a withdrawal.")
    capture_id: strawberry.ID = strawberry.field(description="编号。 Its id.")
    state: str = strawberry.field(description="CAPTURED 待复核；TAKEN 撤回已受理。 CAPTURED or TAKEN.")
    review: list[str] = strawberry.field(description="次序或时间的疑点。 What is odd about its place and time.")
    was_known: bool = strawberry.field(description="此前是否已收到。 Whether it had come before.")


@strawberry.type(
    description="批次已受理；撤回立即生效，同意须待复核。 The batch was taken; nothing in it is in force yet."
)
class ConsentsCaptured:
    """Withdrawals took effect; every yes waits for a reviewer."""

    slips: list[CapturedSlip] = strawberry.field(description="各采集单。 The slips, in their order.")
    evidence: list[Digest] = strawberry.field(description="须上传的影像。 Pictures to be put to /evidence/DIGEST.")


@strawberry.type(description="向本人出示的告知书。 The words to be shown to the person.")
class ConsentForm:
    """What the device shows or prints, word for word."""

    request_id: strawberry.ID = strawberry.field(description="请求编号。 The request.")
    notice: str = strawberry.field(description="告知书全文。 The words.")
    notice_version: str = strawberry.field(description="告知书版本。 Their version.")
    notice_hash: Digest = strawberry.field(description="告知书摘要。 Their hash.")
    parts: list[ConsentPart] = strawberry.field(description="所请求的数据。 What is asked for.")
    answer_by: DateTime = strawberry.field(description="答复期限。 Until when it can be answered.")


@strawberry.type(description="待复核的采集单，不含姓名。 A captured consent in the list: nobody's name.")
class CaptureSummary:
    """For reviewers."""

    id: strawberry.ID = strawberry.field(description="编号。 Its id.")
    county: str = strawberry.field(description="设备所属县市。 The device's county.")
    device: str = strawberry.field(description="设备编号。 The device.")
    counter: int = strawberry.field(description="设备序号。 The slip's counter.")
    device_time: DateTime = strawberry.field(description="设备时间。 The device's clock.")
    received_at: DateTime = strawberry.field(description="收到时间。 When it came.")
    organisation_id: strawberry.ID | None = strawberry.field(description="请求机构。 Who asked.")
    purpose: Purpose | None = strawberry.field(description="目的。 What for.")
    method: str = strawberry.field(description="PAPER 或 SCREEN。 Signed on paper or on the screen.")
    flags: list[str] = strawberry.field(description="疑点。 What the reviewer has to look at.")
    state: CaptureState = strawberry.field(description="状态。 How it stands.")
    must_call_back: bool = strawberry.field(description="是否被抽中回访。 Whether the person is called back first.")
    evidence_announced: int = strawberry.field(description="申报的影像数。 Pictures announced.")
    evidence_received: int = strawberry.field(description="已收到的影像数。 Pictures that have come.")
    decided_at: DateTime | None = strawberry.field(description="处理时间。 When it was decided.")
    cause: str | None = strawberry.field(description="否决事由。 Why it was rejected.")
    consent_id: strawberry.ID | None = strawberry.field(description="所成立的同意。 The consent that came of it.")


@strawberry.type(description="采集单列表中的一条。 One capture in a page.")
class CaptureEdge:
    """With its cursor."""

    cursor: str = strawberry.field(description="游标。 Its cursor.")
    node: CaptureSummary = strawberry.field(description="采集单。 The capture.")


@strawberry.type(description="采集单列表，先到者在前。 Captures, the oldest first.")
class CaptureConnection:
    """A page."""

    edges: list[CaptureEdge] = strawberry.field(description="各条。 The captures.")
    page_info: PageInfo = strawberry.field(description="分页位置。 Where the page lies.")


@strawberry.type(description="表单上的人。 Somebody on the form.")
class NamedOnForm:
    """So much as tells two of one name apart."""

    name: str = strawberry.field(description="姓名。 The name.")
    id_masked: str = strawberry.field(description="部分隐藏的身份证号。 The partly hidden ID number.")


@strawberry.type(description="影像证据。 A picture that proves a consent.")
class CaptureEvidence:
    """Its content is read with `consentEvidence`."""

    id: strawberry.ID = strawberry.field(description="编号。 Its id.")
    kind: str = strawberry.field(description="种类。 Its kind.")
    media_type: str = strawberry.field(description="媒体类型。 Its media type.")
    digest: Digest = strawberry.field(description="摘要。 Its hash.")
    has_come: bool = strawberry.field(description="是否已收到。 Whether it has come.")


@strawberry.type(description="复核人员所见的采集单。 A captured consent as its reviewer sees it.")
class ConsentCapture:
    """To be compared with the paper."""

    id: strawberry.ID = strawberry.field(description="编号。 Its id.")
    state: CaptureState = strawberry.field(description="状态。 How it stands.")
    person: NamedOnForm = strawberry.field(description="本人。 The person.")
    witnesses: list[NamedOnForm] = strawberry.field(description="见证人。 The witnesses on the form.")
    witnesses_counted: int = strawberry.field(description="有效见证人数。 How many of them (and the collector) count.")
    form_no: str = strawberry.field(description="表单编号。 The number of the paper form.")
    method: str = strawberry.field(description="PAPER 或 SCREEN。 Signed on paper or on the screen.")
    was_read_aloud: bool = strawberry.field(description="是否宣读。 Whether the words were read aloud.")
    has_heightened_notice: bool = strawberry.field(description="是否确认不利后果。 Whether that notice was accepted.")
    parts: list[ConsentPart] = strawberry.field(description="所同意的数据。 What was agreed to.")
    notice: str | None = strawberry.field(description="请求的告知书。 The words of the request; null if unknown.")
    evidence_level: str = strawberry.field(description="证据级别。 The level that it would have.")
    flags: list[str] = strawberry.field(description="疑点。 What to look at.")
    blocked_by: list[str] = strawberry.field(
        description="使其不能核实的疑点。 Flags with which it can only be rejected."
    )
    must_call_back: bool = strawberry.field(description="是否须先回访。 Whether the person is called back first.")
    evidence: list[CaptureEvidence] = strawberry.field(description="影像证据。 The pictures.")


@strawberry.type(description="一份影像证据的内容。 A picture, as it was signed.")
class EvidenceContent:
    """Every reading is recorded."""

    id: strawberry.ID = strawberry.field(description="编号。 Its id.")
    kind: str = strawberry.field(description="种类。 Its kind.")
    media_type: str = strawberry.field(description="媒体类型。 Its media type.")
    digest: Digest = strawberry.field(description="摘要。 Its hash.")
    content: str = strawberry.field(description="内容，Base64。 Its bytes in Base64 (RFC 4648 section 4).")


@strawberry.type(description="复核结果。 What the reviewer decided.")
class ConsentVerified:
    """In force from now on, or rejected."""

    capture_id: strawberry.ID = strawberry.field(description="采集单编号。 The capture.")
    state: CaptureState = strawberry.field(description="VERIFIED 或 REJECTED。 How it stands.")
    consent_id: strawberry.ID | None = strawberry.field(description="所成立的同意。 The consent, if it was verified.")
    evidence_level: str | None = strawberry.field(description="证据级别。 The level of its evidence.")


CaptureConsentsResult = Annotated[
    ConsentsCaptured | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="CaptureConsentsResult", description="结果。 What came of it."),
]
VerifyConsentResult = Annotated[
    ConsentVerified | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="VerifyConsentResult", description="结果。 What came of it."),
]
ConsentFormResult = Annotated[
    ConsentForm | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="ConsentFormResult", description="结果。 What came of it."),
]
ConsentCapturesResult = Annotated[
    CaptureConnection | InvalidInput | NotAllowed,
    strawberry.union(name="ConsentCapturesResult", description="结果。 What came of it."),
]
ConsentCaptureResult = Annotated[
    ConsentCapture | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="ConsentCaptureResult", description="结果。 What came of it."),
]
ConsentEvidenceResult = Annotated[
    EvidenceContent | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="ConsentEvidenceResult", description="结果。 What came of it."),
]


@strawberry.input(description="采集设备提交的签名批次。 A signed batch of a collector's device.")
class CaptureConsentsInput:
    """The argument of ``captureConsents``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    batch: str = strawberry.field(
        description="紧凑 JWS；只能用变量发送。 A compact JWS (docs/consent-batch.schema.json); variables only."
    )


@strawberry.input(description="采集员调取告知书。 A collector asks for the words of a request.")
class ConsentFormInput:
    """The argument of ``consentForm``."""

    device: str = strawberry.field(description="设备编号。 The collector's device.")
    request_id: strawberry.ID = strawberry.field(description="请求编号，由机构告知本人。 The request.")
    person: IdentityKey = strawberry.field(description="本人；只能用变量发送。 The person; variables only.")


@strawberry.input(description="核实或否决现场采集的同意。 Verify or reject a captured consent.")
class VerifyConsentInput:
    """The argument of ``verifyConsent``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    capture_id: strawberry.ID = strawberry.field(description="采集单编号。 Which capture.")
    accept: bool = strawberry.field(description="是否核实。 Verify, or reject.")
    cause: RejectionCause | None = strawberry.field(default=None, description="否决事由。 Why it is rejected.")
    called_back: bool = strawberry.field(
        default=False, description="是否已另行联系本人核实。 The person was reached by another way and asked."
    )
    reason: str = strawberry.field(description="事由，1至500字。 The case; it is recorded.")
