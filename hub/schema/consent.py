"""Resolvers of consent: each change is one flow, recorded before anybody is told."""

import re

import strawberry

from hub.benefits.programme import NAMED
from hub.core.clock import iso
from hub.core.disclosure import Part, SubjectByNumber
from hub.core.errors import RefusedError
from hub.core.names import Category, Form
from hub.flows.consent.agree_for_minor import ConsentAgreed as Agreed
from hub.flows.consent.agree_for_minor import ConsentAgreement, answer_request
from hub.flows.consent.grant_consent import ConsentGrant
from hub.flows.consent.my_consents import my_consents, my_requests, request_state
from hub.flows.consent.refuse_consent import ConsentRefusal, refuse_consent
from hub.flows.consent.request_consent import ConsentRequest as Request
from hub.flows.consent.request_consent import request_consent
from hub.flows.consent.withdraw_consent import ConsentWithdrawal, withdraw_consent
from hub.schema.borrower import Problem, acting_problems, not_allowed, subject_of
from hub.schema.changing import changed, id_of, key_problems, operation_of, refused, uuid_of, ward_of
from hub.schema.context import Info
from hub.schema.messages import text
from hub.schema.once import Facts
from hub.schema.types.consent import (
    Consent,
    ConsentAgreed,
    ConsentBook,
    ConsentGranted,
    ConsentPart,
    ConsentPartInput,
    ConsentRefused,
    ConsentRequest,
    ConsentRequested,
    ConsentRequestState,
    ConsentWithdrawn,
    GrantConsentInput,
    Organisation,
    RefuseConsentInput,
    RequestConsentInput,
    WithdrawConsentInput,
)
from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound, invalid
from hub.schema.types.profile import BorrowerKey
from hub.schema.types.scalars import DateTime, Digest

REFERENCE = re.compile(r"[A-Za-z0-9._/-]{1,64}")


async def resolve_consents(info: Info, ward: strawberry.ID | None = None) -> ConsentBook | NotAllowed:
    """Requests to the resident who asks, and his consents; or those about a ward."""
    context = info.context
    asker = context.bearer.asker()
    minor, problems = ward_of(ward)
    if problems:
        return NotAllowed(code="NOT_ALLOWED", message=text("NOT_ALLOWED", context.language), remedy=None)
    try:
        requests = await my_requests(context.ports.consents, asker, minor)
        consents = await my_consents(context.ports.consents, asker, minor)
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    return ConsentBook(
        requests=[
            ConsentRequest(
                id=id_of(shown.request.request_id),
                organisation=Organisation(
                    id=id_of(shown.request.organisation_id),
                    name_zh=shown.request.name_zh,
                    name_en=shown.request.name_en,
                ),
                purpose=shown.request.purpose,
                parts=_parts(shown.request.parts),
                application_ref=shown.request.application_ref,
                programme=shown.request.programme_key,
                valid_days=shown.request.valid_days,
                max_uses=shown.request.max_uses,
                asked_at=DateTime(iso(shown.request.asked_at)),
                answer_by=DateTime(iso(shown.request.expires_at)),
                state=shown.request.state,
                notice=shown.notice,
                awaits=[] if shown.request.minor is None else [party.value for party in shown.request.minor.awaits()],
            )
            for shown in requests
        ],
        consents=[
            Consent(
                id=id_of(held.consent_id),
                organisation=Organisation(id=id_of(held.organisation_id), name_zh=held.name_zh, name_en=held.name_en),
                purpose=held.purpose,
                parts=_parts(held.parts),
                has_heightened_notice=held.heightened,
                effective_from=DateTime(iso(held.effective_from)),
                expires_at=DateTime(iso(held.expires_at)),
                max_uses=held.max_uses,
                uses=held.uses,
                state=held.status,
                ended_at=None if held.ended_at is None else DateTime(iso(held.ended_at)),
                evidence_level=f"L{held.evidence_level}",
                programme=held.programme,
            )
            for held in consents
        ],
    )


async def resolve_consent_request(
    info: Info,
    id: strawberry.ID,  # noqa: A002 - the argument's name in the schema
) -> ConsentRequestState | InvalidInput | NotFound | NotAllowed:
    """How a request of the asking organisation stands."""
    context = info.context
    request = uuid_of(id)
    if request is None:
        return invalid(context.language, (("id",), "ID_MALFORMED"))
    try:
        state = await request_state(context.ports.consents, context.bearer.asker(), request)
    except RefusedError as refusal:
        return refused(context, refusal)
    return ConsentRequestState(id=id_of(request), state=state)


async def resolve_request_consent(
    info: Info,
    input: RequestConsentInput,  # noqa: A002 - the argument's name in the schema
) -> ConsentRequested | InvalidInput | NotAllowed:
    """An organisation asks; the answer is the same whether or not there is such a person."""
    context = info.context
    problems = acting_problems(context, input.officer, input.idempotency_key)
    subject = subject_of(BorrowerKey(identity=input.borrower), context)
    parts, unknown = asked_parts(input.parts)
    problems += unknown
    if input.application_ref is not None and not REFERENCE.fullmatch(input.application_ref):
        problems.append((("input", "applicationRef"), "REFERENCE_MALFORMED"))
    if input.programme is not None and not NAMED.fullmatch(input.programme):
        problems.append((("input", "programme"), "PROGRAMME_UNKNOWN"))
    if isinstance(subject, tuple):
        problems.append((("input", "borrower", subject[0][-1]), subject[1]))
    if problems or not isinstance(subject, SubjectByNumber):
        return invalid(context.language, *problems)
    request = Request(
        asker=context.bearer.asker(input.officer),
        purpose=input.purpose,
        subject=subject,
        parts=parts,
        operation=operation_of(context),
        application_ref=input.application_ref,
        days=input.valid_days,
        uses=input.max_uses,
        programme=input.programme,
    )

    async def change() -> Facts:
        made, context.receipt = await request_consent(context.ports.consents, request)
        return {"request_id": str(made.request_id), "answer_by": iso(made.answer_by), "state": made.state}

    answer = await changed(context, input.idempotency_key, change, lambda facts: ConsentRequested(**facts))
    if isinstance(answer, NotFound):
        return NotAllowed(code=answer.code, message=answer.message, remedy=None)
    return answer


