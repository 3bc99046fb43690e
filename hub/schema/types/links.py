"""The review of links as data stewards see it. Nothing of it is reachable for anybody else."""

from typing import Annotated

import strawberry

from hub.core.names import LinkState, LinkVerdict
from hub.schema.types.audit import PageInfo
from hub.schema.types.problems import Conflict, InvalidInput, NotAllowed, NotFound
from hub.schema.types.scalars import DateTime

LINK_STATE = strawberry.enum(LinkState, description="关联状态。 How a row is tied to a person.")
LINK_VERDICT = strawberry.enum(LinkVerdict, description="认定结果。 What a reviewer decides.")


@strawberry.type(description="关联的依据之一。 How far row and member agree in one attribute.")
class LinkEvidence:
    """One attribute; the agreement is a level, never a value."""

    attribute: str = strawberry.field(description="比对项：name、place、phone、number。 What was compared.")
    agreement: str = strawberry.field(description="一致程度。 How far they agree.")
    bits: float = strawberry.field(
        description="权重（比特），正数支持、负数反对。 Its weight in bits; negative speaks against."
    )


@strawberry.type(description="可能所指的家庭成员。 A member who may be meant.")
class LinkCandidate:
    """As the roster has him."""

    member_no: str = strawberry.field(description="成员编号。 The member's number.")
    is_linked: bool = strawberry.field(description="目前是否关联到此人。 Whether the row is tied to this person now.")
    by_exact_rule: bool = strawberry.field(description="是否由精确规则找到。 Whether the exact rule found him.")
    band: str | None = strawberry.field(description="分数段 A 至 D。 The band of the score.")
    score: float | None = strawberry.field(description="所指为此人的概率。 Probability that this person is meant.")
    name: str | None = strawberry.field(description="姓名。 Name on the roster.")
    id_masked: str | None = strawberry.field(description="脱敏身份证号。 ID number, masked.")
    birth_year: int = strawberry.field(description="出生年份。 Year of birth.")
    household_no: str | None = strawberry.field(description="户号。 Number of the household.")
    village_code: str | None = strawberry.field(description="村代码。 Code of the village.")
    township_name: str | None = strawberry.field(description="乡镇。 Township.")
    village_name: str | None = strawberry.field(description="村。 Village.")
    group_no: str | None = strawberry.field(description="村民小组。 Villagers' group.")
    phone: str | None = strawberry.field(description="户联系电话。 Phone of the household.")
    status: str = strawberry.field(description="ACTIVE 或 DECEASED。 Alive or dead.")
    evidence: list[LinkEvidence] = strawberry.field(description="依据。 The evidence per attribute.")


@strawberry.type(description="一次认定。 One decision about a row.")
class LinkDecision:
    """Append-only; later ones stand beside earlier ones."""

    number: int = strawberry.field(description="序号。 Its place, from 1.")
    verdict: LinkVerdict = strawberry.field(description="结果。 What was decided.")
    member_no: str | None = strawberry.field(description="成员编号。 The member it names.")
    steward: str = strawberry.field(description="认定人。 Who decided.")
    reason: str = strawberry.field(description="理由。 Why.")
    decided_at: DateTime = strawberry.field(description="时间。 When.")


@strawberry.type(description="待复核的一行；不含个人数据。 A row that waits for a reviewer; nothing personal.")
class LinkReviewSummary:
    """Numbers only."""

    id: strawberry.ID = strawberry.field(description="复核编号。 The review.")
    source: str = strawberry.field(description="数据来源。 The source.")
    source_key: str = strawberry.field(description="来源主键。 The source's own key.")
    state: LinkState = strawberry.field(description="关联状态。 State of the link.")
    since: DateTime = strawberry.field(description="自何时。 Since when.")
    band: str | None = strawberry.field(description="最佳候选的分数段。 Band of the best candidate.")
    score: float | None = strawberry.field(description="最佳候选的分数。 Score of the best candidate.")
    proposals: int = strawberry.field(description="候选人数。 How many members are proposed.")
    decisions: int = strawberry.field(description="已有认定次数。 Decisions made so far.")
    quarantine_reason: str | None = strawberry.field(description="隔离原因。 Why it is held back, if it is.")


