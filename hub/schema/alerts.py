"""Resolver of the alarms about officers' queries."""

from uuid import UUID

import strawberry

from hub.access.alerts import Alert
from hub.core.clock import iso
from hub.core.errors import RefusedError
from hub.flows.consent.consent_change import Operation
from hub.flows.readings.read_alerts import AlertsWanted, read_alerts
from hub.schema.borrower import not_allowed
from hub.schema.context import Info
from hub.schema.pages import Pages, page_info
from hub.schema.types.alerts import SecurityAlert, SecurityAlertConnection, SecurityAlertEdge, SecurityAlertFilter
from hub.schema.types.problems import InvalidInput, NotAllowed, invalid
from hub.schema.types.scalars import Date, DateTime

_PAGES = Pages("alert", UUID)
_STATUS = {True: "OPEN", False: "CLOSED", None: None}


async def resolve_security_alerts(
    info: Info,
    first: int,
    after: str | None = None,
    filter: SecurityAlertFilter | None = None,  # noqa: A002 - the argument's name in the schema
) -> SecurityAlertConnection | InvalidInput | NotAllowed:
    """One page of the alarms, oldest first."""
    context, given = info.context, filter or SecurityAlertFilter()
    place, problems = _PAGES.arguments(first, after)
    if problems:
        return invalid(context.language, *problems)
    wanted = AlertsWanted(first, place, _STATUS[given.is_open], given.kind)
    operation = Operation(context.operation.text, context.variables)
    try:
        found, context.receipt = await read_alerts(
            context.ports.consents, context.ports.auditor, context.bearer.asker(), operation, wanted
        )
    except RefusedError as refusal:
        return not_allowed(context, refusal)
    edges = [SecurityAlertEdge(cursor=_PAGES.cursor(each.alert_id), node=_alert(each)) for each in found[:first]]
    return SecurityAlertConnection(edges=edges, page_info=page_info(edges, len(found) > first, after))


def _alert(alert: Alert) -> SecurityAlert:
    return SecurityAlert(
        id=strawberry.ID(str(alert.alert_id)),
        kind=alert.kind,
        raised_at=DateTime(iso(alert.raised_at)),
        day=Date(alert.day.isoformat()),
        organisation_id=alert.organisation_id,
        officer=alert.officer,
        village_code=alert.village_code,
        observed=alert.observed,
        usual=alert.usual,
        score=alert.score,
        is_open=alert.status == "OPEN",
        outcome=alert.outcome,
        closed_at=None if alert.closed_at is None else DateTime(iso(alert.closed_at)),
    )
