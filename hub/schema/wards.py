"""The resolver of a guardian's wards."""

from hub.core.clock import iso
from hub.core.errors import RefusedError
from hub.flows.consent.list_wards import list_wards
from hub.schema.borrower import not_allowed
from hub.schema.changing import id_of, operation_of
from hub.schema.context import Info
from hub.schema.types.problems import NotAllowed
from hub.schema.types.scalars import Date, DateTime
from hub.schema.types.wards import Ward, Wards


async def resolve_wards(info: Info) -> Wards | NotAllowed:
    """The minors for whom the resident who asks may act."""
    context = info.context
    try:
        wards, context.receipt = await list_wards(context.ports.consents, context.bearer.asker(), operation_of(context))
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    return Wards(
        items=[
            Ward(
                id=id_of(ward.ward_id),
                name=ward.name,
                birth_date=Date(ward.birth_date.isoformat()),
                ground=ward.ground,
                source=ward.source,
                until=DateTime(iso(ward.until)),
                needs_minor=ward.needs_minor,
            )
            for ward in wards
        ]
    )
