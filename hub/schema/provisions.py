"""Resolver of the records of provision."""

from typing import Any
from uuid import UUID

from hub.core.errors import RefusedError
from hub.flows.readings.read_provisions import ProvisionsWanted, read_provisions
from hub.schema.audit import read_instant
from hub.schema.borrower import not_allowed
from hub.schema.changing import id_of, operation_of
from hub.schema.context import Info
from hub.schema.pages import Pages, page_info
from hub.schema.types.problems import InvalidInput, NotAllowed, invalid
from hub.schema.types.provisions import Provision, ProvisionConnection, ProvisionEdge, ProvisionFilter
from hub.schema.types.scalars import DateTime

_PAGES = Pages("provision", UUID)


async def resolve_provisions(
    info: Info,
    first: int,
    after: str | None = None,
    filter: ProvisionFilter | None = None,  # noqa: A002 - the argument's name in the schema
) -> ProvisionConnection | InvalidInput | NotAllowed:
    """One page of the records, oldest first."""
    context, given = info.context, filter or ProvisionFilter()
    place, problems = _PAGES.arguments(first, after)
    since, until = (read_instant(getattr(given, name), name, problems) for name in ("since", "until"))
    if problems:
        return invalid(context.language, *problems)
    wanted = ProvisionsWanted(first, place, given.organisation_id, since, until)
    ports = context.ports
    try:
        found, context.receipt = await read_provisions(
            ports.consents, ports.auditor, context.bearer.asker(), operation_of(context), wanted
        )
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    edges = [ProvisionEdge(cursor=_PAGES.cursor(each["entry"]), node=_provision(each)) for each in found[:first]]
    return ProvisionConnection(edges=edges, page_info=page_info(edges, len(found) > first, after))


def _provision(told: dict[str, Any]) -> Provision:
    return Provision(
        id=id_of(told["entry"]),
        at=DateTime(told["at"]),
        organisation_id=id_of(told["recipient"]),
        system=told["system"],
        officer=told["officer"],
        purpose=told["purpose"],
        county=told["county"],
        persons=[id_of(each) for each in told["persons"]],
        parts=told["parts"],
        basis_id=told["basis"] and id_of(told["basis"]),
        basis_kind=told["basisKind"],
        reference=told["reference"],
    )
