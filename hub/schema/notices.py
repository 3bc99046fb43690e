"""Resolver of the notices to a resident."""

from hub.access.breaches import BreachKind
from hub.core.clock import iso
from hub.core.errors import RefusedError
from hub.flows.duties.breaches import own_notices
from hub.schema.borrower import not_allowed
from hub.schema.changing import id_of
from hub.schema.context import Info
from hub.schema.types.notices import BreachNotice, Notices
from hub.schema.types.problems import NotAllowed
from hub.schema.types.scalars import DateTime


async def resolve_notices(info: Info) -> Notices | NotAllowed:
    """What the resident who asks was told; that he reads it is noted."""
    context = info.context
    try:
        told = await own_notices(context.ports.consents, context.bearer.asker())
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    return Notices(
        breaches=[
            BreachNotice(
                id=id_of(each["breach_id"]),
                what=BreachKind(each["what"]),
                discovered_at=DateTime(iso(each["discovered_at"])),
                told_at=DateTime(iso(each["told_at"])),
                categories=list(each["categories"]),
                **each["notice"],
            )
            for each in told
        ]
    )
