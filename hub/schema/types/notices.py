"""What a resident has to be told without having asked."""

from typing import Annotated

import strawberry

from hub.access.breaches import BreachKind
from hub.schema.types.problems import NotAllowed
from hub.schema.types.scalars import DateTime

BREACH_KIND = strawberry.enum(
    BreachKind,
    name="BreachKind",
    description="LEAKED：泄露，ALTERED：被篡改，LOST：丢失。 What happened to the data.",
)


@strawberry.type(description="安全事件通知：涉及本人的信息。 A breach that reaches data of the resident who asks.")
class BreachNotice:
    """One notice (个人信息保护法 art. 57)."""

    id: strawberry.ID = strawberry.field(description="事件编号。 The breach.")
    what: BreachKind = strawberry.field(description="发生了什么。 What happened.")
    discovered_at: DateTime = strawberry.field(description="发现时间。 When it became known.")
    told_at: DateTime = strawberry.field(description="通知时间。 When this notice was put here.")
    categories: list[str] = strawberry.field(description="涉及的信息种类。 Which categories of data it reaches.")
    cause: str = strawberry.field(description="原因。 Why it happened.")
    harm: str = strawberry.field(description="可能造成的危害。 Which harm it may do.")
    measures: str = strawberry.field(description="已采取的补救措施。 What was done about it.")
    advice: str = strawberry.field(description="本人可以采取的措施。 What the resident can do.")
    contact: str = strawberry.field(description="联系方式。 Whom to ask.")


@strawberry.type(description="平台须主动告知本人的事项，新的在前。 What the resident has to be told, newest first.")
class Notices:
    """All of them."""

    breaches: list[BreachNotice] = strawberry.field(description="安全事件。 Breaches.")


NoticesResult = Annotated[
    Notices | NotAllowed, strawberry.union(name="NoticesResult", description="结果。 What came of it.")
]
