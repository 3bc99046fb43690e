"""Rows in quarantine as data stewards work with them. The content of a row is not reachable over the API."""

from typing import Annotated

import strawberry

from hub.core.names import QuarantineReason
from hub.schema.messages import Language, text
from hub.schema.types.audit import PageInfo
from hub.schema.types.problems import Conflict, InvalidInput, NotAllowed, NotFound, Refusal
from hub.schema.types.scalars import DateTime

QUARANTINE_REASON = strawberry.enum(
    QuarantineReason, description="隔离原因，靠前者优先。 Why a row is held back; the first of several wins."
)


@strawberry.type(description="等待时长。 Open entries by age.")
class QuarantineAges:
    """Each entry is counted once."""

    day: int = strawberry.field(description="一天以内。 Up to a day.")
    week: int = strawberry.field(description="一周以内。 Up to a week.")
    month: int = strawberry.field(description="三十天以内。 Up to 30 days.")
    older: int = strawberry.field(description="更久。 Older.")


@strawberry.type(description="同一来源、同一原因的隔离行。 The entries of one source and reason.")
class QuarantineGroup:
    """Counts only."""

    source: str = strawberry.field(description="来源单位。 The source.")
    reason: QuarantineReason = strawberry.field(description="原因。 The reason.")
    open: int = strawberry.field(description="未处理。 Open entries.")
    kept: int = strawberry.field(description="其中保留内容的。 Those whose content is kept.")
    ages: QuarantineAges = strawberry.field(description="等待时长。 The open ones by age.")
    oldest: DateTime | None = strawberry.field(description="最早一条的时间。 Since when the oldest waits.")
    came: int = strawberry.field(description="本期新增。 New entries of the period.")
    came_before: int = strawberry.field(description="上期新增。 New entries of the period before.")
    trend: str = strawberry.field(description="GROWING、SHRINKING 或 STEADY。 Whether more come than before.")
    closed: int = strawberry.field(description="本期结束。 Entries closed in the period.")
    repaired: int = strawberry.field(description="经更正。 Closed by a repair.")
    released: int = strawberry.field(description="经放行。 Closed by a release.")
    discarded: int = strawberry.field(description="经废弃。 Closed by a discard.")
    overtaken: int = strawberry.field(description="被后续数据取代。 Closed by a later delivery.")


@strawberry.type(description="隔离区概况。 What is held back, in numbers.")
class QuarantineSummary:
    """Groups by source and reason."""

    days: int = strawberry.field(description="每期天数。 Days of the period.")
    groups: list[QuarantineGroup] = strawberry.field(description="分组。 The groups.")


@strawberry.type(description="一条被隔离的数据，不含内容。 One row that is held back, without its content.")
class QuarantineEntry:
    """As ``hub quarantine list`` prints it."""

    id: strawberry.ID = strawberry.field(description="编号，如 q-000017。 The entry.")
    source: str = strawberry.field(description="来源单位。 The source.")
    source_key: str = strawberry.field(description="来源主键。 The source's own key.")
    reason: QuarantineReason = strawberry.field(description="原因。 Why it is held back.")
    other_reasons: list[QuarantineReason] = strawberry.field(description="其他原因。 Further reasons.")
    origin: str = strawberry.field(description="出处。 File, line or page.")
    first_seen: DateTime = strawberry.field(description="首次收到。 When it came first.")
    last_seen: DateTime = strawberry.field(description="最近收到。 When it came last.")
    is_open: bool = strawberry.field(description="是否未处理。 Whether it still waits.")


@strawberry.type(description="列表中的一条。 One entry in a page.")
class QuarantineEntryEdge:
    """An entry and where it lies."""

    cursor: str = strawberry.field(description="游标。 Where it lies.")
    node: QuarantineEntry = strawberry.field(description="该条。 The entry.")


@strawberry.type(description="被隔离的数据，旧的在前。 What is held back, oldest first.")
class QuarantineEntryConnection:
    """A page of entries."""

    edges: list[QuarantineEntryEdge] = strawberry.field(description="本页。 The page.")
    page_info: PageInfo = strawberry.field(description="分页位置。 Where it lies.")


@strawberry.type(description="该行已进入档案。 The row counts now.")
class QuarantinedRowReadmitted:
    """A row was repaired or released."""

    id: strawberry.ID = strawberry.field(description="隔离编号。 The entry.")
    outcome: str = strawberry.field(
        description="CURRENT 为现行；SUPERSEDED 为已有更新版本。 Whether it is the current version of its key."
    )
    contract: str = strawberry.field(description="所依据的接口版本。 The contract by which it was judged.")
    corrected: list[str] = strawberry.field(description="更正的字段。 The corrected fields, by wire name.")


