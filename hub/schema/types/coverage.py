"""Coverage as officials read it: numbers of households, nothing personal."""

from typing import Annotated

import strawberry

from hub.records.folding.coverage import AreaLevel
from hub.schema.types.problems import InvalidInput, NotAllowed

AREA_LEVEL = strawberry.enum(AreaLevel, description="区域层级。 The level of an area.")


@strawberry.type(description="某一项及户数。 How many households one thing concerns.")
class CoverageCount:
    """One thing that is missing, too old, open or reported."""

    name: str = strawberry.field(description="数据类别，或 LINK、CONFLICT、QUARANTINE。 Category, or what is open.")
    households: int = strawberry.field(description="户数。 Households.")


@strawberry.type(
    description="一个区域的档案覆盖情况；数字按村取整为三的倍数。 The files of one area; rounded by village to threes."
)
class AreaCoverage:
    """Exact for data stewards; for others the sum of what is told of each village (hub/core/published.py)."""

    area: str = strawberry.field(description="区域代码。 Code of the area.")
    name: str | None = strawberry.field(description="县市或乡镇名称。 Name of a county or township.")
    households: int = strawberry.field(description="总户数。 Registered households.")
    complete: int = strawberry.field(description="档案完整的户数。 With a complete file.")
    fresh: int = strawberry.field(description="档案未过期的户数。 With a fresh file.")
    verified: int = strawberry.field(description="档案无待核事项的户数。 With nothing open.")
    covered: int = strawberry.field(description="以上三项均符合的户数。 All three.")
    adults: int = strawberry.field(description="在世成年成员数。 Living adult members.")
    adults_missing: int = strawberry.field(
        description="缺少应有信息的成年成员数。 Adults of whom something is missing."
    )
    missing: list[CoverageCount] = strawberry.field(description="缺少的类别。 What is missing.")
    stale: list[CoverageCount] = strawberry.field(description="过期的类别。 What is too old.")
    unverified: list[CoverageCount] = strawberry.field(description="待核事项。 What waits for a person.")
    reported: list[CoverageCount] = strawberry.field(description="已有信息的类别。 Categories that say something.")


@strawberry.type(description="档案覆盖率。 Coverage by area.")
class CoverageReport:
    """One line for each area of the level that has households."""

    area: str = strawberry.field(description="所查区域。 The area asked about.")
    level: AreaLevel = strawberry.field(description="层级。 The level of the lines.")
    areas: list[AreaCoverage] = strawberry.field(description="各区域。 The lines.")


CoverageResult = Annotated[
    CoverageReport | InvalidInput | NotAllowed,
    strawberry.union(name="CoverageResult", description="结果。 What came of it."),
]
