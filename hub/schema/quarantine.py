"""Resolvers of quarantine, for data stewards: counts, entries without content, repair, release, discard."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import strawberry

from hub.core.clock import iso
from hub.core.errors import HubError, InputError, RefusedError
from hub.core.names import QuarantineReason
from hub.flows.intake.pull import PullRunningError
from hub.flows.stewards.discard_quarantined import discard_row
from hub.flows.stewards.list_quarantined import list_rows, summarise
from hub.flows.stewards.quarantined_entry import EntryClosedError, NoSuchEntryError
from hub.flows.stewards.readmit_quarantined import (
    NotKeptError,
    Readmitted,
    StillBreaksError,
    release_row,
    repair_row,
)
from hub.records.held_back.quarantine import NoSuchSourceError
from hub.records.held_back.quarantine_entries import number_of
from hub.schema.borrower import KEY, Problem, not_allowed
from hub.schema.context import Info, OperationContext
from hub.schema.messages import has_text, text
from hub.schema.once import Facts, KeyRefusedError, once
from hub.schema.pages import Pages, number_from_1, page_info
from hub.schema.types.problems import Conflict, InvalidInput, NotAllowed, NotFound, invalid
from hub.schema.types.quarantine import (
    DiscardQuarantinedRowInput,
    QuarantineAges,
    QuarantineCorrection,
    QuarantinedRowBreaksRules,
    QuarantinedRowDiscarded,
    QuarantinedRowReadmitted,
    QuarantineEntry,
    QuarantineEntryConnection,
    QuarantineEntryEdge,
    QuarantineFilter,
    QuarantineGroup,
    QuarantineSummary,
    ReleaseQuarantinedRowInput,
    RepairQuarantinedRowInput,
    still_breaks,
)
from hub.schema.types.scalars import DateTime

DAYS_MAX = 366
"""Longest period of a summary, in days."""

_PAGES = Pages("quarantine", number_from_1)
_STATUS = {True: "OPEN", False: "CLEARED", None: None}
_CHANGED = (EntryClosedError, NotKeptError, PullRunningError)
"""Refusals that depend on what has happened meanwhile."""

Made = TypeVar("Made", QuarantinedRowReadmitted, QuarantinedRowDiscarded)


async def resolve_quarantine_summary(
    info: Info, days: int = 7, source: str | None = None
) -> QuarantineSummary | InvalidInput | NotAllowed:
    """The counts by source and reason."""
    context = info.context
    if not 1 <= days <= DAYS_MAX:
        return invalid(context.language, (("days",), "DAYS"))
    try:
        groups, context.receipt = await summarise(
            context.ports.stewards, context.bearer.asker(), await context.own_act(), days=days, source=source
        )
    except NoSuchSourceError as error:
        return invalid(context.language, (("source",), error.code))
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    return QuarantineSummary(
        days=days,
        groups=[
            QuarantineGroup(
                source=group.source,
                reason=group.reason,
                open=group.open,
                kept=group.kept,
                ages=QuarantineAges(**group.ages),
                oldest=None if group.oldest is None else DateTime(iso(group.oldest)),
                came=group.came,
                came_before=group.came_before,
                trend=group.trend,
                closed=group.closed,
                repaired=group.repaired,
                released=group.released,
                discarded=group.discarded,
                overtaken=group.overtaken,
            )
            for group in groups
        ],
    )


async def resolve_quarantine_rows(
    info: Info,
    first: int,
    after: str | None = None,
    filter: QuarantineFilter | None = None,  # noqa: A002 - the argument's name in the schema
) -> QuarantineEntryConnection | InvalidInput | NotAllowed:
    """One page of the entries, oldest first."""
    context, given = info.context, filter or QuarantineFilter()
    place, problems = _PAGES.arguments(first, after)
    if problems:
        return invalid(context.language, *problems)
    try:
        found, context.receipt = await list_rows(
            context.ports.stewards, context.bearer.asker(), await context.own_act(), source=given.source,
            reason=given.reason, status=_STATUS[given.is_open], after=place or 0, first=first,
        )  # fmt: skip
    except NoSuchSourceError as error:
        return invalid(context.language, (("filter", "source"), error.code))
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    edges = [
        QuarantineEntryEdge(cursor=_PAGES.cursor(number_of(entry["id"])), node=_entry(entry)) for entry in found[:first]
    ]
    return QuarantineEntryConnection(edges=edges, page_info=page_info(edges, len(found) > first, after))


async def resolve_repair_quarantined_row(
    info: Info,
    input: RepairQuarantinedRowInput,  # noqa: A002 - the argument's name in the schema
) -> QuarantinedRowReadmitted | QuarantinedRowBreaksRules | InvalidInput | NotFound | Conflict | NotAllowed:
    """Correct fields of a row and let it count."""
    context = info.context
    corrections = _corrections(input.corrections)
    if corrections is None:
        return invalid(context.language, (("input", "corrections"), "CORRECTION_MALFORMED"))

    async def act(number: int) -> Facts:
        made, context.receipt = await repair_row(
            context.ports.stewards, await context.own_act(input.reason), number, corrections
        )
        return _readmitted(made)

    return await _done(context, input, act, QuarantinedRowReadmitted)


async def resolve_release_quarantined_row(
    info: Info,
    input: ReleaseQuarantinedRowInput,  # noqa: A002 - the argument's name in the schema
) -> QuarantinedRowReadmitted | QuarantinedRowBreaksRules | InvalidInput | NotFound | Conflict | NotAllowed:
    """Let a row count as it was delivered."""
    context = info.context

    async def act(number: int) -> Facts:
        made, context.receipt = await release_row(context.ports.stewards, await context.own_act(input.reason), number)
        return _readmitted(made)

    return await _done(context, input, act, QuarantinedRowReadmitted)


async def resolve_discard_quarantined_row(
    info: Info,
    input: DiscardQuarantinedRowInput,  # noqa: A002 - the argument's name in the schema
) -> QuarantinedRowDiscarded | InvalidInput | NotFound | Conflict | NotAllowed:
    """Destroy what is kept of a row."""
    context = info.context

    async def act(number: int) -> Facts:
        made, context.receipt = await discard_row(context.ports.stewards, await context.own_act(input.reason), number)
        return {"id": made.entry}

    answer = await _done(context, input, act, QuarantinedRowDiscarded)
    if isinstance(answer, QuarantinedRowBreaksRules):
        raise AssertionError("a discard judges no rule")
    return answer


async def _done(
    context: OperationContext,
    given: RepairQuarantinedRowInput | ReleaseQuarantinedRowInput | DiscardQuarantinedRowInput,
    act: Callable[[int], Awaitable[Facts]],
    made: type[Made],
) -> Made | QuarantinedRowBreaksRules | InvalidInput | NotFound | Conflict | NotAllowed:
    """Do an act once and turn its refusals into answers."""
    problems: list[Problem] = [] if KEY.fullmatch(given.idempotency_key) else [
        (("input", "idempotencyKey"), "KEY_MALFORMED")
    ]  # fmt: skip
    number = _number(given.id)
    if number is None:
        problems.append((("input", "id"), "ID_MALFORMED"))
    if problems or number is None:
        return invalid(context.language, *problems)
    try:
        await context.ports.stewards.check_role(context.bearer.asker())
        facts = await once(context, given.idempotency_key, lambda: act(number))
    except KeyRefusedError as refusal:
        return invalid(context.language, (("input", "idempotencyKey"), refusal.code))
    except StillBreaksError as refusal:
        return still_breaks(context.language, list(refusal.reasons))
    except NoSuchEntryError as error:
        return NotFound(code=error.code, message=text(error.code, context.language))
    except InputError as error:
        code = error.code if has_text(error.code) else "CORRECTION_MALFORMED"
        return invalid(context.language, (("input",), code))
    except _CHANGED as refusal:
        return _conflict(context, refusal)
    except RefusedError as refusal:
        return _conflict(context, refusal) if refusal.code == "PULL_UNSETTLED" else not_allowed(context, refusal)
    if facts is None:
        raise AssertionError("an act gives facts or raises")
    return made(**facts)


def _conflict(context: OperationContext, refusal: HubError) -> Conflict:
    return Conflict(code=refusal.code, message=text(refusal.code, context.language))


def _readmitted(made: Readmitted) -> Facts:
    return {"id": made.entry, "outcome": made.outcome, "contract": made.contract, "corrected": list(made.corrected)}


def _corrections(given: list[QuarantineCorrection]) -> dict[str, Any] | None:
    """The corrections by field, ``None`` if a field stands twice or a correction has two values."""
    found: dict[str, Any] = {}
    for each in given:
        if each.field in found or (each.text is not None and each.number is not None):
            return None
        found[each.field] = each.text if each.text is not None else each.number
    return found


def _entry(entry: dict[str, Any]) -> QuarantineEntry:
    return QuarantineEntry(
        id=strawberry.ID(entry["id"]),
        source=entry["source"],
        source_key=entry["source_key"],
        reason=QuarantineReason[entry["reason"]],
        other_reasons=[QuarantineReason[name] for name in entry["other_reasons"]],
        origin=entry["origin"],
        first_seen=DateTime(entry["first_seen"]),
        last_seen=DateTime(entry["last_seen"]),
        is_open=entry["status"] == "OPEN",
    )


def _number(entry: str) -> int | None:
    try:
        return number_of(entry)
    except InputError:
        return None
