"""Own statements beside adverse items."""

from typing import Annotated

import strawberry

from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound
from hub.schema.types.scalars import DateTime


@strawberry.input(description="对哪一条不良信息，声明什么。 Beside which adverse item, and what.")
class StateOnAdverseInput:
    """The argument of ``stateOnAdverse``."""

    item_id: strawberry.ID = strawberry.field(description="条目编号（adverse.items.itemId）。 The item.")
    text: str = strawberry.field(description="声明，1至500字，勿填身份证号。 The statement, 1 to 500 characters.")
    idempotency_key: strawberry.ID = strawberry.field(description="重试时保持不变。 Keep it for a retry.")


@strawberry.input(description="撤回哪一条的声明。 Of which item the statement is taken back.")
class WithdrawStatementInput:
    """The argument of ``withdrawStatement``."""

    item_id: strawberry.ID = strawberry.field(description="条目编号。 The item.")
    idempotency_key: strawberry.ID = strawberry.field(description="重试时保持不变。 Keep it for a retry.")


@strawberry.type(description="已记录本人声明。 The statement stands beside the item.")
class AdverseStated:
    """What came of ``stateOnAdverse``."""

    item_id: strawberry.ID = strawberry.field(description="条目编号。 The item.")
    stated_at: DateTime = strawberry.field(description="时间。 When.")
    shows_at_once: bool = strawberry.field(
        description="是否立即显示；正在更新数据时稍后显示。 Whether it shows now; otherwise after the pull under way."
    )


@strawberry.type(description="已撤回本人声明。 The statement is taken back.")
class StatementWithdrawn:
    """What came of ``withdrawStatement``."""

    item_id: strawberry.ID = strawberry.field(description="条目编号。 The item.")
    stated_at: DateTime = strawberry.field(description="时间。 When.")
    shows_at_once: bool = strawberry.field(description="是否立即生效。 Whether it is gone now.")


StateOnAdverseResult = Annotated[
    AdverseStated | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="StateOnAdverseResult", description="声明结果。 What came of making a statement."),
]
WithdrawStatementResult = Annotated[
    StatementWithdrawn | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="WithdrawStatementResult", description="撤回结果。 What came of taking a statement back."),
]
