"""Resolvers of decisions explained to their person, and of reviews by a data steward."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import strawberry

from hub.benefits.condition import leaves_of
from hub.benefits.decisions import OpenReview, OwnDecision
from hub.benefits.programme import Answer
from hub.core.clock import iso
from hub.core.errors import RefusedError
from hub.flows.disclosure.gate_wire import pseudonym_space
from hub.flows.disclosure.review_eligibility import (
    decide_eligibility_review,
    explain_eligibility,
    list_open_reviews,
    list_own_decisions,
    request_eligibility_review,
)
from hub.schema.borrower import not_allowed
from hub.schema.changing import changed, key_problems, operation_of, refused, uuid_of
from hub.schema.context import Info, OperationContext
from hub.schema.messages import Language
from hub.schema.once import Facts
from hub.schema.pages import Pages, page_info
from hub.schema.types.consent import Organisation
from hub.schema.types.eligibility_reviews import (
    DecideEligibilityReviewInput,
    EligibilityCondition,
    EligibilityDecision,
    EligibilityDecisions,
    EligibilityExplanation,
    EligibilityReview,
    EligibilityReviewConnection,
    EligibilityReviewDecided,
    EligibilityReviewEdge,
    EligibilityReviewRequested,
    RequestEligibilityReviewInput,
    ReviewedCondition,
)
from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound, invalid
from hub.schema.types.scalars import Date, DateTime

_PAGES = Pages("eligibility-review", UUID)
_OUTCOMES = {True: "MET", False: "NOT_MET", None: "NOT_SHOWN"}
_WHOLE: dict[str, tuple[str, str]] = {
    "YES": ("您符合该项目的条件。", "You meet the programme's condition."),
    "OVERTURNED": ("经人工复核，您符合条件。", "A person looked again and decided that you are eligible."),
    "NOT_MET": (
        "有条件不符合，见标为 NOT_MET 的各条。您可以申请人工复核。",
        "Some of the conditions are not met: those marked NOT_MET. You can ask for a review by a person.",
    ),
    "NOT_SHOWN": (
        "档案中没有足够信息证明您符合条件，见标为 NOT_SHOWN 的各条。您可以申请人工复核。",
        "The record does not show that you meet the condition: see NOT_SHOWN. You can ask for a review by a person.",
    ),
}


async def resolve_eligibility_decisions(info: Info) -> EligibilityDecisions | NotAllowed:
    """What programmes decided about the resident who asks."""
    context = info.context
    try:
        found, context.receipt = await list_own_decisions(
            context.ports.consents, context.bearer.asker(), operation_of(context)
        )
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    return EligibilityDecisions(decisions=[_decision(one) for one in found])


async def resolve_explain_eligibility(
    info: Info, decision_id: strawberry.ID
) -> EligibilityExplanation | InvalidInput | NotFound | NotAllowed:
    """One own decision, comparison by comparison, with the own values of today."""
    context, language = info.context, info.context.language
    wanted = uuid_of(decision_id)
    if wanted is None:
        return invalid(language, (("decisionId",), "ID_MALFORMED"))
    try:
        found, receipt = await explain_eligibility(
            context.ports.disclosing, context.ports.consents, context.bearer.asker(), operation_of(context), wanted
        )
    except RefusedError as refusal:
        return refused(context, refusal)
    context.receipt = receipt
    decision = found.decision
    failed = any(one.outcome is False for one in found.conditions)
    whole = (
        "OVERTURNED"
        if decision.overturned
        else "YES"
        if decision.answer == Answer.YES
        else "NOT_MET"
        if failed
        else "NOT_SHOWN"
    )
    return EligibilityExplanation(
        decision=_decision(decision),
        meaning=_WHOLE[whole][1 if language == "en" else 0],
        conditions=[
            EligibilityCondition(
                code=one.code,
                part=one.part,
                meaning=one.en if language == "en" else one.zh,
                outcome=_OUTCOMES[one.outcome],
                today=_OUTCOMES[one.today],
                own_values=list(one.values),
            )
            for one in found.conditions
        ],
    )


async def resolve_request_eligibility_review(
    info: Info,
    input: RequestEligibilityReviewInput,  # noqa: A002 - the argument's name in the schema
) -> EligibilityReviewRequested | InvalidInput | NotFound | NotAllowed:
    """The resident asks that a person looks at a no again."""
    context = info.context
    wanted = uuid_of(input.decision_id)
    problems = key_problems(input.idempotency_key, "decisionId", wanted)
    if problems or wanted is None:
        return invalid(context.language, *problems)

    async def change() -> Facts:
        review_id, made, context.receipt = await request_eligibility_review(
            context.ports.consents, context.bearer.asker(), operation_of(context), wanted
        )
        return {"review_id": str(review_id), "due_on": made.due_on.isoformat()}

    return await changed(context, input.idempotency_key, change, lambda facts: EligibilityReviewRequested(**facts))


async def resolve_eligibility_reviews(
    info: Info, first: int, after: str | None = None
) -> EligibilityReviewConnection | InvalidInput | NotAllowed:
    """One page of the reviews that wait in the steward's counties."""
    context = info.context
    place, problems = _PAGES.arguments(first, after)
    if problems:
        return invalid(context.language, *problems)
    try:
        found, context.receipt = await list_open_reviews(
            context.ports.consents, context.bearer.asker(), operation_of(context), place, first
        )
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    edges = [
        EligibilityReviewEdge(cursor=_PAGES.cursor(one.review_id), node=_review(context, one)) for one in found[:first]
    ]
    return EligibilityReviewConnection(edges=edges, page_info=page_info(edges, len(found) > first, after))


