"""Challenges as data stewards see them: what is asked about which row, never what any source says."""

from typing import Annotated

import strawberry

from hub.core.names import Attribute, ChallengeCause, ChallengeOutcome
from hub.schema.types.audit import PageInfo
from hub.schema.types.problems import InvalidInput, NotAllowed
from hub.schema.types.scalars import Date, DateTime

ATTRIBUTE = strawberry.enum(Attribute, description="What several sources can state about a person.")
CAUSE = strawberry.enum(
    ChallengeCause, description="LOST: contradicted by a statement that goes first. STALE: older than its kind may be."
)
OUTCOME = strawberry.enum(
    ChallengeOutcome,
    description="How it ended. DISSOLVED: the disagreement is gone though the source said nothing new.",
)


@strawberry.type(description="请来源单位核对的一行。 A row that its source is asked to look at again.")
class Challenge:
    """One challenge."""

    id: strawberry.ID = strawberry.field(description="编号。 The challenge.")
    source: str = strawberry.field(description="来源单位。 The source that is asked.")
    source_key: str = strawberry.field(description="来源主键。 The source's own key of the row.")
    source_version: str = strawberry.field(description="来源版本。 The version of the row when it was opened.")
    attribute: Attribute = strawberry.field(description="事项。 What to look at.")
    cause: ChallengeCause = strawberry.field(description="原因。 Why.")
    rule_version: int = strawberry.field(description="采信规则版本。 Version of the rule (docs/PRECEDENCE.md).")
    opened_at: DateTime = strawberry.field(description="提出时间。 When it was opened.")
    due_on: Date = strawberry.field(description="答复期限。 By when it is to be answered (征信业管理条例 art. 25).")
    outcome: ChallengeOutcome | None = strawberry.field(description="结果，未结为空。 How it ended; null while open.")
    closed_at: DateTime | None = strawberry.field(description="结束时间。 When it ended.")


@strawberry.type(description="一条核对请求。 One challenge in a page.")
class ChallengeEdge:
    """A challenge and where it lies."""

    cursor: str = strawberry.field(description="游标。 Where it lies.")
    node: Challenge = strawberry.field(description="该条。 The challenge.")


@strawberry.type(description="核对请求，旧的在前。 Challenges of the steward's counties, oldest first.")
class ChallengeConnection:
    """A page of challenges."""

    edges: list[ChallengeEdge] = strawberry.field(description="本页。 The page.")
    page_info: PageInfo = strawberry.field(description="分页位置。 Where it lies.")


@strawberry.input(description="筛选条件。 Which challenges.")
class ChallengeFilter:
    """All conditions hold together."""

    source: str | None = strawberry.field(default=None, description="只要此来源。 Only this source.")
    attribute: Attribute | None = strawberry.field(default=None, description="只要此事项。 Only about this attribute.")
    is_open: bool | None = strawberry.field(
        default=True, description="true 未结，false 已结，null 全部。 Open ones, closed ones, or all."
    )


ChallengesResult = Annotated[
    ChallengeConnection | InvalidInput | NotAllowed,
    strawberry.union(name="ChallengesResult", description="结果。 What came of it."),
]
