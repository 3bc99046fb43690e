"""Scorecards of the sources: counts, shares and times, nothing personal."""

from typing import Annotated

import strawberry

from hub.schema.types.problems import InvalidInput, NotAllowed
from hub.schema.types.scalars import DateTime


@strawberry.type(description="某一项的行数。 How many rows one thing concerns.")
class RowCount:
    """Rows by quarantine reason, or by age when they were recorded."""

    name: str = strawberry.field(description="隔离原因或时长。 Quarantine reason, or hour, day, week, month, older.")
    rows: int = strawberry.field(description="行数。 Rows.")


@strawberry.type(description="拉取环节的用时与成功率。 How one phase of the source's pulls went.")
class PhaseScore:
    """A phase of hub/core/phases.py."""

    phase: str = strawberry.field(description="环节。 The phase.")
    times: int = strawberry.field(description="次数。 How often it was passed.")
    failed: int = strawberry.field(description="失败次数。 How often it failed.")
    success: float = strawberry.field(description="成功率。 Share that went well.")
    seconds: float = strawberry.field(description="总用时（秒）。 Seconds in all.")
    longest: float = strawberry.field(description="最长用时（秒）。 Seconds at most.")


@strawberry.type(description="与前一同长时段相比的变化。 Change against the span of the same length before.")
class ScorecardTrend:
    """Null where the source was not measured in both spans."""

    success: float | None = strawberry.field(description="拉取成功率的变化。 Of the share of good pulls.")
    mandatory: float | None = strawberry.field(description="必填完整率的变化。 Of mandatory completeness.")
    filled: float | None = strawberry.field(description="字段填充率的变化。 Of values filled in.")
    validity: float | None = strawberry.field(description="合格率的变化。 Of validity.")


@strawberry.type(description="数据来源评分，由接收方测量。 A source as the receiver measured it.")
class SourceScorecard:
    """Shares are from 0 to 1, null where there was nothing to measure."""

    source: str = strawberry.field(description="来源。 The source.")
    kind: str = strawberry.field(description="接口类型。 Kind of interface.")
    status: str | None = strawberry.field(description="最近一次拉取的结果。 How the last pull ended.")
    circuit: str = strawberry.field(description="熔断状态。 CLOSED, OPEN or HALF_OPEN.")
    last_ok_at: DateTime | None = strawberry.field(description="最近一次成功的时间。 When it was last read well.")
    pulls: int = strawberry.field(description="拉取次数。 Pulls.")
    failed_pulls: int = strawberry.field(description="失败次数。 Pulls that failed.")
    success: float | None = strawberry.field(description="成功率。 Share of pulls that ended well.")
    fetched: int = strawberry.field(description="读取行数。 Rows read.")
    new_rows: int = strawberry.field(description="新行数。 Rows that were new.")
    mandatory: float | None = strawberry.field(description="必填完整率。 Share of new rows with all that is mandatory.")
    filled: float | None = strawberry.field(description="字段填充率。 Share of values filled in.")
    expected_days: int = strawberry.field(description="应到天数。 Days on which something should have come.")
    arrived_days: int = strawberry.field(description="已到天数。 Days on which it came.")
    validity: float | None = strawberry.field(description="合格率。 Share of new rows that broke no rule.")
    quarantined: list[RowCount] = strawberry.field(description="按原因的隔离行数。 Rows held back, by reason.")
    open_quarantine: int = strawberry.field(description="仍在隔离的行数。 Rows still held back.")
    ages: list[RowCount] = strawberry.field(description="入库时距来源时间的时长。 New rows by age when recorded.")
    files: int = strawberry.field(description="已读文件数。 Files read.")
    refused_files: int = strawberry.field(description="拒收文件数。 Files refused.")
    days_late: float | None = strawberry.field(description="文件平均迟到天数。 Mean days until a file was read.")
    conflicts_lost: int = strawberry.field(description="冲突中未被采用的次数。 Statements that lost against others.")
    phases: list[PhaseScore] = strawberry.field(description="各环节。 Its phases.")
    trend: ScorecardTrend = strawberry.field(description="变化。 The trend.")


@strawberry.type(description="各来源的评分。 The scorecards of all sources.")
class SourceScorecards:
    """One card for each source that was ever pulled."""

    days: int = strawberry.field(description="时段天数。 Days that a card spans, until now.")
    sources: list[SourceScorecard] = strawberry.field(description="各来源。 The cards.")


SourceScorecardsResult = Annotated[
    SourceScorecards | InvalidInput | NotAllowed,
    strawberry.union(name="SourceScorecardsResult", description="结果。 What came of it."),
]
