"""Alarms about officers' queries, for regulators and auditors."""

from typing import Annotated

import strawberry

from hub.access.alerts import AlertKind, AlertOutcome
from hub.schema.types.audit import PageInfo
from hub.schema.types.problems import InvalidInput, NotAllowed
from hub.schema.types.scalars import Date, DateTime

ALERT_KIND = strawberry.enum(
    AlertKind,
    name="SecurityAlertKind",
    description="CANARY: a person was asked about who does not exist. OFFICER_RATE, VILLAGE_RATE: far more queries "
    "than usual. DENIED: far more refused ones. NO_RESULT: most queries led to no loan. ASSISTED: a village desk tried "
    "more often on a day than it may. BREACH: a duty after a breach was not done in time.",
)
ALERT_OUTCOME = strawberry.enum(
    AlertOutcome, name="SecurityAlertOutcome", description="What a look at the alarm found."
)


@strawberry.type(description="一条查询异常警报。 One alarm about queries.")
class SecurityAlert:
    """One alarm."""

    id: strawberry.ID = strawberry.field(description="编号。 The alarm.")
    kind: AlertKind = strawberry.field(description="种类。 Why it was raised.")
    raised_at: DateTime = strawberry.field(description="提出时间。 When it was raised.")
    day: Date = strawberry.field(description="所涉日期。 The day it is about; for NO_RESULT the month.")
    organisation_id: str | None = strawberry.field(description="机构。 The organisation that asked.")
    officer: str | None = strawberry.field(description="经办人。 The officer who asked.")
    village_code: str | None = strawberry.field(description="村。 The village that was asked about.")
    observed: float = strawberry.field(description="次数。 How many queries.")
    usual: float | None = strawberry.field(description="通常次数。 How many are usual.")
    score: float | None = strawberry.field(description="偏离程度。 How far above the usual (docs/ALERTS.md).")
    is_open: bool = strawberry.field(description="是否未结。 Whether nobody has closed it.")
    outcome: AlertOutcome | None = strawberry.field(description="核查结论。 What was found.")
    closed_at: DateTime | None = strawberry.field(description="结束时间。 When it was closed.")


@strawberry.type(description="一条警报及其位置。 One alarm in a page.")
class SecurityAlertEdge:
    """An alarm and where it lies."""

    cursor: str = strawberry.field(description="游标。 Where it lies.")
    node: SecurityAlert = strawberry.field(description="该条。 The alarm.")


@strawberry.type(description="查询异常警报，旧的在前。 Alarms about queries, oldest first.")
class SecurityAlertConnection:
    """A page of alarms."""

    edges: list[SecurityAlertEdge] = strawberry.field(description="本页。 The page.")
    page_info: PageInfo = strawberry.field(description="分页位置。 Where it lies.")


@strawberry.input(description="筛选条件。 Which alarms.")
class SecurityAlertFilter:
    """All conditions hold together."""

    kind: AlertKind | None = strawberry.field(default=None, description="只要此种类。 Only this kind.")
    is_open: bool | None = strawberry.field(
        default=True, description="true 未结，false 已结，null 全部。 Open ones, closed ones, or all."
    )


SecurityAlertsResult = Annotated[
    SecurityAlertConnection | InvalidInput | NotAllowed,
    strawberry.union(name="SecurityAlertsResult", description="结果。 What came of it."),
]
