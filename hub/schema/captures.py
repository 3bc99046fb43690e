"""Resolvers of consent captured in the field: the device's batch, the reviewers' list, verification, evidence."""

import base64
from uuid import UUID

import strawberry

from hub.consent.captures import CaptureState, ListedCapture
from hub.core.canonical import digest
from hub.core.clock import iso
from hub.core.disclosure import SubjectByNumber
from hub.core.errors import InputError, RefusedError
from hub.core.names import Form, Purpose
from hub.flows.capture.capture_consents import capture_consents
from hub.flows.capture.capture_form import capture_form
from hub.flows.capture.hold_evidence import read_evidence
from hub.flows.capture.review_capture import (
    CaptureDecision,
    CaptureShown,
    decide_capture,
    list_captures,
    masked,
    show_capture,
)
from hub.flows.consent.consent_change import Operation
from hub.schema.borrower import not_allowed, subject_of
from hub.schema.changing import changed, id_of, key_problems, operation_of, refused, uuid_of
from hub.schema.context import Info, OperationContext
from hub.schema.messages import has_text, text
from hub.schema.once import Facts
from hub.schema.pages import Pages, page_info
from hub.schema.types.captures import (
    CaptureConnection,
    CaptureConsentsInput,
    CapturedSlip,
    CaptureEdge,
    CaptureEvidence,
    CaptureSummary,
    ConsentCapture,
    ConsentForm,
    ConsentFormInput,
    ConsentsCaptured,
    ConsentVerified,
    EvidenceContent,
    NamedOnForm,
    VerifyConsentInput,
)
from hub.schema.types.consent import ConsentPart
from hub.schema.types.problems import FieldError, InvalidInput, NotAllowed, NotFound, invalid
from hub.schema.types.profile import BorrowerKey
from hub.schema.types.scalars import DateTime, Digest

_PAGES = Pages("captures", UUID)


async def resolve_capture_consents(
    info: Info,
    input: CaptureConsentsInput,  # noqa: A002 - the argument's name in the schema
) -> ConsentsCaptured | InvalidInput | NotFound | NotAllowed:
    """A collector's device delivers a batch."""
    context = info.context
    problems = key_problems(input.idempotency_key, "batch", UUID(int=0))
    if problems:
        return invalid(context.language, *problems)
    # The batch itself is kept sealed with the captures; the log keeps its hash.
    operation = Operation(context.operation.text, {"batch": digest(input.batch)})

    async def change() -> Facts:
        taken, context.receipt = await capture_consents(
            context.ports.consents, context.bearer.asker(), input.batch, operation
        )
        return {
            "slips": [
                {
                    "counter": slip.counter,
                    "kind": slip.kind,
                    "capture_id": str(slip.capture_id),
                    "state": slip.state,
                    "review": list(slip.review),
                    "was_known": slip.is_known,
                }
                for slip in taken.slips
            ],
            "evidence": list(taken.evidence),
        }

    def show(facts: Facts) -> ConsentsCaptured:
        return ConsentsCaptured(
            slips=[CapturedSlip(**slip) for slip in facts["slips"]],
            evidence=[Digest(each) for each in facts["evidence"]],
        )

    return await changed(context, input.idempotency_key, change, show)


async def resolve_verify_consent(
    info: Info,
    input: VerifyConsentInput,  # noqa: A002 - the argument's name in the schema
) -> ConsentVerified | InvalidInput | NotFound | NotAllowed:
    """A reviewer verifies or rejects."""
    context = info.context
    capture_id = uuid_of(input.capture_id)
    problems = key_problems(input.idempotency_key, "captureId", capture_id)
    if input.accept == (input.cause is not None):
        problems.append((("input", "cause"), "CAUSE_MISMATCH"))
    if problems or capture_id is None:
        return invalid(context.language, *problems)
    decision = CaptureDecision(
        context.bearer.asker(), capture_id, input.cause, input.called_back, input.reason, operation_of(context)
    )

    async def change() -> Facts:
        decided, context.receipt = await decide_capture(context.ports.consents, decision)
        return {
            "capture_id": str(decided.capture_id),
            "state": decided.state.value,
            "consent_id": None if decided.consent_id is None else str(decided.consent_id),
            "evidence_level": None if decided.level is None else f"L{decided.level}",
        }

    return await changed(
        context,
        input.idempotency_key,
        change,
        lambda facts: ConsentVerified(**facts | {"state": CaptureState(facts["state"])}),
    )


async def resolve_consent_form(
    info: Info,
    input: ConsentFormInput,  # noqa: A002 - the argument's name in the schema
) -> ConsentForm | InvalidInput | NotFound | NotAllowed:
    """A collector gets the words to be shown."""
    context = info.context
    request_id = uuid_of(input.request_id)
    subject = subject_of(BorrowerKey(identity=input.person), context)
    if isinstance(subject, tuple):
        return invalid(context.language, (("input", "person", subject[0][-1]), subject[1]))
    if request_id is None or not isinstance(subject, SubjectByNumber):
        return invalid(context.language, (("input", "requestId"), "ID_MALFORMED"))
    try:
        form, context.receipt = await capture_form(
            context.ports.consents,
            context.bearer.asker(),
            input.device,
            request_id,
            subject,
            operation_of(context),
        )
    except RefusedError as refusal:
        return refused(context, refusal)
    return ConsentForm(
        request_id=id_of(form.request_id),
        notice=form.notice,
        notice_version=form.notice_version,
        notice_hash=Digest(form.notice_hash),
        parts=_parts(form.parts),
        answer_by=DateTime(iso(form.answer_by)),
    )


