"""Resolver of the challenges to sources, for data stewards; the listing is recorded before it is shown."""

import base64
from uuid import UUID

import strawberry

from hub.core.clock import iso
from hub.core.errors import RefusedError
from hub.flows.close_challenge import read
from hub.flows.steward_desk import StewardAct
from hub.records.challenge_store import Challenge as Stored
from hub.records.challenge_store import ChallengeFilter as Wanted
from hub.schema.borrower import Problem, not_allowed
from hub.schema.context import Info
from hub.schema.limits import PAGE_MAX
from hub.schema.types.audit import PageInfo
from hub.schema.types.challenges import Challenge, ChallengeConnection, ChallengeEdge, ChallengeFilter
from hub.schema.types.problems import InvalidInput, NotAllowed, invalid
from hub.schema.types.scalars import Date, DateTime

_STATUS = {True: "OPEN", False: "CLOSED", None: None}


async def resolve_challenges(
    info: Info,
    first: int,
    after: str | None = None,
    filter: ChallengeFilter | None = None,  # noqa: A002 - the argument's name in the schema
) -> ChallengeConnection | InvalidInput | NotAllowed:
    """One page of the challenges in the steward's counties, oldest first."""
    context, given = info.context, filter or ChallengeFilter()
    problems: list[Problem] = [] if 1 <= first <= PAGE_MAX else [(("first",), "PAGE_SIZE")]
    place = None if after is None else _place(after)
    if after is not None and place is None:
        problems.append((("after",), "CURSOR_MALFORMED"))
    if problems:
        return invalid(context.language, *problems)
    bearer = context.bearer
    act = StewardAct(bearer.id, "", context.operation.text, context.variables, client=bearer.id, token=bearer.token_id)
    wanted = Wanted(given.source, _STATUS[given.is_open], given.attribute)
    try:
        found, context.receipt = await read(context.ports.stewards, bearer.asker(), act, wanted, first, place)
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    edges = [ChallengeEdge(cursor=_cursor(each.challenge_id), node=_challenge(each)) for each in found[:first]]
    return ChallengeConnection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=len(found) > first,
            has_previous_page=after is not None,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


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


def _cursor(challenge_id: UUID) -> str:
    return base64.urlsafe_b64encode(b"challenge:" + challenge_id.bytes).decode().rstrip("=")


def _place(cursor: str) -> UUID | None:
    """The place behind a cursor in its one written form, ``None`` for anything else."""
    if len(cursor) > 64:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        place = UUID(bytes=raw.removeprefix(b"challenge:"))
    except ValueError:
        return None
    return place if _cursor(place) == cursor else None
