"""Resolver of a provider's question: one call of the gate, and nothing of a record in the answer."""

from typing import Any, cast

from hub.benefits.programme import ID
from hub.benefits.signed_answer import holder_key_of
from hub.core.clock import iso
from hub.core.disclosure import DisclosureRequest
from hub.core.errors import InputError, RefusedError
from hub.core.fields import ELIGIBILITY
from hub.core.names import Purpose, WithheldReason
from hub.flows.disclosure.assess_eligibility import Assessment, Signing, assess_eligibility, signed_answer
from hub.schema.answer import ASKABLE
from hub.schema.borrower import acting_problems, not_allowed, subject_of
from hub.schema.context import Info
from hub.schema.types.eligibility import BenefitEligibility, BenefitEligibilityInput
from hub.schema.types.problems import InvalidInput, NotAllowed, invalid
from hub.schema.types.scalars import Date, DateTime


async def resolve_benefit_eligibility(
    info: Info,
    input: BenefitEligibilityInput,  # noqa: A002 - the argument's name in the schema
) -> BenefitEligibility | InvalidInput | NotAllowed:
    """One question. What is refused here depends on the input alone, never on the person."""
    context, asked = info.context, input
    problems = acting_problems(context, asked.officer, asked.idempotency_key)
    subject = subject_of(asked.person, context)
    if isinstance(subject, tuple):
        problems.append((("input", "person", *subject[0][2:]), subject[1]))
    if not ID.fullmatch(asked.programme):
        problems.append((("input", "programme"), "PROGRAMME_MALFORMED"))
    holder = None
    if asked.holder_key is not None:
        try:
            holder = holder_key_of(asked.holder_key)
        except InputError as error:
            problems.append((("input", "holderKey"), error.code))
    if problems or isinstance(subject, tuple):
        return invalid(context.language, *problems)
    signing = Signing(holder) if asked.signed else None
    request = DisclosureRequest(
        asker=context.bearer.asker(asked.officer),
        purpose=Purpose.BENEFIT_ELIGIBILITY,
        subject=subject,
        parts=(ELIGIBILITY,),
        operation=context.operation.text,
        variables=context.variables,
        idempotency_key=asked.idempotency_key,
    )
    try:
        found, context.receipt = await assess_eligibility(context.ports.consents, request, asked.programme, signing)
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    return BenefitEligibility(
        programme=found.programme,
        programme_version=found.version,
        period=found.period,
        answer=found.answer,
        person_id=cast(Any, found.subject),
        decision_id=cast(Any, None if found.decision_id is None else str(found.decision_id)),
        decided_at=None if found.decided_at is None else DateTime(iso(found.decided_at)),
        valid_until=None if found.valid_until is None else Date(found.valid_until.isoformat()),
        signed_answer=signed_answer(context.ports.consents, found, signing),
        withheld=cast(Any, _withheld(found)),
    )


def _withheld(found: Assessment) -> list[dict[str, Any]]:
    """The one notice, in the words of every other answer."""
    if found.withheld is None:
        return []
    return [
        {
            "field": "answer",
            "category": ELIGIBILITY.category.value,
            "form": ELIGIBILITY.form,
            "reason": WithheldReason(found.withheld),
            "canAskConsent": found.withheld in ASKABLE,
        }
    ]