async def resolve_consent_captures(
    info: Info, first: int, after: str | None = None, state: CaptureState | None = None
) -> CaptureConnection | InvalidInput | NotAllowed:
    """One page of the captures of the steward's counties, oldest first."""
    context = info.context
    place, problems = _PAGES.arguments(first, after)
    if problems:
        return invalid(context.language, *problems)
    asker = context.bearer.asker()
    try:
        await context.ports.stewards.check_role(asker)
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    found, context.receipt = await list_captures(
        context.ports.consents, asker, operation_of(context), state=state, after=place, first=first
    )
    edges = [CaptureEdge(cursor=_PAGES.cursor(each.capture_id), node=_summary(each)) for each in found[:first]]
    return CaptureConnection(edges=edges, page_info=page_info(edges, len(found) > first, after))


async def resolve_consent_capture(
    info: Info,
    id: strawberry.ID,  # noqa: A002 - the argument's name in the schema
    reason: str,
) -> ConsentCapture | InvalidInput | NotFound | NotAllowed:
    """One capture with the names on its form."""
    context, capture_id = info.context, uuid_of(id)
    if capture_id is None:
        return invalid(context.language, (("id",), "ID_MALFORMED"))
    try:
        shown, context.receipt = await show_capture(
            context.ports.consents, context.bearer.asker(), capture_id, reason, operation_of(context)
        )
    except InputError as error:
        return _bad_reason(context, error)
    except RefusedError as refusal:
        return refused(context, refusal)
    return _capture(shown)


async def resolve_consent_evidence(
    info: Info,
    id: strawberry.ID,  # noqa: A002 - the argument's name in the schema
    reason: str,
) -> EvidenceContent | InvalidInput | NotFound | NotAllowed:
    """A picture, for the few who may look."""
    context, evidence_id = info.context, uuid_of(id)
    if evidence_id is None:
        return invalid(context.language, (("id",), "ID_MALFORMED"))
    try:
        shown, context.receipt = await read_evidence(
            context.ports.consents, context.bearer.asker(), evidence_id, reason, operation_of(context)
        )
    except InputError as error:
        return _bad_reason(context, error)
    except RefusedError as refusal:
        return refused(context, refusal)
    return EvidenceContent(
        id=id_of(shown.evidence_id),
        kind=shown.kind,
        media_type=shown.media_type,
        digest=Digest(shown.sha256),
        content=base64.b64encode(shown.content).decode(),
    )


def _bad_reason(context: OperationContext, error: InputError) -> InvalidInput:
    answer = invalid(context.language)
    message = text(error.code, context.language) if has_text(error.code) else str(error)
    answer.fields = [FieldError(path=["reason"], code=error.code, message=message)]
    return answer


def _summary(found: ListedCapture) -> CaptureSummary:
    return CaptureSummary(
        id=id_of(found.capture_id),
        county=found.county,
        device=found.device_id,
        counter=found.counter,
        device_time=DateTime(iso(found.device_time)),
        received_at=DateTime(iso(found.received_at)),
        organisation_id=None if found.organisation_id is None else id_of(found.organisation_id),
        purpose=None if found.purpose is None else Purpose(found.purpose),
        method=found.method,
        flags=sorted(found.flags),
        state=CaptureState(found.state),
        must_call_back=found.call_back,
        evidence_announced=found.evidence,
        evidence_received=found.evidence_in,
        decided_at=None if found.decided_at is None else DateTime(iso(found.decided_at)),
        cause=found.cause,
        consent_id=None if found.consent_id is None else id_of(found.consent_id),
    )


def _capture(shown: CaptureShown) -> ConsentCapture:
    found, slip = shown.capture, shown.slip
    return ConsentCapture(
        id=id_of(found.capture_id),
        state=CaptureState(found.state),
        person=_named(masked(slip.person)),
        witnesses=[_named(masked(witness)) for witness in slip.witnesses],
        witnesses_counted=len(found.captured["witnessedBy"]),
        form_no=slip.form_no,
        method=slip.method.value,
        was_read_aloud=slip.read_aloud,
        has_heightened_notice=slip.heightened_notice,
        parts=_parts(tuple(slip.parts) if shown.request is not None else ()),
        notice=shown.notice,
        evidence_level=f"L{found.level}",
        flags=sorted(found.flags),
        blocked_by=sorted(found.blocked),
        must_call_back=found.call_back,
        evidence=[
            CaptureEvidence(
                id=id_of(item["id"]),
                kind=item["kind"],
                media_type=item["mediaType"],
                digest=Digest(item["sha256"]),
                has_come=item["isUploaded"],
            )
            for item in found.evidence
        ],
    )


def _named(facts: dict[str, str]) -> NamedOnForm:
    return NamedOnForm(name=facts["name"], id_masked=facts["idMasked"])


def _parts(keys: tuple[str, ...]) -> list[ConsentPart]:
    split = [key.partition("/") for key in keys]
    return [ConsentPart(category=category, form=Form(form)) for category, _, form in split if form in set(Form)]
