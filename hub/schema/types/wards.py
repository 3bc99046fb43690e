"""The minors for whom a resident may act as guardian."""

from typing import Annotated

import strawberry

from hub.schema.types.problems import NotAllowed
from hub.schema.types.scalars import Date, DateTime


@strawberry.type(description="被监护人。 A minor for whom the asker may act.")
class Ward:
    """Shown to the guardian alone."""

    id: strawberry.ID = strawberry.field(description="编号，用于代为决定。 Its id, to act for the ward.")
    name: str | None = strawberry.field(description="姓名。 Name.")
    birth_date: Date = strawberry.field(description="出生日期。 Birth date.")
    ground: str = strawberry.field(
        description="监护依据：PARENT、RELATIVE、WILL、AGREEMENT、APPOINTED。 Why the asker is guardian."
    )
    source: str = strawberry.field(description="来源：CIVIL_AFFAIRS、STEWARD。 Who says so: the roster, or a document.")
    until: DateTime = strawberry.field(
        description="自动终止时间。 When it ends by itself, with majority at the latest."
    )
    needs_minor: bool = strawberry.field(description="须本人一并同意（已满14周岁）。 The minor has to agree too.")


@strawberry.type(description="被监护人名单。 The wards.")
class Wards:
    """The eldest first."""

    items: list[Ward] = strawberry.field(description="名单。 The list.")


WardsResult = Annotated[Wards | NotAllowed, strawberry.union(name="WardsResult", description="结果。 What came of it.")]