async def resolve_grant_consent(
    info: Info,
    input: GrantConsentInput,  # noqa: A002 - the argument's name in the schema
) -> ConsentGranted | ConsentAgreed | InvalidInput | NotFound | NotAllowed:
    """The resident who asks says yes for himself, or as guardian for a ward."""
    context = info.context
    request_id = uuid_of(input.request_id)
    problems = key_problems(input.idempotency_key, "requestId", request_id)
    parts, unknown = asked_parts(input.parts or [])
    ward, wrong = ward_of(input.ward, "input")
    problems += unknown + wrong
    if problems or request_id is None:
        return invalid(context.language, *problems)
    grant = ConsentGrant(
        asker=context.bearer.asker(),
        request_id=request_id,
        operation=operation_of(context),
        parts=None if input.parts is None else tuple(f"{part.category}/{part.form}" for part in parts),
        heightened_notice=input.heightened_notice,
    )

    async def change() -> Facts:
        made, context.receipt = await answer_request(
            context.ports.consents, ConsentAgreement(grant, ward, input.child_notice)
        )
        if isinstance(made, Agreed):
            return {
                "request_id": str(made.request_id),
                "organisation_id": made.organisation_id,
                "awaits": [party.value for party in made.awaits],
                "added_to": None if made.consent_id is None else str(made.consent_id),
            }
        return {
            "consent_id": str(made.consent_id),
            "organisation_id": made.organisation_id,
            "parts": list(made.parts),
            "effective_from": iso(made.effective_from),
            "expires_at": iso(made.expires_at),
            "max_uses": made.max_uses,
            "terms_digest": Digest(made.digest),
        }

    return await changed(context, input.idempotency_key, change, _granted_or_agreed)


def _granted_or_agreed(facts: Facts) -> ConsentGranted | ConsentAgreed:
    if "awaits" in facts:
        return ConsentAgreed(**facts)
    return ConsentGranted(**{**facts, "parts": _parts(facts["parts"])})


async def resolve_refuse_consent(
    info: Info,
    input: RefuseConsentInput,  # noqa: A002 - the argument's name in the schema
) -> ConsentRefused | InvalidInput | NotFound | NotAllowed:
    """The resident who asks says no."""
    context = info.context
    request_id = uuid_of(input.request_id)
    ward, wrong = ward_of(input.ward, "input")
    problems = key_problems(input.idempotency_key, "requestId", request_id) + wrong
    if problems or request_id is None:
        return invalid(context.language, *problems)
    refusal = ConsentRefusal(context.bearer.asker(), request_id, operation_of(context), ward)

    async def change() -> Facts:
        made, context.receipt = await refuse_consent(context.ports.consents, refusal)
        return {"request_id": str(made.request_id), "organisation_id": made.organisation_id, "state": made.state}

    return await changed(context, input.idempotency_key, change, lambda facts: ConsentRefused(**facts))


async def resolve_withdraw_consent(
    info: Info,
    input: WithdrawConsentInput,  # noqa: A002 - the argument's name in the schema
) -> ConsentWithdrawn | InvalidInput | NotFound | NotAllowed:
    """The resident who asks takes a consent back."""
    context = info.context
    consent_id = uuid_of(input.consent_id)
    problems = key_problems(input.idempotency_key, "consentId", consent_id)
    if problems or consent_id is None:
        return invalid(context.language, *problems)
    withdrawal = ConsentWithdrawal(context.bearer.asker(), consent_id, operation_of(context))

    async def change() -> Facts:
        made, context.receipt = await withdraw_consent(context.ports.consents, withdrawal)
        return {"consent_id": str(made.consent_id), "organisation_id": made.organisation_id, "state": made.state}

    return await changed(context, input.idempotency_key, change, lambda facts: ConsentWithdrawn(**facts))


def asked_parts(wanted: list[ConsentPartInput]) -> tuple[tuple[Part, ...], list[Problem]]:
    """The parts named in an input, each once, and what is wrong with it."""
    if len(wanted) > 64:
        return (), [(("input", "parts"), "CATEGORY_UNKNOWN")]
    known = {category.value: category for category in Category}
    problems: list[Problem] = [
        (("input", "parts", str(place), "category"), "CATEGORY_UNKNOWN")
        for place, part in enumerate(wanted)
        if part.category not in known
    ]
    parts = [Part(known[part.category], Form(part.form)) for part in wanted if part.category in known]
    return tuple(dict.fromkeys(parts)), problems


def _parts(keys: tuple[str, ...] | list[str]) -> list[ConsentPart]:
    return [
        ConsentPart(category=category, form=Form(form)) for category, _, form in (key.partition("/") for key in keys)
    ]
