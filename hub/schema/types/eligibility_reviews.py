"""What programmes decided about a resident, explained; and the review of a no by a person."""

from typing import Annotated

import strawberry

from hub.benefits.decisions import ReviewGround
from hub.benefits.programme import Answer
from hub.schema.types.audit import PageInfo
from hub.schema.types.consent import Organisation
from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound
from hub.schema.types.scalars import Date, DateTime

_KEY_TEXT = "由调用方生成；同一键不会重复执行。 Made by the caller; the same key is never applied twice."

GROUND = strawberry.enum(
    ReviewGround,
    name="EligibilityReviewGround",
    description="复核理由：前两项维持原决定，其余推翻。 The first two uphold a no, the others overturn it.",
)


@strawberry.type(description="一项资格决定。 What a programme decided about the resident in a period.")
class EligibilityDecision:
    """The answer that counts is in ``answer``; ``is_overturned`` says that a person turned it."""

    id: strawberry.ID = strawberry.field(description="决定编号。 The decision.")
    organisation: Organisation = strawberry.field(description="询问机构。 Who asked.")
    programme: str = strawberry.field(description="项目编号。 The programme.")
    name_zh: str = strawberry.field(description="项目名称。 Its Chinese name.")
    name_en: str = strawberry.field(description="项目英文名称。 Its English name.")
    version: int = strawberry.field(description="项目版本。 Its version.")
    period: str = strawberry.field(description="所属期间。 The period for which it counts.")
    answer: Answer = strawberry.field(description="目前有效的回答。 The answer that counts.")
    is_overturned: bool = strawberry.field(description="是否经人工复核改变。 Whether a person turned a no into it.")
    decided_at: DateTime = strawberry.field(description="作出决定的时间。 When it was worked out.")
    review_id: strawberry.ID | None = strawberry.field(description="复核编号。 The review, if one was asked for.")
    review_state: str | None = strawberry.field(description="OPEN、UPHELD、OVERTURNED。 How the review stands.")
    review_due: Date | None = strawberry.field(description="复核期限。 By when the review is decided.")
    review_ground: str | None = strawberry.field(description="复核理由代码。 Why it ended so, by its code.")


@strawberry.type(description="本人的资格决定，新的在前。 Decisions about the resident, newest first.")
class EligibilityDecisions:
    """At most 500."""

    decisions: list[EligibilityDecision] = strawberry.field(description="决定。 The decisions.")


@strawberry.type(description="项目的一个条件。 One comparison that the programme makes.")
class EligibilityCondition:
    """Outcomes are MET, NOT_MET and NOT_SHOWN."""

    code: str = strawberry.field(description="条件代码。 Its code.")
    part: str = strawberry.field(description="读取的信息类别和形式。 What of the record it reads.")
    meaning: str = strawberry.field(description="条件内容，按所请求的语言。 What it asks for.")
    outcome: str = strawberry.field(
        description="当时：MET 符合，NOT_MET 不符合，NOT_SHOWN 档案中未能证实。 How it came out when it was decided."
    )
    today: str = strawberry.field(description="按今天的档案。 How it would come out with the record of today.")
    own_values: list[str] = strawberry.field(
        description="本人今天的相应数据，只有本人可见。 The own values of today that it looks at; for the owner only."
    )


@strawberry.type(description="对一项资格决定的说明。 A decision explained to the resident.")
class EligibilityExplanation:
    """The decision, and every comparison."""

    decision: EligibilityDecision = strawberry.field(description="决定。 The decision.")
    meaning: str = strawberry.field(description="说明，按所请求的语言。 The whole in a sentence.")
    conditions: list[EligibilityCondition] = strawberry.field(description="逐条说明。 Every comparison.")


@strawberry.type(description="已申请复核。 The review was asked for.")
class EligibilityReviewRequested:
    """Somebody will decide by the day named."""

    review_id: strawberry.ID = strawberry.field(description="复核编号。 The review.")
    due_on: Date = strawberry.field(description="最迟答复日期。 By when it is decided.")


