"""Resolvers of the review of links, for data stewards: the queue, one row beside its candidates, the decision."""

import re
from typing import Any
from uuid import UUID

import strawberry

from hub.core.clock import iso
from hub.core.errors import InputError, RefusedError
from hub.core.names import LinkState
from hub.flows.intake.pull import PullRunningError
from hub.flows.stewards.review_links import LinkChoice, decide_link, read_reviews, show_review
from hub.records.linkage.link_review import (
    OPEN_STATES,
    QueuedReview,
    ReviewCandidate,
    ReviewedRow,
    ReviewFilter,
    ReviewPlace,
)
from hub.schema.borrower import KEY, Problem, not_allowed
from hub.schema.context import Info, OperationContext
from hub.schema.messages import text
from hub.schema.once import Facts, KeyRefusedError, once
from hub.schema.pages import Pages, page_info
from hub.schema.types.links import (
    DecideLinkInput,
    LinkCandidate,
    LinkDecided,
    LinkDecision,
    LinkEvidence,
    LinkReview,
    LinkReviewConnection,
    LinkReviewEdge,
    LinkReviewFilter,
    LinkReviewSummary,
)
from hub.schema.types.problems import Conflict, InvalidInput, NotAllowed, NotFound, invalid
from hub.schema.types.scalars import DateTime

_BAND = re.compile(r"[A-Z]")
_CHANGED = frozenset({"REVIEW_DECIDED", "PULL_RUNNING", "PULL_UNSETTLED", "NOT_LINKED", "ROW_HELD_BACK"})
"""Refusals that depend on what has happened meanwhile."""


def _place(text: str) -> ReviewPlace:
    band, score, row_id = text.split(":")
    if not _BAND.fullmatch(band):
        raise ValueError("not a band")
    return ReviewPlace(band, float(score), UUID(row_id))


_PAGES = Pages("review", _place, lambda place: f"{place.band}:{place.score!r}:{place.row_id}")


async def resolve_link_reviews(
    info: Info,
    first: int,
    after: str | None = None,
    filter: LinkReviewFilter | None = None,  # noqa: A002 - the argument's name in the schema
) -> LinkReviewConnection | InvalidInput | NotAllowed:
    """One page of the queue; the look is recorded."""
    context = info.context
    place, problems = _PAGES.arguments(first, after)
    wanted = _filter(filter)
    if LinkState.ID in wanted.states and wanted.source_key is None:
        problems.append((("filter", "states"), "SOURCE_KEY_MISSING"))
    if problems:
        return invalid(context.language, *problems)
    asker, act = context.bearer.asker(), await context.own_act()
    try:
        found, context.receipt = await read_reviews(context.ports.stewards, asker, act, wanted, first, place)
    except InputError as error:
        return invalid(context.language, (("filter",), error.code))
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    edges = [LinkReviewEdge(cursor=_PAGES.cursor(entry.place), node=_summary(entry)) for entry in found[:first]]
    return LinkReviewConnection(edges=edges, page_info=page_info(edges, len(found) > first, after))


async def resolve_link_review(
    info: Info,
    id: strawberry.ID,  # noqa: A002 - the argument's name in the schema
    reason: str,
) -> LinkReview | InvalidInput | NotFound | NotAllowed:
    """One row beside its candidates; the look is recorded with the reason."""
    context = info.context
    row_id = _uuid(id)
    if row_id is None:
        return invalid(context.language, (("id",), "ID_MALFORMED"))
    desk = context.ports.stewards
    try:
        await desk.check_role(context.bearer.asker())
        row, context.receipt = await show_review(desk, await context.own_act(reason), row_id)
    except InputError as error:
        return invalid(context.language, (("reason",), error.code))
    except RefusedError as refusal:
        return _unknown(context, refusal)
    return _review(row)