async def resolve_decide_eligibility_review(
    info: Info,
    input: DecideEligibilityReviewInput,  # noqa: A002 - the argument's name in the schema
) -> EligibilityReviewDecided | InvalidInput | NotFound | NotAllowed:
    """A data steward decides; the ground says how it ends."""
    context = info.context
    wanted = uuid_of(input.review_id)
    problems = key_problems(input.idempotency_key, "reviewId", wanted)
    if problems or wanted is None:
        return invalid(context.language, *problems)

    async def change() -> Facts:
        made, context.receipt = await decide_eligibility_review(
            context.ports.consents, context.bearer.asker(), operation_of(context), wanted, input.ground
        )
        return {"review_id": str(wanted), "state": made.state}

    return await changed(context, input.idempotency_key, change, lambda facts: EligibilityReviewDecided(**facts))


def _decision(one: OwnDecision) -> EligibilityDecision:
    return EligibilityDecision(
        id=strawberry.ID(str(one.decision_id)),
        organisation=Organisation(id=strawberry.ID(one.organisation_id), name_zh=one.name_zh, name_en=one.name_en),
        programme=one.programme_id,
        name_zh=one.terms["nameZh"],
        name_en=one.terms["nameEn"],
        version=one.version,
        period=one.period,
        answer=Answer.YES if one.overturned else Answer(one.answer),
        is_overturned=one.overturned,
        decided_at=DateTime(iso(one.decided_at)),
        review_id=None if one.review_id is None else strawberry.ID(str(one.review_id)),
        review_state=one.review_state,
        review_due=None if one.review_due is None else Date(one.review_due.isoformat()),
        review_ground=one.ground,
    )


def _review(context: OperationContext, one: OpenReview) -> EligibilityReview:
    return EligibilityReview(
        id=strawberry.ID(str(one.review_id)),
        person_id=strawberry.ID(
            context.ports.consents.keys.pseudonym(pseudonym_space("hub", context.bearer.id), one.person_id)
        ),
        county_code=one.county,
        organisation_id=strawberry.ID(one.organisation_id),
        programme=one.programme_id,
        version=one.version,
        period=one.period,
        conditions=_conditions(one.terms, one.outcomes, context.language),
        asked_at=DateTime(iso(one.asked_at)),
        due_on=Date(one.due_on.isoformat()),
    )


def _conditions(
    terms: Mapping[str, Any], outcomes: Mapping[str, bool | None], language: Language
) -> list[ReviewedCondition]:
    return [
        ReviewedCondition(
            code=leaf["code"],
            part=leaf["part"],
            meaning=leaf["en" if language == "en" else "zh"],
            outcome=_OUTCOMES[outcomes.get(leaf["code"])],
        )
        for leaf in leaves_of(terms["condition"])
    ]
