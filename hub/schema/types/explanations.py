"""Why somebody saw, or did not see, a part of a resident's record: in plain words, without the names of rules."""

from typing import Annotated

import strawberry

from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound
from hub.schema.types.scalars import DateTime


@strawberry.type(description="一项信息为何提供或未提供。 Why one part was given or withheld.")
class PartExplanation:
    """One category in one form."""

    category: str = strawberry.field(description="信息类别。 The category.")
    form: str = strawberry.field(description="披露形式。 The form.")
    was_given: bool = strawberry.field(description="当时是否开放。 Whether it was open to the asker then.")
    reason: str | None = strawberry.field(description="未提供的原因代码。 Why not, by its code.")
    meaning: str = strawberry.field(description="原因说明。 Why, in words.")
    would_be_given_today: bool = strawberry.field(
        description="按今天的规则和您现在的同意是否会开放。 Whether today's rules and consents would open it."
    )
    today: str = strawberry.field(description="今天的情况。 How it stands today, in words.")


@strawberry.type(description="对一次查询的解释。 One access explained.")
class AccessExplanation:
    """The decision as it was recorded, put before the rules again."""

    id: strawberry.ID = strawberry.field(description="审计事件编号，即决定编号。 The decision: its audit event.")
    at: DateTime = strawberry.field(description="时间。 When it was decided.")
    purpose: str = strawberry.field(description="目的。 What for.")
    had_basis: bool = strawberry.field(description="当时是否有同意或其他依据。 Whether there was a basis.")
    basis_stands: bool = strawberry.field(description="该依据现在是否仍然有效。 Whether that basis is in force today.")
    follows_rules: bool = strawberry.field(
        description="复核结果是否与当时的规则一致。 Whether the rules of that time say the same when asked again."
    )
    parts: list[PartExplanation] = strawberry.field(description="逐项说明。 Every part that was asked for.")


ExplainAccessResult = Annotated[
    AccessExplanation | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="ExplainAccessResult", description="结果。 What came of it."),
]