@strawberry.type(description="该行已废弃。 The row was discarded.")
class QuarantinedRowDiscarded:
    """Its content is destroyed; that it came stays."""

    id: strawberry.ID = strawberry.field(description="隔离编号。 The entry.")


@strawberry.type(description="该行仍不合规，继续隔离。 The row still breaks rules and stays where it is.")
class QuarantinedRowBreaksRules(Refusal):
    """Nothing was changed."""

    reasons: list[QuarantineReason] = strawberry.field(description="尚存的原因。 The reasons that remain.")


@strawberry.input(description="筛选条件。 Which entries.")
class QuarantineFilter:
    """All conditions hold together."""

    source: str | None = strawberry.field(default=None, description="只要此来源。 Only this source.")
    reason: QuarantineReason | None = strawberry.field(default=None, description="只要此原因。 Only this reason.")
    is_open: bool | None = strawberry.field(
        default=True, description="true 未处理，false 已处理，null 全部。 Open ones, closed ones, or all."
    )


@strawberry.input(
    description="一处更正；text 与 number 均为空时清除该值。 One corrected field; with neither it is emptied."
)
class QuarantineCorrection:
    """Sent as a variable only: it may hold personal data."""

    field: str = strawberry.field(description="来源字段名。 The wire name of the field.")
    text: str | None = strawberry.field(default=None, description="文本值。 A text, as the agency writes it.")
    number: int | None = strawberry.field(default=None, description="数值。 A whole number.")


@strawberry.input(description="更正一行。 Correct a row.")
class RepairQuarantinedRowInput:
    """What the agency sends later wins over it."""

    id: strawberry.ID = strawberry.field(description="隔离编号。 The entry.")
    corrections: list[QuarantineCorrection] = strawberry.field(description="更正内容。 The corrected fields.")
    reason: str = strawberry.field(description="事由，1至500字，记入日志。 The case; it is recorded.")
    idempotency_key: str = strawberry.field(description="幂等键。 The same key again makes no second change.")


@strawberry.input(description="放行一行。 Release a row as it was delivered.")
class ReleaseQuarantinedRowInput:
    """Only what breaks no rule any more."""

    id: strawberry.ID = strawberry.field(description="隔离编号。 The entry.")
    reason: str = strawberry.field(description="事由，1至500字，记入日志。 The case; it is recorded.")
    idempotency_key: str = strawberry.field(description="幂等键。 The same key again makes no second change.")


@strawberry.input(description="废弃一行。 Discard a row.")
class DiscardQuarantinedRowInput:
    """Its content is destroyed."""

    id: strawberry.ID = strawberry.field(description="隔离编号。 The entry.")
    reason: str = strawberry.field(description="事由，1至500字，记入日志。 The case; it is recorded.")
    idempotency_key: str = strawberry.field(description="幂等键。 The same key again makes no second change.")


def still_breaks(language: Language, reasons: list[QuarantineReason]) -> QuarantinedRowBreaksRules:
    """The refusal of a row that still breaks these rules."""
    code = "QUARANTINE_STILL_BREAKS"
    return QuarantinedRowBreaksRules(code=code, message=text(code, language), reasons=reasons)


QuarantineSummaryResult = Annotated[
    QuarantineSummary | InvalidInput | NotAllowed,
    strawberry.union(name="QuarantineSummaryResult", description="结果。 What came of it."),
]
QuarantineRowsResult = Annotated[
    QuarantineEntryConnection | InvalidInput | NotAllowed,
    strawberry.union(name="QuarantineRowsResult", description="结果。 What came of it."),
]
RepairQuarantinedRowResult = Annotated[
    QuarantinedRowReadmitted | QuarantinedRowBreaksRules | InvalidInput | NotFound | Conflict | NotAllowed,
    strawberry.union(name="RepairQuarantinedRowResult", description="结果。 What came of it."),
]
ReleaseQuarantinedRowResult = Annotated[
    QuarantinedRowReadmitted | QuarantinedRowBreaksRules | InvalidInput | NotFound | Conflict | NotAllowed,
    strawberry.union(name="ReleaseQuarantinedRowResult", description="结果。 What came of it."),
]
DiscardQuarantinedRowResult = Annotated[
    QuarantinedRowDiscarded | InvalidInput | NotFound | Conflict | NotAllowed,
    strawberry.union(name="DiscardQuarantinedRowResult", description="结果。 What came of it."),
]
