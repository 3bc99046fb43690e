"""Resolver of the challenges to sources, for data stewards; the listing is recorded before it is shown."""

from uuid import UUID

import strawberry

from hub.core.clock import iso
from hub.core.errors import RefusedError
from hub.core.text import is_plain_text
from hub.flows.stewards.close_challenge import read
from hub.records.folding.challenge_store import Challenge as Stored
from hub.records.folding.challenge_store import ChallengeFilter as Wanted
from hub.schema.borrower import not_allowed
from hub.schema.context import Info
from hub.schema.pages import Pages, page_info
from hub.schema.types.challenges import Challenge, ChallengeConnection, ChallengeEdge, ChallengeFilter
from hub.schema.types.problems import InvalidInput, NotAllowed, invalid
from hub.schema.types.scalars import Date, DateTime

_PAGES = Pages("challenge", UUID)
_STATUS = {True: "OPEN", False: "CLOSED", None: None}


async def resolve_challenges(
    info: Info,
    first: int,
    after: str | None = None,
    filter: ChallengeFilter | None = None,  # noqa: A002 - the argument's name in the schema
) -> ChallengeConnection | InvalidInput | NotAllowed:
    """One page of the challenges in the steward's counties, oldest first."""
    context, given = info.context, filter or ChallengeFilter()
    place, problems = _PAGES.arguments(first, after)
    if given.source is not None and not is_plain_text(given.source):
        problems.append((("filter", "source"), "TEXT_MALFORMED"))
    if problems:
        return invalid(context.language, *problems)
    asker, act = context.bearer.asker(), context.steward_act()
    wanted = Wanted(given.source, _STATUS[given.is_open], given.attribute)
    try:
        found, context.receipt = await read(context.ports.stewards, asker, act, wanted, first, place)
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    edges = [ChallengeEdge(cursor=_PAGES.cursor(each.challenge_id), node=_challenge(each)) for each in found[:first]]
    return ChallengeConnection(edges=edges, page_info=page_info(edges, len(found) > first, after))


def _challenge(stored: Stored) -> Challenge:
    return Challenge(
        id=strawberry.ID(str(stored.challenge_id)),
        source=stored.source,
        source_key=stored.source_key,
        source_version=stored.version,
        attribute=stored.attribute,
        cause=stored.cause,
        rule_version=stored.rule_version,
        opened_at=DateTime(iso(stored.opened_at)),
        due_on=Date(stored.due_on.isoformat()),
        outcome=stored.outcome,
        closed_at=None if stored.closed_at is None else DateTime(iso(stored.closed_at)),
    )