@strawberry.type(description="列表中的一行。 One row of a page.")
class LinkReviewEdge:
    """A row and where it lies."""

    cursor: str = strawberry.field(description="游标。 Where it lies.")
    node: LinkReviewSummary = strawberry.field(description="该行。 The row.")


@strawberry.type(description="复核队列，最有把握的在前。 The review queue, the surest proposals first.")
class LinkReviewConnection:
    """A page of the queue."""

    edges: list[LinkReviewEdge] = strawberry.field(description="本页。 The page.")
    page_info: PageInfo = strawberry.field(description="分页位置。 Where it lies.")


@strawberry.type(
    description="一行与其候选人并列；每次查看都有审计。 A row beside its candidates; each look is an audited entry."
)
class LinkReview:
    """Both records side by side."""

    id: strawberry.ID = strawberry.field(description="复核编号。 The review.")
    source: str = strawberry.field(description="数据来源。 The source.")
    source_key: str = strawberry.field(description="来源主键。 The source's own key.")
    source_version: str = strawberry.field(description="来源版本。 Version of the row.")
    state: LinkState = strawberry.field(description="关联状态。 State of the link.")
    is_linkable: bool = strawberry.field(description="能否关联；证件号损坏的只能修复。 Whether it may be linked.")
    quarantine_reason: str | None = strawberry.field(description="隔离原因。 Why it is held back, if it is.")
    name: str | None = strawberry.field(description="来源所写姓名。 Name as the source wrote it.")
    address: str | None = strawberry.field(description="来源所写地址。 Address as the source wrote it.")
    phone: str | None = strawberry.field(description="来源所写电话。 Phone as the source wrote it.")
    id_masked: str | None = strawberry.field(description="来源所写证件号，脱敏。 Number as written, masked.")
    candidates: list[LinkCandidate] = strawberry.field(description="候选人。 Members who may be meant.")
    decisions: list[LinkDecision] = strawberry.field(description="以往认定。 What was decided before.")


@strawberry.type(description="已认定。 The decision stands.")
class LinkDecided:
    """Sections of the households concerned are refreshed with it."""

    id: strawberry.ID = strawberry.field(description="复核编号。 The review.")
    number: int = strawberry.field(description="认定序号。 The decision's place, from 1.")
    verdict: LinkVerdict = strawberry.field(description="结果。 What was decided.")
    state: LinkState = strawberry.field(description="认定后的状态。 State of the link now.")
    member_no: str | None = strawberry.field(description="成员编号。 The member it names.")
    decided_at: DateTime = strawberry.field(description="时间。 When.")


@strawberry.input(description="筛选条件；不给则为待复核的行。 Which rows; by default those that wait.")
class LinkReviewFilter:
    """All conditions hold together."""

    states: list[LinkState] | None = strawberry.field(default=None, description="只要这些状态。 Only these states.")
    source: str | None = strawberry.field(default=None, description="只要此来源。 Only this source.")
    source_key: str | None = strawberry.field(
        default=None, description="只要此行，不论状态。 Only this row, whatever its state."
    )
    band: str | None = strawberry.field(default=None, description="只要此分数段。 Only this band.")


@strawberry.input(description="对一行的认定。 A decision about a row.")
class DecideLinkInput:
    """``LINK`` names a member, the others name nobody."""

    id: strawberry.ID = strawberry.field(description="复核编号。 The review.")
    verdict: LinkVerdict = strawberry.field(description="结果。 What is decided.")
    member_no: str | None = strawberry.field(default=None, description="成员编号，仅用于 LINK。 For LINK only.")
    decisions_seen: int = strawberry.field(
        description="所见已有认定次数；若已增加则拒绝。 Decisions you were shown; refused if there are more now."
    )
    reason: str = strawberry.field(description="理由，记入审计。 Why; it is recorded.")
    idempotency_key: str = strawberry.field(description="幂等键。 Key under which a repetition changes nothing.")


LinkReviewsResult = Annotated[
    LinkReviewConnection | InvalidInput | NotAllowed,
    strawberry.union(name="LinkReviewsResult", description="结果。 What came of it."),
]
LinkReviewResult = Annotated[
    LinkReview | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="LinkReviewResult", description="结果。 What came of it."),
]
DecideLinkResult = Annotated[
    LinkDecided | InvalidInput | NotFound | Conflict | NotAllowed,
    strawberry.union(name="DecideLinkResult", description="结果。 What came of it."),
]