@strawberry.type(description="待复核的一项。 A review that waits.")
class EligibilityReview:
    """Conditions and what came of them; no value, nobody's name."""

    id: strawberry.ID = strawberry.field(description="复核编号。 The review.")
    person_id: strawberry.ID = strawberry.field(
        description="当事人的编号，可用于 borrowerProfile。 The person, by an id of the reader's own side."
    )
    county_code: str = strawberry.field(description="县（市）代码。 County.")
    organisation_id: strawberry.ID = strawberry.field(description="询问机构。 Who asked.")
    programme: str = strawberry.field(description="项目编号。 The programme.")
    version: int = strawberry.field(description="项目版本。 Its version.")
    period: str = strawberry.field(description="所属期间。 The period.")
    conditions: list["ReviewedCondition"] = strawberry.field(description="逐条结果。 Every comparison.")
    asked_at: DateTime = strawberry.field(description="申请时间。 When it was asked for.")
    due_on: Date = strawberry.field(description="最迟答复日期。 By when it is to be decided.")


@strawberry.type(description="一个条件及其结果。 One comparison and what came of it.")
class ReviewedCondition:
    """Without values."""

    code: str = strawberry.field(description="条件代码。 Its code.")
    part: str = strawberry.field(description="读取的信息类别和形式。 What of the record it reads.")
    meaning: str = strawberry.field(description="条件内容。 What it asks for.")
    outcome: str = strawberry.field(description="MET、NOT_MET、NOT_SHOWN。 What came of it.")


@strawberry.type(description="待复核的一项及其位置。 One review in a page.")
class EligibilityReviewEdge:
    """A review and where it lies."""

    cursor: str = strawberry.field(description="游标。 Where it lies.")
    node: EligibilityReview = strawberry.field(description="该项。 The review.")


@strawberry.type(description="待复核的资格决定，旧的在前。 Reviews that wait, oldest first.")
class EligibilityReviewConnection:
    """A page of reviews."""

    edges: list[EligibilityReviewEdge] = strawberry.field(description="本页。 The page.")
    page_info: PageInfo = strawberry.field(description="分页位置。 Where it lies.")


@strawberry.type(description="复核结果。 How a review ended.")
class EligibilityReviewDecided:
    """Recorded; the provider of an overturned decision is told."""

    review_id: strawberry.ID = strawberry.field(description="复核编号。 The review.")
    state: str = strawberry.field(description="UPHELD 维持，OVERTURNED 推翻。 How it ended.")


@strawberry.input(description="本人申请人工复核。 A resident asks that a person looks at a no again.")
class RequestEligibilityReviewInput:
    """The argument of ``requestEligibilityReview``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    decision_id: strawberry.ID = strawberry.field(description="决定编号。 The decision.")


@strawberry.input(description="数据管理员作出复核决定。 A data steward decides a review.")
class DecideEligibilityReviewInput:
    """The argument of ``decideEligibilityReview``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    review_id: strawberry.ID = strawberry.field(description="复核编号。 The review.")
    ground: ReviewGround = strawberry.field(description="理由，决定结果。 The ground, which says how it ends.")


EligibilityDecisionsResult = Annotated[
    EligibilityDecisions | NotAllowed,
    strawberry.union(name="EligibilityDecisionsResult", description="结果。 What came of it."),
]
ExplainEligibilityResult = Annotated[
    EligibilityExplanation | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="ExplainEligibilityResult", description="结果。 What came of it."),
]
RequestEligibilityReviewResult = Annotated[
    EligibilityReviewRequested | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="RequestEligibilityReviewResult", description="结果。 What came of it."),
]
EligibilityReviewsResult = Annotated[
    EligibilityReviewConnection | InvalidInput | NotAllowed,
    strawberry.union(name="EligibilityReviewsResult", description="结果。 What came of it."),
]
DecideEligibilityReviewResult = Annotated[
    EligibilityReviewDecided | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="DecideEligibilityReviewResult", description="结果。 What came of it."),
]
