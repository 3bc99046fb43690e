"""Values that several sources can state, each named by a written precedence (docs/PRECEDENCE.md)."""

import strawberry

from hub.core.names import ChoiceReason, Confidence
from hub.schema.types.classified import disclosed
from hub.schema.types.facts import Fact
from hub.schema.types.sections import Completeness

CHOICE_REASON = strawberry.enum(
    ChoiceReason,
    description="By what a statement was chosen, or lost: LEGAL (rank in law), VERIFICATION (how far its source "
    "answers for it), RECENCY, FIRST_LISTED where nothing else decides.",
)
CONFIDENCE = strawberry.enum(Confidence, description="How far a chosen value can be relied on.")


@disclosed
class Precedence:
    """采信规则。 The written rule by which a value was chosen, and what decided."""

    id: strawberry.ID
    version: int
    reason: ChoiceReason


@strawberry.interface(description="一个来源的说法。 What one row of a source states.")
class Stated(Fact):
    """Implemented by every statement, chosen or not."""

    age_days: int | None = strawberry.field(
        description="距数据截至日的天数。 Days between the statement's own date and `asOf`."
    )
    is_stale: bool = strawberry.field(description="是否已超过时限。 Whether it is older than its kind may be.")


@strawberry.interface(description="未采用的说法。 A statement that says something else than the chosen one.")
class NotChosen(Stated):
    """Implemented by statements that lost."""

    reason: ChoiceReason = strawberry.field(description="未采用的原因。 What it lost by.")
    contradicts: bool = strawberry.field(
        description="是否与采用值矛盾。 Whether both cannot be true; false where both can."
    )


@strawberry.interface(description="采用的值。 A chosen value with the rule behind it.")
class Chosen(Stated):
    """Implemented by every resolved value."""

    precedence: Precedence = strawberry.field(description="采信规则。 The rule by which it was chosen.")


@disclosed
class MembershipStatement(NotChosen):
    """所属农户的其他登记。 Another current membership of the person; the other household is not named."""

    value: str | None


@disclosed
class ResolvedMembership(Chosen):
    """所属农户。 THIS_HOUSEHOLD or OTHER_HOUSEHOLD; the provenance says since when."""

    value: str | None
    confidence: Confidence | None
    others: list[MembershipStatement] | None


@disclosed
class NameStatement(NotChosen):
    """姓名的其他写法。 Another name under which a source keeps the person."""

    value: str | None


@disclosed
class ResolvedName(Chosen):
    """姓名。 The name that goes first."""

    value: str | None
    confidence: Confidence | None
    others: list[NameStatement] | None


@disclosed
class EmploymentStatement(NotChosen):
    """就业状态的其他说法。 Another statement about employment."""

    value: str | None


@disclosed
class ResolvedEmployment(Chosen):
    """就业状态。 EMPLOYEE, SELF_EMPLOYED or NOT_EMPLOYEE."""

    value: str | None
    confidence: Confidence | None
    others: list[EmploymentStatement] | None


@disclosed
class IncomeStatement(NotChosen):
    """收入的其他说法。 Another statement about income."""

    value: str | None


@disclosed
class ResolvedIncome(Chosen):
    """收入区间。 Band of declared income (0 to 4), or BELOW_RELIEF_LINE."""

    value: str | None
    confidence: Confidence | None
    others: list[IncomeStatement] | None


@disclosed
class ArrearsStatement(NotChosen):
    """欠款的其他说法。 What another creditor states of its own claim."""

    value: str | None


@disclosed
class ResolvedArrears(Chosen):
    """有无未清欠款。 OPEN, PLANNED or SETTLED, over all creditors shown."""

    value: str | None
    confidence: Confidence | None
    others: list[ArrearsStatement] | None


@disclosed
class ResolvedSection:
    """多来源数据的采信值。 One value where several sources can state it, made only of what was granted.

    A source that was not granted takes no part; `withheld` names it, whether or not it states anything.
    """

    completeness: Completeness
    membership: ResolvedMembership | None
    name: ResolvedName | None
    employment: ResolvedEmployment | None
    income: ResolvedIncome | None
    arrears: ResolvedArrears | None


@disclosed
class OwnResolvedSection:
    """本人多来源数据的采信值。 One value where several sources can state it, with all that others state."""

    completeness: Completeness
    membership: ResolvedMembership | None
    name: ResolvedName | None
    employment: ResolvedEmployment | None
    income: ResolvedIncome | None
    arrears: ResolvedArrears | None