async def resolve_decide_link(
    info: Info,
    input: DecideLinkInput,  # noqa: A002 - the argument's name in the schema
) -> LinkDecided | InvalidInput | NotFound | Conflict | NotAllowed:
    """A steward's decision; repeated under the same key it is answered as the first time."""
    context, given = info.context, input
    row_id = _uuid(given.id)
    problems: list[Problem] = [] if KEY.fullmatch(given.idempotency_key) else [
        (("input", "idempotencyKey"), "KEY_MALFORMED")
    ]  # fmt: skip
    if row_id is None:
        problems.append((("input", "id"), "ID_MALFORMED"))
    if problems or row_id is None:
        return invalid(context.language, *problems)
    desk = context.ports.stewards
    choice = LinkChoice(row_id, given.verdict, given.decisions_seen, given.member_no)

    async def change() -> Facts:
        made, context.receipt = await decide_link(desk, await context.own_act(given.reason), choice)
        return {
            "id": str(made.row_id), "number": made.number, "verdict": made.verdict.value, "state": made.state.value,
            "member_no": made.member_no, "decided_at": iso(made.decided_at),
        }  # fmt: skip

    try:
        await desk.check_role(context.bearer.asker())
        facts = await once(context, given.idempotency_key, change)
    except KeyRefusedError as refusal:
        return invalid(context.language, (("input", "idempotencyKey"), refusal.code))
    except InputError as error:
        return invalid(context.language, (("input",), error.code))
    except PullRunningError as running:
        return Conflict(code=running.code, message=text(running.code, context.language))
    except RefusedError as refusal:
        return _refused(context, refusal)
    if facts is None:
        raise AssertionError("a decision gives facts or raises")
    return LinkDecided(**facts)


def _refused(context: OperationContext, refusal: RefusedError) -> InvalidInput | NotFound | Conflict | NotAllowed:
    if refusal.code in _CHANGED:
        return Conflict(code=refusal.code, message=text(refusal.code, context.language))
    if refusal.code == "MEMBER_UNKNOWN":
        return invalid(context.language, (("input", "memberNo"), refusal.code))
    return _unknown(context, refusal)


def _unknown(context: OperationContext, refusal: RefusedError) -> NotFound | NotAllowed:
    if refusal.code == "REVIEW_UNKNOWN":
        return NotFound(code=refusal.code, message=text(refusal.code, context.language))
    return not_allowed(context, refusal)


def _filter(given: LinkReviewFilter | None) -> ReviewFilter:
    if given is None:
        return ReviewFilter()
    default = tuple(LinkState) if given.source_key is not None else OPEN_STATES
    states = default if given.states is None else tuple(given.states)
    return ReviewFilter(states, given.source, given.source_key, given.band)


def _summary(entry: QueuedReview) -> LinkReviewSummary:
    return LinkReviewSummary(
        id=_id(entry.row_id),
        source=entry.source,
        source_key=entry.source_key,
        state=entry.state,
        since=DateTime(iso(entry.since)),
        band=entry.band,
        score=entry.score,
        proposals=entry.proposals,
        decisions=entry.decisions,
        quarantine_reason=None if entry.quarantine is None else entry.quarantine[1].name,
    )


def _review(row: ReviewedRow) -> LinkReview:
    return LinkReview(
        id=_id(row.row_id),
        source=row.source,
        source_key=row.source_key,
        source_version=row.version,
        state=row.state,
        is_linkable=row.is_linkable,
        quarantine_reason=None if row.quarantine is None else row.quarantine[1].name,
        name=row.name,
        address=row.address,
        phone=row.phone,
        id_masked=row.id_masked,
        candidates=[_candidate(candidate) for candidate in row.candidates],
        decisions=[
            LinkDecision(
                number=decision.number,
                verdict=decision.verdict,
                member_no=decision.member_no,
                steward=decision.steward,
                reason=decision.reason,
                decided_at=DateTime(iso(decision.decided_at)),
            )
            for decision in row.decisions
        ],
    )


def _candidate(candidate: ReviewCandidate) -> LinkCandidate:
    return LinkCandidate(
        member_no=candidate.member_no,
        is_linked=candidate.linked,
        by_exact_rule=candidate.by_exact_rule,
        band=candidate.band,
        score=candidate.score,
        name=candidate.name,
        id_masked=candidate.id_masked,
        birth_year=candidate.birth_year,
        household_no=candidate.household_no,
        village_code=candidate.village_code,
        township_name=candidate.township_name,
        village_name=candidate.village_name,
        group_no=candidate.group_no,
        phone=candidate.phone,
        status=candidate.status,
        evidence=[LinkEvidence(attribute=e.attribute, agreement=e.agreement, bits=e.bits) for e in candidate.evidence],
    )


def _uuid(value: str) -> UUID | None:
    """The id behind its one written form."""
    try:
        found = UUID(value)
    except ValueError:
        return None
    return found if str(found) == value else None


def _id(value: Any) -> Any:
    return str(value)
